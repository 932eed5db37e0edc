//! What stands in an object: a head, the body, and at most one byte of padding.
//!
//! | bytes | what it is |
//! | --- | --- |
//! | 0–3 | `rrag` |
//! | 4 | format: 1 |
//! | 5 | state: 0 a record, 1 deleted, 2 about to be removed |
//! | 6 | how many bytes of padding, all zero, follow the body: 0 or 1 |
//! | 7 | 0 |
//! | 8–15 | version, u64 |
//! | 16–23 | created at, i64, nanoseconds since the Unix epoch |
//! | 24–31 | updated at, the same |
//! | 32–39 | expires at, i64, milliseconds since the Unix epoch; the greatest of all where it never does |
//! | 40–47 | length of the body, u64 |
//! | 48… | the body, see docs/format.md |
//!
//! All numbers are big-endian. The padding makes the object's size even where the record lives until it is deleted, and
//! odd where it may be dead: so a listing, which shows sizes, tells which heads have to be read.

use bytes::Bytes;

use crate::engine::{Body, Meta, Record};

/// Bytes before the body.
pub(super) const HEAD: usize = 48;
const MAGIC: &[u8; 4] = b"rrag";
const FORMAT: u8 = 1;
const NEVER: i64 = i64::MAX;

/// What an object says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It holds a record.
    Live,
    /// Its record was deleted.
    Deleted,
    /// Somebody is about to remove the object: nobody may write it before it is gone.
    Condemned,
}

/// The head of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) state: State,
    pub(super) meta: Meta,
    body: u64,
    padding: u8,
}

/// An object to be written.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub(super) version: u64,
    pub(super) parts: [Bytes; 3],
}

impl Head {
    /// Whether it holds a record that is there at `now_ms`.
    pub(super) fn is_live(&self, now_ms: i64) -> bool {
        self.state == State::Live && !self.meta.is_expired(now_ms)
    }

    /// Reads the first bytes of an object of `size` bytes.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn parse(bytes: &[u8], size: u64) -> Result<Self, &'static str> {
        let part = |at: usize| bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map(u64::from_be_bytes);
        if bytes.get(..4) != Some(MAGIC) {
            return Err("the object is empty, cut short or not written by this library");
        }
        if bytes.get(4) != Some(&FORMAT) {
            return Err("it is not of a format that this version reads");
        }
        let (
            Some(&state),
            Some(&padding),
            Some(version),
            Some(created_at),
            Some(updated_at),
            Some(expires_at),
            Some(body),
        ) = (bytes.get(5), bytes.get(6), part(8), part(16), part(24), part(32), part(40))
        else {
            return Err("it is cut short");
        };
        let state = match state {
            0 => State::Live,
            1 => State::Deleted,
            2 => State::Condemned,
            _ => return Err("it is not of a format that this version reads"),
        };
        if padding > 1 || (HEAD as u64 + u64::from(padding)).checked_add(body) != Some(size) {
            return Err("its length is not what its head says");
        }
        let expires_at = Some(expires_at.cast_signed()).filter(|&at| at != NEVER);
        let meta =
            Meta { version, created_at: created_at.cast_signed(), updated_at: updated_at.cast_signed(), expires_at };
        Ok(Self { state, meta, body, padding })
    }

    /// The record in all the bytes of an object, which [`Head::parse`] found to be of the right length.
    pub(super) fn record(&self, mut bytes: Vec<u8>) -> Record {
        bytes.truncate(bytes.len().saturating_sub(usize::from(self.padding)));
        Record { meta: self.meta, body: Body::of_vec(bytes, HEAD) }
    }
}

/// A record as an object.
pub(super) fn pack(meta: &Meta, body: Bytes) -> Packed {
    packed(State::Live, meta, body)
}

/// What stands where a record was deleted, or is about to be removed.
pub(super) fn grave(state: State, version: u64, now_ns: i64) -> Packed {
    packed(state, &Meta { version, created_at: now_ns, updated_at: now_ns, expires_at: Some(i64::MIN) }, Bytes::new())
}

/// Whether an object of this size lives until it is deleted, whatever it holds.
pub(super) fn is_immortal(size: u64) -> bool {
    size.is_multiple_of(2)
}

fn packed(state: State, meta: &Meta, body: Bytes) -> Packed {
    let immortal = state == State::Live && meta.expires_at.is_none();
    let padding = is_immortal((HEAD + body.len()) as u64) != immortal;
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(MAGIC);
    head.push(FORMAT);
    head.push(match state {
        State::Live => 0,
        State::Deleted => 1,
        State::Condemned => 2,
    });
    head.extend_from_slice(&[u8::from(padding), 0]);
    head.extend_from_slice(&meta.version.to_be_bytes());
    head.extend_from_slice(&meta.created_at.to_be_bytes());
    head.extend_from_slice(&meta.updated_at.to_be_bytes());
    head.extend_from_slice(&meta.expires_at.unwrap_or(NEVER).to_be_bytes());
    head.extend_from_slice(&(body.len() as u64).to_be_bytes());
    let padding = if padding { Bytes::from_static(&[0]) } else { Bytes::new() };
    Packed { version: meta.version, parts: [head.into(), body, padding] }
}

impl Packed {
    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// The bytes from `start` to `end`, none of them copied.
    pub(super) fn slice(&self, start: usize, end: usize) -> Vec<Bytes> {
        let mut at = 0;
        let mut found = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let (from, to) = (start.clamp(at, at + part.len()), end.clamp(at, at + part.len()));
            if from < to {
                found.push(part.slice(from - at..to - at));
            }
            at += part.len();
        }
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn whole(packed: &Packed) -> Vec<u8> {
        packed.slice(0, usize::MAX).concat()
    }

    #[test]
    fn records_come_back_and_sizes_tell_who_may_die() {
        for expires_at in [None, Some(7), Some(-1)] {
            for length in 0..5 {
                let meta = Meta { version: 9, created_at: -3, updated_at: 4, expires_at };
                let packed = pack(&meta, vec![1; length].into());
                let bytes = whole(&packed);
                assert_eq!(bytes.len(), packed.len());
                assert_eq!(is_immortal(bytes.len() as u64), expires_at.is_none());
                let head = Head::parse(&bytes[..HEAD], bytes.len() as u64).unwrap();
                assert_eq!((head.meta, head.state), (meta, State::Live));
                assert_eq!(&head.record(bytes.clone()).body[..], vec![1; length]);
                assert_eq!(packed.slice(40, 50).concat(), bytes[40..bytes.len().min(50)]);
                for cut in 0..bytes.len() {
                    assert!(Head::parse(&bytes[..cut], cut as u64).is_err());
                }
            }
        }
        let dead = whole(&grave(State::Deleted, 1, 0));
        assert!(!is_immortal(dead.len() as u64));
        assert!(!Head::parse(&dead, dead.len() as u64).unwrap().is_live(0));
    }
}
