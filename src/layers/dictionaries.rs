//! Trained dictionaries as a storage keeps them: as attributes, sealed where there are keys.
//!
//! A dictionary is made of pieces of values, and says what compressed bytes mean: it needs what the values need.

use super::attribute::{copy_of, opened, sealed};
use super::compression::Dictionary;
use super::encryption::StorageId;
use super::key_ring::KeyRing;
use crate::engine::Engine;
use crate::error::{Error, Result};

fn name(id: u32) -> String {
    format!("zstd-dictionary-{id}")
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
            let proposed = sealed(keys, storage, &name(id), dictionary.bytes())?;
            let stored = engine.attribute(&copy_of(&name(id), keys.active().0), Some(proposed)).await?;
            stored.map(|sealed| opened(keys, storage, &name(id), &sealed, "")).transpose()?.map(|bytes| bytes.to_vec())
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
        let Some(keys) = keys.filter(|_| found.is_none()) else { break };
        if let Some(sealed) = engine.attribute(&copy_of(&name(id), key_id), None).await? {
            found = Some(opened(keys, storage, &name(id), &sealed, key)?.to_vec());
        }
    }
    if found.is_none() && believes_plain {
        found = engine.attribute(&name(id), None).await?;
    }
    let bytes = found.ok_or_else(|| damaged("the dictionary that it was compressed with is not there"))?;
    let dictionary = Dictionary::new(bytes).map_err(|_| damaged("its dictionary is damaged"))?;
    if dictionary.id() == id { Ok(dictionary) } else { Err(damaged("its dictionary is damaged")) }
}
