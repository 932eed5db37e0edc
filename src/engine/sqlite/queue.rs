//! A queue between callers and the threads of a storage.

use std::collections::VecDeque;

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, lock, wait};

/// First in, first out; closed once, and then drained.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// How many jobs there are, for a look without the lock.
    length: AtomicUsize,
}

struct State<T> {
    jobs: VecDeque<T>,
    waiting: usize,
    /// How many of those that wait were called and are not back yet.
    called: usize,
    open: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State { jobs: VecDeque::new(), waiting: 0, called: 0, open: true }),
            changed: Condvar::new(),
            length: AtomicUsize::new(0),
        }
    }

    /// Adds a job and wakes one thread that waits; gives it back where the queue is closed. The second is whether
    /// nobody was waiting.
    pub(super) fn push(&self, job: T) -> Result<bool, T> {
        let mut state = lock(&self.state);
        if !state.open {
            return Err(job);
        }
        state.jobs.push_back(job);
        self.length.store(state.jobs.len(), Ordering::Release);
        let someone = state.waiting > 0;
        let call = state.waiting > state.called;
        state.called += usize::from(call);
        drop(state);
        if call {
            self.changed.notify_one();
        }
        Ok(!someone)
    }

    /// Waits for jobs; `false` once the queue is closed and empty.
    pub(super) fn wait(&self) -> bool {
        let mut state = lock(&self.state);
        while state.jobs.is_empty() {
            if !state.open {
                return false;
            }
            state.waiting += 1;
            state = wait(&self.changed, state);
            state.waiting -= 1;
            state.called = state.called.saturating_sub(1);
        }
        true
    }

    /// Takes those jobs that `take` takes.
    pub(super) fn take(&self, take: impl FnOnce(&mut VecDeque<T>) -> Vec<T>) -> Vec<T> {
        let mut state = lock(&self.state);
        let taken = take(&mut state.jobs);
        self.length.store(state.jobs.len(), Ordering::Release);
        taken
    }

    /// Takes no more jobs; those that are there are still worked off.
    pub(super) fn close(&self) {
        lock(&self.state).open = false;
        self.changed.notify_all();
    }

    /// Closes it and takes out what is left.
    pub(super) fn abandon(&self) -> VecDeque<T> {
        let mut state = lock(&self.state);
        state.open = false;
        self.changed.notify_all();
        self.length.store(0, Ordering::Release);
        std::mem::take(&mut state.jobs)
    }

    /// Takes out what is left; the queue stays as open as it is.
    pub(super) fn take_all(&self) -> VecDeque<T> {
        let mut state = lock(&self.state);
        self.length.store(0, Ordering::Release);
        std::mem::take(&mut state.jobs)
    }

    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }
}
