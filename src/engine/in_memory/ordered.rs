//! Which entry follows which: the ids of a shard's entries, sorted by key, in blocks.
//!
//! The index holds no keys: whoever calls says how to look one up. Invariants:
//!
//! 1. No block is empty or holds more than [`BLOCK`] ids.
//! 2. A position names an id that is there, or the end: the block past the last one, slot 0.

use super::heap;

/// The most ids in a block. Larger ones cost more per insertion, smaller ones more per count.
const BLOCK: usize = 256;
/// What a block with room for so many takes.
const FULL_BYTES: usize = heap::vec_bytes::<u32>(BLOCK);

/// A sorted list of ids.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    blocks: Vec<Vec<u32>>,
    /// What the blocks take, without the list of them.
    block_bytes: usize,
}

/// A place in an [`Ordered`], valid until it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    block: usize,
    slot: usize,
}

impl Ordered {
    /// The first id whose key is not less than `key`.
    pub(super) fn seek<'k>(&self, key: &[u8], key_of: impl Fn(u32) -> &'k [u8]) -> Position {
        let less = |id: &u32| key_of(*id) < key;
        let block = self.blocks.partition_point(|ids| ids.last().is_some_and(less));
        let slot = self.blocks.get(block).map_or(0, |ids| ids.partition_point(less));
        Position { block, slot }
    }

    /// Where it begins.
    pub(super) fn start() -> Position {
        Position { block: 0, slot: 0 }
    }

    /// Where it ends.
    pub(super) fn end(&self) -> Position {
        Position { block: self.blocks.len(), slot: 0 }
    }

    /// Puts `id` in front of what is at `at`.
    pub(super) fn insert(&mut self, at: Position, id: u32) {
        let Position { mut block, mut slot } = at;
        if block == self.blocks.len() {
            // Behind the last: a block that keys only ever join at its end is filled up, not split.
            match self.blocks.last() {
                Some(last) if last.len() < BLOCK => {
                    block -= 1;
                    slot = last.len();
                }
                Some(_) => {
                    self.blocks.push(Vec::with_capacity(BLOCK));
                    self.block_bytes += FULL_BYTES;
                }
                // The first starts small: a storage of three entries should not take pages. No other one does.
                None => self.blocks.push(Vec::new()),
            }
        }
        let Some(ids) = self.blocks.get_mut(block) else { return };
        let before = heap::vec_bytes::<u32>(ids.capacity());
        if ids.len() < BLOCK {
            ids.insert(slot, id);
            self.block_bytes = self.block_bytes + heap::vec_bytes::<u32>(ids.capacity()) - before;
            return;
        }
        let mut right = Vec::with_capacity(BLOCK);
        right.extend(ids.drain(BLOCK / 2..));
        if slot <= BLOCK / 2 {
            ids.insert(slot, id);
        } else {
            right.insert(slot - BLOCK / 2, id);
        }
        self.block_bytes += heap::vec_bytes::<u32>(right.capacity());
        self.blocks.insert(block + 1, right);
    }

    /// Takes out the id at `at`.
    pub(super) fn remove(&mut self, at: Position) {
        let Some(ids) = self.blocks.get_mut(at.block) else { return };
        if at.slot < ids.len() {
            ids.remove(at.slot);
            self.tidy(at.block);
        }
    }

    /// Takes out the ids from `from` up to but without `to`, in order.
    pub(super) fn remove_range(&mut self, from: Position, to: Position) -> Vec<u32> {
        let mut removed = Vec::with_capacity(self.count(from, to));
        if (to.block, to.slot) <= (from.block, from.slot) {
            return removed;
        }
        if from.block == to.block {
            if let Some(ids) = self.blocks.get_mut(from.block) {
                removed.extend(ids.drain(from.slot..to.slot));
            }
        } else {
            if let Some(ids) = self.blocks.get_mut(from.block) {
                removed.extend(ids.drain(from.slot..));
            }
            for ids in self.blocks.drain(from.block + 1..to.block) {
                self.block_bytes -= heap::vec_bytes::<u32>(ids.capacity());
                removed.extend(ids);
            }
            if let Some(ids) = self.blocks.get_mut(from.block + 1) {
                removed.extend(ids.drain(..to.slot));
                self.tidy(from.block + 1);
            }
        }
        self.tidy(from.block);
        removed
    }

    /// Restores invariant 1 after ids left a block, and joins it with the next one where both are small.
    fn tidy(&mut self, block: usize) {
        let Some(ids) = self.blocks.get(block) else { return };
        let bytes = heap::vec_bytes::<u32>(ids.capacity());
        if ids.is_empty() {
            self.blocks.remove(block);
            self.block_bytes -= bytes;
        } else if ids.len() < BLOCK / 4 && self.blocks.get(block + 1).is_some_and(|next| next.len() < BLOCK / 2) {
            let next = self.blocks.remove(block + 1);
            let Some(ids) = self.blocks.get_mut(block) else { return };
            if ids.capacity() < ids.len() + next.len() {
                ids.reserve_exact(BLOCK - ids.len());
            }
            ids.extend_from_slice(&next);
            let after = heap::vec_bytes::<u32>(ids.capacity());
            self.block_bytes = self.block_bytes + after - bytes - heap::vec_bytes::<u32>(next.capacity());
        }
    }

    /// How many ids lie from `from` up to but without `to`.
    pub(super) fn count(&self, from: Position, to: Position) -> usize {
        let blocks = self.blocks.get(from.block..to.block).unwrap_or_default();
        let whole: usize = blocks.iter().map(Vec::len).sum();
        (whole + to.slot).saturating_sub(from.slot)
    }

    /// The ids from `from` up to but without `to`; none where `to` lies before `from`.
    pub(super) fn ids(&self, from: Position, to: Position) -> Ids<'_> {
        let to = if (to.block, to.slot) < (from.block, from.slot) { from } else { to };
        Ids { blocks: &self.blocks, front: from, back: to }
    }

    /// The memory that it takes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.block_bytes + heap::vec_bytes::<Vec<u32>>(self.blocks.capacity())
    }

    /// The most memory that `fresh` more ids can add.
    pub(super) fn growth(&self, len: usize, fresh: usize) -> usize {
        if self.blocks.len() <= 1 && len + fresh <= BLOCK {
            let capacity = self.blocks.first().map_or(0, Vec::capacity);
            let list = heap::vec_bytes::<Vec<u32>>(self.blocks.capacity().max(4));
            return heap::vec_bytes::<u32>(heap::grown(capacity, len + fresh)) + list - self.heap_bytes();
        }
        // A split needs a full block, and leaves two that take half a block of ids each to be full.
        let splits = fresh.min(self.blocks.len() + fresh / (BLOCK / 2) + 1);
        let list = heap::grown(self.blocks.capacity(), self.blocks.len() + splits);
        let small = self.blocks.len() * FULL_BYTES - self.block_bytes;
        splits * FULL_BYTES + small + heap::vec_bytes::<Vec<u32>>(list)
            - heap::vec_bytes::<Vec<u32>>(self.blocks.capacity())
    }
}

/// Ids in order, from both ends.
#[derive(Debug, Clone)]
pub(super) struct Ids<'a> {
    blocks: &'a [Vec<u32>],
    front: Position,
    back: Position,
}

impl Ids<'_> {
    /// Goes on from `at`, where that is not behind what is left.
    pub(super) fn skip_to(&mut self, at: Position) {
        let place = |position: Position| (position.block, position.slot);
        self.front = if place(at) > place(self.back) { self.back } else { at };
    }
}

impl Iterator for Ids<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.front == self.back {
            return None;
        }
        let ids = self.blocks.get(self.front.block)?;
        let id = *ids.get(self.front.slot)?;
        self.front.slot += 1;
        if self.front.slot == ids.len() {
            self.front = Position { block: self.front.block + 1, slot: 0 };
        }
        Some(id)
    }
}

impl DoubleEndedIterator for Ids<'_> {
    fn next_back(&mut self) -> Option<u32> {
        if self.front == self.back {
            return None;
        }
        if self.back.slot == 0 {
            let block = self.back.block.checked_sub(1)?;
            self.back = Position { block, slot: self.blocks.get(block)?.len() };
        }
        self.back.slot -= 1;
        self.blocks.get(self.back.block)?.get(self.back.slot).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const KEYS: usize = 4096;

    fn keys() -> Vec<[u8; 4]> {
        (0..u32::try_from(KEYS).unwrap()).map(u32::to_be_bytes).collect()
    }

    fn check(ordered: &Ordered, model: &BTreeSet<u32>) {
        assert!(ordered.ids(Ordered::start(), ordered.end()).eq(model.iter().copied()));
        assert!(ordered.ids(Ordered::start(), ordered.end()).rev().eq(model.iter().rev().copied()));
        assert_eq!(ordered.count(Ordered::start(), ordered.end()), model.len());
        let bytes: usize = ordered.blocks.iter().map(|ids| heap::vec_bytes::<u32>(ids.capacity())).sum();
        assert_eq!(ordered.block_bytes, bytes);
        assert!(ordered.blocks.iter().all(|ids| !ids.is_empty() && ids.len() <= BLOCK && ids.capacity() <= BLOCK));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_sorted_set(steps in prop::collection::vec((0..KEYS, 0..KEYS, 0..8u8), 1..40), seed: u64) {
            let keys = keys();
            let key_of = |id: u32| keys[id as usize].as_slice();
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut ordered, mut model) = (Ordered::default(), BTreeSet::new());
            for (one, two, kind) in steps {
                let (low, high) = (one.min(two), one.max(two));
                let (from, to) = (u32::try_from(low).unwrap(), u32::try_from(high).unwrap());
                if kind == 0 {
                    let (at, end) = (ordered.seek(&keys[low], key_of), ordered.seek(&keys[high], key_of));
                    let gone: Vec<u32> = model.range(from..to).copied().collect();
                    prop_assert_eq!(ordered.count(at, end), gone.len());
                    prop_assert!(ordered.ids(at, end).eq(gone.iter().copied()));
                    prop_assert_eq!(ordered.remove_range(at, end), gone.clone());
                    model.retain(|id| !gone.contains(id));
                } else {
                    let mut ids: Vec<u32> = (from..to).collect();
                    match kind {
                        1 | 2 => ids.reverse(),
                        3 => {}
                        _ => random.shuffle(&mut ids),
                    }
                    for id in ids {
                        let at = ordered.seek(&keys[id as usize], key_of);
                        if kind == 7 {
                            if model.remove(&id) {
                                ordered.remove(at);
                            }
                        } else if model.insert(id) {
                            let foretold = ordered.heap_bytes() + ordered.growth(model.len() - 1, 1);
                            ordered.insert(at, id);
                            prop_assert!(ordered.heap_bytes() <= foretold);
                        }
                    }
                }
                check(&ordered, &model);
            }
        }
    }
}
