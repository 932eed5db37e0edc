//! Names and bytes on the server.
//!
//! Every name is `<key_prefix>{<tag>}` and a rest, and what stands in the braces decides the node of a cluster:
//!
//! | name | type | holds |
//! | --- | --- | --- |
//! | `…:<key>` | string | the record: format, version, times, body (scripts/common.lua) |
//! | `….keys` | sorted set, all scores 0 | the keys, in their order |
//! | `….made` | sorted set, all scores 0 | creation time (8 bytes) and key |
//! | `….ends` | sorted set by expiry in ms | creation time (8 bytes) and key of what expires |
//! | `….spaces` | hash | how many keys each first namespace has; not on a cluster |
//! | `….gone` | hash | when keys were last deleted, by buckets of keys; not on a cluster; gone after 15 minutes |
//! | `….notes.<writer>` | hash | outcomes of a writer's last fenced writes; gone after 15 minutes |
//!
//! A single server has the one tag `*`. On a cluster a key's tag is its first namespace: `+name`, or `=` and its bytes
//! in hex where it holds a brace; keys in no namespace share `-`. There `<key_prefix>{tags}` is a sorted set of the
//! first namespaces that hold keys, or held some within the last hour, and `<key_prefix>{tags}.entered` of when each was
//! entered last, in seconds by the server's clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::{Body, KeyRange, Meta, Record};
use crate::error::{Error, Result};
use crate::key::{Key, SEPARATOR};

/// The names that each script starts with: how many there are.
pub(super) const HEADING: usize = 4;
/// The bytes of a record before its body.
pub(super) const HEAD: usize = 33;
const FORMAT: u8 = 1;
const SIGN: u64 = 1 << 63;
const NEVER: [u8; 8] = [u8::MAX; 8];

/// The names of what one tag holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The first namespace, on a cluster.
    pub(super) segment: Option<Vec<u8>>,
    /// What stands before a key in the name of its record.
    pub(super) records: Vec<u8>,
    pub(super) keys: Vec<u8>,
    pub(super) made: Vec<u8>,
    pub(super) ends: Vec<u8>,
    pub(super) notes: Vec<u8>,
}

impl Names {
    fn new(prefix: &str, tag: &[u8], writer: &str, segment: Option<Vec<u8>>) -> Self {
        let name = |rest: &str| [prefix.as_bytes(), b"{", tag, b"}", rest.as_bytes()].concat();
        Self {
            segment,
            records: name(":"),
            keys: name(".keys"),
            made: name(".made"),
            ends: name(".ends"),
            notes: name(&format!(".notes.{writer}")),
        }
    }

    /// The name of a record.
    pub(super) fn record(&self, key: &[u8]) -> Vec<u8> {
        [&self.records, key].concat()
    }

    /// The names that each script starts with.
    pub(super) fn heading(&self) -> Vec<Vec<u8>> {
        vec![self.notes.clone(), self.keys.clone(), self.made.clone(), self.ends.clone()]
    }
}

/// How keys are spread over tags.
pub(super) struct Layout {
    prefix: String,
    writer: String,
    /// The one tag of a single server; on a cluster the tag of keys in no namespace.
    root: Arc<Names>,
    clustered: bool,
}

impl Layout {
    /// `writer` is a token of this process's own.
    pub(super) fn new(prefix: &str, clustered: bool, writer: u64) -> Self {
        let writer = format!("{writer:016x}");
        let root = Names::new(prefix, if clustered { b"-" } else { b"*" }, &writer, None);
        Self { prefix: prefix.to_owned(), writer, root: Arc::new(root), clustered }
    }

    pub(super) fn is_clustered(&self) -> bool {
        self.clustered
    }

    /// Where `key` stands.
    pub(super) fn names_of(&self, key: &[u8]) -> Arc<Names> {
        match first_segment(key) {
            Some(segment) if self.clustered => self.names_of_segment(segment),
            _ => Arc::clone(&self.root),
        }
    }

    pub(super) fn names_of_segment(&self, segment: &[u8]) -> Arc<Names> {
        let tag = if segment.iter().any(|byte| b"{}".contains(byte)) {
            let digit = |half: u8| b"0123456789abcdef"[usize::from(half & 15)];
            std::iter::once(b'=').chain(segment.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte)])).collect()
        } else {
            [b"+", segment].concat()
        };
        Arc::new(Names::new(&self.prefix, &tag, &self.writer, Some(segment.to_vec())))
    }

    pub(super) fn root(&self) -> Arc<Names> {
        Arc::clone(&self.root)
    }

    /// The name of the hash of what the storage holds beside its records.
    pub(super) fn attributes(&self) -> Vec<u8> {
        format!("{}{{attributes}}", self.prefix).into_bytes()
    }

    /// The name of the set of first namespaces.
    pub(super) fn tags(&self) -> Vec<u8> {
        format!("{}{{tags}}", self.prefix).into_bytes()
    }

    /// The names of a script over that set.
    pub(super) fn tags_heading(&self) -> Vec<Vec<u8>> {
        let entered = format!("{}{{tags}}.entered", self.prefix).into_bytes();
        vec![self.tags(), self.tags(), entered]
    }

    /// The one tag that holds all of `range`, where there is such a one.
    pub(super) fn tag_of(&self, range: &KeyRange) -> Option<Arc<Names>> {
        if !self.clustered {
            return Some(self.root());
        }
        let segment = first_segment(&range.start)?;
        let inside = segment_range(segment);
        let within = range.end.is_some() && range.end <= inside.end;
        within.then(|| self.names_of_segment(segment))
    }

    /// The places of `keys`, those of one tag together.
    pub(super) fn grouped(&self, keys: &[Key]) -> Vec<Vec<usize>> {
        if !self.clustered {
            return vec![(0..keys.len()).collect()];
        }
        let mut groups: BTreeMap<Option<&[u8]>, Vec<usize>> = BTreeMap::new();
        for (place, key) in keys.iter().enumerate() {
            groups.entry(first_segment(key.as_bytes())).or_default().push(place);
        }
        groups.into_values().collect()
    }

    /// The one tag of all `keys`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where they stand under several.
    pub(super) fn common<'k>(&self, mut keys: impl Iterator<Item = &'k Key>) -> Result<Arc<Names>> {
        let Some(first) = keys.next() else { return Ok(self.root()) };
        if self.clustered {
            let segment = first_segment(first.as_bytes());
            let others: BTreeSet<_> =
                keys.map(|key| first_segment(key.as_bytes())).filter(|one| *one != segment).collect();
            if !others.is_empty() {
                return Err(Error::Unsupported {
                    backend: super::errors::BACKEND,
                    operation: "writing to several first-level namespaces in one step on a cluster",
                    reason: "only keys of one first-level namespace (or of none) share a node; write them one namespace at a time"
                        .to_owned(),
                });
            }
        }
        Ok(self.names_of(first.as_bytes()))
    }
}

/// What stands before the first separator.
pub(super) fn first_segment(key: &[u8]) -> Option<&[u8]> {
    let at = key.windows(SEPARATOR.len()).position(|two| two == SEPARATOR.as_bytes())?;
    key.get(..at)
}

/// The keys whose first segment is `segment`. Those of different segments don't overlap.
pub(super) fn segment_range(segment: &[u8]) -> KeyRange {
    KeyRange { start: [segment, b"::"].concat(), end: Some([segment, b":;"].concat()) }
}

/// A range as `ZRANGEBYLEX` spells it.
pub(super) fn bounds(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let low = if range.start.is_empty() { b"-".to_vec() } else { [b"[", range.start.as_slice()].concat() };
    let high = range.end.as_ref().map_or_else(|| b"+".to_vec(), |end| [b"(", end.as_slice()].concat());
    (low, high)
}

/// A time as bytes that sort as it does.
pub(super) fn sortable(time: i64) -> [u8; 8] {
    (time.cast_unsigned() ^ SIGN).to_be_bytes()
}

/// A record as it is stored.
pub(super) fn encode(meta: &Meta, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&meta.version.to_be_bytes());
    bytes.extend_from_slice(&sortable(meta.created_at));
    bytes.extend_from_slice(&sortable(meta.updated_at));
    bytes.extend_from_slice(&meta.expires_at.map_or(NEVER, sortable));
    bytes.extend_from_slice(body);
    bytes
}

/// The head of a stored record.
///
/// # Errors
///
/// [`Error::Corrupted`] for what is no record of ours.
pub(super) fn decode_head(key: &[u8], bytes: &[u8]) -> Result<Meta> {
    let part = |at: usize| bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map(u64::from_be_bytes);
    let time = |at| part(at).map(|bits| (bits ^ SIGN).cast_signed());
    match (bytes.first(), part(1), time(9), time(17), time(25)) {
        (Some(&FORMAT), Some(version), Some(created_at), Some(updated_at), Some(expires_at)) => {
            let expires_at = (expires_at != i64::MAX).then_some(expires_at);
            Ok(Meta { version, created_at, updated_at, expires_at })
        }
        (Some(&FORMAT) | None, ..) => Err(damaged(key, "it is cut short")),
        _ => Err(damaged(key, "it is not of a format that this version reads")),
    }
}

/// A stored record.
///
/// # Errors
///
/// As [`decode_head`].
pub(super) fn decode(key: &[u8], bytes: Vec<u8>) -> Result<Record> {
    let meta = decode_head(key, &bytes)?;
    Ok(Record { meta, body: Body::new(bytes.into(), HEAD) })
}

fn damaged(key: &[u8], reason: &str) -> Error {
    Error::Corrupted { key: String::from_utf8_lossy(key).into_owned(), reason: reason.to_owned() }
}
