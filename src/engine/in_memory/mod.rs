//! The engine that keeps everything in this process's memory.
//!
//! Entries are spread over shards by the hash of their key; each shard has one lock, which is held briefly and never
//! while anything is waited for. What concerns several keys takes all their shards' locks, in the order of the shards,
//! and so happens in one step. Every answer is ready at once.

mod block;
mod chunked;
mod entry;
mod heap;
mod limits;
mod locked;
mod ordered;
mod purge;
mod recency;
mod scan;
mod shard;
mod table;
mod write;

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use hashbrown::DefaultHashBuilder;

use self::entry::Entry;
use self::limits::Totals;
use self::locked::{ALL, Locked};
use self::shard::Shard;
use super::{Batch, ChangeFn, Commit, Engine, EngineStats, KeyRange, Page, Record, Scan, Updated};
use crate::answer::{Answer, attempt};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::sync::lock;

pub use self::limits::{Eviction, InMemoryLimits};

const NAME: &str = "in_memory";
/// The most shards; a power of two.
const SHARDS: usize = 16;

/// An engine in this process's memory: it lives as long as its handles, and in no other process.
///
/// Entries that expire are freed by the janitor's thread; those that have expired and still wait for it are absent for
/// every operation, and make room where a write needs it.
pub struct InMemoryEngine {
    shards: Vec<Mutex<Shard>>,
    hasher: DefaultHashBuilder,
    totals: Totals,
    limits: InMemoryLimits,
    clock: Clock,
    closed: AtomicBool,
    /// The expiry that the janitor was last told to come for, in milliseconds since the Unix epoch.
    expected: AtomicI64,
    /// Bytes that the janitor has freed, and that were not given back to the system yet.
    freed: AtomicI64,
    attributes: Mutex<HashMap<String, Vec<u8>>>,
    this: Weak<Self>,
}

impl InMemoryEngine {
    /// An empty engine.
    pub fn new(limits: InMemoryLimits, clock: Clock) -> Arc<Self> {
        let hasher = DefaultHashBuilder::default();
        // The order of use is exact, so it is one order over everything.
        let evicts = limits.eviction == Eviction::Lru;
        let count = if evicts { 1 } else { SHARDS };
        Arc::new_cyclic(|this| Self {
            shards: (0..count).map(|_| Mutex::new(Shard::new(hasher.clone(), evicts))).collect(),
            hasher,
            totals: Totals::default(),
            limits,
            clock,
            closed: AtomicBool::new(false),
            expected: AtomicI64::new(i64::MAX),
            freed: AtomicI64::new(0),
            attributes: Mutex::default(),
            this: this.clone(),
        })
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key.as_bytes())
    }

    /// The shard of a hash. The tables use the lowest and the highest bits.
    fn index(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.shards.len() - 1)
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed { backend: NAME }) } else { Ok(()) }
    }

    fn read_one_now(&self, key: &Key) -> Result<Option<Record>> {
        let hash = self.hash(key);
        let Some(shard) = self.shards.get(self.index(hash)) else { return Ok(None) };
        let mut shard = lock(shard);
        self.check_open()?;
        Ok(write::read_shard(&mut shard, hash, key, &Now::new(&self.clock)))
    }

    fn read_now(&self, keys: &[Key]) -> Result<Vec<Option<Record>>> {
        let mut locked = Locked::new(self, self.mask_of_keys(keys))?;
        let now = Now::new(&self.clock);
        Ok(keys.iter().map(|key| self.read_in(&mut locked, self.hash(key), key, &now)).collect())
    }

    /// Runs `list` on all shards, as of one moment and with nothing in them that has expired.
    fn list<T>(&self, list: impl FnOnce(&mut Locked<'_>) -> Result<T>) -> Result<T> {
        let mut locked = Locked::new(self, ALL)?;
        locked.free_expired(usize::MAX);
        list(&mut locked)
    }

    fn stats_now(&self, range: &KeyRange) -> Result<EngineStats> {
        let (keys, bytes) = self.list(|locked| {
            if range.is_all() {
                let size = locked.size();
                return Ok((size.keys, size.bytes));
            }
            let mut found = (0, 0);
            for entry in locked.shards().flat_map(|shard| scan::entries(shard, range)) {
                found = (found.0 + 1, found.1 + limits::signed(entry.len()));
            }
            Ok(found)
        })?;
        let figure = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(EngineStats { keys: figure(keys), bytes: figure(bytes), extra: Vec::new() })
    }
}

impl Engine for InMemoryEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_local(&self) -> bool {
        true
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn activity(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("evictions", self.totals.evicted.load(Ordering::Relaxed) as f64),
            ("expiries", self.totals.expired.load(Ordering::Relaxed) as f64),
        ]
    }

    fn location(&self) -> String {
        "memory://".into()
    }

    fn may_block(&self) -> bool {
        false
    }

    fn open(&self) -> Answer<Result<()>> {
        Answer::ready(self.check_open())
    }

    fn read_one(&self, key: &Key) -> Answer<Result<Option<Record>>> {
        Answer::ready(self.read_one_now(key))
    }

    fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        Answer::ready(self.read_now(&keys))
    }

    fn commit(&self, batch: Batch) -> Answer<Result<Commit>> {
        Answer::ready(self.commit_now(&batch))
    }

    fn update(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<Updated>>> {
        Answer::ready(self.update_now(&keys, &change))
    }

    fn scan(&self, scan: Scan) -> Answer<Result<Page>> {
        Answer::ready(self.list(|locked| scan::page(locked, &scan)))
    }

    fn count(&self, range: KeyRange) -> Answer<Result<u64>> {
        Answer::ready(self.list(|locked| Ok(locked.shards().map(|shard| shard.count(&range) as u64).sum())))
    }

    fn remove_range(&self, range: KeyRange) -> Answer<Result<u64>> {
        let removed = self.list(|locked| {
            let before = locked.size().bytes;
            let count = locked.shards_mut().map(|shard| shard.remove_range(&range) as u64).sum();
            Ok((count, before - locked.size().bytes))
        });
        Answer::ready(removed.map(|(count, freed)| {
            heap::give_back(freed, false);
            count
        }))
    }

    fn namespaces(&self, range: KeyRange, skip: usize, max_depth: Option<usize>) -> Answer<Result<Vec<String>>> {
        Answer::ready(self.list(|locked| scan::namespaces(locked, &range, skip, max_depth)))
    }

    fn stats(&self, range: KeyRange) -> Answer<Result<EngineStats>> {
        Answer::ready(self.stats_now(&range))
    }

    fn attribute(&self, name: &str, proposed: Option<Vec<u8>>) -> Answer<Result<Option<Vec<u8>>>> {
        attempt!(self.check_open());
        let mut attributes = lock(&self.attributes);
        if let (None, Some(proposed)) = (attributes.get(name), proposed) {
            attributes.insert(name.to_owned(), proposed);
        }
        Answer::ready(Ok(attributes.get(name).cloned()))
    }

    fn ping(&self) -> Answer<Result<()>> {
        Answer::ready(self.check_open())
    }

    fn close(&self) -> Answer<Result<()>> {
        if !self.closed.swap(true, Ordering::AcqRel) {
            for shard in &self.shards {
                let mut shard = lock(shard);
                *shard = shard.emptied();
            }
        }
        Answer::ready(Ok(()))
    }
}

/// The time of one operation: asked for once, and only where an entry that expires is met.
struct Now<'a> {
    clock: &'a Clock,
    millis: Cell<Option<i64>>,
}

impl<'a> Now<'a> {
    fn new(clock: &'a Clock) -> Self {
        Self { clock, millis: Cell::new(None) }
    }

    fn is_live(&self, entry: &Entry) -> bool {
        entry.expires_at().is_none_or(|at| {
            let now = self.millis.get().unwrap_or_else(|| self.clock.now_ms());
            self.millis.set(Some(now));
            at > now
        })
    }
}
