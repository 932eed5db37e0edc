//! One shard: entries by id, found by hash, ordered by key, and by expiry where they expire.
//!
//! Invariants:
//!
//! 1. An id is in `table` and in `order` as long as its slot in `entries` is used; else it is in the list from `free`.
//! 2. `expiring` holds exactly (expiry, id) of the used slots whose entry expires.
//! 3. `recency`, where there is one, holds exactly the used slots.
//! 4. Overwriting keeps the id: the key is the same, so neither `table` nor `order` notice.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use super::chunked::Chunked;
use super::entry::Entry;
use super::ordered::{Ids, Ordered, Position};
use super::recency::Recency;
use super::table::Table;
use crate::engine::KeyRange;

/// No id.
const NONE: u32 = u32::MAX;

/// The most entries of a shard.
pub(super) const MAX_ENTRIES: usize = NONE as usize;

#[derive(Debug)]
enum Slot {
    Used(Entry),
    /// The next free slot, or [`NONE`].
    Free(u32),
}

// The free list lies in the room of the entries that are gone.
const _: () = assert!(size_of::<Slot>() == size_of::<Entry>());

type Entries = Chunked<Slot>;

impl Slot {
    fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Used(entry) => Some(entry),
            Self::Free(_) => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Shard {
    entries: Entries,
    free: u32,
    table: Table,
    order: Ordered,
    expiring: BTreeSet<(i64, u32)>,
    recency: Option<Recency>,
    hasher: DefaultHashBuilder,
    entry_bytes: usize,
}

impl Shard {
    /// An empty shard; one that remembers who was used when, where `recency` says so.
    pub(super) fn new(hasher: DefaultHashBuilder, recency: bool) -> Self {
        Self {
            entries: Chunked::default(),
            free: NONE,
            table: Table::default(),
            order: Ordered::default(),
            expiring: BTreeSet::new(),
            recency: recency.then(Recency::default),
            hasher,
            entry_bytes: 0,
        }
    }

    /// An empty one of its kind.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.hasher.clone(), self.recency.is_some())
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The entry with this id, which is one.
    pub(super) fn entry(&self, id: u32) -> Option<&Entry> {
        entry_of(&self.entries, id)
    }

    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.table.find(hash, |id| key_of(&self.entries, id) == key)
    }

    /// Stores an entry under a key that has none.
    pub(super) fn insert(&mut self, hash: u64, entry: Entry) {
        let expires_at = entry.expires_at();
        self.entry_bytes += entry.heap_bytes();
        let id = if let Some(slot) = self.entries.get_mut(self.free as usize) {
            let id = self.free;
            if let Slot::Free(next) = std::mem::replace(slot, Slot::Used(entry)) {
                self.free = next;
            }
            id
        } else {
            // Who calls sees to it that there are no more than `MAX_ENTRIES`.
            let id = u32::try_from(self.entries.len()).unwrap_or(NONE);
            self.entries.push(Slot::Used(entry));
            id
        };
        let entries = &self.entries;
        self.order.insert(key_of(entries, id), id, |id| key_of(entries, id));
        self.table.insert(hash, id);
        if let Some(at) = expires_at {
            self.expiring.insert((at, id));
        }
        if let Some(recency) = &mut self.recency {
            recency.add(id);
        }
    }

    /// Puts `entry`, which has the same key, in the place of the entry `id`.
    pub(super) fn replace(&mut self, id: u32, entry: Entry) {
        let Some(Slot::Used(slot)) = self.entries.get_mut(id as usize) else { return };
        let (bytes, expires_at) = (entry.heap_bytes(), entry.expires_at());
        let old = std::mem::replace(slot, entry);
        self.entry_bytes = self.entry_bytes + bytes - old.heap_bytes();
        if old.expires_at() != expires_at {
            if let Some(at) = old.expires_at() {
                self.expiring.remove(&(at, id));
            }
            if let Some(at) = expires_at {
                self.expiring.insert((at, id));
            }
        }
        self.touch(id);
    }

    /// Removes the entry `id`.
    pub(super) fn remove(&mut self, id: u32) {
        let entries = &self.entries;
        let Some(entry) = entry_of(entries, id) else { return };
        self.order.remove(entry.key(), |id| key_of(entries, id));
        self.forget(id);
    }

    /// Removes an entry that is out of `order` already.
    fn forget(&mut self, id: u32) {
        let Some(slot @ Slot::Used(_)) = self.entries.get_mut(id as usize) else { return };
        let Slot::Used(entry) = std::mem::replace(slot, Slot::Free(self.free)) else { return };
        self.free = id;
        let hash = self.hasher.hash_one(entry.key());
        self.table.remove(hash, id);
        if let Some(at) = entry.expires_at() {
            self.expiring.remove(&(at, id));
        }
        if let Some(recency) = &mut self.recency {
            recency.remove(id);
        }
        self.entry_bytes -= entry.heap_bytes();
    }

    /// Removes a range; how many entries went.
    pub(super) fn remove_range(&mut self, range: &KeyRange) -> usize {
        let (from, to) = self.bounds(range);
        let entries = &self.entries;
        let ids = self.order.remove_range(from, to, |id| key_of(entries, id));
        if ids.len() == self.len() {
            *self = self.emptied();
        } else {
            for &id in &ids {
                self.forget(id);
            }
            self.trim_if_sparse();
        }
        ids.len()
    }

    /// Marks the entry as just used.
    pub(super) fn touch(&mut self, id: u32) {
        if let Some(recency) = &mut self.recency {
            recency.touch(id);
        }
    }

    /// The ids, the least recently used first; none where that is not kept.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = u32> {
        self.recency.iter().flat_map(Recency::oldest_first)
    }

    /// When the next entry expires.
    pub(super) fn next_expiry(&self) -> Option<i64> {
        self.expiring.first().map(|&(at, _)| at)
    }

    /// Removes entries that have expired by `now_ms`, at most so many; how many.
    pub(super) fn free_expired(&mut self, now_ms: i64, at_most: usize) -> usize {
        let mut freed = 0;
        while freed < at_most {
            match self.expiring.first() {
                Some(&(at, id)) if at <= now_ms => self.remove(id),
                _ => break,
            }
            freed += 1;
        }
        freed
    }

    /// Where a range begins and where it ends.
    pub(super) fn bounds(&self, range: &KeyRange) -> (Position, Position) {
        let from = if range.start.is_empty() { Ordered::start() } else { self.seek(&range.start) };
        let to = range.end.as_ref().map_or(self.order.end(), |end| self.seek(end));
        (from, to)
    }

    /// The first id whose key is not less than `key`.
    pub(super) fn seek(&self, key: &[u8]) -> Position {
        self.order.seek(key, |id| key_of(&self.entries, id))
    }

    /// The ids of a range, in key order.
    pub(super) fn ids(&self, range: &KeyRange) -> Ids<'_> {
        let (from, to) = self.bounds(range);
        self.order.ids(from, to)
    }

    /// How many entries a range holds, expired ones too.
    pub(super) fn count(&self, range: &KeyRange) -> usize {
        let (from, to) = self.bounds(range);
        self.order.count(from, to)
    }

    /// The memory that it takes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.entry_bytes + self.structure_bytes()
    }

    /// The part of [`Shard::heap_bytes`] that is not the entries themselves.
    fn structure_bytes(&self) -> usize {
        self.entries.heap_bytes()
            + self.table.heap_bytes()
            + self.order.heap_bytes()
            + self.recency.as_ref().map_or(0, |recency| recency.heap_bytes_with(0))
    }

    /// The most that [`Shard::heap_bytes`] can grow by with `fresh` more entries, without the entries themselves,
    /// whose keys are not longer than `longest`.
    pub(super) fn growth(&self, fresh: usize, longest: usize) -> usize {
        if fresh == 0 {
            return 0;
        }
        let slots = self.entries.len().max(self.len() + fresh);
        let table = self.table.heap_bytes_with(self.len() + fresh) - self.table.heap_bytes();
        let recency =
            self.recency.as_ref().map_or(0, |recency| recency.heap_bytes_with(slots) - recency.heap_bytes_with(0));
        self.entries.heap_bytes_with(slots) - self.entries.heap_bytes()
            + table
            + self.order.growth(self.len(), fresh, longest)
            + recency
    }

    /// Gives back what the structure holds for entries that are gone, where they were most. All ids change then.
    pub(super) fn trim_if_sparse(&mut self) {
        if self.entries.len() > 4 * self.len().max(4) {
            self.trim();
        }
    }

    /// Gives back what the structure holds for entries that are gone. All ids change.
    pub(super) fn trim(&mut self) {
        let emptied = self.emptied();
        let old = std::mem::replace(self, emptied);
        let hasher = old.hasher.clone();
        let mut put = |entry: &Entry| self.insert(hasher.hash_one(entry.key()), entry.clone());
        if old.recency.is_some() {
            old.oldest_first().filter_map(|id| old.entry(id)).for_each(&mut put);
        } else {
            old.entries.iter().filter_map(Slot::entry).for_each(&mut put);
        }
    }
}

fn entry_of(entries: &Entries, id: u32) -> Option<&Entry> {
    entries.get(id as usize)?.entry()
}

fn key_of(entries: &Entries, id: u32) -> &[u8] {
    entry_of(entries, id).map_or(&[], Entry::key)
}
