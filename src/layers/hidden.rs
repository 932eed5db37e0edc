//! Hidden keys: an HMAC-SHA256 stands for each key in the backend.
//!
//! Its secret is drawn once for a storage and kept there, sealed under each key of encryption that was active since: so
//! that the names stay when the active key changes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::encryption::{StorageId, payload_context, seal, unseal};
use super::key_ring::{KeyRing, fill};
use super::large::hex;
use crate::codec::{Frame, Kind, Packing};
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
        let context = payload_context(storage, ATTRIBUTE, b"");
        let open = |sealed: &[u8]| {
            let frame = Frame::parse(sealed).map_err(|damage| damage.under(""))?;
            let body = Zeroizing::new(unseal(Some(keys), &frame, ATTRIBUTE, &context)?);
            let secret = Frame::parse(&body).ok().and_then(|frame| frame.rest.try_into().ok());
            secret.map(|secret| Self(Zeroizing::new(secret))).ok_or_else(|| Error::Corrupted {
                key: String::new(),
                reason: "the secret that hides its keys is damaged".to_owned(),
            })
        };
        let sealed = |secret: &[u8]| {
            let mut body = Zeroizing::new(Frame::head(Kind::Bytes, Packing::None, None, false));
            body.extend(secret);
            seal(keys, &body, &context)
        };
        let mine = format!("{ATTRIBUTE}-{}", keys.active().0);
        if let Some(stored) = engine.attribute(&mine, None).await? {
            return open(&stored);
        }
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        fill(secret.as_mut_slice())?;
        let first = engine.attribute(ATTRIBUTE, Some(sealed(secret.as_slice())?)).await?.unwrap_or_default();
        let mut found = open(&first);
        for id in keys.ids() {
            if found.is_err()
                && let Some(copy) = engine.attribute(&format!("{ATTRIBUTE}-{id}"), None).await?
            {
                found = open(&copy);
            }
        }
        let hider = found?;
        engine.attribute(&mine, Some(sealed(hider.0.as_slice())?)).await?;
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
