//! What a storage should hold: a sorted map, and the time.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rrag_storage::{MemoryEntry, MemoryValue};

use super::super::expected::Created;

/// What stands under a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub value: MemoryValue,
    /// In milliseconds since the Unix epoch.
    pub expires_at: Option<i64>,
    /// When the key was created and the token of its last write: what the storage said.
    pub created_at: SystemTime,
    pub version: u64,
}

impl Kept {
    /// What is to be written. The storage says when it did, and with which token.
    pub fn new(value: MemoryValue, expires_at: Option<i64>) -> Self {
        Self { value, expires_at, created_at: UNIX_EPOCH, version: 0 }
    }

    pub fn is_as(&self, entry: &MemoryEntry) -> bool {
        let expires_at = self.expires_at.map(|at| UNIX_EPOCH + Duration::from_millis(at.unsigned_abs()));
        (&self.value, expires_at, self.created_at, self.version)
            == (&entry.value, entry.expires_at, entry.created_at, entry.version)
    }
}

#[derive(Debug, Default)]
pub struct Model {
    pub rows: BTreeMap<String, Kept>,
    pub now_ns: i64,
    pub most_keys: Option<usize>,
}

impl Model {
    pub fn now_ms(&self) -> i64 {
        self.now_ns.div_euclid(1_000_000)
    }

    /// Lets the clock show another time.
    pub fn advance(&mut self, nanos: i64) {
        self.now_ns += nanos;
        let now = self.now_ms();
        self.rows.retain(|_, kept| kept.expires_at.is_none_or(|at| at > now));
    }

    pub fn get(&self, key: &str) -> Option<&Kept> {
        self.rows.get(key)
    }

    /// Whether there is room for `keys`, some of which may be there.
    pub fn has_room<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> bool {
        let Some(most) = self.most_keys else { return true };
        let mut new: Vec<&str> = keys.into_iter().filter(|key| !self.rows.contains_key(*key)).collect();
        new.sort_unstable();
        new.dedup();
        new.is_empty() || self.rows.len() + new.len() <= most
    }

    /// The keys, with the times of their creation.
    pub fn keys(&self) -> Vec<Created<'_>> {
        let nanos = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let created = |kept: &Kept| i64::try_from(nanos(kept.created_at)).unwrap_or(i64::MAX);
        self.rows.iter().map(|(key, kept)| (key.as_str(), created(kept))).collect()
    }
}
