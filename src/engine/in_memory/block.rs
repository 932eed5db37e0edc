//! A run of ids whose keys follow each other.
//!
//! Invariant: `digests` are those of the block's keys for its `prefix`. Any prefix is right; only speed depends on it.

use smallvec::SmallVec;

use super::heap;

/// The most ids in a block. Larger ones cost more per insertion, smaller ones more per count.
pub(super) const BLOCK: usize = 256;
/// What a block with room for so many takes.
pub(super) const FULL_BYTES: usize = 2 * heap::vec_bytes::<u32>(BLOCK);

/// A short key is kept in place.
pub(super) type Bytes = SmallVec<[u8; INLINE]>;
pub(super) const INLINE: usize = 24;

#[derive(Debug)]
pub(super) struct Block {
    pub(super) fence: Bytes,
    pub(super) prefix: Bytes,
    pub(super) digests: Vec<u32>,
    pub(super) ids: Vec<u32>,
}

impl Block {
    pub(super) fn new(key: &[u8], fence: Bytes, capacity: usize) -> Self {
        let (digests, ids) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        Self { fence, prefix: Bytes::from_slice(key), digests, ids }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let spilled = |bytes: &Bytes| if bytes.spilled() { heap::allocated(bytes.capacity()) } else { 0 };
        heap::vec_bytes::<u32>(self.ids.capacity())
            + heap::vec_bytes::<u32>(self.digests.capacity())
            + spilled(&self.fence)
            + spilled(&self.prefix)
    }

    /// Never decreases from a key to a greater one. Keys that don't start with the prefix share the least or the greatest.
    pub(super) fn digest(&self, key: &[u8]) -> u32 {
        match key.strip_prefix(self.prefix.as_slice()) {
            Some(rest) => {
                let at = |at| rest.get(at).copied().unwrap_or(0);
                u32::from_be_bytes([at(0), at(1), at(2), at(3)])
            }
            None if key < self.prefix.as_slice() => 0,
            None => u32::MAX,
        }
    }

    /// The first slot whose key is not less than `key`.
    pub(super) fn seek<'k>(&self, key: &[u8], key_of: impl Fn(u32) -> &'k [u8]) -> usize {
        let digest = self.digest(key);
        let from = self.digests.partition_point(|&other| other < digest);
        let alike = self.digests.get(from..).map_or(0, |rest| rest.partition_point(|&other| other == digest));
        let alike = self.ids.get(from..from + alike).unwrap_or_default();
        from + alike.partition_point(|&id| key_of(id) < key)
    }

    /// Puts `id` where its key belongs. Not into a full block.
    pub(super) fn insert<'k>(&mut self, key: &[u8], id: u32, key_of: impl Fn(u32) -> &'k [u8]) {
        let slot = self.seek(key, &key_of);
        self.ids.insert(slot, id);
        self.digests.insert(slot, self.digest(key));
        if matches!(self.ids.len(), 16 | 64) {
            self.sharpen(key_of);
        }
    }

    /// Chooses the prefix anew where the digests tell too few keys apart: looking that up costs every key of the block.
    pub(super) fn sharpen<'k>(&mut self, key_of: impl Fn(u32) -> &'k [u8]) {
        let distinct = 1 + self.digests.windows(2).filter(|two| two[0] != two[1]).count();
        let (Some(&first), Some(&last)) = (self.ids.first(), self.ids.last()) else { return };
        if distinct * 4 > self.ids.len() {
            return;
        }
        let (first, last) = (key_of(first), key_of(last));
        let same = common(first, last);
        if first.get(..same) != Some(&self.prefix) {
            self.prefix = Bytes::from_slice(&first[..same]);
            self.digest_all(key_of);
        }
    }

    /// Takes over the ids of `next`, the block behind this one; both together fit into one.
    pub(super) fn join<'k>(&mut self, next: &Self, key_of: impl Fn(u32) -> &'k [u8]) {
        if self.ids.capacity() < BLOCK {
            self.ids.reserve_exact(BLOCK - self.ids.len());
            self.digests.reserve_exact(BLOCK - self.digests.len());
        }
        self.ids.extend_from_slice(&next.ids);
        self.digests.extend_from_slice(&next.digests);
        if let (Some(&first), Some(&last)) = (self.ids.first(), self.ids.last()) {
            let (first, last) = (key_of(first), key_of(last));
            self.prefix = Bytes::from_slice(&first[..common(first, last)]);
        }
        self.digest_all(key_of);
    }

    fn digest_all<'k>(&mut self, key_of: impl Fn(u32) -> &'k [u8]) {
        for at in 0..self.ids.len() {
            self.digests[at] = self.digest(key_of(self.ids[at]));
        }
    }
}

/// How many bytes both start with.
fn common(one: &[u8], two: &[u8]) -> usize {
    one.iter().zip(two).take_while(|(one, two)| one == two).count()
}
