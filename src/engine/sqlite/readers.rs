//! The reader threads: each with a connection of its own that can't write, so that no read waits behind a write.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::core::Core;
use super::errors::{Fault, Outcome, gone};
use super::job::{Found, Query, Timed};
use super::open;
use super::slot::{self, Slot};
use crate::engine::EngineStats;
use crate::fork;

/// Queries that one reader takes at most at once.
const SHARE: usize = 64;
/// A reader lets go of its snapshot and of the fork gate after the query that takes it past this.
const TURN: Duration = Duration::from_millis(2);

/// A reader's life: until the queue is closed and empty.
pub(super) fn run(core: &Arc<Core>) {
    let _leave = Leave(core);
    let mut slot = None;
    let share = |queue: &mut VecDeque<Timed<Query>>| {
        let count = queue.len().div_ceil(core.config.max_connections).clamp(1, SHARE);
        queue.drain(..count.min(queue.len())).collect()
    };
    while core.desk.queries.wait() {
        // Empty where another reader was faster.
        let mut queries = core.desk.queries.take(share);
        if slot.is_none() {
            let opened = queries.first_mut().map_or_else(
                || Err(gone().into()),
                |first| open::further(&core.config, &core.target, &mut first.patience),
            );
            match opened {
                Ok(opened) => slot = Some(opened),
                Err(fault) => {
                    let error = fault.into_error(&core.place);
                    for query in queries {
                        query.job.fail(error.clone());
                    }
                    continue;
                }
            }
        }
        if let Some(slot) = &slot {
            answer(core, slot, queries.into());
        }
    }
    if let Some(slot) = slot {
        let _gate = fork::enter();
        slot::close(&slot);
    }
}

struct Leave<'a>(&'a Core);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.desk.reader_leaves();
    }
}

fn answer(core: &Core, slot: &Slot, mut queries: VecDeque<Timed<Query>>) {
    while !queries.is_empty() {
        let mut found = Vec::new();
        let turn = {
            let _gate = fork::enter();
            let guard = slot.lock();
            match guard.as_ref() {
                Some(connection) => in_snapshot(connection, || take_turn(core, connection, &queries, &mut found)),
                None => Err(gone().into()),
            }
        };
        for found in found {
            if let Some(query) = queries.pop_front() {
                query.job.answer(found.map_err(|fault: Fault| fault.into_error(&core.place)));
            }
        }
        let Err(fault) = turn else { continue };
        // The query at the front met it.
        if let Some(mut query) = queries.pop_front() {
            match query.patience.bear(fault, &core.place) {
                Ok(()) => queries.push_front(query),
                Err(fault) => query.job.fail(fault.into_error(&core.place)),
            }
        }
    }
}

fn take_turn(
    core: &Core,
    connection: &Connection,
    queries: &VecDeque<Timed<Query>>,
    found: &mut Vec<Outcome<Found>>,
) -> Outcome<()> {
    core.look_now_and_then()?;
    let began = Instant::now();
    let now_ms = core.clock.now_ms();
    for query in queries {
        match query.job.run(connection, &core.sql, now_ms) {
            Ok(Found::Stats(stats)) => found.push(Ok(Found::Stats(with_figures(core, stats, &query.job)))),
            Ok(answer) => found.push(Ok(answer)),
            Err(Fault::Told(error)) => found.push(Err(error.into())),
            Err(fault) => return Err(fault),
        }
        if began.elapsed() > TURN {
            break;
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn with_figures(core: &Core, mut stats: EngineStats, query: &Query) -> EngineStats {
    let log = core.target.log_bytes();
    if let Query::Stats(range, _) = query
        && range.is_all()
    {
        stats.bytes += log;
    }
    stats.extra.extend([("file_bytes", core.target.file_bytes() as f64), ("wal_bytes", log as f64)]);
    stats
}

/// Runs `read` in one snapshot.
pub(super) fn in_snapshot<T>(connection: &Connection, read: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    connection.prepare_cached("BEGIN")?.execute([])?;
    let read = read();
    // A snapshot that stays would keep the log from being written back.
    connection.prepare_cached("COMMIT")?.execute([])?;
    read
}
