//! The str objects of dict keys that were decoded lately: records of one application share their keys, and a str that
//! is used again is neither made nor hashed anew.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::PyString;

/// Slots: a power of two. With [`LONGEST`] this bounds the cache to some hundred kilobytes.
const SLOTS: usize = 512;
/// The longest key that is kept, in bytes.
const LONGEST: usize = 30;

struct Slot {
    length: u8,
    bytes: [u8; LONGEST],
    key: Py<PyString>,
}

/// Keys by their bytes: a key has one slot, and the last to come has it.
pub(super) struct Keys {
    slots: Vec<Option<Slot>>,
}

static KEYS: Mutex<Keys> = Mutex::new(Keys { slots: Vec::new() });

/// The cache, unless someone else is using it: another thread, or a decoding that this one interrupted.
pub(super) fn borrow() -> Option<MutexGuard<'static, Keys>> {
    KEYS.try_lock().ok()
}

impl Keys {
    /// The key that `bytes` spell, made by `make` where it isn't there.
    #[inline]
    pub(super) fn get<'py, E>(
        &mut self,
        py: Python<'py>,
        bytes: &[u8],
        make: impl FnOnce() -> Result<Bound<'py, PyString>, E>,
    ) -> Result<Bound<'py, PyString>, E> {
        if bytes.len() > LONGEST {
            return make();
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        let Some(slot) = self.slots.get_mut(place(bytes)) else { return make() };
        if let Some(slot) = slot.as_ref().filter(|slot| slot.bytes[..usize::from(slot.length)] == *bytes) {
            return Ok(slot.key.bind(py).clone());
        }
        let key = make()?;
        let mut kept = [0; LONGEST];
        kept[..bytes.len()].copy_from_slice(bytes);
        #[allow(clippy::cast_possible_truncation, reason = "at most LONGEST")]
        let length = bytes.len() as u8;
        *slot = Some(Slot { length, bytes: kept, key: key.clone().unbind() });
        Ok(key)
    }
}

/// FNV-1a over eight bytes at a time.
#[inline]
fn place(bytes: &[u8]) -> usize {
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    let mut hash = 0xCBF2_9CE4_8422_2325 ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(PRIME);
        hash ^= hash >> 29;
    }
    #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
    let place = hash as usize;
    place & (SLOTS - 1)
}
