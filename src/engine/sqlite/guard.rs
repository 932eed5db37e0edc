//! Keeps other copies of SQLite in this process, Python's `sqlite3` above all, from pulling the log away.
//!
//! SQLite's locks belong to a process. A second copy of it does not see this one's, so when it closes its last
//! connection it takes this process for gone, writes the log back and removes it, and what is committed here afterwards
//! goes into a file without a name. Closing it also lets go of this copy's locks, so that other processes think the
//! same. Locks of an open file description have neither fault: they count against other locks of the same process, and
//! only closing that very description lets go of them. While a file is open here, two of those are held:
//!
//! 1. on the bytes of the database whose exclusive lock means "nobody else has it open";
//! 2. on the byte of the log's index (`-shm`) whose exclusive lock means "the index is stale".
//!
//! The byte numbers are part of SQLite's file format (`os_unix.c`: `SHARED_FIRST`, `SHARED_SIZE`, `UNIX_SHM_DMS`).
//! Closing one of the descriptors would let go of SQLite's own locks on the file, so there is one pair a file, closed
//! after the last connection.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::open::Identity;
use crate::fork::{self, Generation};
use crate::sync::lock;

/// The bytes of the database that every user of it locks together.
const SHARED_FIRST: i64 = 0x4000_0002;
const SHARED_SIZE: i64 = 510;
/// The byte of the log's index that every user of it locks together.
const INDEX_IN_USE: i64 = 128;

struct Held {
    /// How many storages of this process have the file open.
    users: usize,
    files: Vec<(File, i64, i64)>,
}

#[derive(Default)]
struct Registry {
    generation: Option<Generation>,
    files: Option<HashMap<Identity, Held>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { generation: None, files: None });

/// One storage's share in the guard of its file. To be had before its first connection is opened, and dropped after its
/// last one is closed.
pub(super) struct Guard {
    identity: Identity,
    path: PathBuf,
    generation: Generation,
}

impl Guard {
    /// A share in the guard of the file. To be called in the fork gate, after inherited connections were closed.
    pub(super) fn share(path: &Path, identity: Identity) -> Self {
        let here = fork::generation();
        let mut registry = lock(&REGISTRY);
        if registry.generation != Some(here) {
            // What was inherited is closed: the locks of this process that goes with are those it has none of.
            *registry = Registry { generation: Some(here), files: None };
        }
        let files = registry.files.get_or_insert_default();
        files.entry(identity).or_insert_with(|| Held { users: 0, files: Vec::new() }).users += 1;
        Self { identity, path: path.to_owned(), generation: here }
    }

    /// Takes the locks, where they are not held yet. To be called when a connection has made the log's index. On a
    /// system or a file system without such locks the file goes unguarded.
    pub(super) fn hold(&self) {
        self.with(|held| {
            if held.files.is_empty() {
                let mut index = self.path.clone().into_os_string();
                index.push("-shm");
                held.files.extend(open(&self.path).map(|file| (file, SHARED_FIRST, SHARED_SIZE)));
                held.files.extend(open(Path::new(&index)).map(|file| (file, INDEX_IN_USE, 1)));
            }
            held.set(true);
        });
    }

    /// Lets go of the locks where nobody else of this process has the file open: the last connection can then write
    /// the log back and remove it.
    pub(super) fn release(&self) {
        self.with(|held| {
            if held.users == 1 {
                held.set(false);
            }
        });
    }

    fn with(&self, work: impl FnOnce(&mut Held)) {
        let mut registry = lock(&REGISTRY);
        if registry.generation == Some(self.generation)
            && let Some(held) = registry.files.as_mut().and_then(|files| files.get_mut(&self.identity))
        {
            work(held);
        }
    }
}

impl Held {
    fn set(&self, locked: bool) {
        for (file, start, length) in &self.files {
            set(file, *start, *length, locked);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut registry = lock(&REGISTRY);
        if registry.generation != Some(self.generation) {
            return;
        }
        let Some(files) = registry.files.as_mut() else { return };
        if let Some(held) = files.get_mut(&self.identity) {
            held.users -= 1;
            if held.users == 0 {
                files.remove(&self.identity);
            }
        }
    }
}

fn open(path: &Path) -> Option<File> {
    OpenOptions::new().read(true).open(path).ok()
}

/// Takes or lets go of a shared lock of `file`'s description.
#[cfg(target_os = "linux")]
#[expect(clippy::cast_possible_truncation, reason = "constants of the system that fit")]
fn set(file: &File, start: i64, length: i64, locked: bool) {
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;

    let kind = if locked { libc::F_RDLCK } else { libc::F_UNLCK };
    let lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: length,
        l_pid: 0,
    };
    // Our connection has the same lock in SQLite's way, so nobody holds one that excludes it: only a file system
    // without such locks refuses.
    let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&lock));
}

#[cfg(not(target_os = "linux"))]
fn set(_: &File, _: i64, _: i64, _: bool) {}
