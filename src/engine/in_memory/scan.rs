//! Listings: pages in every order, namespaces, figures.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::entry::Entry;
use super::locked::Locked;
use super::ordered::Ids;
use super::shard::Shard;
use crate::engine::{Cursor, KeyRange, Page, Row, Scan};
use crate::error::Result;
use crate::key::Key;
use crate::memory::SortOrder;

/// One page of the locked shards, which hold nothing that has expired.
pub(super) fn page(locked: &Locked<'_>, scan: &Scan) -> Result<Page> {
    let limit = scan.limit.max(1);
    if !scan.order.is_by_key() {
        return by_creation(locked, scan, limit);
    }
    let descending = scan.order.is_descending();
    let mut range = scan.range.clone();
    if let Some(after) = &scan.after {
        if descending {
            range = range.intersect(KeyRange { start: Vec::new(), end: Some(after.key.as_bytes().to_vec()) });
        } else {
            range = range.after(&after.key);
        }
    }
    let mut entries = Merged::new(locked, &range, descending);
    let rows = entries.by_ref().take(limit).map(|entry| row(entry, scan.records)).collect::<Result<_>>()?;
    Ok(Page { rows, more: entries.next().is_some() })
}

fn row(entry: &Entry, with_record: bool) -> Result<Row> {
    Ok(Row {
        key: Key::from_stored(entry.key())?,
        created_at: entry.created_at(),
        record: with_record.then(|| entry.record()),
    })
}

/// A page by creation: the range is looked through, the first `limit` rows are kept, in O(limit) memory.
fn by_creation(locked: &Locked<'_>, scan: &Scan, limit: usize) -> Result<Page> {
    let descending = scan.order == SortOrder::CreatedDesc;
    let compare = |one: &(i64, &Entry), two: &(i64, &Entry)| {
        let order = one.0.cmp(&two.0).then_with(|| one.1.key().cmp(two.1.key()));
        if descending { order.reverse() } else { order }
    };
    let follows = |entry: &Entry, Cursor { key, created_at }: &Cursor| {
        let order = entry.created_at().cmp(created_at).then_with(|| entry.key().cmp(key.as_bytes()));
        order == if descending { Ordering::Less } else { Ordering::Greater }
    };
    let room = limit.saturating_add(1).saturating_mul(2);
    let mut kept: Vec<(i64, &Entry)> = Vec::new();
    let mut worst = None;
    for shard in locked.shards() {
        for entry in entries(shard, &scan.range) {
            let candidate = (entry.created_at(), entry);
            if scan.after.as_ref().is_some_and(|after| !follows(entry, after))
                || worst.as_ref().is_some_and(|worst| compare(&candidate, worst).is_gt())
            {
                continue;
            }
            kept.push(candidate);
            if kept.len() == room {
                // One more than the page holds, which tells whether there is more.
                worst = Some(*kept.select_nth_unstable_by(limit, compare).1);
                kept.truncate(limit + 1);
            }
        }
    }
    kept.sort_unstable_by(compare);
    let more = kept.len() > limit;
    let rows = kept.iter().take(limit).map(|(_, entry)| row(entry, scan.records)).collect::<Result<_>>()?;
    Ok(Page { rows, more })
}

/// The distinct namespaces of a range.
pub(super) fn namespaces(
    locked: &Locked<'_>,
    range: &KeyRange,
    skip: usize,
    max_depth: Option<usize>,
) -> Result<Vec<String>> {
    let mut keys = Merged::new(locked, range, false);
    crate::engine::namespaces::distinct(range, skip, max_depth, |target| Ok(keys.seek(target)))
}

/// The entries of a range of one shard, in key order.
pub(super) fn entries<'a>(shard: &'a Shard, range: &KeyRange) -> impl Iterator<Item = &'a Entry> {
    shard.ids(range).filter_map(|id| shard.entry(id))
}

/// The next entry of one shard.
struct Head<'a> {
    entry: &'a Entry,
    ids: Ids<'a>,
    shard: &'a Shard,
    descending: bool,
}

impl<'a> Head<'a> {
    fn new(shard: &'a Shard, mut ids: Ids<'a>, descending: bool) -> Option<Self> {
        let id = if descending { ids.next_back() } else { ids.next() }?;
        Some(Self { entry: shard.entry(id)?, ids, shard, descending })
    }

    /// Moves on by one entry; whether there was one.
    fn advance(&mut self) -> bool {
        let id = if self.descending { self.ids.next_back() } else { self.ids.next() };
        let entry = id.and_then(|id| self.shard.entry(id));
        self.entry = entry.unwrap_or(self.entry);
        entry.is_some()
    }

    /// Moves on to the first key that is not less than `target`, where it isn't there yet; whether there was one.
    fn seek(&mut self, target: &[u8]) -> bool {
        // The next one is often the one.
        if self.entry.key() < target && !self.advance() {
            return false;
        }
        if self.entry.key() < target {
            self.ids.skip_to(self.shard.seek(target));
            return self.advance();
        }
        true
    }
}

// The greatest head is the one whose turn it is.
impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.entry.key().cmp(other.entry.key());
        if self.descending { order } else { order.reverse() }
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head<'_> {}

/// The entries of a range of all locked shards, in key order, or its reverse.
struct Merged<'a> {
    heads: BinaryHeap<Head<'a>>,
}

impl<'a> Merged<'a> {
    fn new(locked: &'a Locked<'_>, range: &KeyRange, descending: bool) -> Self {
        let heads = locked.shards().filter_map(|shard| Head::new(shard, shard.ids(range), descending));
        Self { heads: heads.collect() }
    }

    /// The first key that is not less than `target`, which is not less than any before. Ascending only.
    fn seek(&mut self, target: &[u8]) -> Option<&'a [u8]> {
        loop {
            let mut head = self.heads.peek_mut()?;
            if head.entry.key() >= target {
                return Some(head.entry.key());
            }
            if !head.seek(target) {
                PeekMut::pop(head);
            }
        }
    }
}

impl<'a> Iterator for Merged<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        let mut head = self.heads.peek_mut()?;
        let entry = head.entry;
        if !head.advance() {
            PeekMut::pop(head);
        }
        Some(entry)
    }
}
