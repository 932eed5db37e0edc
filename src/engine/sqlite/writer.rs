//! The one writer: takes all that is queued, commits it in one transaction, and answers.
//!
//! 1. An answer goes out after COMMIT has returned, never before.
//! 2. A batch whose check fails writes nothing, so it needs no transaction of its own to be undone.
//! 3. A group in which a statement fails is rolled back whole, and each of its batches runs again in a transaction of
//!    its own: one caller's failure is no other caller's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::core::Core;
use super::errors::{Fault, Outcome, Passing, gone};
use super::job::{Done, Task, Timed};
use super::patience::Patience;
use super::recent;
use crate::fork;

/// Batches and bytes that one transaction takes at most.
pub(super) const GROUP_BATCHES: usize = 1_000;
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Pages in the log from which on it is written back.
const LOG_PAGES: i32 = 1_000;
/// Free pages that are left in the file, and how many go back to the file system at a time.
const FREE_KEPT: i64 = 256;
const FREE_STEP: i64 = 512;
/// After a transaction that took longer, other processes get a moment to begin theirs.
const LONG_GROUP: Duration = Duration::from_millis(2);

struct Writer<'a> {
    core: &'a Core,
    /// Pages in the log after the last commit.
    log_pages: Arc<AtomicI32>,
    /// The log is written back when it has as many.
    write_back_at: i32,
    /// Rows went: the file may have pages to give back.
    shrink: bool,
}

/// The writer's life: until the queue is closed and empty.
pub(super) fn run(core: &Arc<Core>) {
    let _finish = Finish(core);
    let mut writer = Writer { core, log_pages: Arc::new(AtomicI32::new(0)), write_back_at: LOG_PAGES, shrink: false };
    writer.count_log_pages();
    while core.desk.tasks.wait() {
        core.await_company();
        let mut group = core.desk.tasks.take(take_group);
        let bytes: usize = group.iter().map(|task| task.job.weight()).sum();
        core.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        group.retain(|task| !task.job.is_deserted());
        if group.is_empty() {
            continue;
        }
        let began = Instant::now();
        writer.commit(group);
        let took = began.elapsed();
        writer.write_back();
        writer.give_back();
        if took > LONG_GROUP && core.desk.tasks.len() > 0 {
            std::thread::sleep(took / 64);
        }
    }
}

struct Finish<'a>(&'a Core);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

fn take_group(queue: &mut VecDeque<Timed<Task>>) -> Vec<Timed<Task>> {
    let mut bytes = 0;
    let mut count = 0;
    for task in queue.iter().take(GROUP_BATCHES) {
        bytes += task.job.weight();
        if count > 0 && bytes > GROUP_BYTES {
            break;
        }
        count += 1;
    }
    queue.drain(..count).collect()
}

impl Writer<'_> {
    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Outcome<T>) -> Outcome<T> {
        let _gate = fork::enter();
        let mut guard = self.core.writer.lock();
        match guard.as_mut() {
            Some(connection) => work(connection),
            None => Err(gone().into()),
        }
    }

    fn count_log_pages(&self) {
        let pages = Arc::clone(&self.log_pages);
        let count = move |_: &mut Wal, count: i32| {
            pages.store(count, Ordering::Relaxed);
            Ok(())
        };
        // Without the hook the log is written back at the end only.
        let _ = self.with(|connection| Ok(connection.wal_hook(Some(count))?));
    }

    fn commit(&mut self, mut group: Vec<Timed<Task>>) {
        let mut pause = Patience::new(self.core.config.connection_timeout);
        let mut races = 0;
        loop {
            let fault = match self.with(|connection| transact(self.core, connection, &group)) {
                Ok(done) => return self.answer(group, done),
                Err(fault) => fault,
            };
            let passing = fault.passing();
            races += u32::from(passing == Passing::Race);
            if passing == Passing::Never || races > 8 {
                if group.len() > 1 {
                    return group.into_iter().for_each(|task| self.commit(vec![task]));
                }
                let error = fault.into_error(&self.core.place);
                return group.into_iter().for_each(|task| self.fail(task.job, error.clone()));
            }
            let (over, rest): (Vec<_>, Vec<_>) = group.into_iter().partition(|task| task.patience.is_over());
            for task in over {
                let error = task.patience.over(&self.core.place);
                self.fail(task.job, error);
            }
            if rest.is_empty() {
                return;
            }
            group = rest;
            pause.sleep();
        }
    }

    fn answer(&mut self, group: Vec<Timed<Task>>, done: Vec<Outcome<Done>>) {
        self.core.activity.batch(group.len());
        for (task, done) in group.into_iter().zip(done) {
            let expiry = done.as_ref().ok().and_then(|done| task.job.expiry(done));
            match &done {
                Ok(Done::Purged(freed, next)) => {
                    self.core.activity.freed(*freed);
                    self.core.purged(*next);
                    self.shrink = true;
                }
                Ok(Done::Removed(_)) => self.shrink = true,
                _ => {}
            }
            task.job.answer(done.map_err(|fault| fault.into_error(&self.core.place)));
            if let Some(at) = expiry {
                self.core.expires(at);
            }
        }
    }

    fn fail(&self, task: Task, error: crate::Error) {
        if matches!(task, Task::Purge) {
            self.core.purged(None);
        }
        task.fail(error);
    }

    /// Writes the log back into the file once it is long. After the answers, so that no caller waits for it.
    fn write_back(&mut self) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if pages < LOG_PAGES {
            self.write_back_at = LOG_PAGES;
        }
        if pages < self.write_back_at {
            return;
        }
        let written = self.with(|connection| {
            let mut statement = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
            Ok(statement.query_row([], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))?)
        });
        // What a reader's snapshot still needs stays: try again when there is more.
        self.write_back_at = match written {
            Ok((pages, written)) if pages == written => LOG_PAGES,
            _ => pages.saturating_add(LOG_PAGES),
        };
        self.log_pages.store(0, Ordering::Relaxed);
    }

    /// Gives free pages back to the file system while nobody waits, where they are more than half of the file.
    fn give_back(&mut self) {
        while self.shrink && self.core.desk.tasks.len() == 0 {
            let more = self.with(|connection| {
                let (pages, free): (i64, i64) = connection
                    .prepare_cached("SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count")?
                    .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                if free <= FREE_KEPT || free < pages / 2 {
                    return Ok(false);
                }
                let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({FREE_STEP})"))?;
                let mut rows = statement.query([])?;
                while rows.next()?.is_some() {}
                Ok(true)
            });
            self.shrink = more.unwrap_or(false);
            self.write_back();
        }
    }
}

/// Runs a group in one transaction.
fn transact(core: &Core, connection: &Connection, group: &[Timed<Task>]) -> Outcome<Vec<Outcome<Done>>> {
    core.look()?;
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    // From here on nobody else commits.
    let before = recent::stamp(connection);
    let done = run_all(core, connection, group).and_then(|done| {
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(done)
    });
    if let (Ok(done), Some(before), Some(after)) = (&done, before, recent::stamp(connection))
        && recent::is_next(&before, &after)
    {
        core.carry_over(&before, after, group.iter().map(|task| &task.job).zip(done));
    }
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done
}

fn run_all(core: &Core, connection: &Connection, group: &[Timed<Task>]) -> Outcome<Vec<Outcome<Done>>> {
    // Inside the transaction: what waited long for it must not bring back what expired meanwhile.
    let now_ms = core.clock.now_ms();
    let mut all = Vec::with_capacity(group.len());
    for task in group {
        match task.job.run(connection, &core.sql, now_ms) {
            // Told before anything was written: see `statements`.
            Err(Fault::Told(error)) => all.push(Err(error.into())),
            Err(fault) => return Err(fault),
            Ok(done) => all.push(Ok(done)),
        }
    }
    Ok(all)
}
