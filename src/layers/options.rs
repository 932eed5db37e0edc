//! What is done to values between the front and the engine.

use std::sync::Arc;

use super::compression::{Compression, DEFAULT_THRESHOLD};
use super::key_ring::KeyRing;
use crate::error::{Error, Result};
use crate::storage::Storage;

/// Values from this size on live in the object store unless told otherwise.
pub const DEFAULT_LARGE_VALUE_THRESHOLD: usize = 1 << 20;

/// What is done to values between the front and the engine: compression, encryption, and offloading of large ones, in
/// this order. The default does nothing, and reads what any of them wrote as far as no key or object store is needed.
#[derive(Clone, Default)]
pub struct Layers {
    /// How values are compressed; `None` for not at all.
    pub compression: Option<Compression>,
    /// Values of fewer bytes are not compressed; [`DEFAULT_THRESHOLD`] where it is `None`.
    pub compression_threshold: Option<usize>,
    /// The keys of encryption; `None` for none.
    pub keys: Option<Arc<KeyRing>>,
    /// Whether a record that is not encrypted is read all the same, where there are keys.
    pub allow_unencrypted: bool,
    /// Whether a keyed hash stands for each key in the backend. Needs `keys`.
    pub hide_keys: bool,
    /// Where large values live: an object store; `None` for the backend itself. Closing one storage leaves the other open.
    pub large_values: Option<Storage>,
    /// Values of fewer bytes, compressed, stay in the backend; [`DEFAULT_LARGE_VALUE_THRESHOLD`] where it is `None`.
    pub large_value_threshold: Option<usize>,
}

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layers")
            .field("compression", &self.compression)
            .field("compression_threshold", &self.compression_threshold)
            .field("keys", &self.keys)
            .field("allow_unencrypted", &self.allow_unencrypted)
            .field("hide_keys", &self.hide_keys)
            .field("large_values", &self.large_values.as_ref().map(Storage::location))
            .field("large_value_threshold", &self.large_value_threshold)
            .finish()
    }
}

impl Layers {
    /// Checks what can be checked without asking the backend.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] that names the option.
    pub fn validate(&self) -> Result<()> {
        let refused = |message: &str| Err(Error::Configuration(message.to_owned()));
        if let Some(compression) = &self.compression {
            compression.validate()?;
        }
        if self.compression.is_none() && self.compression_threshold.is_some() {
            return refused("compression_threshold needs compression: compression=\"zstd\" or \"lz4\"");
        }
        if self.keys.is_none() && self.hide_keys {
            return refused("hide_keys needs encryption_key");
        }
        if self.large_values.is_none() && self.large_value_threshold.is_some() {
            return refused("large_value_threshold needs large_values: an ObjectStorage");
        }
        if self.large_value_threshold == Some(0) {
            return refused("large_value_threshold must be at least 1, not 0");
        }
        Ok(())
    }

    /// Whether values are written as they are.
    pub(super) fn writes_plain(&self) -> bool {
        self.compression.is_none() && self.keys.is_none() && self.large_values.is_none()
    }

    pub(super) fn threshold(&self) -> usize {
        self.compression_threshold.unwrap_or(DEFAULT_THRESHOLD)
    }

    pub(super) fn large_threshold(&self) -> usize {
        self.large_value_threshold.unwrap_or(DEFAULT_LARGE_VALUE_THRESHOLD)
    }
}
