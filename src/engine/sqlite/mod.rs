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
//! in the same process (Python's `sqlite3`) must not have the file open at the same time: closing it there would
//! let go of the locks held here, as <https://sqlite.org/howtocorrupt.html> explains; another process may.

mod config;
mod core;
mod errors;
mod job;
mod memory;
mod open;
mod patience;
mod queue;
mod readers;
mod scan;
mod schema;
mod slot;
mod statements;
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
use super::{Batch, ChangeFn, Commit, Engine, EngineStats, KeyRange, Page, Record, Scan, Updated};
use crate::answer::Answer;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fork::{self, Generation};
use crate::janitor::{self, Purge};
use crate::key::Key;
use crate::sync::lock;

/// So many records at most are read in the calling thread.
const INLINE_KEYS: usize = 8;
/// How often another process's expiring records are looked for.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// A store of records in SQLite. See the module for what holds.
pub struct SqliteEngine {
    config: SqliteConfig,
    clock: Clock,
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

impl SqliteEngine {
    /// A store that opens at its first operation. A configuration that [`SqliteConfig::validate`] refuses is refused
    /// by every operation.
    pub fn new(config: SqliteConfig, clock: Clock) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            config,
            clock,
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
                Ok(None) => {}
                Ok(Some((memory, job))) => {
                    drop(state);
                    self.run_in_memory(&memory, job, gate);
                }
                Err((error, job)) => {
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
    #[expect(clippy::type_complexity, reason = "what is left to do, or why nothing can be done")]
    fn begin(&self, state: &mut State, job: Job) -> Result<Option<(Arc<Memory>, Job)>, (Error, Job)> {
        if let Job::Close(_) = job {
            // There is nothing to close.
            return Err((Error::Closed { backend: BACKEND }, job));
        }
        if let Err(error) = self.config.validate() {
            return Err((error, job));
        }
        if self.config.path == SqlitePath::Memory {
            return match Memory::open(&self.config, self.clock.clone()) {
                Ok(memory) => {
                    let memory = Arc::new(memory);
                    state.phase = Phase::Memory(Arc::clone(&memory));
                    Ok(Some((memory, job)))
                }
                Err(error) => Err((error, job)),
            };
        }
        let (config, clock, me, owner) = (self.config.clone(), self.clock.clone(), self.me.clone(), self.purger());
        let opener = move || {
            let opened = Core::open(config, clock, owner);
            opened_by_thread(&me, opened);
        };
        if let Err(error) = spawn("rrag-sqlite-open", opener) {
            return Err((error, job));
        }
        state.phase = Phase::Opening(vec![job]);
        Ok(None)
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

    /// Reads in the calling thread, where that is quick.
    fn read_here(&self, keys: &[Key]) -> Option<Result<Vec<Option<Record>>>> {
        let _gate = fork::enter();
        let state = self.state();
        match &state.phase {
            Phase::Open(core) if !state.closed => {
                let core = Arc::clone(core);
                drop(state);
                core.read_inline(keys)
            }
            Phase::Memory(memory) if !state.closed => {
                let memory = Arc::clone(memory);
                drop(state);
                Some(memory.read_keys(keys))
            }
            _ => None,
        }
    }
}

/// The opener's last step: hands the jobs that waited to the file, or to its failure.
fn opened_by_thread(engine: &Weak<SqliteEngine>, opened: errors::Outcome<Arc<Core>>) {
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
            waiting.into_iter().for_each(|job| core.submit(job));
        }
        Err(fault) => {
            drop((state, gate));
            let error = fault.into_error(&engine.config.place());
            waiting.into_iter().for_each(|job| job.fail(error.clone()));
        }
    }
}

impl Drop for SqliteEngine {
    fn drop(&mut self) {
        let _gate = fork::enter();
        let mut state = self.state();
        if let Phase::Open(core) = mem::replace(&mut state.phase, Phase::Idle) {
            core.shut_down();
        }
    }
}

impl Purge for SqliteEngine {
    fn purge(&self) -> Option<Duration> {
        let state = self.state();
        match &state.phase {
            Phase::Open(core) => {
                core.request_purge();
                Some(PURGE_EVERY)
            }
            Phase::Memory(memory) => {
                let memory = Arc::clone(memory);
                drop(state);
                memory.purge().map(|at| self.until(at))
            }
            _ => None,
        }
    }
}

impl Engine for SqliteEngine {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn location(&self) -> String {
        format!("{BACKEND}:{}", self.config.place())
    }

    fn may_block(&self) -> bool {
        self.config.path != SqlitePath::Memory
    }

    fn open(&self) -> Answer<Result<()>> {
        let (reply, answer) = Reply::new();
        self.submit(Job::Open(reply));
        answer
    }

    fn read_one(&self, key: &Key) -> Answer<Result<Option<Record>>> {
        match self.read_here(std::slice::from_ref(key)) {
            Some(read) => Answer::ready(read.map(|mut records| records.pop().flatten())),
            None => self.query(|reply| Query::One(key.clone(), reply)),
        }
    }

    fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        if keys.len() <= INLINE_KEYS
            && let Some(read) = self.read_here(&keys)
        {
            return Answer::ready(read);
        }
        self.query(|reply| Query::Many(keys, reply))
    }

    fn commit(&self, batch: Batch) -> Answer<Result<Commit>> {
        self.task(|reply| Task::Commit(batch, reply))
    }

    fn update(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<Updated>>> {
        self.task(|reply| Task::Update(keys, change, reply))
    }

    fn scan(&self, scan: Scan) -> Answer<Result<Page>> {
        self.query(|reply| Query::Scan(scan, reply))
    }

    fn count(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.query(|reply| Query::Count(range, reply))
    }

    fn remove_range(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.task(|reply| Task::RemoveRange(range, reply))
    }

    fn namespaces(&self, range: KeyRange, skip: usize, max_depth: Option<usize>) -> Answer<Result<Vec<String>>> {
        self.query(|reply| Query::Namespaces(range, skip, max_depth, reply))
    }

    fn stats(&self, range: KeyRange) -> Answer<Result<EngineStats>> {
        self.query(|reply| Query::Stats(range, reply))
    }

    fn ping(&self) -> Answer<Result<()>> {
        self.query(Query::Ping)
    }

    fn close(&self) -> Answer<Result<()>> {
        let (reply, answer) = Reply::new();
        self.submit(Job::Close(reply));
        answer
    }
}
