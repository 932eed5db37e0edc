//! Hidden keys: an HMAC-SHA256 stands for each key in the backend.
//!
//! Its secret is drawn once for a storage and kept there, sealed, so that the names stay when the active key changes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::attribute::{copy_of, opened, sealed};
use super::encryption::StorageId;
use super::key_ring::{KeyRing, fill};
use super::large::hex;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::key::Key;

const SECRET_BYTES: usize = 32;
/// The name of the attribute with the secret; with a key's id behind it, a copy sealed under that key.
const ATTRIBUTE: &str = "hidden-keys";

/// Turns keys into what stands for them.
pub(super) struct Hider(Zeroizing<[u8; SECRET_BYTES]>);

impl Hider {
    /// Reads the storage's secret, or draws it.
    pub(super) async fn load<E: Engine + ?Sized>(engine: &E, storage: &StorageId, keys: &KeyRing) -> Result<Self> {
        let open = |sealed: &[u8]| {
            let content = opened(keys, storage, ATTRIBUTE, sealed, ATTRIBUTE)?;
            let secret = content.as_slice().try_into().map(|secret| Self(Zeroizing::new(secret)));
            secret.map_err(|_| Error::Corrupted {
                key: String::new(),
                reason: "the secret that hides its keys is damaged".to_owned(),
            })
        };
        let propose = |secret: &[u8]| sealed(keys, storage, ATTRIBUTE, secret).map(Some);
        let mine = copy_of(ATTRIBUTE, keys.active().0);
        if let Some(stored) = engine.attribute(&mine, None).await? {
            return open(&stored);
        }
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        fill(secret.as_mut_slice())?;
        let first = engine.attribute(ATTRIBUTE, propose(secret.as_slice())?).await?.unwrap_or_default();
        let mut found = open(&first);
        for id in keys.ids() {
            if found.is_err()
                && let Some(copy) = engine.attribute(&copy_of(ATTRIBUTE, id), None).await?
            {
                found = open(&copy);
            }
        }
        let hider = found?;
        engine.attribute(&mine, propose(hider.0.as_slice())?).await?;
        Ok(hider)
    }

    /// What stands for `key`: 64 hexadecimal digits.
    pub(super) fn hide(&self, key: &Key) -> Result<Key> {
        let refused = |_| Error::Backend { backend: "layers", message: "HMAC refused its secret".to_owned() };
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.0.as_slice()).map_err(refused)?;
        mac.update(key.as_bytes());
        Key::new(&hex(&mac.finalize().into_bytes()))
    }
}
