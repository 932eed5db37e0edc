//! How much an engine may hold, and how much it does.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// What happens to a write that goes past a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Eviction {
    /// It fails.
    #[default]
    None,
    /// The least recently used entries go. Reads and writes of a key use it; listings don't.
    Lru,
}

/// How much an engine may hold. The default is without limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InMemoryLimits {
    /// The most keys; `None` for no limit.
    pub max_keys: Option<u64>,
    /// The most bytes of memory, of entries and of what leads to them; `None` for no limit.
    pub max_memory_bytes: Option<u64>,
    /// What happens to a write that goes past one of them.
    pub eviction: Eviction,
}

impl InMemoryLimits {
    pub(super) fn are_none(&self) -> bool {
        self.max_keys.is_none() && self.max_memory_bytes.is_none()
    }

    /// Whether so much is within the limits.
    ///
    /// # Errors
    ///
    /// [`Error::LimitExceeded`] where it isn't.
    pub(super) fn check(&self, size: Size) -> Result<()> {
        let over = |limit: &'static str, needed: i64, allowed: Option<u64>| match (u64::try_from(needed), allowed) {
            (Ok(needed), Some(allowed)) if needed > allowed => Err(Error::LimitExceeded { limit, needed, allowed }),
            _ => Ok(()),
        };
        over("max_keys", size.keys, self.max_keys)?;
        over("max_memory_bytes", size.bytes, self.max_memory_bytes)
    }
}

/// A number of keys and of bytes, or a difference of such numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Size {
    pub(super) keys: i64,
    pub(super) bytes: i64,
}

impl Size {
    pub(super) fn of(keys: usize, bytes: usize) -> Self {
        Self { keys: signed(keys), bytes: signed(bytes) }
    }
}

impl std::ops::Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { keys: self.keys.saturating_add(other.keys), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl std::ops::Sub for Size {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { keys: self.keys.saturating_sub(other.keys), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

/// A number of things in memory as a signed number.
pub(super) fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What all shards hold together, and what writers under way have reserved.
#[derive(Debug, Default)]
pub(super) struct Totals {
    keys: AtomicI64,
    bytes: AtomicI64,
    pub(super) expired: AtomicU64,
    pub(super) evicted: AtomicU64,
}

impl Totals {
    pub(super) fn add(&self, size: Size) {
        if size.keys != 0 {
            self.keys.fetch_add(size.keys, Ordering::Relaxed);
        }
        if size.bytes != 0 {
            self.bytes.fetch_add(size.bytes, Ordering::Relaxed);
        }
    }

    /// Adds `size` where that keeps the limits; what does not grow is never refused, and is not reserved either. What
    /// was added.
    pub(super) fn reserve(&self, size: Size, limits: &InMemoryLimits) -> Result<Size> {
        let mut reserved = Size::default();
        if size.keys > 0 {
            reserve_one(&self.keys, size.keys, |keys| limits.check(Size { keys, bytes: 0 }))?;
            reserved.keys = size.keys;
        }
        if size.bytes > 0 {
            if let Err(error) = reserve_one(&self.bytes, size.bytes, |bytes| limits.check(Size { keys: 0, bytes })) {
                self.add(Size::default() - reserved);
                return Err(error);
            }
            reserved.bytes = size.bytes;
        }
        Ok(reserved)
    }
}

/// Adds `more` to `total` where `check` lets the sum be.
fn reserve_one(total: &AtomicI64, more: i64, check: impl Fn(i64) -> Result<()>) -> Result<()> {
    let mut seen = total.load(Ordering::Relaxed);
    loop {
        let next = seen.saturating_add(more);
        check(next)?;
        match total.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(()),
            Err(other) => seen = other,
        }
    }
}
