//! Writes: all that wait travel in one transaction, each batch whole or not at all.
//!
//! # What holds
//!
//! 1. Blind puts of different keys are one statement. Everything else holds the rows of all its keys, in the order of
//!    the keys, before it reads them: see [`Table::hold`](super::dialect::Table::hold). So checks and updates see what no
//!    one can change until they are committed.
//! 2. A group that the server refuses is done again batch by batch: the error goes to the batch whose it is.
//! 3. Where the answer to a commit is lost, the next try first holds the keys, which waits for the lost transaction's
//!    end, and looks for the versions that it wrote, and for what was deleted since (`gone`). What can't be known is
//!    answered as unknown, never repeated.

use std::collections::{BTreeSet, HashMap};

use tokio::time::{Instant, timeout_at};

use super::connection::SqlRow;
use super::core::{Core, Pause};
use super::dialect::{Dialect, NewRow};
use super::errors::{Fault, Outcome};
use super::gone::{Place, bucket, place};
use super::pool::Lease;
use super::queue::Job;
use super::{locked, mysql, postgres};
use crate::engine::{Batch, ChangeFn, Commit, NewRecord, Updated, Write};
use crate::error::Result;
use crate::key::Key;

/// A write.
pub(super) enum Work {
    Commit(Batch),
    Update(Vec<Key>, ChangeFn),
}

/// What a write came to.
#[derive(Debug, Clone)]
pub(super) enum Done {
    Commit(Commit),
    Updated(Vec<Updated>),
}

/// A transaction whose end nobody heard of.
pub(super) struct Lost {
    /// The versions that it wrote, by their keys.
    pub(super) wrote: Vec<(Key, u64)>,
    /// What its keys held before, 0 for nothing, where that was read.
    pub(super) before: Option<HashMap<Key, u64>>,
    /// What it came to, where that was decided before.
    pub(super) done: Option<Vec<Result<Done>>>,
    pub(super) sent: Instant,
}

impl Job for Work {
    type Done = Done;
    const WRITES: bool = true;

    fn weight(&self) -> usize {
        match self {
            Self::Commit(batch) => {
                let weight = |write: &Write| match write {
                    Write::Put(record) => record.body.len() + 256,
                    Write::Delete => 256,
                };
                batch.writes.iter().map(|(key, write)| key.len() + weight(write)).sum::<usize>()
                    + batch.checks.iter().map(|(key, _)| key.len() + 256).sum::<usize>()
            }
            Self::Update(keys, _) => keys.len() * 4096,
        }
    }

    fn keys(&self, visit: &mut dyn FnMut(&Key)) {
        match self {
            Self::Commit(batch) => {
                batch.checks.iter().map(|(key, _)| key).chain(batch.writes.iter().map(|(key, _)| key)).for_each(visit);
            }
            Self::Update(keys, _) => keys.iter().for_each(visit),
        }
    }

    async fn run(core: &Core, jobs: Vec<Self>, until: Instant) -> Vec<Result<Done>> {
        let fault = match together(core, &jobs, until).await {
            Ok(done) => return done,
            Err(fault) => fault,
        };
        if jobs.len() == 1 || !matches!(fault, Fault::Refused(_)) {
            let error = core.error(fault, true);
            return jobs.iter().map(|_| Err(error.clone())).collect();
        }
        let mut all = Vec::with_capacity(jobs.len());
        for job in &jobs {
            match together(core, std::slice::from_ref(job), until).await {
                Ok(done) => all.extend(done),
                Err(fault) => all.push(Err(core.error(fault, true))),
            }
        }
        all
    }
}

/// Does a group, again where that can do no harm. A [`Fault::Lost`] or [`Fault::Late`] is one whose outcome is unknown.
async fn together(core: &Core, jobs: &[Work], until: Instant) -> Outcome<Vec<Result<Done>>> {
    let mut pause = Pause::default();
    let mut lost = None;
    loop {
        let fault = match timeout_at(until, once(core, jobs, &mut lost)).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(fault)) => fault,
            Err(_) => {
                // Connections that say nothing are many, where one is.
                core.pool.forget_idle();
                return Err(if lost.is_some() { Fault::Late } else { core.late() });
            }
        };
        if lost.is_none() && !core.passes(&fault) {
            return Err(fault);
        }
        if lost.is_some() && matches!(fault, Fault::Refused(_)) {
            return Err(Fault::Unknown("the server refused to show what became of it".into()));
        }
        if !pause.wait(until).await {
            return Err(match (lost.is_some(), fault) {
                (true, Fault::Unreachable { reason, .. } | Fault::Lost(reason)) => Fault::Unknown(reason),
                (false, Fault::Lost(reason)) => Fault::Unreachable { reason, passing: true },
                (_, fault) => fault,
            });
        }
    }
}

async fn once(core: &Core, jobs: &[Work], lost: &mut Option<Lost>) -> Outcome<Vec<Result<Done>>> {
    let mut lease = core.pool.lend().await?;
    let postgres = core.pool.table.dialect == Dialect::Postgres;
    let removals = if lost.is_none() && postgres { blind_removals(jobs) } else { None };
    let quick = if lost.is_none() { blind_puts(jobs) } else { None };
    let done = match (quick, core.pool.table.dialect) {
        _ if removals.is_some() => remove(core, &mut lease, jobs, &removals.unwrap_or_default(), lost).await,
        (Some(rows), Dialect::Postgres) => put(core, &mut lease, jobs, &rows, lost).await,
        (Some(rows), Dialect::Mysql) if rows.len() == 1 => match put_one(core, &mut lease, &rows, lost).await {
            Ok(None) => locked::run(core, &mut lease, jobs, lost).await,
            Ok(Some(done)) => Ok(vec![Ok(done)]),
            Err(fault) => Err(fault),
        },
        _ => locked::run(core, &mut lease, jobs, lost).await,
    };
    match &done {
        Ok(_) => core.pool.keep(lease),
        Err(Fault::Undone(_) | Fault::Refused(_)) => {
            if lease.connection.simple("ROLLBACK").await.is_ok() {
                core.pool.keep(lease);
            }
        }
        Err(_) => {
            drop(lease);
            core.pool.forget_idle();
        }
    }
    done
}

/// The rows of a group that is nothing but puts of different keys, sorted by key.
fn blind_puts(jobs: &[Work]) -> Option<Vec<NewRow<'_>>> {
    let mut rows = Vec::with_capacity(jobs.len());
    for job in jobs {
        let Work::Commit(batch) = job else { return None };
        if !batch.checks.is_empty() {
            return None;
        }
        for (key, write) in &batch.writes {
            let Write::Put(record) = write else { return None };
            rows.push(new_row(key, record));
        }
    }
    rows.sort_unstable_by_key(|row| row.key);
    let distinct = rows.windows(2).all(|two| two[0].key != two[1].key);
    (distinct && !rows.is_empty()).then_some(rows)
}

/// The keys of a group that is nothing but deletions of different keys, sorted.
fn blind_removals(jobs: &[Work]) -> Option<Vec<&[u8]>> {
    let mut keys = Vec::with_capacity(jobs.len());
    for job in jobs {
        let Work::Commit(batch) = job else { return None };
        if !batch.checks.is_empty() || !batch.writes.iter().all(|(_, write)| matches!(write, Write::Delete)) {
            return None;
        }
        keys.extend(batch.writes.iter().map(|(key, _)| key.as_bytes()));
    }
    keys.sort_unstable();
    let distinct = keys.windows(2).all(|two| two[0] != two[1]);
    (distinct && !keys.is_empty()).then_some(keys)
}

fn new_row<'a>(key: &'a Key, record: &'a NewRecord) -> NewRow<'a> {
    NewRow { key: key.as_bytes(), meta: record.meta, body: &record.body, force_created: record.force_created }
}

fn puts_of(rows: &[NewRow<'_>]) -> Lost {
    let wrote = rows.iter().filter_map(|row| Some((Key::from_stored(row.key).ok()?, row.meta.version))).collect();
    Lost { wrote, before: None, done: None, sent: Instant::now() }
}

/// Keeps what was asked in mind while its answer is awaited: an answer of the server's settles it.
pub(super) async fn minded<T>(
    lost: &mut Option<Lost>,
    about: Lost,
    answer: impl Future<Output = Outcome<T>>,
) -> Outcome<T> {
    *lost = Some(about);
    let answer = answer.await;
    if !matches!(answer, Err(Fault::Lost(_) | Fault::Unknown(_) | Fault::Late)) {
        *lost = None;
    }
    answer
}

/// PostgreSQL: puts of different keys in one statement.
async fn put(
    core: &Core,
    lease: &mut Lease,
    jobs: &[Work],
    rows: &[NewRow<'_>],
    lost: &mut Option<Lost>,
) -> Outcome<Vec<Result<Done>>> {
    let statement = postgres::put_and_count(&core.pool.table, rows, core.clock.now_ms(), lease.slot());
    let answer = minded(lost, puts_of(rows), lease.connection.rows(statement)).await?;
    answers(jobs, &answer)
}

/// PostgreSQL: deletions of different keys in one statement.
async fn remove(
    core: &Core,
    lease: &mut Lease,
    jobs: &[Work],
    keys: &[&[u8]],
    lost: &mut Option<Lost>,
) -> Outcome<Vec<Result<Done>>> {
    let stamps: Vec<Place> = keys.iter().map(|key| place(bucket(key), core.owner)).collect();
    let statement = postgres::remove_and_count(&core.pool.table, keys, &stamps, core.clock.now_ms(), lease.slot());
    let about = Lost { wrote: Vec::new(), before: None, done: None, sent: Instant::now() };
    let answer = minded(lost, about, lease.connection.rows(statement)).await?;
    answers(jobs, &answer)
}

/// The answers to blind batches, from rows of a key and what it met.
fn answers(jobs: &[Work], rows: &[SqlRow]) -> Outcome<Vec<Result<Done>>> {
    let mut live = BTreeSet::new();
    for row in rows {
        if row.int(1)? == 2 {
            live.insert(row.bytes(0)?);
        }
    }
    let done = |job: &Work| {
        let Work::Commit(batch) = job else { return Ok(Done::Commit(Commit::Done(smallvec::smallvec![]))) };
        Ok(Done::Commit(Commit::Done(batch.writes.iter().map(|(key, _)| live.contains(key.as_bytes())).collect())))
    };
    Ok(jobs.iter().map(done).collect())
}

/// MySQL: a lone put. Over a row that is there it is one statement; a new row is written and counted in one go. `None`
/// where it must go the long way.
async fn put_one(
    core: &Core,
    lease: &mut Lease,
    rows: &[NewRow<'_>],
    lost: &mut Option<Lost>,
) -> Outcome<Option<Done>> {
    let Some(row) = rows.first() else { return Ok(None) };
    let (table, slot) = (&core.pool.table, lease.slot());
    let statement = mysql::overwrite(table, row, core.clock.now_ms());
    let did = minded(lost, puts_of(rows), lease.connection.run(statement)).await?;
    let done = |was_live| Ok(Some(Done::Commit(Commit::Done(smallvec::smallvec![was_live]))));
    if did.rows > 0 {
        return done(did.told == 2);
    }
    let Some(text) = mysql::insert(table, row, slot) else { return Ok(None) };
    minded(lost, puts_of(rows), super::core::commit(&mut lease.connection, &text)).await?;
    done(false)
}
