//! Which entry follows which: the ids of a shard's entries, sorted by key, in blocks.
//!
//! The index holds no keys: whoever calls says how to look one up. To look up few of them, each block knows a key that
//! separates it from the block before, and a digest of each of its keys: the four bytes behind what most of them start
//! with. Invariants:
//!
//! 1. No block is empty or holds more than [`BLOCK`] ids.
//! 2. A block's `fence` is greater than every key of the blocks before it, and not greater than any of its own. That of
//!    the first is empty.
//! 3. A position names an id that is there, or the end: the block past the last one, slot 0.

use super::block::{BLOCK, Block, Bytes, FULL_BYTES, INLINE};
use super::heap;

/// A sorted list of ids.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    blocks: Vec<Block>,
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
    /// The block that `key` belongs to, or 0.
    fn block_of(&self, key: &[u8]) -> usize {
        self.blocks.partition_point(|block| block.fence.as_slice() <= key).saturating_sub(1)
    }

    /// The first id whose key is not less than `key`.
    pub(super) fn seek<'k>(&self, key: &[u8], key_of: impl Fn(u32) -> &'k [u8]) -> Position {
        let at = self.block_of(key);
        let Some(block) = self.blocks.get(at) else { return Self::start() };
        let slot = block.seek(key, key_of);
        if slot == block.ids.len() { Position { block: at + 1, slot: 0 } } else { Position { block: at, slot } }
    }

    /// Where it begins.
    pub(super) fn start() -> Position {
        Position { block: 0, slot: 0 }
    }

    /// Where it ends.
    pub(super) fn end(&self) -> Position {
        Position { block: self.blocks.len(), slot: 0 }
    }

    /// Adds `id`, whose key is `key` and not in it.
    pub(super) fn insert<'k>(&mut self, key: &[u8], id: u32, key_of: impl Fn(u32) -> &'k [u8]) {
        let mut at = self.block_of(key);
        if self.blocks.is_empty() {
            // The first starts small: a storage of three entries should not take pages. No other one does.
            self.push_block(0, Block::new(key, Bytes::new(), 0));
        } else if self.blocks[at].ids.len() == BLOCK {
            let behind = self.blocks[at].ids.last().is_some_and(|&last| key_of(last) < key);
            if behind && at + 1 == self.blocks.len() {
                // Blocks that keys only ever join at the end are filled up, not split.
                self.push_block(at + 1, Block::new(key, Bytes::from_slice(key), BLOCK));
                at += 1;
            } else {
                self.split(at, &key_of);
                at = self.block_of(key);
            }
        }
        let block = &mut self.blocks[at];
        let before = block.heap_bytes();
        block.insert(key, id, key_of);
        self.block_bytes = self.block_bytes + block.heap_bytes() - before;
    }

    fn push_block(&mut self, at: usize, block: Block) {
        self.block_bytes += block.heap_bytes();
        self.blocks.insert(at, block);
    }

    fn split<'k>(&mut self, at: usize, key_of: impl Fn(u32) -> &'k [u8]) {
        let left = &mut self.blocks[at];
        let before = left.heap_bytes();
        let fence = left.ids.get(BLOCK / 2).map(|&id| Bytes::from_slice(key_of(id))).unwrap_or_default();
        let mut right = Block::new(&left.prefix, fence, BLOCK);
        right.ids.extend(left.ids.drain(BLOCK / 2..));
        right.digests.extend(left.digests.drain(BLOCK / 2..));
        left.sharpen(&key_of);
        right.sharpen(&key_of);
        self.block_bytes = self.block_bytes + left.heap_bytes() - before;
        self.push_block(at + 1, right);
    }

    /// Takes out the id whose key is `key` and which is in it.
    pub(super) fn remove<'k>(&mut self, key: &[u8], key_of: impl Fn(u32) -> &'k [u8]) {
        let at = self.block_of(key);
        let Some(block) = self.blocks.get_mut(at) else { return };
        let slot = block.seek(key, &key_of);
        block.ids.remove(slot);
        block.digests.remove(slot);
        self.tidy(at, key_of);
    }

    /// Takes out the ids from `from` up to but without `to`, in order.
    pub(super) fn remove_range<'k>(
        &mut self,
        from: Position,
        to: Position,
        key_of: impl Fn(u32) -> &'k [u8],
    ) -> Vec<u32> {
        let mut removed = Vec::with_capacity(self.count(from, to));
        if (to.block, to.slot) <= (from.block, from.slot) {
            return removed;
        }
        let mut cut = |block: &mut Block, from: usize, to: usize| {
            block.digests.drain(from..to);
            removed.extend(block.ids.drain(from..to));
        };
        if from.block == to.block {
            cut(&mut self.blocks[from.block], from.slot, to.slot);
        } else {
            let first = &mut self.blocks[from.block];
            cut(first, from.slot, first.ids.len());
            for block in &mut self.blocks[from.block + 1..to.block] {
                cut(block, 0, block.ids.len());
            }
            if let Some(last) = self.blocks.get_mut(to.block) {
                cut(last, 0, to.slot);
            }
            for block in self.blocks.drain(from.block + 1..to.block) {
                self.block_bytes -= block.heap_bytes();
            }
            self.tidy(from.block + 1, &key_of);
        }
        self.tidy(from.block, key_of);
        removed
    }

    /// Restores the invariants after ids left a block, and joins it with the next one where both are small.
    fn tidy<'k>(&mut self, at: usize, key_of: impl Fn(u32) -> &'k [u8]) {
        let Some(block) = self.blocks.get(at) else { return };
        if block.ids.is_empty() {
            self.block_bytes -= self.blocks.remove(at).heap_bytes();
            if let (0, Some(first)) = (at, self.blocks.first_mut()) {
                self.block_bytes -= first.heap_bytes();
                first.fence = Bytes::new();
                self.block_bytes += first.heap_bytes();
            }
            return;
        }
        if block.ids.len() >= BLOCK / 4 || self.blocks.get(at + 1).is_none_or(|next| next.ids.len() >= BLOCK / 2) {
            return;
        }
        let next = self.blocks.remove(at + 1);
        let block = &mut self.blocks[at];
        self.block_bytes -= next.heap_bytes() + block.heap_bytes();
        block.join(&next, key_of);
        self.block_bytes += block.heap_bytes();
    }

    /// How many ids lie from `from` up to but without `to`; none where `to` lies before `from`.
    pub(super) fn count(&self, from: Position, to: Position) -> usize {
        if (to.block, to.slot) < (from.block, from.slot) {
            return 0;
        }
        let blocks = self.blocks.get(from.block..to.block).unwrap_or_default();
        let whole: usize = blocks.iter().map(|block| block.ids.len()).sum();
        (whole + to.slot).saturating_sub(from.slot)
    }

    /// The ids from `from` up to but without `to`; none where `to` lies before `from`.
    pub(super) fn ids(&self, from: Position, to: Position) -> Ids<'_> {
        let to = if (to.block, to.slot) < (from.block, from.slot) { from } else { to };
        Ids { blocks: &self.blocks, front: from, back: to }
    }

    /// The memory that it takes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.block_bytes + heap::vec_bytes::<Block>(self.blocks.capacity())
    }

    /// The most memory that `fresh` more ids can add, where `len` are in it and no key is longer than `longest`.
    pub(super) fn growth(&self, len: usize, fresh: usize, longest: usize) -> usize {
        let key = if longest > INLINE { heap::allocated(longest) } else { 0 };
        if self.blocks.len() <= 1 && len + fresh <= BLOCK {
            let capacity = self.blocks.first().map_or(0, |block| block.ids.capacity());
            let grown = heap::grown(capacity, len + fresh);
            let more = |from: usize, to: usize| {
                heap::vec_bytes::<u32>(to) + heap::vec_bytes::<u32>(to)
                    - heap::vec_bytes::<u32>(from)
                    - heap::vec_bytes::<u32>(from)
            };
            let list = heap::vec_bytes::<Block>(self.blocks.capacity().max(4))
                - heap::vec_bytes::<Block>(self.blocks.capacity());
            return more(capacity, grown) + list + key;
        }
        // A split needs a full block, and leaves two that take half a block of ids each to be full.
        let splits = fresh.min(self.blocks.len() + fresh / (BLOCK / 2) + 1);
        let list = heap::grown(self.blocks.capacity(), self.blocks.len() + splits);
        // One block may be there that has not its full room yet.
        let small = (self.blocks.len() * FULL_BYTES).saturating_sub(self.block_bytes).min(FULL_BYTES);
        splits * (FULL_BYTES + 3 * key) + small + heap::vec_bytes::<Block>(list)
            - heap::vec_bytes::<Block>(self.blocks.capacity())
    }
}

/// Ids in order, from both ends.
#[derive(Debug, Clone)]
pub(super) struct Ids<'a> {
    blocks: &'a [Block],
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
        let ids = &self.blocks.get(self.front.block)?.ids;
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
            self.back = Position { block, slot: self.blocks.get(block)?.ids.len() };
        }
        self.back.slot -= 1;
        self.blocks.get(self.back.block)?.ids.get(self.back.slot).copied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Keys with shared starts of every length, some longer than what is kept in place.
    fn keys() -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        for n in 0..2_048u32 {
            keys.push(n.to_be_bytes().to_vec());
            keys.push(format!("{}::{n}", "n".repeat(n as usize % 40)).into_bytes());
            keys.push(vec![0; n as usize % 50 + 4 + n as usize / 50]);
        }
        keys.sort();
        keys.dedup();
        keys
    }

    fn check(ordered: &Ordered, model: &BTreeSet<u32>, keys: &[Vec<u8>]) {
        assert!(ordered.ids(Ordered::start(), ordered.end()).eq(model.iter().copied()));
        assert!(ordered.ids(Ordered::start(), ordered.end()).rev().eq(model.iter().rev().copied()));
        assert_eq!(ordered.count(Ordered::start(), ordered.end()), model.len());
        assert_eq!(ordered.block_bytes, ordered.blocks.iter().map(Block::heap_bytes).sum::<usize>());
        let mut greatest: Option<&[u8]> = None;
        for block in &ordered.blocks {
            assert!(!block.ids.is_empty() && block.ids.len() <= BLOCK && block.ids.capacity() <= BLOCK);
            assert_eq!(block.fence.is_empty(), greatest.is_none());
            assert!(greatest.is_none_or(|key| key < block.fence.as_slice()));
            assert_eq!(block.digests.len(), block.ids.len());
            for (&id, &of) in block.ids.iter().zip(&block.digests) {
                let key = keys[id as usize].as_slice();
                assert!(block.fence.as_slice() <= key);
                assert_eq!(block.digest(key), of);
                greatest = Some(key);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_sorted_set(steps in prop::collection::vec((0..4_096usize, 0..4_096usize, 0..8u8), 1..30), seed: u64) {
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
                    prop_assert_eq!(ordered.remove_range(at, end, key_of), gone.clone());
                    model.retain(|id| !(from..to).contains(id));
                } else {
                    let mut ids: Vec<u32> = (from..to).collect();
                    match kind {
                        1 | 2 => ids.reverse(),
                        3 => {}
                        _ => random.shuffle(&mut ids),
                    }
                    for id in ids {
                        let key = &keys[id as usize];
                        if kind == 7 {
                            if model.remove(&id) {
                                ordered.remove(key, key_of);
                            }
                        } else if model.insert(id) {
                            let foretold = ordered.heap_bytes() + ordered.growth(model.len() - 1, 1, 100);
                            ordered.insert(key, id, key_of);
                            prop_assert!(ordered.heap_bytes() <= foretold);
                        }
                    }
                }
                check(&ordered, &model, &keys);
            }
        }
    }
}
