//! Writes: checks first, then limits, then all of a batch.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use smallvec::{SmallVec, smallvec};

use super::entry::{Entry, MAX_KEY};
use super::limits::{Eviction, Size};
use super::locked::{ALL, Locked};
use super::shard::{MAX_ENTRIES, Shard};
use super::{InMemoryEngine, Now, SHARDS};
use crate::engine::{Batch, Change, ChangeFn, Check, Commit, NewRecord, Record, Updated, Write};
use crate::error::{Error, KeyProblem, Result};
use crate::key::Key;
use crate::sync::lock;

type Writes = [(Key, Write)];
type Hashes = SmallVec<[u64; 4]>;

impl InMemoryEngine {
    pub(super) fn commit_now(&self, batch: &Batch) -> Result<Commit> {
        if let ([], [(key, Write::Put(new))]) = (&*batch.checks, &*batch.writes)
            && let Some(commit) = self.replace_now(key, new)
        {
            self.expect_expiries(&batch.writes);
            return Ok(commit);
        }
        let hashes: Hashes = batch.writes.iter().map(|(key, _)| self.hash(key)).collect();
        let checks: Hashes = batch.checks.iter().map(|(key, _)| self.hash(key)).collect();
        let mask = self.mask(&hashes) | self.mask(&checks);
        self.with_room(|| {
            let mut locked = Locked::new(self, mask)?;
            let now = Now::new(&self.clock);
            for ((key, check), &hash) in batch.checks.iter().zip(&checks) {
                let shard = locked.at(self.index(hash));
                let live = shard.and_then(|shard| shard.entry(shard.find(hash, key.as_bytes())?));
                let holds = match (check, live.filter(|entry| now.is_live(entry))) {
                    (Check::Version(version), Some(entry)) => entry.version() == *version,
                    (Check::Absent, None) => true,
                    _ => false,
                };
                if !holds {
                    return Ok(Commit::Conflict(key.clone()));
                }
            }
            self.write(&mut locked, &batch.writes, &hashes, &now).map(Commit::Done)
        })
        .inspect(|_| self.expect_expiries(&batch.writes))
    }

    /// Replaces a live record, which most writes do, with one look-up. `None`, and nothing done, where it is not that
    /// simple.
    fn replace_now(&self, key: &Key, new: &NewRecord) -> Option<Commit> {
        if self.limits.eviction == Eviction::Lru {
            return None;
        }
        let hash = self.hash(key);
        let mut shard = lock(self.shards.get(self.index(hash))?);
        self.check_open().ok()?;
        let id = shard.find(hash, key.as_bytes())?;
        let old = shard.entry(id).filter(|entry| Now::new(&self.clock).is_live(entry))?;
        if old.expires_at().is_some() != new.meta.expires_at.is_some() {
            // The list of expiries grows or shrinks with it.
            return None;
        }
        let mut meta = new.meta;
        if !new.force_created {
            meta.created_at = old.created_at();
        }
        let (given_up, taken) = (old.heap_bytes(), Entry::heap_bytes_of(key.len(), &meta, new.body.len()));
        let mut reserved = Size::default();
        if !self.limits.are_none() && taken > given_up {
            reserved = self.totals.reserve(Size::of(0, taken - given_up), &self.limits).ok()?;
        }
        let entry = Entry::new(key.as_bytes(), &meta, &new.body);
        // Nothing else of the shard grows or shrinks.
        let grown = Size::of(0, entry.heap_bytes()) - Size::of(0, given_up);
        shard.replace(id, entry);
        self.totals.add(grown - reserved);
        Some(Commit::Done(smallvec![true]))
    }

    pub(super) fn update_now(&self, keys: &[Key], change: &ChangeFn) -> Result<Vec<Updated>> {
        let hashes: Hashes = keys.iter().map(|key| self.hash(key)).collect();
        let mask = self.mask(&hashes);
        let (updated, writes) = self.with_room(|| {
            let mut locked = Locked::new(self, mask)?;
            let now = Now::new(&self.clock);
            let before: Vec<_> =
                keys.iter().zip(&hashes).map(|(key, &hash)| self.read_in(&mut locked, hash, key, &now)).collect();
            let (mut writes, mut changed) = (SmallVec::<[_; 1]>::new(), Hashes::new());
            let mut seen = HashSet::new();
            for ((key, &hash), before) in keys.iter().zip(&hashes).zip(&before) {
                // A key that stands twice is changed once.
                if keys.len() > 1 && !seen.insert(key) {
                    continue;
                }
                let write = match change(key, before.as_ref())? {
                    Change::Keep => continue,
                    Change::Put(record) => Write::Put(record),
                    Change::Delete => Write::Delete,
                };
                writes.push((key.clone(), write));
                changed.push(hash);
            }
            self.write(&mut locked, &writes, &changed, &now)?;
            let after = keys.iter().zip(&hashes).map(|(key, &hash)| self.read_in(&mut locked, hash, key, &now));
            let updated = before.into_iter().zip(after).map(|(before, after)| Updated { before, after });
            let updated: Vec<_> = updated.collect();
            Ok((updated, writes))
        })?;
        self.expect_expiries(&writes);
        Ok(updated)
    }

    /// The live record under a key of a locked shard.
    pub(super) fn read_in(&self, locked: &mut Locked<'_>, hash: u64, key: &Key, now: &Now<'_>) -> Option<Record> {
        read_shard(locked.at_mut(self.index(hash))?, hash, key, now)
    }

    /// Runs `attempt`, once more where a limit is in its way that entries which have expired may be part of.
    fn with_room<T>(&self, attempt: impl Fn() -> Result<T>) -> Result<T> {
        match attempt() {
            Err(Error::LimitExceeded { .. }) if self.limits.eviction == Eviction::None => {
                for at in 0..self.shards.len() {
                    let mut locked = Locked::new(self, 1 << at)?;
                    locked.free_expired(usize::MAX);
                    locked.shards_mut().for_each(Shard::trim_if_sparse);
                }
                attempt()
            }
            result => result,
        }
    }

    /// Does all of `writes`, or nothing where that goes past a limit. For each, whether there was a live record.
    fn write(
        &self,
        locked: &mut Locked<'_>,
        writes: &Writes,
        hashes: &[u64],
        now: &Now<'_>,
    ) -> Result<SmallVec<[bool; 4]>> {
        for (key, _) in writes {
            if key.len() > MAX_KEY {
                return Err(Error::InvalidKey(KeyProblem::TooLong { bytes: key.len(), limit: MAX_KEY }));
            }
        }
        self.make_room(locked, writes, hashes)?;
        let mut flags = SmallVec::with_capacity(writes.len());
        for ((key, write), &hash) in writes.iter().zip(hashes) {
            let Some(shard) = locked.at_mut(self.index(hash)) else { continue };
            let id = shard.find(hash, key.as_bytes());
            let live = id.and_then(|id| shard.entry(id)).filter(|entry| now.is_live(entry));
            flags.push(live.is_some());
            match (write, id) {
                (Write::Put(new), id) => {
                    let mut meta = new.meta;
                    if let (Some(old), false) = (live, new.force_created) {
                        meta.created_at = old.created_at();
                    }
                    let entry = Entry::new(key.as_bytes(), &meta, &new.body);
                    match id {
                        Some(id) => shard.replace(id, entry),
                        None => shard.insert(hash, entry),
                    }
                }
                (Write::Delete, Some(id)) => shard.remove(id),
                (Write::Delete, None) => {}
            }
        }
        Ok(flags)
    }

    /// Sees to it that `writes` keep the limits: reserves what they take, or evicts.
    fn make_room(&self, locked: &mut Locked<'_>, writes: &Writes, hashes: &[u64]) -> Result<()> {
        if locked.shards().any(|shard| shard.len() + writes.len() > MAX_ENTRIES) {
            let most = MAX_ENTRIES as u64;
            return Err(Error::LimitExceeded { limit: "max_keys", needed: most + 1, allowed: most });
        }
        if self.limits.are_none() {
            return Ok(());
        }
        let demand = self.demand(locked, writes, hashes);
        let growth = |(at, &fresh): (usize, &usize)| {
            (fresh > 0).then(|| locked.at(at)).flatten().map_or(0, |shard| shard.growth(fresh, demand.longest))
        };
        let growth = demand.fresh.iter().enumerate().map(growth).sum();
        let size = demand.size + Size::of(0, growth);
        match self.totals.reserve(size, &self.limits) {
            Ok(reserved) => {
                locked.reserved = reserved;
                Ok(())
            }
            Err(_) if self.limits.eviction == Eviction::Lru => self.evict(locked, writes, hashes),
            Err(error) => Err(error),
        }
    }

    /// What `writes` add, at most.
    fn demand(&self, locked: &Locked<'_>, writes: &Writes, hashes: &[u64]) -> Demand {
        let mut demand = Demand { size: Size::default(), fresh: [0; SHARDS], longest: 0 };
        for ((key, write), &hash) in writes.iter().zip(hashes) {
            demand.longest = demand.longest.max(key.len());
            let at = self.index(hash);
            let Some(shard) = locked.at(at) else { continue };
            let old = shard.find(hash, key.as_bytes()).and_then(|id| shard.entry(id));
            if let Some(old) = old {
                demand.size = demand.size - Size::of(1, old.heap_bytes());
            }
            if let Write::Put(new) = write {
                let bytes = Entry::heap_bytes_of(key.len(), &new.meta, new.body.len());
                demand.size = demand.size + Size::of(1, bytes);
                if let (None, Some(fresh)) = (old, demand.fresh.get_mut(at)) {
                    *fresh += 1;
                }
            }
        }
        demand
    }

    /// Evicts the least recently used entries that `writes` don't touch until there is room; none of them where there
    /// would be no room without all of them either.
    fn evict(&self, locked: &mut Locked<'_>, writes: &Writes, hashes: &[u64]) -> Result<()> {
        locked.free_expired(usize::MAX);
        let demand = self.demand(locked, writes, hashes);
        let fresh: usize = demand.fresh.iter().sum();
        // Eviction needs one order of use, so there is one shard, and nobody else writes while it is locked.
        let Some(shard) = locked.at_mut(0) else { return Ok(()) };
        let kept: HashSet<u32> =
            writes.iter().zip(hashes).filter_map(|((key, _), &hash)| shard.find(hash, key.as_bytes())).collect();
        let held = Size::of(shard.len(), shard.heap_bytes());
        let fits = |victims: usize, freed: usize| {
            let growth = Size::of(0, shard.growth(fresh.saturating_sub(victims), demand.longest));
            self.limits.check(held + demand.size + growth - Size::of(victims, freed))
        };
        let (mut victims, mut freed) = (Vec::new(), 0);
        let mut oldest = shard.oldest_first().filter(|id| !kept.contains(id));
        while fits(victims.len(), freed).is_err() {
            let Some(id) = oldest.next() else { break };
            victims.push(id);
            freed += shard.entry(id).map_or(0, Entry::heap_bytes);
        }
        let enough = fits(victims.len(), freed).is_ok();
        drop(oldest);
        if !enough {
            // Nothing is left to evict: what counts then is whether the writes fit into an engine of their own.
            let bytes: usize = kept.iter().filter_map(|&id| shard.entry(id)).map(Entry::heap_bytes).sum();
            let alone = Size::of(kept.len(), bytes + shard.emptied().growth(kept.len() + fresh, demand.longest));
            self.limits.check(alone + demand.size)?;
        }
        self.totals.evicted.fetch_add(victims.len() as u64, Ordering::Relaxed);
        for id in victims {
            shard.remove(id);
        }
        if !enough {
            shard.trim();
        }
        Ok(())
    }

    fn mask(&self, hashes: &[u64]) -> u32 {
        hashes.iter().fold(0, |mask, &hash| mask | 1 << self.index(hash))
    }

    /// Has the janitor come in time for what was written.
    fn expect_expiries(&self, writes: &Writes) {
        let expiry = |(_, write): &(Key, Write)| match write {
            Write::Put(new) => new.meta.expires_at,
            Write::Delete => None,
        };
        if let Some(at) = writes.iter().filter_map(expiry).min() {
            self.expect_expiry(at);
        }
    }

    /// The shards of these keys, or all of them where the keys are many.
    pub(super) fn mask_of_keys(&self, keys: &[Key]) -> u32 {
        if keys.len() > SHARDS { ALL } else { keys.iter().fold(0, |mask, key| mask | 1 << self.index(self.hash(key))) }
    }
}

/// The live record under a key of a shard, marked as used.
pub(super) fn read_shard(shard: &mut Shard, hash: u64, key: &Key, now: &Now<'_>) -> Option<Record> {
    let id = shard.find(hash, key.as_bytes())?;
    let entry = shard.entry(id).filter(|entry| now.is_live(entry))?;
    let record = entry.record();
    shard.touch(id);
    Some(record)
}

/// What writes add: keys and the entries' own bytes, and how many new entries each shard gets.
struct Demand {
    size: Size,
    fresh: [usize; SHARDS],
    /// The longest key's length.
    longest: usize,
}
