//! Expired entries go without anyone calling anything.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::InMemoryEngine;
use super::heap;
use super::locked::Locked;
use super::shard::Shard;
use crate::janitor::{self, Purge};

/// How many expired entries are freed while a shard is locked, and how many at one visit of the janitor.
const PURGE_SLICE: usize = 1_000;
const PURGE_VISIT: usize = 10_000;

impl InMemoryEngine {
    /// Has the janitor come at `at_ms`, unless it will have come by then.
    pub(super) fn expect_expiry(&self, at_ms: i64) {
        if at_ms < self.expected.fetch_min(at_ms, Ordering::Relaxed) {
            let this: Weak<dyn Purge> = self.this.clone();
            janitor::watch(&this, self.until(at_ms));
        }
    }

    fn until(&self, at_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(at_ms.saturating_sub(self.clock.now_ms())).unwrap_or(0))
    }
}

impl Purge for InMemoryEngine {
    fn purge(&self) -> Option<Duration> {
        // Reset first: a write that comes meanwhile tells the janitor itself.
        self.expected.store(i64::MAX, Ordering::Relaxed);
        let mut left = PURGE_VISIT;
        let mut next: Option<i64> = None;
        let mut freed_bytes = 0;
        for at in 0..self.shards.len() {
            loop {
                let Ok(mut locked) = Locked::new(self, 1 << at) else { return None };
                let slice = left.min(PURGE_SLICE);
                let before = locked.size().bytes;
                let freed = locked.free_expired(slice);
                freed_bytes += before - locked.size().bytes;
                left -= freed;
                if freed < slice || left == 0 {
                    if freed > 0 {
                        locked.shards_mut().for_each(Shard::trim_if_sparse);
                    }
                    let due = locked.shards().filter_map(Shard::next_expiry).min();
                    next = [next, due].into_iter().flatten().min();
                    break;
                }
            }
        }
        // Entries that expire one after the other are freed in many visits.
        let freed_bytes = freed_bytes + self.freed.swap(0, Ordering::Relaxed);
        if !heap::give_back(freed_bytes, next.is_none()) {
            self.freed.fetch_add(freed_bytes, Ordering::Relaxed);
        }
        let next = next?;
        self.expected.fetch_min(next, Ordering::Relaxed);
        Some(self.until(next))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::super::InMemoryLimits;
    use super::super::locked::ALL;
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::engine::{Batch, Meta, NewRecord, Write};
    use crate::key::Key;
    use crate::sync::lock;

    fn held(engine: &InMemoryEngine) -> usize {
        engine.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    #[test]
    fn what_expires_is_freed_without_a_call() {
        let clock = ManualClock::at(0);
        let engine = InMemoryEngine::new(InMemoryLimits::default(), Clock::Manual(clock.clone()));
        for n in 0..25_000 {
            let expires_at = (n % 100 != 0).then_some(50);
            let meta = Meta { version: 1, created_at: 0, updated_at: 0, expires_at };
            let put = Write::Put(NewRecord { meta, body: vec![1; 50], force_created: false });
            let writes = [(Key::new(&format!("k{n}")).unwrap(), put)].into_iter().collect();
            assert!(engine.commit_now(&Batch { writes, ..Batch::default() }).is_ok());
        }
        let bytes = Locked::new(&engine, ALL).unwrap().size().bytes;
        assert_eq!(held(&engine), 25_000);
        clock.advance(60_000_000);
        let started = Instant::now();
        while held(&engine) > 250 {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
        // What led to the entries is given back as well.
        while Locked::new(&engine, ALL).unwrap().size().bytes > bytes / 20 {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_engine_goes_with_its_last_handle() {
        let engine = InMemoryEngine::new(InMemoryLimits::default(), Clock::System);
        engine.expect_expiry(i64::MAX);
        let weak = Arc::downgrade(&engine);
        drop(engine);
        let started = Instant::now();
        while weak.strong_count() > 0 {
            assert!(started.elapsed() < Duration::from_secs(20));
        }
    }
}
