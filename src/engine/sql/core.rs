//! What an open engine holds, and how its questions are repeated.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::config::SqlConfig;
use super::connection::Connection;
use super::errors::{Fault, Outcome};
use super::gone::Owner;
use super::pool::{Lease, Pool};
use super::queue::{HasQueue, Queue};
use super::reads::Read;
use super::url::Target;
use super::writes::Work;
use crate::clock::Clock;
use crate::engine::Activity;
use crate::error::{Error, Result};

/// Tasks that may be under way at the same time; no limit that is meant to be met.
const TASKS: u32 = 1 << 28;
/// How often a process tidies the counters, in milliseconds.
const TIDY_EVERY_MS: i64 = 60_000;
/// How long a process rests in between, however untidy they are, in milliseconds.
const TIDY_PAUSE_MS: i64 = 5_000;
/// A quick question that takes longer than this part of its time is asked again on another connection.
const SHARE: u32 = 2;

pub(super) struct Core {
    pub(super) pool: Pool,
    pub(super) clock: Clock,
    runtime: Handle,
    reads: Queue<Read>,
    writes: Queue<Work>,
    tasks: Arc<Semaphore>,
    /// When the next record that this process knows of expires, in milliseconds since the Unix epoch.
    next_due: AtomicI64,
    /// When the counters are to be tidied next, in milliseconds since the Unix epoch.
    next_tidy: AtomicI64,
    pub(super) activity: Activity,
    /// Whose the stamps of this engine are.
    pub(super) owner: Owner,
}

impl HasQueue<Read> for Core {
    fn queue(&self) -> &Queue<Read> {
        &self.reads
    }
}

impl HasQueue<Work> for Core {
    fn queue(&self) -> &Queue<Work> {
        &self.writes
    }
}

/// A question that may be asked again where its answer was lost.
pub(super) trait Ask: Sync {
    type Answer: Send;
    /// Whether it is answered in no time, however much is stored.
    const QUICK: bool = false;
    /// Whether it changes anything, in one transaction of its own.
    const WRITES: bool = false;

    fn ask(&self, core: &Core, lease: &mut Lease) -> impl Future<Output = Outcome<Self::Answer>> + Send;
}

impl Core {
    pub(super) fn new(target: Target, config: SqlConfig, clock: Clock, runtime: Handle) -> Self {
        let next_tidy = AtomicI64::new(clock.now_ms() + fastrand::i64(TIDY_EVERY_MS / 2..TIDY_EVERY_MS));
        Self {
            pool: Pool::new(target, config),
            clock,
            runtime,
            reads: Queue::default(),
            writes: Queue::default(),
            tasks: Arc::new(Semaphore::new(TASKS as usize)),
            next_due: AtomicI64::new(i64::MAX),
            next_tidy,
            activity: Activity::default(),
            owner: fastrand::u64(..).to_be_bytes(),
        }
    }

    /// How many calls wait for others that are under way.
    pub(super) fn waiting(&self) -> usize {
        self.reads.len() + self.writes.len()
    }

    /// Starts a task, for which [`Core::close`] waits.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let permit = Arc::clone(&self.tasks).try_acquire_owned();
        self.runtime.spawn(async move {
            task.await;
            drop(permit);
        });
    }

    /// Waits for the tasks under way, as long as any of them may live, and closes the connections.
    pub(super) async fn close(&self) {
        let patience = self.pool.config.connection_timeout + Duration::from_secs(1);
        let _ = timeout(patience, self.tasks.acquire_many(TASKS)).await;
        self.pool.close(Duration::from_secs(1)).await;
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// When what is asked now must be answered.
    pub(super) fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.pool.config.connection_timeout).unwrap_or(now + Duration::from_hours(24 * 365))
    }

    /// A failure in words. `unknown`: whether what was asked may have happened.
    pub(super) fn error(&self, fault: Fault, unknown: bool) -> Error {
        fault.into_error(&self.pool.target.place(), self.pool.config.connection_timeout.as_secs_f64(), unknown)
    }

    /// The time was up before anything was sent that could have happened.
    pub(super) fn late(&self) -> Fault {
        Fault::Refused(self.error(Fault::Late, false))
    }

    /// Whether `at` is earlier than all expiries that were noted so far; it is noted then.
    pub(super) fn notes_expiry(&self, at: i64) -> bool {
        self.next_due.fetch_min(at, Ordering::Relaxed) > at
    }

    /// Forgets the expiries that were noted.
    pub(super) fn forget_expiries(&self) {
        self.next_due.store(i64::MAX, Ordering::Relaxed);
    }

    /// Whether it is time to tidy the counters; the next time is set then.
    pub(super) fn tidies(&self) -> bool {
        let now = self.clock.now_ms();
        let due = self.next_tidy.load(Ordering::Relaxed);
        due <= now
            && self.next_tidy.compare_exchange(due, now + TIDY_EVERY_MS, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Makes it time to tidy the counters; whether it was not a moment ago.
    pub(super) fn wants_tidying(&self) -> bool {
        let now = self.clock.now_ms();
        let due = self.next_tidy.load(Ordering::Relaxed);
        let rested = due > now && due < now + TIDY_EVERY_MS - TIDY_PAUSE_MS;
        rested && self.next_tidy.compare_exchange(due, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether another try may do better, after a pause.
    pub(super) fn passes(&self, fault: &Fault) -> bool {
        match fault {
            // Who never reached the server learns at once that its address is wrong.
            Fault::Unreachable { passing, .. } => *passing && self.pool.was_reached(),
            Fault::Lost(_) | Fault::Undone(_) => true,
            Fault::Refused(_) | Fault::ReadOnly(_) | Fault::Unknown(_) | Fault::Late => false,
        }
    }

    /// Asks until there is an answer, or the time is up.
    pub(super) async fn ask<A: Ask>(&self, ask: &A, until: Instant) -> Result<A::Answer> {
        let mut pause = Pause::default();
        let mut last = None;
        loop {
            let now = Instant::now();
            let limit = if A::QUICK && until > now { now + (until - now) / SHARE } else { until };
            let fault = match timeout_at(limit, self.once(ask)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(fault)) if self.passes(&fault) => fault,
                Ok(Err(fault)) => return Err(self.error(fault, A::WRITES)),
                Err(_) if A::QUICK && pause.rounds < 3 => {
                    self.pool.forget_idle();
                    last.take().unwrap_or(Fault::Late)
                }
                Err(_) => {
                    self.pool.forget_idle();
                    return Err(self.error(last.unwrap_or(Fault::Late), A::WRITES));
                }
            };
            if !pause.wait(until).await {
                return Err(self.error(fault, false));
            }
            last = Some(fault);
        }
    }

    async fn once<A: Ask>(&self, ask: &A) -> Outcome<A::Answer> {
        let mut lease = self.pool.lend().await?;
        let answer = ask.ask(self, &mut lease).await;
        match &answer {
            Ok(_) => self.pool.keep(lease),
            Err(Fault::Undone(_) | Fault::Refused(_)) => {
                lease.connection.simple("ROLLBACK").await?;
                self.pool.keep(lease);
            }
            Err(_) => {
                drop(lease);
                self.pool.forget_idle();
            }
        }
        answer
    }
}

/// The pauses between tries: longer each time, and never the same for two who wait for each other.
#[derive(Default)]
pub(super) struct Pause {
    pub(super) rounds: u32,
}

impl Pause {
    /// Waits; whether there is time for another try. The first is made at once: the connection was an old one.
    pub(super) async fn wait(&mut self, until: Instant) -> bool {
        let longest = match self.rounds {
            0 => 0,
            rounds => 2 << rounds.min(7),
        };
        self.rounds += 1;
        let pause = Duration::from_millis(fastrand::u64(0..=longest));
        if Instant::now() + pause >= until {
            return false;
        }
        sleep(pause).await;
        true
    }
}

/// Runs `last`, statements of fixed text that each end, and commits; where the answer is lost nobody knows how.
pub(super) async fn commit(connection: &mut Connection, last: &str) -> Outcome<()> {
    match connection.simple(&format!("{last}COMMIT")).await {
        Err(Fault::Lost(reason)) => Err(Fault::Unknown(reason)),
        other => other,
    }
}
