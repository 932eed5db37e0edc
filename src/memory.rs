//! What callers see: queries, entries, figures, and the trait that every storage implements.

use std::time::{Duration, SystemTime};

use crate::answer::Answer;
use crate::error::Result;
use crate::value::MemoryValue;

/// The order of listings. Keys are compared by code point; entries of one creation time are in key order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum SortOrder {
    /// By key, ascending.
    #[default]
    KeyAsc,
    /// By key, descending.
    KeyDesc,
    /// By creation, the oldest first.
    CreatedAsc,
    /// By creation, the newest first.
    CreatedDesc,
}

impl SortOrder {
    /// Whether it sorts by key.
    pub fn is_by_key(self) -> bool {
        matches!(self, Self::KeyAsc | Self::KeyDesc)
    }

    /// Whether it runs backwards.
    pub fn is_descending(self) -> bool {
        matches!(self, Self::KeyDesc | Self::CreatedDesc)
    }
}

/// Which entries a listing is about. All given filters must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryQuery {
    /// Keys under this namespace: those that start with it and `::`.
    pub namespace: Option<String>,
    /// Keys that start with this, literally.
    pub prefix: Option<String>,
    /// A glob over the whole key where it holds `*`, `?` or `[`; else a literal prefix.
    pub pattern: Option<String>,
    /// Keys that follow this one in key order.
    pub after: Option<String>,
    /// At most this many.
    pub limit: Option<usize>,
    /// Without the first so many.
    pub offset: usize,
    /// The order.
    pub sort_order: SortOrder,
}

impl MemoryQuery {
    /// Every entry, by key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only keys under `namespace`.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only keys that start with `prefix`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Only keys that match `pattern`.
    #[must_use]
    pub fn with_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// Only keys that follow `key` in key order.
    #[must_use]
    pub fn with_after(mut self, key: impl Into<String>) -> Self {
        self.after = Some(key.into());
        self
    }

    /// At most `limit` entries.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Without the first `offset` entries.
    #[must_use]
    pub fn with_offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// In this order.
    #[must_use]
    pub fn with_sort_order(mut self, sort_order: SortOrder) -> Self {
        self.sort_order = sort_order;
        self
    }
}

/// A value with what the storage knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryEntry {
    /// The key, as the storage or view that gave the entry spells it.
    pub key: String,
    /// The value.
    pub value: MemoryValue,
    /// When the key was first written; an overwrite keeps it.
    pub created_at: SystemTime,
    /// When it was last written.
    pub updated_at: SystemTime,
    /// When it expires; `None` where it never does.
    pub expires_at: Option<SystemTime>,
    /// The token of this very write, for [`Memory::compare_and_set`].
    pub version: u64,
    /// The size of the encoded value in bytes.
    pub size_bytes: usize,
}

/// Figures on a storage or a view.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryStats {
    /// Live entries.
    pub total_keys: u64,
    /// What they take, in bytes: see the backend's own words on it.
    pub memory_bytes: u64,
    /// The backend's name.
    pub backend_type: &'static str,
    /// Distinct first-level namespaces.
    pub namespace_count: u64,
    /// When these figures were taken.
    pub last_updated: SystemTime,
    /// The backend's further figures by name.
    pub extra: Vec<(&'static str, f64)>,
}

/// A storage, whatever its backend: what code that uses one holds, as `Arc<dyn Memory>`.
///
/// Each method starts its work when it is called and returns an [`Answer`]: await it.
pub trait Memory: Send + Sync {
    /// The backend's name: `in_memory`, `sqlite`.
    fn backend_name(&self) -> &'static str;
    /// Stores `value` under `key`, with no expiry; an older expiry goes with the older value.
    fn set(&self, key: &str, value: MemoryValue) -> Answer<Result<()>>;
    /// Stores `value` under `key` for `ttl`.
    fn set_with_ttl(&self, key: &str, value: MemoryValue, ttl: Duration) -> Answer<Result<()>>;
    /// The value under `key`.
    fn get(&self, key: &str) -> Answer<Result<Option<MemoryValue>>>;
    /// The value under `key`, with its times and version.
    fn get_entry(&self, key: &str) -> Answer<Result<Option<MemoryEntry>>>;
    /// Takes the value out: of several callers one gets it.
    fn pop(&self, key: &str) -> Answer<Result<Option<MemoryValue>>>;
    /// Deletes `key`; whether it was there.
    fn delete(&self, key: &str) -> Answer<Result<bool>>;
    /// Whether `key` is there.
    fn exists(&self, key: &str) -> Answer<Result<bool>>;
    /// Stores all of `pairs` or nothing; of a key named twice the last.
    fn mset(&self, pairs: Vec<(String, MemoryValue)>) -> Answer<Result<()>>;
    /// The values under `keys`, in their order.
    fn mget(&self, keys: &[&str]) -> Answer<Result<Vec<Option<MemoryValue>>>>;
    /// Deletes `keys`; how many were there.
    fn mdelete(&self, keys: &[&str]) -> Answer<Result<u64>>;
    /// The keys that `query` asks for.
    fn keys(&self, query: MemoryQuery) -> Answer<Result<Vec<String>>>;
    /// The entries that `query` asks for.
    fn entries(&self, query: MemoryQuery) -> Answer<Result<Vec<MemoryEntry>>>;
    /// The namespaces that start with `prefix`, at most `max_depth` segments deep.
    fn namespaces(&self, prefix: Option<&str>, max_depth: Option<usize>) -> Answer<Result<Vec<String>>>;
    /// How many entries stand under `namespace` (everywhere, where it is `None`).
    fn count(&self, namespace: Option<&str>) -> Answer<Result<u64>>;
    /// Deletes what stands under `namespace` (everything, where it is `None`); how many went.
    fn clear(&self, namespace: Option<&str>) -> Answer<Result<u64>>;
    /// Stores `value` only where `key` holds nothing; whether it did.
    fn set_if_absent(&self, key: &str, value: MemoryValue) -> Answer<Result<bool>>;
    /// Stores `value` only where the entry still has `version`; whether it did.
    fn compare_and_set(&self, key: &str, value: MemoryValue, version: u64) -> Answer<Result<bool>>;
    /// Adds `by` to the integer under `key` (0 where it is missing); the new value. The expiry stays.
    fn increment(&self, key: &str, by: i64) -> Answer<Result<MemoryValue>>;
    /// Lets `key` expire after `ttl`; whether it was there.
    fn expire(&self, key: &str, ttl: Duration) -> Answer<Result<bool>>;
    /// Takes the expiry off `key`; whether it was there.
    fn persist(&self, key: &str) -> Answer<Result<bool>>;
    /// Whether the backend answers.
    fn health_check(&self) -> Answer<bool>;
    /// Figures.
    fn stats(&self) -> Answer<Result<MemoryStats>>;
    /// Waits for what is under way and lets go of everything. Idempotent.
    fn close(&self) -> Answer<Result<()>>;
}
