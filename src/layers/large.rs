//! Large values: the payload lives in an object store, and a pointer to it in the backend.
//!
//! The payload is written first, then the pointer is committed; a payload that nothing points to is removed after the
//! commit, or found later by the garbage collection. So there is always a payload behind a committed pointer.
//!
//! The payload of a record that expires does so too, a while later: the object store frees it by itself, whoever wrote
//! it. A record that is to live longer than its payload, or to end where its payload has no end, gets a new payload.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use smallvec::smallvec;

use super::encryption::StorageId;
use super::heavy;
use super::key_ring::fill;
use super::state::{Name, State};
use crate::codec::{self, Damage, Frame, Kind, Packing};
use crate::engine::{Batch, Write};
use crate::error::{Error, Result};
use crate::key::SEPARATOR;
use crate::storage::{Storage, new_record};
use crate::value::MemoryValue;

pub(super) const PAYLOAD_ID_BYTES: usize = 16;
/// How long a payload outlives its record, in milliseconds: as long as the record was to live, within these bounds. An
/// expiry that is restarted again and again so costs a new payload once in a while, and clocks may differ by the least.
const LEAST_GRACE_MS: i64 = 60_000;
const MOST_GRACE_MS: i64 = 3_600_000;

/// Where a value is: 16 random bytes, the payload's size in the object store, and its expiry where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) kind: Kind,
    pub(super) id: [u8; PAYLOAD_ID_BYTES],
    size: u64,
    /// When the payload expires, in milliseconds since the Unix epoch.
    expires_at: Option<i64>,
    /// Whether it stood in a sealed record. It is not stored.
    pub(super) is_sealed: bool,
}

impl Pointer {
    fn new(kind: Kind, size: usize, expires_at: Option<i64>) -> Result<Self> {
        let mut id = [0; PAYLOAD_ID_BYTES];
        fill(&mut id)?;
        Ok(Self { kind, id, size: size as u64, expires_at, is_sealed: false })
    }

    /// The pointer in `frame`, which is offloaded and not sealed.
    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, Damage> {
        let broken = || Damage::new("its pointer into the object store is damaged");
        let (id, rest) = frame.rest.split_first_chunk().ok_or_else(broken)?;
        let (size, rest) = rest.split_first_chunk().ok_or_else(broken)?;
        let expires_at = match rest {
            [] => None,
            rest => Some(i64::from_le_bytes(rest.try_into().map_err(|_| broken())?)),
        };
        Ok(Self { kind: frame.kind, id: *id, size: u64::from_le_bytes(*size), expires_at, is_sealed: false })
    }

    /// The same pointer, out of a sealed record.
    pub(super) fn sealed(self) -> Self {
        Self { is_sealed: true, ..self }
    }

    /// The payload's bytes, compressed, before it was sealed.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether its payload suits a record that expires at this time, in milliseconds: it is there as long as the record,
    /// and ends if the record does.
    pub(super) fn suits(&self, expires_at: Option<i64>) -> bool {
        match (self.expires_at, expires_at) {
            (Some(payload), Some(record)) => payload >= record,
            (payload, record) => payload == record,
        }
    }

    /// The body of a record that holds it.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = Frame::head(self.kind, Packing::None, None, true);
        body.extend(self.id);
        body.extend(self.size.to_le_bytes());
        body.extend(self.expires_at.iter().flat_map(|at| at.to_le_bytes()));
        body
    }

    /// The payload's key in the object store: the storage, the key's hash, and the payload.
    pub(super) fn name(&self, storage: &StorageId, stored: &str) -> String {
        format!("{}{SEPARATOR}{}", owner(storage, stored), hex(&self.id))
    }
}

/// When the payload of a record expires that does so at `expires_at`, in milliseconds.
fn kept_until(expires_at: i64, now: i64) -> i64 {
    let grace = expires_at.saturating_sub(now).clamp(LEAST_GRACE_MS, MOST_GRACE_MS);
    expires_at.saturating_add(grace)
}

/// What the names of all payloads of one key start with.
pub(super) fn owner(storage: &StorageId, stored: &str) -> String {
    format!("{}{SEPARATOR}{}", hex(storage), hex(&Sha256::digest(stored.as_bytes())[..16]))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
    }
    text
}

impl State {
    fn store(&self, key: &str) -> Result<&Storage> {
        self.layers.large_values.as_ref().ok_or_else(|| {
            Error::Configuration(format!(
                "the value under key {key:?} lives in an object store; open the storage with large_values"
            ))
        })
    }

    /// The payload that `pointer` names.
    pub(super) async fn payload(&self, name: Name<'_>, pointer: &Pointer) -> Result<Option<Vec<u8>>> {
        let key = name.key;
        let store = self.store(key)?;
        let payload = store.key(&pointer.name(self.id()?, name.stored))?;
        let Some(record) = store.read(&payload).await? else { return Ok(None) };
        let decoded = codec::open(&record.body).and_then(|(kind, payload)| MemoryValue::decode(kind, payload));
        match decoded.map_err(|damage| damage.under(key))? {
            MemoryValue::Bytes(bytes) => Ok(Some(bytes)),
            _ => Err(Damage::new("what the object store holds in place of its value is no payload").under(key)),
        }
    }

    /// Whether a body of so many bytes, compressed and not sealed, goes to the object store.
    pub(super) fn is_large(&self, bytes: usize) -> bool {
        self.layers.large_values.is_some() && bytes >= self.layers.large_threshold()
    }

    /// Stores `body`, which is packed, in the object store; the record will expire at this time, in milliseconds.
    pub(super) async fn upload(
        self: &Arc<Self>,
        name: Name<'_>,
        body: Vec<u8>,
        expires_at: Option<i64>,
    ) -> Result<Pointer> {
        let key = name.key;
        let frame = Frame::parse(&body).map_err(|damage| damage.under(key))?;
        let store = self.store(key)?;
        let clock = store.clock();
        let pointer = Pointer::new(frame.kind, body.len(), expires_at.map(|at| kept_until(at, clock.now_ms())))?;
        let (state, stored) = (Arc::clone(self), name.stored.to_owned());
        let bytes = if self.layers.keys.is_some() { body.len() } else { 0 };
        let body = heavy::over(bytes, move || state.seal_payload(&stored, &pointer.id, body)).await?;
        let payload = store.key(&pointer.name(self.id()?, name.stored))?;
        let record = new_record(MemoryValue::Bytes(body).encode()?, pointer.expires_at, clock.stamp());
        store.commit(Batch { writes: smallvec![(payload, Write::Put(record))], ..Batch::default() }).await?;
        Ok(pointer)
    }

    /// Removes payloads that nothing points to any more. One that can't be removed is left to the garbage collection.
    pub(super) async fn discard(&self, payloads: Vec<(String, Pointer)>) {
        let (Some(store), Ok(id)) = (&self.layers.large_values, self.id()) else { return };
        let names = payloads.iter().filter_map(|(stored, pointer)| store.key(&pointer.name(id, stored)).ok());
        let removals: Vec<_> = names.map(|name| store.remove(vec![name])).collect();
        for removal in removals {
            let _ = removal.await;
        }
    }
}
