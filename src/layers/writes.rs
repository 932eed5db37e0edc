//! Writing through the layers: sealing, offloading, and removing payloads that nothing points to any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::large::Pointer;
use super::layered::{Layered, then};
use super::state::{Name, Opened, State};
use crate::answer::{Answer, attempt};
use crate::codec::Frame;
use crate::engine::{
    Batch, Change, ChangeFn, Check, Commit, Engine, KeyRange, Meta, NewRecord, Record, Scan, Updated, Write,
};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::memory::SortOrder;
use crate::sync::lock;

/// How many records a removal looks through at a time for payloads.
const PAGE: usize = 512;

/// A payload in the object store: the key as stored, and the pointer.
type Payload = (String, Pointer);

impl<E: Engine + ?Sized> Layered<E> {
    pub(super) fn stored_all(&self, keys: &[Key]) -> Result<Vec<Key>> {
        keys.iter().map(|key| self.state.stored(key)).collect()
    }

    /// Commits a batch of keys as they were given.
    pub(super) fn commit_layered(&self, batch: Batch) -> Answer<Result<Commit>> {
        let originals = originals(self, &batch);
        let batch = attempt!(self.hidden(batch));
        self.commit_stored(batch).map_ok(move |commit| named(commit, originals))
    }

    /// Commits a batch of keys as the backend has them; its puts are packed, sealed and offloaded first.
    pub(super) fn commit_stored(&self, batch: Batch) -> Answer<Result<Commit>> {
        if self.state.layers.large_values.is_some() {
            let me = self.clone();
            return Answer::later(async move { me.commit_and_offload(batch).await });
        }
        let mut writes = batch.writes;
        for (stored, write) in &mut writes {
            if let Write::Put(new) = write {
                let body = self.state.pack(std::mem::take(&mut new.body));
                new.body = attempt!(self.state.seal_record(stored, &new.meta, body));
            }
        }
        self.engine.commit(Batch { checks: batch.checks, writes })
    }

    async fn commit_and_offload(&self, batch: Batch) -> Result<Commit> {
        let old = self.payloads_of(batch.writes.iter().map(|(stored, _)| stored.clone()).collect()).await?;
        let mut writes = batch.writes;
        let mut new: Vec<Payload> = Vec::new();
        for (stored, write) in &mut writes {
            let Write::Put(put) = write else { continue };
            let mut body = self.state.pack(std::mem::take(&mut put.body));
            if self.state.is_large(body.len()) {
                match self.state.upload(Name { key: stored, stored }, body).await {
                    Ok(pointer) => {
                        body = pointer.body();
                        new.push((stored.to_string(), pointer));
                    }
                    Err(error) => {
                        self.state.discard(new).await;
                        return Err(error);
                    }
                }
            }
            put.body = self.state.seal_record(stored, &put.meta, body)?;
        }
        let commit = self.engine.commit(Batch { checks: batch.checks, writes }).await?;
        let needless = if matches!(commit, Commit::Done(_)) { old } else { new };
        self.state.discard(needless).await;
        Ok(commit)
    }

    /// The payloads that the records under `keys` point to.
    async fn payloads_of(&self, stored: Vec<Key>) -> Result<Vec<Payload>> {
        let records = self.engine.read(stored.clone()).await?;
        let found = stored.into_iter().zip(records).filter_map(|(stored, record)| {
            self.state.pointer(&stored, &record?).map(|pointer| (stored.to_string(), pointer))
        });
        Ok(found.collect())
    }

    /// Deletes keys as the backend has them, and their payloads.
    pub(super) async fn delete_and_discard(&self, stored: Vec<Key>) -> Result<u64> {
        let old = self.payloads_of(stored.clone()).await?;
        let deleted = self.engine.delete(stored).await?;
        self.state.discard(old).await;
        Ok(deleted)
    }

    /// Deletes a range, and the payloads of what was in it.
    pub(super) async fn remove_range_and_payloads(&self, range: KeyRange) -> Result<u64> {
        let mut payloads = Vec::new();
        let mut scan = Scan { range, order: SortOrder::KeyAsc, after: None, limit: PAGE, records: true };
        loop {
            let page = self.engine.scan(scan.clone()).await?;
            for row in &page.rows {
                if let Some(pointer) = row.record.as_ref().and_then(|record| self.state.pointer(&row.key, record)) {
                    payloads.push((row.key.to_string(), pointer));
                }
            }
            match page.rows.last() {
                Some(last) if page.more => scan.after = Some(last.cursor()),
                _ => break,
            }
        }
        let removed = self.engine.remove_range(scan.range).await?;
        self.state.discard(payloads).await;
        Ok(removed)
    }

    fn hidden(&self, batch: Batch) -> Result<Batch> {
        if !self.state.layers.hide_keys {
            return Ok(batch);
        }
        let checks = batch.checks.into_iter().map(|(key, check)| Ok((self.state.stored(&key)?, check)));
        let writes = batch.writes.into_iter().map(|(key, write)| Ok((self.state.stored(&key)?, write)));
        Ok(Batch { checks: checks.collect::<Result<_>>()?, writes: writes.collect::<Result<_>>()? })
    }

    /// Reads, changes and writes. A value that lives elsewhere is not fetched for the change, which sees its pointer:
    /// changes keep it, delete it or give up.
    pub(super) fn update_layered(
        &self,
        keys: Vec<Key>,
        change: ChangeFn,
        wants_values: bool,
    ) -> Answer<Result<Vec<Updated>>> {
        let stored = attempt!(self.stored_all(&keys));
        let originals: HashMap<Key, Key> = if self.state.layers.hide_keys {
            stored.iter().cloned().zip(keys.iter().cloned()).collect()
        } else {
            HashMap::new()
        };
        // What the change needs and can't wait for.
        let needed: Arc<Mutex<Option<(Key, Opened)>>> = Arc::default();
        let (state, told, again) = (Arc::clone(&self.state), Arc::clone(&needed), Arc::clone(&change));
        let layered: ChangeFn = Arc::new(move |stored, record| {
            let key = originals.get(stored).unwrap_or(stored);
            let Some(record) = record else { return seal_change(&state, stored, change(key, None)?) };
            let opened = match state.open(Name { key, stored }, record.clone())? {
                Opened::Plain(record) => record,
                Opened::Elsewhere(meta, pointer) => Record { meta, body: pointer.body().into() },
                opened => {
                    lock(&told).replace((key.clone(), opened));
                    return Err(Error::Conflict { key: key.to_string() });
                }
            };
            seal_change(&state, stored, change(key, Some(&opened))?)
        });
        let (me, me_again, keys_again) = (self.clone(), self.clone(), keys.clone());
        let answer = self.engine.update(stored, layered);
        let answer = match answer {
            Answer::Ready(Some(Err(error))) if lock(&needed).is_none() => return Answer::ready(Err(error)),
            Answer::Ready(Some(Ok(updated))) => return me.updated(keys, updated, wants_values),
            answer => answer,
        };
        Answer::later(async move {
            match answer.await {
                Ok(updated) => me.updated(keys, updated, wants_values).await,
                Err(error) => {
                    let Some((key, opened)) = lock(&needed).take() else { return Err(error) };
                    // Reads the dictionary, after which the change can go on at once.
                    me_again.resolve(&key, opened).await?;
                    me_again.update_layered(keys_again, again, wants_values).await
                }
            }
        })
    }

    /// What an update left, plain where values are wanted. The payload of what was deleted is removed.
    fn updated(&self, keys: Vec<Key>, updated: Vec<Updated>, wants_values: bool) -> Answer<Result<Vec<Updated>>> {
        if !wants_values {
            return Answer::ready(Ok(updated));
        }
        let mut gone = Vec::new();
        let mut metas: Vec<(Option<Meta>, bool)> = Vec::with_capacity(updated.len());
        let mut wanted = Vec::with_capacity(updated.len());
        let stored = attempt!(self.stored_all(&keys));
        for (stored, one) in stored.iter().zip(updated) {
            let deleted = one.after.is_none();
            metas.push((one.before.as_ref().map(|record| record.meta), deleted));
            let record = if deleted { one.before } else { one.after };
            if let (true, Some(pointer)) =
                (deleted, record.as_ref().and_then(|record| self.state.pointer(stored, record)))
            {
                gone.push((stored.to_string(), pointer));
            }
            wanted.push(record);
        }
        let me = self.clone();
        then(self.open_all(keys, &stored, wanted), move |records| {
            let updated = records.into_iter().zip(metas).map(|(record, (before, deleted))| {
                if deleted {
                    return Updated { before: record, after: None };
                }
                // Whoever asks what was there before asks for its meta data alone.
                let before = before.zip(record.as_ref()).map(|(meta, after)| Record { meta, body: after.body.clone() });
                Updated { before, after: record }
            });
            let updated: Vec<Updated> = updated.collect();
            if gone.is_empty() {
                return Answer::ready(Ok(updated));
            }
            Answer::later(async move {
                me.state.discard(gone).await;
                Ok(updated)
            })
        })
    }
}

/// The batch's keys as they were given, by how they are stored, where that differs.
fn originals<E: Engine + ?Sized>(layered: &Layered<E>, batch: &Batch) -> Vec<(Key, Key)> {
    if !layered.state.layers.hide_keys {
        return Vec::new();
    }
    let keys = batch.checks.iter().map(|(key, _): &(Key, Check)| key);
    keys.filter_map(|key| Some((layered.state.stored(key).ok()?, key.clone()))).collect()
}

/// A conflict, with the key as it was given.
fn named(commit: Commit, originals: Vec<(Key, Key)>) -> Commit {
    match commit {
        Commit::Conflict(key) => {
            let original = originals.into_iter().find(|(stored, _)| *stored == key);
            Commit::Conflict(original.map_or(key, |(_, original)| original))
        }
        done @ Commit::Done(_) => done,
    }
}

/// The record of a change, sealed. The caller's answer carries what the engine stored.
fn seal_change(state: &State, stored: &Key, change: Change) -> Result<Change> {
    let Change::Put(new) = change else { return Ok(change) };
    let is_pointer = Frame::parse(&new.body).is_ok_and(|frame| frame.is_offloaded);
    let body = if is_pointer { new.body } else { state.pack(new.body) };
    let body = state.seal_record(stored, &new.meta, body)?;
    Ok(Change::Put(NewRecord { body, ..new }))
}
