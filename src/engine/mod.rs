//! What a backend implements: a store of byte records, ordered by key.
//!
//! An engine knows nothing of values, compression, secrets or Python. Each method works on a batch, is atomic where it
//! says so, and treats an expired record as absent. The house's front, [`crate::Storage`], does the rest once for all.

mod activity;
mod record;

pub mod in_memory;
pub(crate) mod namespaces;
pub mod object;
mod options;
pub mod redis;
pub(crate) mod runtime;
pub mod sql;
pub mod sqlite;
pub(crate) mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use smallvec::SmallVec;

pub(crate) use activity::Activity;
pub use record::{Body, Meta, Record};

use crate::answer::Answer;
use crate::error::Result;
use crate::key::{Key, prefix_end};
use crate::memory::SortOrder;

/// A store of byte records.
///
/// # Contract, for every method
///
/// 1. A record whose expiry has come is absent: it is not read, listed or counted, and a check for absence holds.
/// 2. What was acknowledged is stored, as durably as the engine promises.
/// 3. An answer that is dropped before it is ready leaves the work whole or undone, never half done.
/// 4. Nothing blocks for longer than a point read in the calling thread; what may take longer answers later.
pub trait Engine: Send + Sync + 'static {
    /// The backend's name as users see it: `in_memory`, `sqlite`.
    fn name(&self) -> &'static str;

    /// Where the data is, with no secret in it: a url, a path.
    fn location(&self) -> String;

    /// Whether a call may wait for a file or a lock in the calling thread: a binding lets go of its interpreter then.
    fn may_block(&self) -> bool;

    /// The longest key it takes, in bytes.
    fn max_key_bytes(&self) -> usize {
        crate::key::MAX_KEY_BYTES
    }

    /// Where to announce calls that will be made in a moment; `None` where the engine has no use for it.
    fn announced(&self) -> Option<&Announced> {
        None
    }

    /// Whether its calls are answered without a trip to a server, so that hardly any takes longer than to read the clock
    /// twice.
    fn is_local(&self) -> bool {
        false
    }

    /// What it has counted of its own work by now, by name.
    fn activity(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Opens the store where it isn't open yet. Every other method does so by itself.
    fn open(&self) -> Answer<Result<()>>;

    /// Whether batches of several keys with checks can be committed.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unsupported`] that says what to use instead.
    fn transactions(&self) -> Result<()> {
        Ok(())
    }

    /// The record under `key`.
    fn read_one(&self, key: &Key) -> Answer<Result<Option<Record>>>;

    /// Version and times of the record under `key`, without its body.
    fn meta(&self, key: &Key) -> Answer<Result<Option<Meta>>> {
        self.read_one(key).map_ok(|record| record.map(|record| record.meta))
    }

    /// The records under `keys`, in their order, all as of one moment.
    fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>>;

    /// Does all of a batch's writes where all its checks hold, else nothing; in one step that nobody sees half done.
    fn commit(&self, batch: Batch) -> Answer<Result<Commit>>;

    /// Deletes `keys`, of which none stands twice; how many of them held a live record. In one step, unless the engine
    /// says otherwise.
    fn delete(&self, keys: Vec<Key>) -> Answer<Result<u64>> {
        let writes = keys.into_iter().map(|key| (key, Write::Delete)).collect();
        self.commit(Batch { writes, ..Batch::default() }).map_ok(|commit| match commit {
            Commit::Done(existed) => existed.iter().filter(|&&existed| existed).count() as u64,
            Commit::Conflict(_) => 0,
        })
    }

    /// Reads, changes and writes each of `keys`, all in one step. `change` may run more than once and must not block.
    /// An error of `change` leaves everything as it was.
    fn update(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<Updated>>>;

    /// The same for changes whose values nobody wants to see: whether each key held a record.
    fn update_unread(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<bool>>> {
        self.update(keys, change).map_ok(|updated| updated.iter().map(|one| one.before.is_some()).collect())
    }

    /// One page of a range.
    fn scan(&self, scan: Scan) -> Answer<Result<Page>>;

    /// How many records a range holds.
    fn count(&self, range: KeyRange) -> Answer<Result<u64>>;

    /// Deletes a range in one step; how many records went.
    fn remove_range(&self, range: KeyRange) -> Answer<Result<u64>>;

    /// The distinct namespaces of the keys in a range, sorted: of the part of each key past its first `skip` bytes (a
    /// whole number of characters in every key of the range), at most `max_depth` segments deep.
    fn namespaces(&self, range: KeyRange, skip: usize, max_depth: Option<usize>) -> Answer<Result<Vec<String>>>;

    /// Figures on a range.
    fn stats(&self, range: KeyRange) -> Answer<Result<EngineStats>>;

    /// What the store holds under `name` beside its records; `proposed`, stored in the same step, where it holds
    /// nothing. Of several who propose one wins, and all are told its value. Nothing ever changes or removes it.
    fn attribute(&self, name: &str, proposed: Option<Vec<u8>>) -> Answer<Result<Option<Vec<u8>>>>;

    /// Rewrites the first `limit` records of a range, those that were written with other layers than the present ones.
    fn rotate(&self, range: KeyRange, limit: usize) -> Answer<Result<Rotated>> {
        let _ = (range, limit);
        Answer::ready(Ok(Rotated::default()))
    }

    /// Removes what is older and was left in the object store of large values with nothing pointing to it; how much.
    fn collect_garbage(&self, older_than: Duration) -> Answer<Result<u64>> {
        let _ = older_than;
        Answer::ready(Ok(0))
    }

    /// Figures on a range, and how many namespaces of the first level [`Engine::namespaces`] would give.
    fn census(&self, range: KeyRange, skip: usize) -> Answer<Result<(EngineStats, u64)>> {
        let stats = self.stats(range.clone());
        let namespaces = self.namespaces(range, skip, Some(1));
        Answer::later(async move { Ok((stats.await?, namespaces.await?.len() as u64)) })
    }

    /// Whether the store answers.
    fn ping(&self) -> Answer<Result<()>>;

    /// Waits for what is under way, then lets go of files, connections and threads. Idempotent; later calls of any
    /// other method answer with [`crate::Error::Closed`].
    fn close(&self) -> Answer<Result<()>>;
}

/// How many callers have made a call and not begun it: coroutines that wait for their first step.
///
/// An engine to which a commit is dear lets those that are announced come along.
#[derive(Debug, Clone, Default)]
pub struct Announced(Arc<AtomicUsize>);

/// One announced call; begun, or given up, when it is dropped.
#[derive(Debug)]
pub struct Announcement(Arc<AtomicUsize>);

impl Announced {
    /// Announces a call.
    pub fn announce(&self) -> Announcement {
        self.0.fetch_add(1, Ordering::Relaxed);
        Announcement(Arc::clone(&self.0))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A contiguous range of keys, in bytes: from `start` on, up to but without `end`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key, inclusive; empty for the first of all.
    pub start: Vec<u8>,
    /// The end, exclusive; `None` for no end.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self::default()
    }

    /// The keys that start with `prefix`.
    pub fn prefix(prefix: &str) -> Self {
        Self { start: prefix.as_bytes().to_vec(), end: prefix_end(prefix.as_bytes()) }
    }

    /// The part of this range that lies in `other` too.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        let end = match (self.end, other.end) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { start: self.start.max(other.start), end }.in_order()
    }

    /// The same keys; where that is none, an empty range whose end does not lie before its start.
    fn in_order(mut self) -> Self {
        if let Some(end) = &mut self.end
            && *end < self.start
        {
            end.clone_from(&self.start);
        }
        self
    }

    /// The part of this range that follows `key`.
    #[must_use]
    pub fn after(mut self, key: &str) -> Self {
        // The smallest byte string greater than `key` is `key` and a zero byte.
        let mut next = key.as_bytes().to_vec();
        next.push(0);
        self.start = self.start.max(next);
        self.in_order()
    }

    /// Whether no key can lie in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether it holds every key.
    pub fn is_all(&self) -> bool {
        self.start.is_empty() && self.end.is_none()
    }

    /// Whether `key` lies in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_slice() && self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }
}

/// A record to write.
///
/// Where the key holds a live record, that one's `created_at` is kept, unless `force_created` is set.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Version and times.
    pub meta: Meta,
    /// The encoded value with its header.
    pub body: Vec<u8>,
    /// Whether `meta.created_at` stands even where an older record was created at another time.
    pub force_created: bool,
}

impl From<Record> for NewRecord {
    fn from(record: Record) -> Self {
        Self { meta: record.meta, body: record.body.to_vec(), force_created: false }
    }
}

/// Checks and writes that happen together or not at all. No key stands twice among the writes.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// What must hold for the writes to happen.
    pub checks: SmallVec<[(Key, Check); 1]>,
    /// What is to be written.
    pub writes: SmallVec<[(Key, Write); 1]>,
}

/// A condition on one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The key holds a live record with this version.
    Version(u64),
    /// The key holds no live record.
    Absent,
}

/// One write of a batch.
#[derive(Debug, Clone)]
pub enum Write {
    /// Stores a record.
    Put(NewRecord),
    /// Deletes the record, where there is one.
    Delete,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// All writes happened. For each, in order: whether the key held a live record before.
    Done(SmallVec<[bool; 4]>),
    /// A check on this key failed; nothing happened.
    Conflict(Key),
}

/// What [`Engine::update`] does with one key, given what it holds.
pub type ChangeFn = Arc<dyn Fn(&Key, Option<&Record>) -> Result<Change> + Send + Sync>;

/// The answer of a [`ChangeFn`].
#[derive(Debug, Clone)]
pub enum Change {
    /// Leave it as it is.
    Keep,
    /// Store this record.
    Put(NewRecord),
    /// Delete it.
    Delete,
}

/// What [`Engine::update`] found and left under one key.
#[derive(Debug, Clone)]
pub struct Updated {
    /// The live record before.
    pub before: Option<Record>,
    /// The record after: the old one where nothing was changed.
    pub after: Option<Record>,
}

/// What [`Engine::rotate`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotated {
    /// How many records it looked at.
    pub seen: u64,
    /// How many of them it rewrote.
    pub rewritten: u64,
    /// The last key that it looked at, where there are more behind it.
    pub next: Option<Key>,
}

/// A request for one page of a range.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Which keys.
    pub range: KeyRange,
    /// In what order. Entries of one creation time are in key order (reversed, where the order is descending).
    pub order: SortOrder,
    /// Start after this row of the page before.
    pub after: Option<Cursor>,
    /// At most this many rows; at least 1. An engine may give fewer and set [`Page::more`].
    pub limit: usize,
    /// Whether the rows carry their records.
    pub records: bool,
}

/// Where a page ended: in the key orders `created_at` says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last row's key.
    pub key: Key,
    /// The last row's creation time, in nanoseconds since the Unix epoch.
    pub created_at: i64,
}

/// One page of a range.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether there may be more behind the last row.
    pub more: bool,
}

/// One row of a page.
#[derive(Debug, Clone)]
pub struct Row {
    /// The key.
    pub key: Key,
    /// When it was created, in nanoseconds since the Unix epoch. In the key orders, where records weren't asked for, an
    /// engine that would have to look it up may give 0.
    pub created_at: i64,
    /// The record, where it was asked for.
    pub record: Option<Record>,
}

impl Row {
    /// Where a page that ends with this row ends.
    pub fn cursor(&self) -> Cursor {
        Cursor { key: self.key.clone(), created_at: self.created_at }
    }
}

/// Figures on a range of an engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EngineStats {
    /// How many live records.
    pub keys: u64,
    /// The bytes that they take in memory or in the file: of the whole store where the range is everything, else of
    /// the keys and records in the range.
    pub bytes: u64,
    /// Further figures by name.
    pub extra: Vec<(&'static str, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_exclude_each_other_are_empty_and_in_order() {
        let range = KeyRange::prefix("users::").intersect(KeyRange::prefix("docs"));
        assert!(range.is_empty());
        assert!(range.end.is_some_and(|end| end >= range.start));
        assert!(KeyRange::prefix("a").after("b").is_empty());
        assert!(!KeyRange::prefix("a").after("a").is_empty());
        assert!(!KeyRange::all().is_empty());
    }
}
