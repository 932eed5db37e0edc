//! Trained dictionaries as a storage keeps them: as attributes, sealed where there are keys.
//!
//! A dictionary is made of pieces of values, and says what compressed bytes mean: it needs what the values need. A sealed
//! one has a copy for each key that was active while it was in use, so that whoever can unseal a record can unseal the
//! dictionary that it needs.

use super::compression::Dictionary;
use super::encryption::{StorageId, payload_context, seal, unseal};
use super::key_ring::KeyRing;
use crate::codec::{Frame, Kind, Packing};
use crate::engine::Engine;
use crate::error::{Error, Result};

fn name(id: u32) -> String {
    format!("zstd-dictionary-{id}")
}

fn copy(id: u32, key_id: &str) -> String {
    format!("zstd-dictionary-{id}-{key_id}")
}

fn context(storage: &StorageId, id: u32) -> Vec<u8> {
    payload_context(storage, &name(id), b"")
}

/// Stores `dictionary`, sealed with the active key where there is one.
pub(super) async fn store<E: Engine + ?Sized>(
    engine: &E,
    storage: &StorageId,
    keys: Option<&KeyRing>,
    dictionary: &Dictionary,
) -> Result<()> {
    let id = dictionary.id();
    let stored = match keys {
        None => engine.attribute(&name(id), Some(dictionary.bytes().to_vec())).await?,
        Some(keys) => {
            let mut body = Frame::head(Kind::Bytes, Packing::None, None, false);
            body.extend(dictionary.bytes());
            let sealed = seal(keys, &body, &context(storage, id))?;
            let stored = engine.attribute(&copy(id, keys.active().0), Some(sealed)).await?;
            stored.map(|sealed| opened(&sealed, storage, keys, id, "")).transpose()?
        }
    };
    if stored.as_deref() == Some(dictionary.bytes()) {
        return Ok(());
    }
    Err(Error::Configuration(format!("this storage holds another dictionary with the id {id}; train one anew")))
}

/// The dictionary with this id, for the record under `key`. A plain one is believed where a plain record is.
pub(super) async fn load<E: Engine + ?Sized>(
    engine: &E,
    storage: &StorageId,
    keys: Option<&KeyRing>,
    believes_plain: bool,
    id: u32,
    key: &str,
) -> Result<Dictionary> {
    let damaged = |reason: &str| Error::Corrupted { key: key.to_owned(), reason: reason.to_owned() };
    let mut found = None;
    for key_id in keys.iter().flat_map(|keys| keys.ids()) {
        if let (None, Some(sealed), Some(keys)) = (&found, engine.attribute(&copy(id, key_id), None).await?, keys) {
            found = Some(opened(&sealed, storage, keys, id, key)?);
        }
    }
    if found.is_none() && believes_plain {
        found = engine.attribute(&name(id), None).await?;
    }
    let bytes = found.ok_or_else(|| damaged("the dictionary that it was compressed with is not there"))?;
    let dictionary = Dictionary::new(bytes).map_err(|_| damaged("its dictionary is damaged"))?;
    if dictionary.id() == id { Ok(dictionary) } else { Err(damaged("its dictionary is damaged")) }
}

fn opened(sealed: &[u8], storage: &StorageId, keys: &KeyRing, id: u32, key: &str) -> Result<Vec<u8>> {
    let damaged = |damage: crate::codec::Damage| damage.under(key);
    let frame = Frame::parse(sealed).map_err(damaged)?;
    let body = unseal(Some(keys), &frame, key, &context(storage, id))?;
    Ok(Frame::parse(&body).map_err(damaged)?.rest.to_vec())
}
