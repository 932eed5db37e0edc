//! What was read of late, for as long as nobody has committed anything since.
//!
//! Whether somebody has is told by the header of the log's index, in memory that all processes share which have the file
//! open: SQLite itself compares it at the begin of every transaction to find out whether its pages are still right. It
//! holds a counter of commits, the length of the log and checksums over all of its frames, and is written before a commit
//! returns, whoever commits (<https://sqlite.org/walformat.html#the_wal_index_header>). Looking at it takes nanoseconds,
//! where the least transaction takes microseconds and several calls to the system.
//!
//! Invariant: what is in it was read while the header was `stamp`, before and after the read; or it was written by the one
//! commit that led from the state that this was read in to `stamp`.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use hashbrown::HashMap;
use rusqlite::{Connection, ffi};

use super::statements::INLINE_BODY;
use crate::engine::Record;
use crate::key::Key;

/// Which of a header's numbers counts the commits.
const COMMITS: usize = 2;

/// Keys and records of so many bytes make a generation; at most two of them are there.
const GENERATION_BYTES: usize = 8 << 20;
/// What an entry takes beside its key and its value, about.
const ENTRY_BYTES: usize = 160;
/// The numbers of a header, which stands twice at the begin of the index.
const HEADER: usize = 12;
/// The part of the index that SQLite maps at once, in bytes.
const REGION: i32 = 32 * 1024;

/// A state of the file: no two that differ have the same.
pub(super) type Stamp = [u32; HEADER];

#[derive(Default)]
pub(super) struct Recent {
    stamp: Option<Stamp>,
    young: HashMap<Key, Record>,
    old: HashMap<Key, Record>,
    young_bytes: usize,
}

impl Recent {
    /// What `key` holds at `stamp`; `None` where that is not known.
    pub(super) fn recall(&mut self, stamp: &Stamp, key: &Key) -> Option<Record> {
        if self.stamp.as_ref() != Some(stamp) {
            return None;
        }
        if let Some(record) = self.young.get(key) {
            return Some(record.clone());
        }
        let (key, record) = self.old.remove_entry(key)?;
        self.insert(key, record.clone());
        Some(record)
    }

    /// `key` held `record` at `stamp`.
    pub(super) fn remember(&mut self, stamp: Stamp, key: &Key, record: &Record) {
        if self.stamp != Some(stamp) {
            *self = Self { stamp: Some(stamp), ..Self::default() };
        }
        self.insert(key.clone(), record.clone());
    }

    /// One commit led from `before` to `after`. Whether there is something to keep, of which every change has to be told.
    pub(super) fn advance(&mut self, before: &Stamp, after: Stamp) -> bool {
        if self.stamp.as_ref() != Some(before) {
            return false;
        }
        self.stamp = Some(after);
        true
    }

    /// The commit left `record` under `key`, which is asked for where the key is known.
    pub(super) fn change(&mut self, key: &Key, record: impl FnOnce() -> Option<Record>) {
        let Some(known) = self.young.get_mut(key).or_else(|| self.old.get_mut(key)) else { return };
        match record().filter(|record| record.body.len() <= INLINE_BODY) {
            // A little more or less than was counted: the limit is no exact one.
            Some(record) => *known = record,
            None => {
                self.young.remove(key);
                self.old.remove(key);
            }
        }
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn insert(&mut self, key: Key, record: Record) {
        if self.young_bytes >= GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += ENTRY_BYTES + key.len() + record.body.len();
        self.young.insert(key, record);
    }
}

/// The present state of the file that `connection`, which has read from it before, is open on. `None` where it can't be
/// told, or changes at this moment.
pub(super) fn stamp(connection: &Connection) -> Option<Stamp> {
    let index = index(connection)?;
    let read = |from: usize| -> Stamp {
        // SAFETY: `index` points to a region of at least 96 bytes, aligned for the numbers in it, which stays mapped while
        // the connection is open. Other processes write to it: it is read atomically, number by number.
        std::array::from_fn(|at| unsafe { AtomicU32::from_ptr(index.add(from + at)) }.load(Ordering::Relaxed))
    };
    // Who commits writes the second one, then the first.
    let first = read(0);
    fence(Ordering::Acquire);
    let second = read(HEADER);
    fence(Ordering::Acquire);
    (first == second).then_some(first)
}

/// Whether one commit, and no other, lies between two states.
pub(super) fn is_next(before: &Stamp, after: &Stamp) -> bool {
    before[COMMITS].wrapping_add(1) == after[COMMITS]
}

/// Where the log's index begins in memory.
fn index(connection: &Connection) -> Option<*mut u32> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    let mut region: *mut c_void = ptr::null_mut();
    // SAFETY: the connection is open, and used by this thread alone. SQLite tells its file, whose methods live as long as
    // it does; of the index's first region, which the connection mapped when it first read, it tells where it is.
    let told = unsafe {
        let told = ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast(),
        );
        if told != ffi::SQLITE_OK || file.is_null() || (*file).pMethods.is_null() {
            return None;
        }
        let methods = &*(*file).pMethods;
        if methods.iVersion < 2 {
            return None;
        }
        (methods.xShmMap?)(file, 0, REGION, 0, &raw mut region)
    };
    (told == ffi::SQLITE_OK && !region.is_null()).then(|| region.cast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Meta;

    fn record(size: usize) -> Record {
        let meta = Meta { version: 1, created_at: 2, updated_at: 3, expires_at: None };
        Record { meta, body: vec![7; size].into() }
    }

    #[test]
    fn nothing_outlives_its_stamp() {
        let (mut recent, key) = (Recent::default(), Key::from_stored(b"key").expect("a key"));
        recent.remember([1; HEADER], &key, &record(10));
        assert!(recent.recall(&[1; HEADER], &key).is_some());
        assert!(recent.recall(&[2; HEADER], &key).is_none());
        let other = Key::from_stored(b"other").expect("a key");
        recent.remember([2; HEADER], &other, &record(10));
        assert!(recent.recall(&[2; HEADER], &key).is_none());
        assert!(recent.recall(&[1; HEADER], &key).is_none());
    }

    #[test]
    fn a_commit_changes_what_is_known() {
        let (mut recent, [one, two, other]) =
            (Recent::default(), ["one", "two", "other"].map(|key| Key::new(key).expect("a key")));
        recent.remember([1; HEADER], &one, &record(1));
        recent.remember([1; HEADER], &two, &record(2));
        assert!(recent.advance(&[1; HEADER], [2; HEADER]));
        recent.change(&one, || Some(record(3)));
        recent.change(&other, || Some(record(4)));
        assert_eq!(recent.recall(&[2; HEADER], &one).map(|record| record.body.len()), Some(3));
        assert_eq!(recent.recall(&[2; HEADER], &two).map(|record| record.body.len()), Some(2));
        assert!(recent.recall(&[2; HEADER], &other).is_none());
        assert!(recent.advance(&[2; HEADER], [3; HEADER]));
        recent.change(&two, || None);
        assert!(recent.recall(&[3; HEADER], &two).is_none());
        // Another's commit lies between.
        assert!(!recent.advance(&[4; HEADER], [5; HEADER]));
        assert!(recent.recall(&[5; HEADER], &one).is_none());
        assert!(recent.recall(&[3; HEADER], &one).is_some());
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let mut recent = Recent::default();
        let key = |number: usize| Key::from_stored(number.to_string().as_bytes()).expect("a key");
        for number in 0..2_000 {
            recent.remember([1; HEADER], &key(number), &record(60_000));
            assert!(recent.recall(&[1; HEADER], &key(0)).is_some());
            let held: usize = recent.young.values().chain(recent.old.values()).map(|record| record.body.len()).sum();
            assert!(held <= 2 * GENERATION_BYTES + 2 * 60_000);
        }
        assert!(recent.recall(&[1; HEADER], &key(1)).is_none());
    }
}
