//! Some of an engine's shards, held together.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::InMemoryEngine;
use super::limits::Size;
use super::shard::Shard;
use crate::error::Result;
use crate::sync::lock;

/// All shards, as a mask.
pub(super) const ALL: u32 = u32::MAX;

/// The locks of some shards. Taken in the order of the shards, so that nobody waits for one that waits for them. When
/// they are let go, the engine's totals take in what changed.
pub(super) struct Locked<'a> {
    engine: &'a InMemoryEngine,
    /// Which shards, bit by bit.
    mask: u32,
    /// Their locks, in the order of the bits.
    guards: SmallVec<[MutexGuard<'a, Shard>; 1]>,
    before: Size,
    /// What the totals hold already for the writes to come.
    pub(super) reserved: Size,
}

impl<'a> Locked<'a> {
    /// Locks the shards of `mask`, bit by bit.
    pub(super) fn new(engine: &'a InMemoryEngine, mask: u32) -> Result<Self> {
        let mask = mask & !(ALL << engine.shards.len());
        let mut guards = SmallVec::new();
        let mut left = mask;
        while let Some(shard) = engine.shards.get(left.trailing_zeros() as usize) {
            guards.push(lock(shard));
            left &= left - 1;
        }
        // Asked under the locks: whoever closes takes them afterwards.
        engine.check_open()?;
        let mut locked = Self { engine, mask, guards, before: Size::default(), reserved: Size::default() };
        locked.before = locked.size();
        Ok(locked)
    }

    /// The shard at `at`, where it is locked.
    pub(super) fn at(&self, at: usize) -> Option<&Shard> {
        self.guards.get(self.place(at)?).map(|guard| &**guard)
    }

    /// The shard at `at`, where it is locked.
    pub(super) fn at_mut(&mut self, at: usize) -> Option<&mut Shard> {
        let place = self.place(at)?;
        self.guards.get_mut(place).map(|guard| &mut **guard)
    }

    /// Where among the locks that of a shard is.
    fn place(&self, at: usize) -> Option<usize> {
        let bit = 1_u32.checked_shl(u32::try_from(at).ok()?)?;
        (self.mask & bit != 0).then(|| (self.mask & (bit - 1)).count_ones() as usize)
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.guards.iter().map(|guard| &**guard)
    }

    pub(super) fn shards_mut(&mut self) -> impl Iterator<Item = &mut Shard> {
        self.guards.iter_mut().map(|guard| &mut **guard)
    }

    /// Frees what has expired, at most `at_most` entries a shard.
    pub(super) fn free_expired(&mut self, at_most: usize) -> usize {
        if self.shards().all(|shard| shard.next_expiry().is_none()) {
            return 0;
        }
        let now = self.engine.clock.now_ms();
        let freed = self.shards_mut().map(|shard| shard.free_expired(now, at_most)).sum();
        self.engine.totals.expired.fetch_add(freed as u64, Ordering::Relaxed);
        freed
    }

    /// What the locked shards hold.
    pub(super) fn size(&self) -> Size {
        let each = self.shards().map(|shard| Size::of(shard.len(), shard.heap_bytes()));
        each.fold(Size::default(), |sum, size| sum + size)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.engine.totals.add(self.size() - self.before - self.reserved);
    }
}
