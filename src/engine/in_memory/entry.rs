//! One entry: version, times, key and value in a single shared allocation.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..8 | version |
//! | 8..16 | created at |
//! | 16..18 | length of the key; bit 15: has an update time, bit 14: has an expiry |
//! | 18.. | the key |
//! | 8, where bit 15 is set | updated at; without it the entry was never overwritten: the creation time holds |
//! | 8, where bit 14 is set | expires at |
//! | the rest | the body |
//!
//! All numbers are little-endian. Never stored outside the process.

use std::sync::Arc;

use super::heap;
use crate::engine::record::{Body, Meta, Record};

const CREATED: usize = 8;
const SHAPE: usize = 16;
const KEY: usize = 18;
const HAS_UPDATED: u16 = 1 << 15;
const HAS_EXPIRY: u16 = 1 << 14;
/// An `Arc`'s two counts.
const ARC_COUNTS: usize = 2 * size_of::<usize>();
/// What a shard's index of expiries takes for an entry: a (time, id) in a `BTreeSet`, whose nodes of eleven are about
/// two thirds full.
const EXPIRY_BYTES: usize = 32;

/// The longest key whose length fits.
pub(super) const MAX_KEY: usize = HAS_EXPIRY as usize - 1;
const _: () = assert!(crate::key::MAX_KEY_BYTES <= MAX_KEY);

/// An entry. Immutable: a change makes another one.
#[derive(Debug, Clone)]
pub(super) struct Entry(Arc<[u8]>);

impl Entry {
    /// The key must be at most [`MAX_KEY`] bytes long.
    pub(super) fn new(key: &[u8], meta: &Meta, body: &[u8]) -> Self {
        let mut shape = u16::try_from(key.len().min(MAX_KEY)).unwrap_or(0);
        if meta.updated_at != meta.created_at {
            shape |= HAS_UPDATED;
        }
        if meta.expires_at.is_some() {
            shape |= HAS_EXPIRY;
        }
        let mut bytes = Arc::<[u8]>::new_uninit_slice(Self::len_of(key.len(), meta, body.len()));
        let mut room = Arc::get_mut(&mut bytes).unwrap_or_default();
        let mut write = |part: &[u8]| {
            if let Some((here, rest)) = std::mem::take(&mut room).split_at_mut_checked(part.len()) {
                here.write_copy_of_slice(part);
                room = rest;
            }
        };
        write(&meta.version.to_le_bytes());
        write(&meta.created_at.to_le_bytes());
        write(&shape.to_le_bytes());
        write(key);
        if meta.updated_at != meta.created_at {
            write(&meta.updated_at.to_le_bytes());
        }
        if let Some(at) = meta.expires_at {
            write(&at.to_le_bytes());
        }
        write(body);
        assert!(room.is_empty(), "the parts are as long as `len_of` says");
        // SAFETY: all of it was written, part after part: no room is left.
        Self(unsafe { bytes.assume_init() })
    }

    fn len_of(key: usize, meta: &Meta, body: usize) -> usize {
        let updated = if meta.updated_at == meta.created_at { 0 } else { 8 };
        let expiry = if meta.expires_at.is_some() { 8 } else { 0 };
        KEY + key + updated + expiry + body
    }

    /// The memory that an entry of these parts takes, at most: as if it had been overwritten.
    pub(super) fn heap_bytes_of(key: usize, meta: &Meta, body: usize) -> usize {
        let index = if meta.expires_at.is_some() { EXPIRY_BYTES } else { 0 };
        heap::allocated(ARC_COUNTS + Self::len_of(key, meta, body) + 8) + index
    }

    /// The memory that it takes, with its place among the expiries.
    pub(super) fn heap_bytes(&self) -> usize {
        let index = if self.shape() & HAS_EXPIRY == 0 { 0 } else { EXPIRY_BYTES };
        heap::allocated(ARC_COUNTS + self.0.len()) + index
    }

    /// Its length without the allocator's share.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn key(&self) -> &[u8] {
        self.0.get(KEY..KEY + self.key_len()).unwrap_or_default()
    }

    pub(super) fn version(&self) -> u64 {
        u64::from_le_bytes(self.word(0))
    }

    pub(super) fn created_at(&self) -> i64 {
        i64::from_le_bytes(self.word(CREATED))
    }

    pub(super) fn expires_at(&self) -> Option<i64> {
        let shape = self.shape();
        (shape & HAS_EXPIRY != 0).then(|| {
            let updated = if shape & HAS_UPDATED == 0 { 0 } else { 8 };
            i64::from_le_bytes(self.word(KEY + self.key_len() + updated))
        })
    }

    /// The record, which shares the entry's memory.
    pub(super) fn record(&self) -> Record {
        let shape = self.shape();
        let mut at = KEY + self.key_len();
        let created_at = self.created_at();
        let mut meta = Meta { version: self.version(), created_at, updated_at: created_at, expires_at: None };
        if shape & HAS_UPDATED != 0 {
            meta.updated_at = i64::from_le_bytes(self.word(at));
            at += 8;
        }
        if shape & HAS_EXPIRY != 0 {
            meta.expires_at = Some(i64::from_le_bytes(self.word(at)));
            at += 8;
        }
        Record { meta, body: Body::new(Arc::clone(&self.0), at) }
    }

    fn shape(&self) -> u16 {
        self.0.get(SHAPE..KEY).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes)
    }

    fn key_len(&self) -> usize {
        usize::from(self.shape()) & MAX_KEY
    }

    fn word(&self, at: usize) -> [u8; 8] {
        self.0.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_comes_back() {
        for (updated_at, expires_at) in [(-7, None), (9, None), (-7, Some(1)), (9, Some(i64::MIN))] {
            for body in [&b""[..], &[7; 600]] {
                let meta = Meta { version: u64::MAX, created_at: -7, updated_at, expires_at };
                let entry = Entry::new("kéy".as_bytes(), &meta, body);
                let record = entry.record();
                assert_eq!((record.meta, &*record.body, entry.key()), (meta, body, "kéy".as_bytes()));
                assert_eq!(entry.expires_at(), expires_at);
                assert!(entry.heap_bytes() <= Entry::heap_bytes_of(4, &meta, body.len()));
            }
        }
    }
}
