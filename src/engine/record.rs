//! A record as engines see it: version and times, and bytes that only the front understands.

use std::ops::Deref;
use std::sync::Arc;

/// Version and times of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// A random token, drawn anew for every write; compared for equality only, never 0.
    pub version: u64,
    /// When the key was first written, in nanoseconds since the Unix epoch.
    pub created_at: i64,
    /// When the key was last written, in nanoseconds since the Unix epoch.
    pub updated_at: i64,
    /// When it expires, in milliseconds since the Unix epoch: it is gone from that millisecond on.
    pub expires_at: Option<i64>,
}

impl Meta {
    /// Whether the record is gone at `now_ms`.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now_ms)
    }
}

/// Bytes that are shared, never changed: cloning copies no byte.
#[derive(Debug, Clone)]
pub struct Body {
    owner: Owner,
    start: usize,
}

#[derive(Debug, Clone)]
enum Owner {
    Slice(Arc<[u8]>),
    /// As it came, not copied to be one with its count.
    Whole(Arc<Vec<u8>>),
}

impl Owner {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Slice(bytes) => bytes,
            Self::Whole(bytes) => bytes,
        }
    }
}

impl Body {
    /// The part of `owner` from `start` on; all of it is empty where `start` lies past its end.
    pub fn new(owner: Arc<[u8]>, start: usize) -> Self {
        Self { start: start.min(owner.len()), owner: Owner::Slice(owner) }
    }

    /// As [`Body::new`], for bytes that are many: they are not copied.
    pub fn of_vec(owner: Vec<u8>, start: usize) -> Self {
        Self { start: start.min(owner.len()), owner: Owner::Whole(Arc::new(owner)) }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.owner.bytes()[self.start..]
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes.into(), 0)
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.into(), 0)
    }
}

/// A stored record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Version and times.
    pub meta: Meta,
    /// The encoded value with its header.
    pub body: Body,
}
