//! One thread that frees expired records, of every storage of the process, without anyone calling anything.
//!
//! A storage registers when it first takes a record that expires, and is dropped from the list with its last handle.
//! The thread sleeps until the earliest deadline it was told of and never touches Python.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use crate::fork::{self, Generation};
use crate::sync::{lock, wait_timeout};

/// A store with records that expire.
pub(crate) trait Purge: Send + Sync {
    /// Frees what has expired, in a bounded time, and says how long to wait before the next call; `None` where
    /// nothing will expire. Called by the janitor's thread, which holds the fork gate.
    fn purge(&self) -> Option<Duration>;
}

/// The longest sleep: bounds how late a jump of the system's clock is noticed.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// The shortest: many close deadlines are met together.
const SHORTEST_SLEEP: Duration = Duration::from_millis(5);

struct Entry {
    store: Weak<dyn Purge>,
    due: Instant,
}

pub(crate) struct State {
    entries: Vec<Entry>,
    /// The generation that the thread runs in: a forked child has to start its own.
    thread_of: Option<Generation>,
}

static STATE: Mutex<State> = Mutex::new(State { entries: Vec::new(), thread_of: None });
static CHANGED: Condvar = Condvar::new();

/// Has `store` purged after `wait` at the latest, and then as often as it asks for.
pub(crate) fn watch(store: &Weak<dyn Purge>, wait: Duration) {
    let due = Instant::now() + wait.clamp(SHORTEST_SLEEP, LONGEST_SLEEP);
    let mut state = lock(&STATE);
    match state.entries.iter_mut().find(|entry| entry.store.ptr_eq(store)) {
        Some(entry) => entry.due = entry.due.min(due),
        None => state.entries.push(Entry { store: store.clone(), due }),
    }
    let here = fork::generation();
    if state.thread_of != Some(here) {
        // A thread that can't be started costs memory, not correctness: expired records are absent either way.
        if std::thread::Builder::new().name("rrag-janitor".into()).spawn(run).is_ok() {
            state.thread_of = Some(here);
        }
    }
    CHANGED.notify_all();
}

/// Has every store looked at now: a test clock was moved.
pub(crate) fn wake() {
    let now = Instant::now();
    for entry in &mut lock(&STATE).entries {
        entry.due = now;
    }
    CHANGED.notify_all();
}

/// Keeps the list as it is until the guard is dropped: a fork must not copy it half changed.
pub(crate) fn hold() -> MutexGuard<'static, State> {
    lock(&STATE)
}

fn run() {
    loop {
        let due = next_due();
        for store in due {
            let _gate = fork::enter();
            let again = store.purge();
            let weak = Arc::downgrade(&store);
            drop(store);
            if let Some(wait) = again {
                watch(&weak, wait);
            }
        }
    }
}

/// Sleeps until a store is due. Each that is returned is put off first, so that a deadline told meanwhile is kept.
fn next_due() -> Vec<Arc<dyn Purge>> {
    let mut state = lock(&STATE);
    loop {
        let now = Instant::now();
        state.entries.retain(|entry| entry.store.strong_count() > 0);
        let mut due = Vec::new();
        for entry in &mut state.entries {
            if entry.due <= now {
                entry.due = now + LONGEST_SLEEP;
                due.extend(entry.store.upgrade());
            }
        }
        if !due.is_empty() {
            return due;
        }
        let next = state.entries.iter().map(|entry| entry.due).min().unwrap_or(now + LONGEST_SLEEP);
        state = wait_timeout(&CHANGED, state, next.saturating_duration_since(now));
    }
}
