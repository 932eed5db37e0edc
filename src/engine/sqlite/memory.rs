//! `sqlite::memory:`: one connection that all callers share, and no thread. A fork copies it with the process.

use super::config::SqliteConfig;
use super::errors::{BACKEND, Outcome, gone};
use super::job::{Done, Found, Job, Query, Task};
use super::open;
use super::readers::in_snapshot;
use super::slot::Slot;
use super::statements::{Sql, read};
use crate::clock::Clock;
use crate::engine::{Activity, Record};
use crate::error::{Error, Result};
use crate::key::Key;

pub(super) struct Memory {
    slot: Slot,
    sql: Sql,
    clock: Clock,
    place: String,
    pub(super) activity: Activity,
}

impl Memory {
    pub(super) fn open(config: &SqliteConfig, clock: Clock) -> Result<Self> {
        let place = config.place();
        let slot = open::memory(config).map_err(|fault| fault.into_error(&place))?;
        Ok(Self { slot, sql: Sql::new(&config.table), clock, place, activity: Activity::default() })
    }

    /// Runs a job in the calling thread, in the fork gate. Gives back how to answer, for when the gate is left; and
    /// the earliest expiry that was stored.
    pub(super) fn run(&self, job: Job) -> (Box<dyn FnOnce()>, Option<i64>) {
        match job {
            Job::Task(task) => {
                let done = self.write(&task.job);
                let expiry = done.as_ref().ok().and_then(|done| task.job.expiry(done));
                (Box::new(move || task.job.answer(done)), expiry)
            }
            Job::Query(query) => {
                let found = self.read(&query.job);
                (Box::new(move || query.job.answer(found)), None)
            }
            Job::Open(reply) => (Box::new(move || reply.send(Ok(()))), None),
            Job::Close(reply) => {
                drop(self.slot.lock().take());
                (Box::new(move || reply.send(Ok(()))), None)
            }
        }
    }

    /// Reads in the calling thread, in the fork gate.
    pub(super) fn read_keys(&self, keys: &[Key]) -> Result<Vec<Option<Record>>> {
        let guard = self.slot.lock();
        let connection = guard.as_ref().ok_or(Error::Closed { backend: BACKEND })?;
        let now_ms = self.clock.now_ms();
        // One lock, one moment: nobody else has a connection to this database.
        let read = |key| read(connection, &self.sql, key, now_ms);
        keys.iter().map(read).collect::<Outcome<_>>().map_err(|fault| fault.into_error(&self.place))
    }

    fn read(&self, query: &Query) -> Result<Found> {
        let guard = self.slot.lock();
        let connection = guard.as_ref().ok_or(Error::Closed { backend: BACKEND })?;
        in_snapshot(connection, || query.run(connection, &self.sql, self.clock.now_ms()))
            .map_err(|fault| fault.into_error(&self.place))
    }

    fn write(&self, task: &Task) -> Result<Done> {
        self.activity.batch(1);
        let guard = self.slot.lock();
        let connection = guard.as_ref().ok_or_else(gone)?;
        let work = || -> Outcome<Done> {
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let done = task.run(connection, &self.sql, self.clock.now_ms()).and_then(|done| {
                connection.prepare_cached("COMMIT")?.execute([])?;
                Ok(done)
            });
            if done.is_err() && !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            done
        };
        work().map_err(|fault| fault.into_error(&self.place))
    }

    /// Deletes some of what has expired; when the next record expires.
    pub(super) fn purge(&self) -> Option<i64> {
        match self.write(&Task::Purge) {
            Ok(Done::Purged(freed, next)) => {
                self.activity.freed(freed);
                next
            }
            _ => None,
        }
    }
}
