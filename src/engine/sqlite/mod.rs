//! Records in a SQLite file, shared by any number of processes, or in this process's memory.
//!
//! # What holds
//!
//! 1. One thread writes. It commits all that is queued in one transaction, and an answer goes out after the commit.
//! 2. Reads never wait for a write: small ones run in the calling thread, others on reader threads, each on a
//!    connection of its own. A read that starts after a write was answered sees it.
//! 3. Whoever else holds the file is waited for, up to the connection's timeout, outside the fork gate.
//! 4. A forked child opens the file anew; see `slot`.
//! 5. The log (`-wal`) is written back into the file by the writer once it has a thousand pages, and when the storage
//!    is closed; it keeps at most 16 MiB on disk after that. Where more than half of the file is free after a
//!    deletion of many, the free pages go back to the file system.
//!
//! A network file system can't hold the log's shared memory: the file belongs on a local disk. Another copy of SQLite
//! in the same process (Python's `sqlite3`) may look at the file, see `guard`; it must not write while this one does,
//! for their locks don't exclude each other, as <https://sqlite.org/howtocorrupt.html> explains. Another process may.

mod attributes;
mod config;
mod contract;
mod core;
mod desk;
mod errors;
mod expiry;
mod guard;
mod job;
mod memory;
mod open;
mod patience;
mod queue;
mod readers;
mod recent;
mod scan;
mod schema;
mod slot;
mod statements;
#[cfg(test)]
mod tests;
mod writer;

use std::mem;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

pub use config::{SqliteConfig, SqlitePath, Synchronous};

use self::core::{Core, spawn};
use self::errors::BACKEND;
use self::job::{Job, Query, Reply, Task, Timed};
use self::memory::Memory;
use self::patience::Patience;
use super::Announced;
use crate::answer::Answer;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fork::{self, Generation};
use crate::janitor::{self, Purge};
use crate::sync::lock;

/// A store of records in SQLite. See the module for what holds.
pub struct SqliteEngine {
    config: SqliteConfig,
    clock: Clock,
    announced: Announced,
    state: Mutex<State>,
    me: Weak<Self>,
}

struct State {
    generation: Generation,
    /// Set by the first close, for good.
    closed: bool,
    phase: Phase,
}

enum Phase {
    /// Not open yet, or no more.
    Idle,
    /// A thread is opening the file; these jobs wait for it, in their order.
    Opening(Vec<Job>),
    Open(Arc<Core>),
    Memory(Arc<Memory>),
}

/// Where the records are that are read in the calling thread.
enum Place {
    File(Arc<Core>),
    Memory(Arc<Memory>),
}

/// What became of a job that found nothing open.
enum Begun {
    /// It waits for the opener.
    Waits,
    /// It runs now.
    Runs(Arc<Memory>, Job),
    /// It can't be done.
    Failed(Error, Job),
}

impl SqliteEngine {
    /// A store that opens at its first operation. A configuration that [`SqliteConfig::validate`] refuses is refused
    /// by every operation.
    pub fn new(config: SqliteConfig, clock: Clock) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            config,
            clock,
            announced: Announced::default(),
            state: Mutex::new(State { generation: fork::generation(), closed: false, phase: Phase::Idle }),
            me: me.clone(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &SqliteConfig {
        &self.config
    }

    fn purger(&self) -> Weak<dyn Purge> {
        self.me.clone()
    }

    fn timed<J>(&self, job: J) -> Timed<J> {
        Timed { job, patience: Patience::new(self.config.connection_timeout) }
    }

    fn task<T: Send + 'static>(&self, task: impl FnOnce(Reply<T>) -> Task) -> Answer<Result<T>> {
        let (reply, answer) = Reply::new();
        self.submit(Job::Task(self.timed(task(reply))));
        answer
    }

    fn query<T: Send + 'static>(&self, query: impl FnOnce(Reply<T>) -> Query) -> Answer<Result<T>> {
        let (reply, answer) = Reply::new();
        self.submit(Job::Query(self.timed(query(reply))));
        answer
    }

    /// Hands a job to whoever does it. What is answered here is answered after the gate and the lock are left.
    fn submit(&self, job: Job) {
        let gate = fork::enter();
        let mut state = self.state();
        if let Job::Close(_) = job {
            state.closed = true;
        } else if state.closed {
            drop((state, gate));
            return job.fail(Error::Closed { backend: BACKEND });
        }
        match &mut state.phase {
            Phase::Open(core) => {
                let core = Arc::clone(core);
                drop(state);
                core.submit(job);
            }
            Phase::Memory(memory) => {
                let memory = Arc::clone(memory);
                drop(state);
                self.run_in_memory(&memory, job, gate);
            }
            Phase::Opening(waiting) => waiting.push(job),
            Phase::Idle => match self.begin(&mut state, job) {
                Begun::Waits => {}
                Begun::Runs(memory, job) => {
                    drop(state);
                    self.run_in_memory(&memory, job, gate);
                }
                Begun::Failed(error, job) => {
                    drop((state, gate));
                    job.fail(error);
                }
            },
        }
    }

    fn run_in_memory(&self, memory: &Memory, job: Job, gate: impl Sized) {
        let (answer, expiry) = memory.run(job);
        drop(gate);
        answer();
        if let Some(at) = expiry {
            janitor::watch(&self.purger(), self.until(at));
        }
    }

    fn until(&self, at: i64) -> Duration {
        Duration::from_millis(u64::try_from(at.saturating_sub(self.clock.now_ms())).unwrap_or(0))
    }

    /// Starts to open: in memory at once, a file on a thread of its own.
    fn begin(&self, state: &mut State, job: Job) -> Begun {
        if let Job::Close(_) = job {
            // There is nothing to close.
            return Begun::Failed(Error::Closed { backend: BACKEND }, job);
        }
        if let Err(error) = self.config.validate() {
            return Begun::Failed(error, job);
        }
        if self.config.path == SqlitePath::Memory {
            return match Memory::open(&self.config, self.clock.clone()) {
                Ok(memory) => {
                    let memory = Arc::new(memory);
                    state.phase = Phase::Memory(Arc::clone(&memory));
                    Begun::Runs(memory, job)
                }
                Err(error) => Begun::Failed(error, job),
            };
        }
        let (config, clock, me, owner) = (self.config.clone(), self.clock.clone(), self.me.clone(), self.purger());
        let announced = self.announced.clone();
        let opener = move || opened(&me, Core::open(config, clock, owner, announced));
        if let Err(error) = spawn("rrag-sqlite-open", opener) {
            return Begun::Failed(error, job);
        }
        state.phase = Phase::Opening(vec![job]);
        Begun::Waits
    }

    /// The state, as this generation left it. In the fork gate.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let here = fork::generation();
        if state.generation != here {
            state.generation = here;
            if !matches!(state.phase, Phase::Memory(_)) {
                // Left as they are, not dropped: their threads, and the tasks that wait for them, are the parent's.
                mem::forget(mem::replace(&mut state.phase, Phase::Idle));
            }
        }
        state
    }

    /// Runs `read` on what is open, in the calling thread and in the fork gate; `None` where nothing is, and where `read`
    /// finds that a reader has to.
    fn here<T>(&self, read: impl FnOnce(&Place) -> Option<Result<T>>) -> Option<Result<T>> {
        let _gate = fork::enter();
        let state = self.state();
        let place = match &state.phase {
            _ if state.closed => return None,
            Phase::Open(core) => Place::File(Arc::clone(core)),
            Phase::Memory(memory) => Place::Memory(Arc::clone(memory)),
            Phase::Idle | Phase::Opening(_) => return None,
        };
        drop(state);
        read(&place)
    }
}

/// The opener's last step: hands the jobs that waited to the file, or to its failure.
fn opened(engine: &Weak<SqliteEngine>, opened: errors::Outcome<Arc<Core>>) {
    let Some(engine) = engine.upgrade() else {
        if let Ok(core) = opened {
            core.shut_down();
        }
        return;
    };
    let gate = fork::enter();
    let mut state = engine.state();
    let next = match &opened {
        Ok(core) => Phase::Open(Arc::clone(core)),
        Err(_) => Phase::Idle,
    };
    let Phase::Opening(waiting) = mem::replace(&mut state.phase, next) else { return };
    match opened {
        Ok(core) => {
            // Under the lock: what is asked from now on comes after what waited.
            let mut answers = Vec::new();
            for job in waiting {
                match job {
                    Job::Open(_) => answers.push(job),
                    job => core.submit(job),
                }
            }
            drop((state, gate));
            for job in answers {
                core.submit(job);
            }
        }
        Err(fault) => {
            drop((state, gate));
            let error = fault.into_error(&engine.config.place());
            for job in waiting {
                job.fail(error.clone());
            }
        }
    }
}
