//! Keys for encryption at rest, and the ring of those that a storage knows.

use std::fmt;

use aes_gcm_siv::{Aes256GcmSiv, KeyInit};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::large::hex;
use crate::error::{Error, Result};

/// The bytes of a key.
pub const KEY_BYTES: usize = 32;
/// The longest id of a key, in bytes of UTF-8.
pub const MAX_KEY_ID_BYTES: usize = 64;
/// The shortest salt for a passphrase.
pub const MIN_SALT_BYTES: usize = 16;
/// Argon2id with 64 MiB, 3 passes and 4 lanes: the second recommended choice of RFC 9106.
const ARGON2: (u32, u32, u32) = (64 << 10, 3, 4);

/// A key of 256 bits. It is wiped from memory when it is dropped, and its `Debug` form shows nothing of it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct EncryptionKey([u8; KEY_BYTES]);

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(…)")
    }
}

impl EncryptionKey {
    /// A key of these bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] where they are not 32.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        match bytes.try_into() {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => Err(Error::Configuration(format!(
                "an encryption key has {KEY_BYTES} bytes, not {}; make one with Key.generate()",
                bytes.len()
            ))),
        }
    }

    /// A new key from the system's random numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where the system has none.
    pub fn generate() -> Result<Self> {
        let mut key = Self([0; KEY_BYTES]);
        fill(&mut key.0)?;
        Ok(key)
    }

    /// The key of a passphrase: Argon2id (RFC 9106) with 64 MiB of memory, 3 passes and 4 lanes.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for an empty passphrase or a salt of less than 16 bytes.
    pub fn from_passphrase(passphrase: &str, salt: &[u8]) -> Result<Self> {
        if passphrase.is_empty() || salt.len() < MIN_SALT_BYTES {
            return Err(Error::Configuration(format!(
                "a passphrase must not be empty, and its salt needs at least {MIN_SALT_BYTES} bytes: os.urandom(16), kept beside the data"
            )));
        }
        let failed =
            |error: argon2::Error| Error::Configuration(format!("no key can be made of the passphrase: {error}"));
        let (memory, passes, lanes) = ARGON2;
        let params = Params::new(memory, passes, lanes, Some(KEY_BYTES)).map_err(failed)?;
        let mut key = Self([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, &mut key.0)
            .map_err(failed)?;
        Ok(key)
    }

    /// Its bytes, to be kept somewhere safe.
    pub fn expose(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_vec())
    }

    /// An id that tells it from other keys and nothing about it: the first 8 bytes of a SHA-256 over a label and the
    /// key, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"rrag_storage key id");
        hash.update(self.0);
        hex(&hash.finalize()[..8])
    }
}

/// Fills `bytes` with the system's random numbers.
pub(super) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| Error::Unavailable {
        what: "the system's random numbers".to_owned(),
        reason: error.to_string(),
    })
}

struct Entry {
    id: String,
    fingerprint: String,
    cipher: Aes256GcmSiv,
}

/// The keys that a storage reads with, and the one that it writes with.
pub struct KeyRing {
    keys: Vec<Entry>,
    active: usize,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("KeyRing").field("ids", &ids).field("active", &self.active().0).finish()
    }
}

impl KeyRing {
    /// A ring of one key, whose id is its fingerprint.
    pub fn of(key: &EncryptionKey) -> Self {
        let id = key.fingerprint();
        Self { keys: vec![Entry::new(id, key)], active: 0 }
    }

    /// A ring of several keys by id, of which `active` seals what is written.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for no keys, ids that can't be used, and an active one that is not among them.
    pub fn new(keys: &[(String, EncryptionKey)], active: Option<&str>) -> Result<Self> {
        let refused = |message: String| Err(Error::Configuration(message));
        for (number, (id, _)) in keys.iter().enumerate() {
            if id.is_empty() || id.len() > MAX_KEY_ID_BYTES {
                return refused(format!(
                    "the id of a key must have 1 to {MAX_KEY_ID_BYTES} bytes in UTF-8, not {}",
                    id.len()
                ));
            }
            if keys[..number].iter().any(|(other, _)| other == id) {
                return refused(format!("two keys have the id {id:?}"));
            }
        }
        let active = match (active, keys) {
            (_, []) => return refused("encryption_key holds no key".to_owned()),
            (None, [_]) => 0,
            (None, _) => return refused("several keys need active_key: the id of the one that writes".to_owned()),
            (Some(active), keys) => match keys.iter().position(|(id, _)| id == active) {
                Some(position) => position,
                None => return refused(format!("active_key {active:?} is not among the keys")),
            },
        };
        Ok(Self { keys: keys.iter().map(|(id, key)| Entry::new(id.clone(), key)).collect(), active })
    }

    /// The id and the cipher of the key that writes.
    pub(super) fn active(&self) -> (&str, &Aes256GcmSiv) {
        let entry = &self.keys[self.active];
        (&entry.id, &entry.cipher)
    }

    /// The ids by which something that one of the keys seals may name it: what it is called, and its fingerprint.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        let called = self.keys.iter().map(|entry| entry.id.as_str());
        called.chain(
            self.keys.iter().filter(|entry| entry.id != entry.fingerprint).map(|entry| entry.fingerprint.as_str()),
        )
    }

    /// The cipher of the key with this id. An id that is a fingerprint finds its key under any name.
    pub(super) fn find(&self, id: &str) -> Option<&Aes256GcmSiv> {
        let named = self.keys.iter().find(|entry| entry.id == id);
        named.or_else(|| self.keys.iter().find(|entry| entry.fingerprint == id)).map(|entry| &entry.cipher)
    }
}

impl Entry {
    fn new(id: String, key: &EncryptionKey) -> Self {
        Self { id, fingerprint: key.fingerprint(), cipher: Aes256GcmSiv::new(&key.0.into()) }
    }
}
