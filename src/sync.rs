//! The standard library's locks, with poisoning ignored: no lock of ours guards something that a panic leaves broken.
//!
//! The standard ones and not `parking_lot`'s, because theirs keep no list of waiting threads: in a forked child, where
//! those threads don't exist, such a list could hand a lock to one of them for ever.
//!
//! What takes locks, atomics and timeouts from here, and nowhere else, can be compiled over those of a model:
//! `tests/schedules` does so with the queues, to run every schedule of a few threads.

use std::sync::PoisonError;
use std::time::Duration;

pub(crate) use std::sync::atomic;
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

pub(crate) mod time {
    pub(crate) use tokio::time::{Instant, timeout_at};
}

/// Locks `mutex`.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification, `timeout` at most.
pub(crate) fn wait_timeout<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
}
