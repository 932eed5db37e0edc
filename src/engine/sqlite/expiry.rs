//! The janitor's visits, and the end of a store, which may come during one.

use std::cell::Cell;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::{Phase, SqliteEngine};
use crate::fork;
use crate::janitor::Purge;

/// How often another process's expiring records are looked for.
const PURGE_EVERY: Duration = Duration::from_mins(1);

thread_local! {
    /// Whether this is the janitor's thread, which holds the fork gate whenever it holds a store.
    static IN_GATE: Cell<bool> = const { Cell::new(false) };
}

impl Drop for SqliteEngine {
    fn drop(&mut self) {
        // The janitor may drop the last handle, and is in the gate already.
        let _gate = (!IN_GATE.get()).then(fork::enter);
        let mut state = self.state();
        match mem::replace(&mut state.phase, Phase::Idle) {
            Phase::Open(core) => core.shut_down(),
            Phase::Memory(memory) => drop(memory),
            Phase::Idle | Phase::Opening(_) => {}
        }
    }
}

impl Purge for SqliteEngine {
    fn purge(&self) -> Option<Duration> {
        IN_GATE.set(true);
        let state = self.state();
        match &state.phase {
            Phase::Open(core) => {
                core.request_purge();
                Some(PURGE_EVERY)
            }
            Phase::Memory(memory) => {
                let memory = Arc::clone(memory);
                drop(state);
                memory.purge().map(|at| self.until(at))
            }
            _ => None,
        }
    }
}
