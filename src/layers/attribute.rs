//! Sealed attributes: what a storage keeps beside its records for itself, with a copy for each key of encryption that was
//! active since, so that whoever can unseal a record can unseal what it needs.

use zeroize::Zeroizing;

use super::encryption::{StorageId, payload_context, seal, unseal};
use super::key_ring::KeyRing;
use crate::codec::{Damage, Frame, Kind, Packing};
use crate::error::Result;

/// The name of the copy that the key with this id seals.
pub(super) fn copy_of(name: &str, key_id: &str) -> String {
    format!("{name}-{key_id}")
}

/// `content`, sealed with the active key as the attribute `name` of `storage`.
pub(super) fn sealed(keys: &KeyRing, storage: &StorageId, name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut body = Zeroizing::new(Frame::head(Kind::Bytes, Packing::None, None, false));
    body.extend(content);
    seal(keys, &body, &payload_context(storage, name, b""))
}

/// What was sealed; `key` is for errors.
pub(super) fn opened(
    keys: &KeyRing,
    storage: &StorageId,
    name: &str,
    sealed: &[u8],
    key: &str,
) -> Result<Zeroizing<Vec<u8>>> {
    let damaged = |damage: Damage| damage.under(key);
    let frame = Frame::parse(sealed).map_err(damaged)?;
    let body = Zeroizing::new(unseal(Some(keys), &frame, key, &payload_context(storage, name, b""))?);
    Ok(Zeroizing::new(Frame::parse(&body).map_err(damaged)?.rest.to_vec()))
}
