//! The connections of this process, and what a forked child does with those it inherits.
//!
//! 1. A connection is touched only under its slot's lock, and the lock is held only inside the fork gate. So at a fork
//!    no connection is in use and none holds an open transaction or a statement under way.
//! 2. SQLite remembers which locks this process holds on a file, one list for all its connections. A child inherits
//!    the list but not the locks: a connection that it opened beside inherited ones would believe itself protected,
//!    and the parent's close would remove the log under it. So a child first closes every inherited connection, in a
//!    way that writes nothing and removes nothing, and only then opens its own.

use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::fork::{self, Generation};
use crate::sync::lock;

/// A connection that at most one thread uses at a time; `None` once it is closed.
#[derive(Default)]
pub(super) struct Slot(Mutex<Option<Connection>>);

struct Registry {
    generation: Option<Generation>,
    slots: Vec<Arc<Slot>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { generation: None, slots: Vec::new() });

impl Slot {
    /// A slot that a fork leaves alone: for a database in memory, of which the child gets a copy.
    pub(super) fn private(connection: Connection) -> Self {
        Self(Mutex::new(Some(connection)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        lock(&self.0)
    }

    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Option<Connection>>> {
        self.0.try_lock().ok()
    }
}

/// Puts a connection to a file into the list. To be called in the fork gate.
pub(super) fn register(connection: Connection) -> Arc<Slot> {
    let slot = Arc::new(Slot::private(connection));
    lock(&REGISTRY).slots.push(Arc::clone(&slot));
    slot
}

/// Closes a connection of this generation. To be called in the fork gate.
pub(super) fn close(slot: &Arc<Slot>) {
    lock(&REGISTRY).slots.retain(|other| !Arc::ptr_eq(other, slot));
    // Outside the list's lock: the last one to close writes the log back into the file.
    drop(slot.lock().take());
}

/// Closes what was inherited. To be called in the fork gate, before a file is opened.
pub(super) fn discard_inherited() {
    let here = fork::generation();
    let mut registry = lock(&REGISTRY);
    if registry.generation == Some(here) {
        return;
    }
    registry.generation = Some(here);
    for slot in std::mem::take(&mut registry.slots) {
        if let Some(connection) = slot.lock().take() {
            match connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
                Ok(true) => drop(connection),
                // It could write or remove the log when it closes: it stays open, unused, instead.
                _ => std::mem::forget(connection),
            }
        }
    }
}
