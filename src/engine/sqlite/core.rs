//! A file that is open: its connections, its queues and its threads. Belongs to one generation; a forked child makes
//! its own and never looks at this one again.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::config::SqliteConfig;
use super::desk::Desk;
use super::errors::{BACKEND, Outcome, backend, gone};
use super::guard::Guard;
use super::job::{Done, Job, Query, Reply, Task, Timed};
use super::open::{self, Opened, Target};
use super::patience::Patience;
use super::recent::{self, Recent, Stamp};
use super::slot::Slot;
use super::statements::{Small, Sql, read_small};
use super::{readers, writer};
use crate::clock::Clock;
use crate::engine::{Activity, Announced, Meta, Record};
use crate::error::{Error, Result};
use crate::janitor::{self, Purge};
use crate::key::Key;
use crate::sync::lock;

/// How old the knowledge may be that the file is still the one that was opened, for reads.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Callers who have announced calls and make none for so long are not waited for.
const COMPANY_PAUSE: Duration = Duration::from_micros(50);

/// Past so many bytes no further write is taken.
const QUEUED_BYTES: usize = 1024 * 1024 * 1024;

pub(super) struct Core {
    pub(super) config: SqliteConfig,
    pub(super) clock: Clock,
    pub(super) place: String,
    pub(super) sql: Sql,
    pub(super) target: Target,
    pub(super) desk: Desk<Timed<Task>, Timed<Query>, Reply<()>>,
    /// Calls that are about to be made.
    announced: Announced,
    pub(super) writer: Arc<Slot>,
    /// The connection of the calling threads.
    inline: Arc<Slot>,
    /// What they have read of late.
    recent: Mutex<Recent>,
    /// Until the connections are closed.
    guard: Mutex<Option<Guard>>,
    opened: Instant,
    /// When the file's identity was last looked at, in milliseconds after `opened`.
    looked: AtomicU64,
    /// What waits for the writer, in bytes.
    pub(super) queued_bytes: AtomicUsize,
    owner: Weak<dyn Purge>,
    /// The expiry that the janitor was last told of.
    due: AtomicI64,
    purging: AtomicBool,
    pub(super) activity: Activity,
}

impl Core {
    /// Opens the file. To be called on a thread that may wait, outside the fork gate.
    pub(super) fn open(
        config: SqliteConfig,
        clock: Clock,
        owner: Weak<dyn Purge>,
        announced: Announced,
    ) -> Outcome<Arc<Self>> {
        let place = config.place();
        let super::config::SqlitePath::File(path) = &config.path else {
            return Err(backend("a database in memory has no file").into());
        };
        let path = std::path::absolute(path).map_err(|error| backend(format!("{place}: {error}")))?;
        let mut patience = Patience::new(config.connection_timeout);
        let Opened { target, writer, guard } = open::first(&config, &path, &mut patience)?;
        let inline = match open::further(&config, &target, &mut patience) {
            Ok(inline) => inline,
            Err(fault) => {
                let _gate = crate::fork::enter();
                super::slot::close(&writer);
                return Err(fault);
            }
        };
        let core = Arc::new(Self {
            sql: Sql::new(&config.table),
            config,
            clock,
            place,
            target,
            desk: Desk::new(),
            announced,
            writer,
            inline,
            recent: Mutex::default(),
            guard: Mutex::new(Some(guard)),
            opened: Instant::now(),
            looked: AtomicU64::new(0),
            queued_bytes: AtomicUsize::new(0),
            owner,
            due: AtomicI64::new(i64::MAX),
            purging: AtomicBool::new(false),
            activity: Activity::default(),
        });
        let thread = Arc::clone(&core);
        if let Err(error) = spawn("rrag-sqlite-writer", move || writer::run(&thread)) {
            let _gate = crate::fork::enter();
            core.close_slots();
            return Err(error.into());
        }
        // Others may have left records that expire.
        core.request_purge();
        Ok(core)
    }

    pub(super) fn submit(self: &Arc<Self>, job: Job) {
        match job {
            Job::Task(task) => {
                let bytes = task.job.weight();
                if self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) > QUEUED_BYTES {
                    self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    return task.job.fail(backend("more than 1 GiB of writes are waiting; await some of them first"));
                }
                if let Err(task) = self.desk.tasks.push(task) {
                    task.job.fail(Error::Closed { backend: BACKEND });
                }
            }
            Job::Query(query) => match self.desk.queries.push(query) {
                Ok(true) => self.start_reader(),
                Ok(false) => {}
                Err(query) => query.job.fail(Error::Closed { backend: BACKEND }),
            },
            Job::Open(reply) => reply.send(Ok(())),
            Job::Close(reply) => self.close(reply),
        }
    }

    /// Starts one more reader, where there may be more.
    fn start_reader(self: &Arc<Self>) {
        let thread = Arc::clone(self);
        let start = || spawn("rrag-sqlite-reader", move || readers::run(&thread));
        if let Err((error, queries)) = self.desk.start_reader(self.config.max_connections, start) {
            for query in queries {
                query.job.fail(error.clone());
            }
        }
    }

    /// Reads in the calling thread; `None` where that would take long, and a reader has to. In the fork gate.
    pub(super) fn read_inline(&self, keys: &[Key]) -> Option<Result<Vec<Option<Record>>>> {
        self.inline(|connection, now_ms| {
            let stamp = recent::stamp(connection);
            if let Some(records) = self.recall(stamp.as_ref(), keys, now_ms) {
                return Ok(Some(records));
            }
            let read = || {
                let mut records = Vec::with_capacity(keys.len());
                for key in keys {
                    match read_small(connection, &self.sql, key, now_ms)? {
                        None => records.push(None),
                        Some(Small::Record(record)) => records.push(Some(record)),
                        Some(Small::Large(_)) => return Ok(None),
                    }
                }
                Ok(Some(records))
            };
            let records = if keys.len() > 1 { readers::in_snapshot(connection, read) } else { read() }?;
            if let (Some(stamp), Some(records)) = (stamp, &records)
                && recent::stamp(connection) == Some(stamp)
            {
                let mut recent = lock(&self.recent);
                for (key, record) in keys.iter().zip(records) {
                    if let Some(record) = record {
                        recent.remember(stamp, key, record);
                    }
                }
            }
            Ok(records)
        })
    }

    /// The record under `key`, read in the calling thread; `None` where a reader has to. In the fork gate.
    pub(super) fn read_one_inline(&self, key: &Key) -> Option<Result<Option<Record>>> {
        self.inline(|connection, now_ms| {
            let stamp = recent::stamp(connection);
            if let Some(stamp) = &stamp
                && let Some(record) = lock(&self.recent).recall(stamp, key)
            {
                return Ok(Some(Some(record).filter(|record| !record.meta.is_expired(now_ms))));
            }
            let record = match read_small(connection, &self.sql, key, now_ms)? {
                None => return Ok(Some(None)),
                Some(Small::Large(_)) => return Ok(None),
                Some(Small::Record(record)) => record,
            };
            if let Some(stamp) = stamp
                && recent::stamp(connection) == Some(stamp)
            {
                lock(&self.recent).remember(stamp, key, &record);
            }
            Ok(Some(Some(record)))
        })
    }

    /// Keeps what is known over a commit of these tasks, which led from one state to the next.
    pub(super) fn carry_over<'t>(
        &self,
        before: &Stamp,
        after: Stamp,
        tasks: impl Iterator<Item = (&'t Task, &'t Outcome<Done>)>,
    ) {
        let mut recent = lock(&self.recent);
        if !recent.advance(before, after) {
            return;
        }
        for (task, done) in tasks {
            // What was refused has changed nothing.
            let Ok(done) = done else { continue };
            if !task.tell_changes(done, &mut |key, record| recent.change(key, record)) {
                return recent.forget();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn knows(&self, key: &Key) -> bool {
        let known = self.inline(|connection, now_ms| {
            let stamp = recent::stamp(connection);
            Ok(Some(self.recall(stamp.as_ref(), std::slice::from_ref(key), now_ms).is_some()))
        });
        known.is_some_and(|known| known.is_ok_and(|known| known))
    }

    /// The records under `keys`, of which all must be known, at `stamp`.
    fn recall(&self, stamp: Option<&Stamp>, keys: &[Key], now_ms: i64) -> Option<Vec<Option<Record>>> {
        let (stamp, mut recent) = (stamp?, lock(&self.recent));
        let records = keys.iter().map(|key| {
            let record = recent.recall(stamp, key)?;
            Some(Some(record).filter(|record| !record.meta.is_expired(now_ms)))
        });
        records.collect()
    }

    /// Version and times of a record, however large it is; `None` where a reader has to look. In the fork gate.
    pub(super) fn meta_inline(&self, key: &Key) -> Option<Result<Option<Meta>>> {
        self.inline(|connection, now_ms| {
            Ok(Some(read_small(connection, &self.sql, key, now_ms)?.map(|small| match small {
                Small::Record(record) => record.meta,
                Small::Large(meta) => meta,
            })))
        })
    }

    /// Runs `read` on the connection of the calling threads, where that is free and `read` finds it quick.
    fn inline<T>(&self, read: impl FnOnce(&Connection, i64) -> Outcome<Option<T>>) -> Option<Result<T>> {
        let guard = self.inline.try_lock()?;
        let connection = guard.as_ref()?;
        if let Err(error) = self.look_now_and_then() {
            return Some(Err(error));
        }
        match read(connection, self.clock.now_ms()) {
            Ok(read) => read.map(Ok),
            // A reader has the time to try again.
            Err(fault) if fault.passing() != super::errors::Passing::Never => None,
            Err(fault) => Some(Err(fault.into_error(&self.place))),
        }
    }

    /// Fails where the file is not the one that was opened any more; looks only every so often.
    pub(super) fn look_now_and_then(&self) -> Result<()> {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let every = u64::try_from(LOOK_EVERY.as_millis()).unwrap_or(u64::MAX);
        if now < self.looked.load(Ordering::Relaxed).saturating_add(every) {
            return Ok(());
        }
        self.look()?;
        self.looked.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// Fails where the file is not the one that was opened any more.
    pub(super) fn look(&self) -> Result<()> {
        self.target.identity.check(&self.target.path, &self.place)
    }

    /// Has what has expired deleted by the writer, without waiting for it.
    pub(super) fn request_purge(&self) {
        if !self.purging.swap(true, Ordering::AcqRel) {
            let job = Timed { job: Task::Purge, patience: Patience::new(self.config.connection_timeout) };
            self.queued_bytes.fetch_add(job.job.weight(), Ordering::Relaxed);
            // Refused where the storage is being closed: the next one to open it purges.
            drop(self.desk.tasks.push(job));
        }
    }

    /// A purge has ended, and the next record expires at `next`.
    pub(super) fn purged(&self, next: Option<i64>) {
        self.purging.store(false, Ordering::Release);
        self.due.store(i64::MAX, Ordering::Relaxed);
        // Where nothing expires: another process may yet write what does. The janitor waits a minute at most.
        self.expires(next.unwrap_or(i64::MAX - 1));
    }

    /// A record was stored that expires at `at`.
    pub(super) fn expires(&self, at: i64) {
        if at < self.due.fetch_min(at, Ordering::Relaxed) {
            let wait = u64::try_from(at.saturating_sub(self.clock.now_ms())).unwrap_or(0);
            janitor::watch(&self.owner, Duration::from_millis(wait));
        }
    }

    /// Waits for calls that were announced, as long as they keep coming: with them there is one flush, not two.
    pub(super) fn await_company(&self) {
        let mut announced = self.announced.count();
        let mut since = Instant::now();
        while announced > 0 && self.desk.tasks.len() < super::writer::GROUP_BATCHES {
            std::thread::yield_now();
            let now = self.announced.count();
            if now < announced {
                since = Instant::now();
            } else if since.elapsed() > COMPANY_PAUSE {
                break;
            }
            announced = now;
        }
    }

    /// Lets the queued jobs finish, then the threads end and the connections close. Waits for nothing.
    pub(super) fn shut_down(&self) {
        self.desk.close();
    }

    /// Shuts down and answers when all of it has happened.
    pub(super) fn close(&self, reply: Reply<()>) {
        self.shut_down();
        if let Some(reply) = self.desk.await_end(reply) {
            reply.send(Ok(()));
        }
    }

    /// The writer's last step: waits for the readers, then closes what is left.
    pub(super) fn finish(&self) {
        let close = || {
            let _gate = crate::fork::enter();
            self.close_slots();
        };
        let give_up_task = |task: Timed<Task>| task.job.fail(gone());
        // It was asked while the storage was being closed, and no reader had been started for it.
        let give_up_query = |query: Timed<Query>| query.job.fail(Error::Closed { backend: BACKEND });
        for reply in self.desk.finish(give_up_task, give_up_query, close) {
            reply.send(Ok(()));
        }
    }

    fn close_slots(&self) {
        let guard = lock(&self.guard).take();
        if let Some(guard) = &guard {
            guard.release();
        }
        super::slot::close(&self.inline);
        // The last: where nobody else has the file open, it writes the log back and removes it.
        super::slot::close(&self.writer);
    }
}

/// Starts a thread that nobody joins: in a forked child there would be nothing to join.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| backend(format!("can't start a thread: {error}")))
}
