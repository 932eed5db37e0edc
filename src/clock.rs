//! Whose time it is: the system's, or one that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds in a millisecond.
pub(crate) const NANOS_PER_MILLI: i64 = 1_000_000;

/// The source of every time that a storage writes and compares.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's clock, UTC.
    #[default]
    System,
    /// A clock that stands still until a test moves it.
    Manual(ManualClock),
}

impl Clock {
    /// Nanoseconds since the Unix epoch.
    pub fn now_ns(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            Self::Manual(clock) => clock.0.load(Ordering::SeqCst),
        }
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub fn now_ms(&self) -> i64 {
        self.now_ns().div_euclid(NANOS_PER_MILLI)
    }

    /// Reserves `count` stamps and returns the first: each greater than all this process drew before, so that entries
    /// sort by creation in the order in which they were written, even within one tick of the clock.
    pub fn stamps(&self, count: usize) -> i64 {
        let count = i64::try_from(count).unwrap_or(i64::MAX).max(1);
        let now = self.now_ns();
        match self {
            Self::System => reserve(&SYSTEM_STAMP, now, count),
            // Sub-microsecond steps: what a manual clock shows in microseconds stands still.
            Self::Manual(clock) => now + (clock.1.fetch_add(count, Ordering::SeqCst) % 1_000),
        }
    }

    /// One stamp; see [`Clock::stamps`].
    pub fn stamp(&self) -> i64 {
        self.stamps(1)
    }
}

static SYSTEM_STAMP: AtomicI64 = AtomicI64::new(0);

fn reserve(last: &AtomicI64, now: i64, count: i64) -> i64 {
    let mut seen = last.load(Ordering::Relaxed);
    loop {
        let first = now.max(seen.saturating_add(1));
        match last.compare_exchange_weak(seen, first.saturating_add(count - 1), Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return first,
            Err(other) => seen = other,
        }
    }
}

/// A clock for tests: it stands still until [`ManualClock::advance`] moves it. Clones move together.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>, Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `nanos` nanoseconds since the Unix epoch.
    pub fn at(nanos: i64) -> Self {
        Self(Arc::new(AtomicI64::new(nanos)), Arc::new(AtomicI64::new(0)))
    }

    /// Moves the clock forward by `nanos` nanoseconds (back, where it is negative).
    pub fn advance(&self, nanos: i64) {
        self.0.fetch_add(nanos, Ordering::SeqCst);
        crate::janitor::wake();
    }
}
