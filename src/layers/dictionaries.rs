//! Trained dictionaries, kept with the data. They hold pieces of the samples: where values are sealed, so are they, under
//! each key of encryption that was active since, and bound to the storage.

use std::sync::Arc;

use super::compression::{Compression, Dictionary};
use super::encryption::{StorageId, payload_context, seal, unseal};
use super::state::State;
use crate::codec::{Frame, Kind, Packing};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::sync::lock;

/// The name of the attribute with a dictionary; with a key's id behind it where it is sealed.
fn attribute(id: u32, key_id: Option<&str>) -> String {
    match key_id {
        None => format!("zstd-dictionary-{id}"),
        Some(key_id) => format!("zstd-dictionary-{id}-{key_id}"),
    }
}

impl State {
    /// Stores the dictionary that is used.
    pub(super) async fn keep_dictionary<E: Engine + ?Sized>(&self, engine: &E, storage: &StorageId) -> Result<()> {
        let Some(Compression::Dictionary { dictionary, .. }) = &self.layers.compression else { return Ok(()) };
        let keys = self.layers.keys.as_deref();
        let name = attribute(dictionary.id(), keys.map(|keys| keys.active().0));
        let mut proposed = Frame::head(Kind::Bytes, Packing::None, None, false);
        proposed.extend(dictionary.bytes());
        if let Some(keys) = keys {
            proposed = seal(keys, &proposed, &payload_context(storage, &name, b""))?;
        }
        let stored = engine.attribute(&name, Some(proposed)).await?.unwrap_or_default();
        if self.open_dictionary(keys.map(|_| storage), &name, &stored, &name)? == dictionary.bytes() {
            return Ok(());
        }
        let id = dictionary.id();
        Err(Error::Configuration(format!("this storage holds another dictionary with the id {id}; train one anew")))
    }

    /// Reads the dictionary with this id where it isn't known yet; `key` is for errors.
    pub(super) async fn load_dictionary<E: Engine + ?Sized>(&self, engine: &E, id: u32, key: &str) -> Result<()> {
        if lock(&self.dictionaries).contains_key(&id) {
            return Ok(());
        }
        let mut names = Vec::new();
        if let Some(keys) = &self.layers.keys {
            self.prepare(engine).await?;
            let storage = Some(self.id()?);
            names.extend(keys.names().map(|key_id| (attribute(id, Some(key_id)), storage)));
        }
        if self.layers.keys.is_none() || self.layers.allow_unencrypted {
            names.push((attribute(id, None), None));
        }
        let damaged = |reason: &str| Error::Corrupted { key: key.to_owned(), reason: reason.to_owned() };
        for (name, sealed) in names {
            let Some(stored) = engine.attribute(&name, None).await? else { continue };
            let bytes = self.open_dictionary(sealed, &name, &stored, key)?;
            let dictionary = Dictionary::new(bytes).ok().filter(|dictionary| dictionary.id() == id);
            let dictionary = dictionary.ok_or_else(|| damaged("its dictionary is damaged"))?;
            lock(&self.dictionaries).insert(id, Arc::new(dictionary));
            return Ok(());
        }
        Err(damaged("the dictionary that it was compressed with is not there"))
    }

    /// The bytes in the attribute `name`, which is sealed where a storage is given.
    fn open_dictionary(&self, sealed: Option<&StorageId>, name: &str, stored: &[u8], key: &str) -> Result<Vec<u8>> {
        let frame = Frame::parse(stored).map_err(|damage| damage.under(key))?;
        let Some(storage) = sealed else { return Ok(frame.rest.to_vec()) };
        let body = unseal(self.layers.keys.as_deref(), &frame, key, &payload_context(storage, name, b""))?;
        Ok(Frame::parse(&body).map_err(|damage| damage.under(key))?.rest.to_vec())
    }
}
