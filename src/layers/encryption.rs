//! Sealed bodies: AES-256-GCM-SIV (RFC 8452), whose random nonces may even repeat without giving the key away.
//!
//! A sealed body is header and key id, a nonce of 12 bytes, the ciphertext of what followed header and key id, and a tag of
//! 16 bytes. The associated data is header and key id as they stand, and a context: the storage, the key and the meta data
//! of a record, or the storage, the key and the id of an offloaded payload.

use aes_gcm_siv::aead::AeadInOut;
use aes_gcm_siv::{Nonce, Tag};

use super::key_ring::KeyRing;
use super::nonce::{self, NONCE_BYTES};
use crate::codec::Frame;
use crate::engine::Meta;
use crate::error::{Error, Result};

const TAG_BYTES: usize = 16;
/// By how much a seal lengthens what follows header and key id.
pub(super) const SEAL_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// The storage that a sealed body belongs to: drawn when the storage was first written to, and kept with its data.
pub(super) type StorageId = [u8; 16];

/// What a sealed body is bound to, besides its own header.
///
/// `created_at` is not part of it: an overwrite inherits it from the record that it replaces, in the store.
pub(super) fn record_context(storage: &StorageId, key: &str, meta: &Meta) -> Vec<u8> {
    let mut context = context(b'r', storage, key);
    context.extend(meta.version.to_le_bytes());
    context.extend(meta.updated_at.to_le_bytes());
    context.push(u8::from(meta.expires_at.is_some()));
    context.extend(meta.expires_at.unwrap_or_default().to_le_bytes());
    context
}

/// The same for a payload in the object store.
pub(super) fn payload_context(storage: &StorageId, key: &str, payload: &[u8]) -> Vec<u8> {
    let mut context = context(b'p', storage, key);
    context.extend(payload);
    context
}

fn context(what: u8, storage: &StorageId, key: &str) -> Vec<u8> {
    let mut context = Vec::with_capacity(64 + key.len());
    context.push(what);
    context.extend(storage);
    context.extend((key.len() as u64).to_le_bytes());
    context.extend(key.as_bytes());
    context
}

/// Seals `body`, which is not sealed, with the active key.
pub(super) fn seal(keys: &KeyRing, body: &[u8], context: &[u8]) -> Result<Vec<u8>> {
    let frame = Frame::parse(body).map_err(|damage| damage.under(""))?;
    let (id, cipher) = keys.active();
    let head = Frame::head(frame.kind, frame.packing, Some(id), frame.is_offloaded);
    let nonce = nonce::draw()?;
    let mut sealed = Vec::with_capacity(head.len() + NONCE_BYTES + frame.rest.len() + TAG_BYTES);
    sealed.extend(&head);
    sealed.extend(nonce);
    let start = sealed.len();
    sealed.extend(frame.rest);
    let tag = cipher
        .encrypt_inout_detached(&Nonce::from(nonce), &associated(&head, context), (&mut sealed[start..]).into())
        .map_err(|_| Error::InvalidArgument("the value is too large to be encrypted".to_owned()))?;
    sealed.extend(tag);
    Ok(sealed)
}

/// Unseals `frame`: the same body without the seal.
pub(super) fn unseal(keys: Option<&KeyRing>, frame: &Frame<'_>, key: &str, context: &[u8]) -> Result<Vec<u8>> {
    let id = frame.key_id.unwrap_or_default();
    let refused =
        |reason: &str| Error::Decryption { key: key.to_owned(), key_id: id.to_owned(), reason: reason.to_owned() };
    let Some(keys) = keys else {
        return Err(refused("this storage was opened without a key; give encryption_key"));
    };
    let Some(cipher) = keys.find(id) else {
        return Err(refused("no key with this id was given to this storage"));
    };
    let cut = || refused("it is cut");
    let (nonce, rest) = frame.rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(cut)?;
    let (sealed, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or_else(cut)?;
    let mut body = Frame::head(frame.kind, frame.packing, None, frame.is_offloaded);
    let start = body.len();
    body.extend(sealed);
    cipher
        .decrypt_inout_detached(
            &Nonce::from(*nonce),
            &associated(frame.head, context),
            (&mut body[start..]).into(),
            &Tag::from(*tag),
        )
        .map_err(|_| refused("the key is another one, or the record was changed, or moved from another place"))?;
    Ok(body)
}

fn associated(head: &[u8], context: &[u8]) -> Vec<u8> {
    let mut associated = Vec::with_capacity(8 + head.len() + context.len());
    associated.extend(head);
    associated.extend(context);
    associated
}
