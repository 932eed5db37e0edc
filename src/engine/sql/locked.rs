//! A group of writes in one transaction that holds all its keys first.

use std::collections::{BTreeSet, HashMap};

use super::connection::Connection;
use super::core::Core;
use super::counts::Changes;
use super::dialect::NewRow;
use super::errors::{Fault, Outcome};
use super::plan::{Plan, Wanted};
use super::pool::Lease;
use super::queue::Job;
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
    /// Others have written since: nobody can tell.
    Unclear(String),
}

/// Does a group. On an error the transaction is open still, or the connection is of no use.
pub(super) async fn run(
    core: &Core,
    lease: &mut Lease,
    jobs: &[Work],
    lost: &mut Option<Lost>,
) -> Outcome<Vec<Result<Done>>> {
    let (slot, connection) = (lease.slot(), &mut lease.connection);
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
        match fate(before, jobs, &found) {
            Fate::Happened(done) => {
                connection.simple("ROLLBACK").await?;
                *lost = None;
                return Ok(done);
            }
            Fate::Undone => {}
            Fate::Unclear(reason) => unclear = Some((reason, before.sent_at)),
        }
    }
    let mut plan = Plan::new(all.iter().copied(), &found, table.dialect, now_ms);
    let mut done = Vec::with_capacity(jobs.len());
    for job in jobs {
        done.push(match &unclear {
            Some((reason, sent_at)) if !may_repeat(job, &found, now_ms, *sent_at) => {
                Err(core.error(Fault::Unknown(reason.clone()), true))
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
            sent_at: core.clock.now_ns(),
        };
        minded(lost, about, changes.commit(connection, table, slot)).await?;
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
                changes.add(key.as_bytes(), -1);
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
fn fate(lost: &Lost, jobs: &[Work], found: &HashMap<Key, Found>) -> Fate {
    if lost.wrote.iter().any(|(key, wrote)| version(found, key) == *wrote) {
        return Fate::Happened(
            lost.done.clone().unwrap_or_else(|| jobs.iter().map(|job| Ok(puts_done(job, found))).collect()),
        );
    }
    match &lost.before {
        Some(before) if before.iter().all(|(key, before)| version(found, key) == *before) => Fate::Undone,
        _ => Fate::Unclear("its keys have changed since".into()),
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

/// Whether a job does no harm where it was done already, at `sent_at`: a blind put over what is older or missing, or a
/// deletion of what is there since before.
fn may_repeat(job: &Work, found: &HashMap<Key, Found>, now_ms: i64, sent_at: i64) -> bool {
    let Work::Commit(batch) = job else { return false };
    let is_newer = |key: &Key, than: i64| found.get(key).is_some_and(|found| found.meta.updated_at >= than);
    let (mut puts, mut overtaken) = (0, 0);
    for (key, write) in &batch.writes {
        match write {
            Write::Put(record) => {
                puts += 1;
                // Had the puts happened, none of their keys would hold what is older.
                overtaken += u32::from(is_newer(key, record.meta.updated_at));
            }
            Write::Delete => {
                let is_live = found.get(key).is_some_and(|found| !found.meta.is_expired(now_ms));
                if !is_live || is_newer(key, sent_at) {
                    return false;
                }
            }
        }
    }
    batch.checks.is_empty() && (puts == 0 || overtaken < puts) && job.weight() > 0
}
