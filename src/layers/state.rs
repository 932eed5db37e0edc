//! What the layers of one storage know and do with one record, at once or after asking the backend.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use super::compression::{Compression, Dictionary, dictionary_of, unpack};
use super::dictionaries;
use super::encryption::{StorageId, payload_context, record_context, seal, unseal};
use super::heavy;
use super::hidden::Hider;
use super::key_ring::fill;
use super::large::{PAYLOAD_ID_BYTES, Pointer};
use super::options::Layers;
use crate::codec::{Damage, Frame};
use crate::engine::{Engine, Meta, Record};
use crate::error::{Error, Result};
use crate::fork;
use crate::key::Key;
use crate::sync::lock;

/// The name of the attribute that tells a storage from all others.
const STORAGE_ID: &str = "storage-id";

/// The layers of one storage.
pub(super) struct State {
    pub(super) layers: Layers,
    id: OnceLock<StorageId>,
    hider: OnceLock<Hider>,
    dictionaries: Mutex<HashMap<u32, Arc<Dictionary>>>,
}

/// A key as it was given, for errors, and as the backend has it, which is what seals are bound to.
#[derive(Clone, Copy)]
pub(super) struct Name<'n> {
    pub(super) key: &'n str,
    pub(super) stored: &'n str,
}

/// A record whose seal is off.
pub(super) enum Opened {
    /// As it was before any layer.
    Plain(Record),
    /// Its dictionary was not read yet.
    NeedsDictionary(Record, u32),
    /// Where its value is.
    Elsewhere(Meta, Pointer),
    /// The storage's id was not read yet.
    NeedsId(Record),
}

impl Opened {
    /// The payload that it waits for, where that is known.
    pub(super) fn payload(&self) -> Option<[u8; PAYLOAD_ID_BYTES]> {
        match self {
            Self::Elsewhere(_, pointer) => Some(pointer.id),
            _ => None,
        }
    }

    /// About how many bytes its value takes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Elsewhere(_, pointer) => usize::try_from(pointer.size()).unwrap_or(usize::MAX),
            Self::Plain(record) | Self::NeedsDictionary(record, _) | Self::NeedsId(record) => record.body.len(),
        }
    }
}

impl State {
    pub(super) fn new(layers: Layers) -> Self {
        let mut dictionaries = HashMap::new();
        if let Some(Compression::Dictionary { dictionary, .. }) = &layers.compression {
            dictionaries.insert(dictionary.id(), Arc::clone(dictionary));
        }
        Self { layers, id: OnceLock::new(), hider: OnceLock::new(), dictionaries: Mutex::new(dictionaries) }
    }

    /// Whether nothing has to be read from the backend before a write.
    pub(super) fn is_ready(&self) -> bool {
        self.id.get().is_some() || self.layers.writes_plain()
    }

    /// The key under which the backend has `key`. To be called once it is ready.
    pub(super) fn stored(&self, key: &Key) -> Result<Key> {
        if !self.layers.hide_keys {
            return Ok(key.clone());
        }
        match self.hider.get() {
            Some(hider) => hider.hide(key),
            None => self.id().map(|_| key.clone()),
        }
    }

    pub(super) fn id(&self) -> Result<&StorageId> {
        self.id.get().ok_or_else(|| Error::Backend {
            backend: "layers",
            message: "the storage's id is needed before it was read; please report this".to_owned(),
        })
    }

    /// Reads the storage's id, or gives it one; stores the dictionary that is used.
    pub(super) async fn prepare<E: Engine + ?Sized>(&self, engine: &E) -> Result<()> {
        if self.id.get().is_some() {
            return Ok(());
        }
        let mut proposed = StorageId::default();
        fill(&mut proposed)?;
        let stored = engine.attribute(STORAGE_ID, Some(proposed.to_vec())).await?;
        let id = stored.and_then(|id| StorageId::try_from(id).ok()).ok_or_else(|| Error::Corrupted {
            key: String::new(),
            reason: "the storage's id has not 16 bytes".to_owned(),
        })?;
        if let Some(Compression::Dictionary { dictionary, .. }) = &self.layers.compression {
            dictionaries::store(engine, &id, self.layers.keys.as_deref(), dictionary).await?;
        }
        let hider = match (self.layers.hide_keys, &self.layers.keys) {
            (true, Some(keys)) => Some(Hider::load(engine, &id, keys).await?),
            _ => None,
        };
        // In the gate: a child that is forked in the middle of it would wait for its end for ever.
        let _gate = fork::enter();
        // Two who ask at the same time are told the same.
        if let Some(hider) = hider {
            let _ = self.hider.set(hider);
        }
        // Last: whoever sees it finds all there.
        let _ = self.id.set(id);
        Ok(())
    }

    async fn dictionary<E: Engine + ?Sized>(&self, engine: &E, id: u32, key: &str) -> Result<Arc<Dictionary>> {
        if let Some(known) = lock(&self.dictionaries).get(&id) {
            return Ok(Arc::clone(known));
        }
        self.prepare(engine).await?;
        let keys = self.layers.keys.as_deref();
        let believes_plain = keys.is_none() || self.layers.allow_unencrypted;
        let dictionary = Arc::new(dictionaries::load(engine, self.id()?, keys, believes_plain, id, key).await?);
        lock(&self.dictionaries).insert(id, Arc::clone(&dictionary));
        Ok(dictionary)
    }

    /// Whether `record` is the front's already.
    pub(super) fn is_plain(&self, record: &Record) -> bool {
        self.layers.keys.is_none() && Frame::is_plain_body(&record.body)
    }

    /// Takes the seal off `record` and unpacks it, as far as nothing has to be asked for.
    pub(super) fn open(&self, name: Name<'_>, record: Record) -> Result<Opened> {
        let frame = Frame::parse(&record.body).map_err(|damage| damage.under(name.key))?;
        self.check_sealed(&frame, name.key)?;
        self.open_any(name, record)
    }

    /// The same once it is known that the record may be as it is.
    fn open_any(&self, name: Name<'_>, record: Record) -> Result<Opened> {
        let key = name.key;
        let frame = Frame::parse(&record.body).map_err(|damage| damage.under(key))?;
        if frame.is_plain() {
            return Ok(Opened::Plain(record));
        }
        if frame.key_id.is_some() {
            let id = self.id.get();
            if id.is_none() && self.layers.keys.is_some() {
                return Ok(Opened::NeedsId(record));
            }
            // Without keys it is refused, whatever it is bound to.
            let context = id.map(|id| record_context(id, name.stored, &record.meta)).unwrap_or_default();
            let body = unseal(self.layers.keys.as_deref(), &frame, key, &context)?;
            return Ok(match self.unpacked(key, Record { meta: record.meta, body: body.into() })? {
                // Behind a sealed pointer nothing but a sealed payload is believed.
                Opened::Elsewhere(meta, pointer) => Opened::Elsewhere(meta, pointer.sealed()),
                opened => opened,
            });
        }
        self.unpacked(key, record)
    }

    /// Unpacks `record`, which is not sealed.
    fn unpacked(&self, key: &str, record: Record) -> Result<Opened> {
        let damaged = |damage: Damage| damage.under(key);
        let frame = Frame::parse(&record.body).map_err(damaged)?;
        if frame.is_offloaded {
            return Ok(Opened::Elsewhere(record.meta, Pointer::read(&frame).map_err(damaged)?));
        }
        if frame.is_plain() {
            return Ok(Opened::Plain(record));
        }
        let dictionary = match dictionary_of(&frame).map_err(damaged)? {
            None => None,
            Some(id) => match lock(&self.dictionaries).get(&id) {
                Some(known) => Some(Arc::clone(known)),
                None => return Ok(Opened::NeedsDictionary(record, id)),
            },
        };
        let body = unpack(&frame, dictionary.as_deref()).map_err(damaged)?;
        Ok(Opened::Plain(Record { meta: record.meta, body: body.into() }))
    }

    /// The record before any layer, whatever has to be asked for; `None` where its payload is not there.
    pub(super) async fn resolve<E: Engine + ?Sized>(
        self: &Arc<Self>,
        engine: &E,
        name: Name<'_>,
        opened: Opened,
    ) -> Result<Option<Record>> {
        let key = name.key;
        let mut opened = opened;
        loop {
            opened = match opened {
                Opened::Plain(record) => return Ok(Some(record)),
                Opened::NeedsId(record) => {
                    self.prepare(engine).await?;
                    self.open_any(name, record)?
                }
                Opened::NeedsDictionary(record, id) => {
                    self.dictionary(engine, id, key).await?;
                    self.unpacked(key, record)?
                }
                Opened::Elsewhere(meta, pointer) => match self.fetch(engine, name, meta, pointer).await? {
                    Some(opened) => opened,
                    None => return Ok(None),
                },
            };
        }
    }

    /// The record with its offloaded payload, whose seal is taken off; `None` where that is not there.
    async fn fetch<E: Engine + ?Sized>(
        self: &Arc<Self>,
        engine: &E,
        name: Name<'_>,
        meta: Meta,
        pointer: Pointer,
    ) -> Result<Option<Opened>> {
        let key = name.key;
        self.prepare(engine).await?;
        let Some(body) = self.payload(name, &pointer).await? else { return Ok(None) };
        let frame = Frame::parse(&body).map_err(|damage| damage.under(key))?;
        if frame.is_offloaded || frame.kind != pointer.kind {
            return Err(Damage::new("what the object store holds in place of its value is not its payload").under(key));
        }
        let context = if frame.key_id.is_none() {
            if pointer.is_sealed {
                return Err(not_sealed(key));
            }
            self.check_sealed(&frame, key)?;
            None
        } else {
            Some(payload_context(self.id()?, name.stored, &pointer.id))
        };
        // What is plain is shown to its reader as it is.
        let bytes = if frame.is_plain() { 0 } else { body.len() };
        let (state, key) = (Arc::clone(self), key.to_owned());
        let opened = heavy::over(bytes, move || {
            let body = match context {
                None => body,
                Some(context) => {
                    let frame = Frame::parse(&body).map_err(|damage| damage.under(&key))?;
                    unseal(state.layers.keys.as_deref(), &frame, &key, &context)?
                }
            };
            state.unpacked(&key, Record { meta, body: body.into() })
        });
        opened.await.map(Some)
    }

    /// Refuses a plain record where only sealed ones are believed.
    fn check_sealed(&self, frame: &Frame<'_>, key: &str) -> Result<()> {
        if frame.key_id.is_none() && self.layers.keys.is_some() && !self.layers.allow_unencrypted {
            return Err(not_sealed(key));
        }
        Ok(())
    }

    /// `body` compressed, where that is wanted and pays.
    pub(super) fn pack(&self, body: Vec<u8>) -> Vec<u8> {
        match &self.layers.compression {
            Some(compression) if body.len() >= self.layers.threshold() && Frame::is_plain_body(&body) => {
                compression.pack(&body).unwrap_or(body)
            }
            _ => body,
        }
    }

    /// `body` sealed as a record's, where that is wanted.
    pub(super) fn seal_record(&self, stored: &str, meta: &Meta, body: Vec<u8>) -> Result<Vec<u8>> {
        match &self.layers.keys {
            Some(keys) => seal(keys, &body, &record_context(self.id()?, stored, meta)),
            None => Ok(body),
        }
    }

    /// `body` sealed as a payload, where that is wanted.
    pub(super) fn seal_payload(&self, stored: &str, id: &[u8; PAYLOAD_ID_BYTES], body: Vec<u8>) -> Result<Vec<u8>> {
        match &self.layers.keys {
            Some(keys) => seal(keys, &body, &payload_context(self.id()?, stored, id)),
            None => Ok(body),
        }
    }

    /// Where a sealed or plain record of the backend points to; `None` where its value is in it, and where it can't be
    /// told.
    pub(super) fn pointer(&self, stored: &str, record: &Record) -> Option<Pointer> {
        self.pointer_or_error(stored, record).ok().flatten()
    }

    /// The same, and an error where it can't be told.
    pub(super) fn pointer_or_error(&self, stored: &str, record: &Record) -> Result<Option<Pointer>> {
        let damaged = |damage: Damage| damage.under(stored);
        let frame = Frame::parse(&record.body).map_err(damaged)?;
        if !frame.is_offloaded {
            return Ok(None);
        }
        if frame.key_id.is_none() {
            return Pointer::read(&frame).map(Some).map_err(damaged);
        }
        let context = record_context(self.id()?, stored, &record.meta);
        let body = unseal(self.layers.keys.as_deref(), &frame, stored, &context)?;
        Pointer::read(&Frame::parse(&body).map_err(damaged)?).map(Some).map_err(damaged)
    }
}

fn not_sealed(key: &str) -> Error {
    Error::Decryption {
        key: key.to_owned(),
        key_id: String::new(),
        reason: "it is not encrypted, which this storage requires; require_encryption=False reads it".to_owned(),
    }
}
