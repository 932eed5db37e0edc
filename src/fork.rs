//! Forks: who may be inside an engine when the process is copied, and how a child notices that it is one.
//!
//! A fork copies only the calling thread. Whatever the others hold at that moment (a shard's lock, a mutex inside
//! SQLite) stays locked for ever in the child. So every thread that works in an engine without Python's lock holds the
//! gate for that time, and a fork waits at the gate until all of them are out. Invariants:
//!
//! 1. Nobody waits for another thread, for Python's lock or for the gate again while holding the gate.
//! 2. Nobody waits for the gate while holding Python's lock: the thread that forks needs that lock, for what others have
//!    registered to be run before a fork.
//! 3. A thread of ours that belongs to another generation does not exist: a child starts its own.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use crate::janitor;

static GATE: RwLock<()> = RwLock::new(());
static GENERATION: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What the forking thread holds between `before` and `after`.
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

struct Held {
    _gate: RwLockWriteGuard<'static, ()>,
    _janitor: MutexGuard<'static, janitor::State>,
}

/// Counts the forks between the first process and this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u64);

/// The present generation.
pub(crate) fn generation() -> Generation {
    Generation(GENERATION.load(Ordering::Relaxed))
}

/// Holds the gate: no fork happens until the guard is dropped.
pub(crate) fn enter() -> RwLockReadGuard<'static, ()> {
    loop {
        match GATE.try_read() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(guard)) => return guard.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let mut wait = || drop(GATE.read());
                match WAITER.get() {
                    Some(waiter) => waiter(&mut wait),
                    None => wait(),
                }
            }
        }
    }
}

/// Runs its argument, which waits for a fork to be over, without the interpreter's lock.
type Waiter = fn(&mut dyn FnMut());

static WAITER: OnceLock<Waiter> = OnceLock::new();

/// Has whoever waits for the gate wait inside `waiter`.
#[cfg(feature = "python")]
pub(crate) fn wait_inside(waiter: Waiter) {
    // Set once for all; a second module of the process sets the same.
    let _ = WAITER.set(waiter);
}

/// To be called before a fork, by the thread that forks: waits until nobody is inside an engine, and lets nobody in.
pub fn before() {
    let gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
    let held = Held { _gate: gate, _janitor: janitor::hold() };
    HELD.with_borrow_mut(|slot| *slot = Some(held));
}

/// To be called after a fork, in the parent.
pub fn after_in_parent() {
    HELD.with_borrow_mut(Option::take);
}

/// To be called after a fork, in the child: it is a new generation, with random numbers of its own.
pub fn after_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    let mut seed = [0; 8];
    if getrandom::fill(&mut seed).is_ok() {
        fastrand::seed(u64::from_le_bytes(seed));
    }
    HELD.with_borrow_mut(Option::take);
}
