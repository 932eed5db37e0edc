//! A group of writes in one transaction that holds all its keys first.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use super::connection::Connection;
use super::core::Core;
use super::counts::Changes;
use super::dialect::NewRow;
use super::errors::{Fault, Outcome};
use super::gone::Deletions;
use super::plan::{Plan, Wanted};
use super::pool::Lease;
use super::rows::{self, Found};
use super::writes::{Done, Lost, Work, minded};
use crate::engine::{Commit, Write};
use crate::error::Result;
use crate::key::Key;

/// The version of a row that only holds its key.
const HOLDER: u64 = 0;

/// So many keys are locked in one statement.
const HELD_AT_A_TIME: usize = 256;

/// What became of a transaction whose end nobody heard of.
enum Fate {
    /// It happened: these are the answers.
    Happened(Vec<Result<Done>>),
    /// It did not.
    Undone,
    /// Others have written since: it depends.
    Unclear,
}

/// Does a group. On an error the transaction is open still, or the connection is of no use.
pub(super) async fn run(
    core: &Core,
    lease: &mut Lease,
    jobs: &[Work],
    lost: &mut Option<Lost>,
) -> Outcome<Vec<Result<Done>>> {
    let connection = &mut lease.connection;
    let (all, bodies) = keys_of(jobs);
    let table = &core.pool.table;
    let bytes: Vec<&[u8]> = all.iter().map(|key| key.as_bytes()).collect();
    let mut begin = "BEGIN;";
    for bytes in bytes.chunks(HELD_AT_A_TIME) {
        connection.simple(&format!("{begin}{}", table.hold(bytes))).await?;
        begin = "";
    }
    // Not before: what waited long for its keys must not bring back what expired meanwhile.
    let now_ms = core.clock.now_ms();
    let mut found = HashMap::new();
    for (keys, body) in [(all.difference(&bodies).copied().collect(), false), (bodies, true)] {
        let keys: Vec<&[u8]> = BTreeSet::into_iter(keys).map(Key::as_bytes).collect();
        if !keys.is_empty() {
            rows::collect(connection, table.find(&keys, body), body, &mut found).await?;
        }
    }
    let (held, found): (HashMap<_, _>, HashMap<_, _>) =
        found.into_iter().partition(|(_, found)| found.meta.version == HOLDER);
    let mut unclear = None;
    if let Some(before) = lost.as_ref() {
        let deletions = Deletions::since(connection, table, all.iter().copied(), before.sent, core.owner).await?;
        match fate(before, jobs, &found, &deletions) {
            Fate::Happened(done) => {
                connection.simple("ROLLBACK").await?;
                *lost = None;
                return Ok(done);
            }
            Fate::Undone => {}
            Fate::Unclear => unclear = Some(deletions),
        }
    }
    let mut plan = Plan::new(all.iter().copied(), &found, table.dialect, now_ms);
    let mut done = Vec::with_capacity(jobs.len());
    for job in jobs {
        done.push(match &unclear {
            Some(deletions) if !may_repeat(job, &found, deletions) => {
                Err(core.error(Fault::Unknown("its keys have changed since".into()), true))
            }
            _ => plan.work(job),
        });
    }
    *lost = None;
    if let Some(changes) = write(core, connection, &plan, &found, &held).await? {
        let about = Lost {
            wrote: wrote(&plan),
            before: Some(all.iter().map(|&key| (key.clone(), version(&found, key))).collect()),
            done: Some(done.clone()),
            sent: Instant::now(),
        };
        minded(lost, about, changes.commit(lease, core)).await?;
    } else {
        connection.simple("ROLLBACK").await?;
    }
    Ok(done)
}

/// The keys of a group, and those whose bodies are needed.
fn keys_of(jobs: &[Work]) -> (BTreeSet<&Key>, BTreeSet<&Key>) {
    let (mut all, mut bodies) = (BTreeSet::new(), BTreeSet::new());
    for job in jobs {
        match job {
            Work::Commit(batch) => {
                all.extend(batch.checks.iter().map(|(key, _)| key));
                all.extend(batch.writes.iter().map(|(key, _)| key));
            }
            Work::Update(keys, _) => {
                all.extend(keys);
                bodies.extend(keys);
            }
        }
    }
    (all, bodies)
}

fn version(found: &HashMap<Key, Found>, key: &Key) -> u64 {
    found.get(key).map_or(HOLDER, |found| found.meta.version)
}

/// Writes what a plan wants; what it changes in the numbers of rows, `None` where there is nothing to commit.
async fn write(
    core: &Core,
    connection: &mut Connection,
    plan: &Plan<'_>,
    found: &HashMap<Key, Found>,
    held: &HashMap<Key, Found>,
) -> Outcome<Option<Changes>> {
    let (mut puts, mut removals, mut holders) = (Vec::new(), Vec::new(), Vec::new());
    let mut changes = Changes::default();
    for (&key, slot) in &plan.slots {
        match &slot.wanted {
            Some(Wanted::Record(meta, body)) => {
                puts.push(NewRow { key: key.as_bytes(), meta: *meta, body, force_created: true });
                if !found.contains_key(key) {
                    changes.add(key.as_bytes(), 1);
                }
            }
            Some(Wanted::Nothing) if found.contains_key(key) => {
                removals.push(key.as_bytes());
                changes.remove(key.as_bytes());
            }
            _ if held.contains_key(key) => holders.push(key.as_bytes()),
            _ => {}
        }
    }
    if puts.is_empty() && removals.is_empty() {
        return Ok(None);
    }
    let table = &core.pool.table;
    if !puts.is_empty() {
        rows::run_all(connection, table.put(&puts)).await?;
    }
    removals.append(&mut holders);
    if !removals.is_empty() {
        removals.sort_unstable();
        rows::run_all(connection, table.remove(&removals)).await?;
    }
    Ok(Some(changes))
}

fn wrote(plan: &Plan<'_>) -> Vec<(Key, u64)> {
    let version = |wanted: &Option<Wanted<'_>>| match wanted {
        Some(Wanted::Record(meta, _)) => Some(meta.version),
        _ => None,
    };
    plan.slots.iter().filter_map(|(&key, slot)| Some((key.clone(), version(&slot.wanted)?))).collect()
}

/// Looks for traces of a lost transaction, whose keys are held now: it has come to its end.
fn fate(lost: &Lost, jobs: &[Work], found: &HashMap<Key, Found>, deletions: &Deletions) -> Fate {
    if lost.wrote.iter().any(|(key, wrote)| version(found, key) == *wrote) {
        return Fate::Happened(
            lost.done.clone().unwrap_or_else(|| jobs.iter().map(|job| Ok(puts_done(job, found))).collect()),
        );
    }
    // What is absent again was written and deleted meanwhile, or never written.
    let is_as_before =
        |key: &Key, before| version(found, key) == before && (before != HOLDER || !deletions.by_others_concern(key));
    match &lost.before {
        Some(before) if before.iter().all(|(key, before)| is_as_before(key, *before)) => Fate::Undone,
        _ => Fate::Unclear,
    }
}

/// The answer to a batch of puts that happened: where a creation time was kept there was a live record.
fn puts_done(job: &Work, found: &HashMap<Key, Found>) -> Done {
    let Work::Commit(batch) = job else { return Done::Updated(Vec::new()) };
    let kept = |(key, write): &(Key, Write)| match (write, found.get(key)) {
        (Write::Put(record), Some(found)) => found.meta.created_at != record.meta.created_at,
        _ => false,
    };
    Done::Commit(Commit::Done(batch.writes.iter().map(kept).collect()))
}

/// Whether a blind job, of which nobody knows whether it happened, shows that it did not: a key that it puts holds what
/// is older than it, or nothing and without a deletion since; or one that it deletes was not deleted since. Only one
/// such key is needed, as a job happens whole or not at all.
fn may_repeat(job: &Work, found: &HashMap<Key, Found>, deletions: &Deletions) -> bool {
    let Work::Commit(batch) = job else { return false };
    let untouched = |(key, write): &(Key, Write)| match write {
        Write::Put(record) => {
            let is_newer = found.get(key).is_some_and(|found| found.meta.updated_at >= record.meta.updated_at);
            !is_newer && !deletions.by_others_concern(key)
        }
        Write::Delete => !deletions.concern(key),
    };
    batch.checks.is_empty() && batch.writes.iter().any(untouched)
}
