//! Writing through the layers: sealing, offloading, and removing payloads that nothing points to any more.

use std::collections::HashMap;
use std::sync::Arc;

use super::heavy;
use super::large::Pointer;
use super::layered::{Layered, then};
use super::state::Name;
use crate::answer::{Answer, attempt};
use crate::engine::{Batch, Check, Commit, Engine, KeyRange, Scan, Write};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::memory::SortOrder;

/// How many records a removal looks through at a time for payloads.
const PAGE: usize = 512;

/// A payload in the object store: the key as stored, and the pointer.
pub(super) type Payload = (String, Pointer);

impl<E: Engine + ?Sized> Layered<E> {
    pub(super) fn stored_all(&self, keys: &[Key]) -> Result<Vec<Key>> {
        keys.iter().map(|key| self.state.stored(key)).collect()
    }

    /// Commits a batch of keys as they were given.
    pub(super) fn commit_layered(&self, batch: Batch) -> Answer<Result<Commit>> {
        let originals = originals(self, &batch);
        let batch = attempt!(self.hidden(batch));
        self.commit_stored(batch).map(move |commit| named(commit, &originals))
    }

    /// Commits a batch of keys as the backend has them; its puts are packed, sealed and offloaded first.
    pub(super) fn commit_stored(&self, batch: Batch) -> Answer<Result<Commit>> {
        if self.state.layers.large_values.is_some() {
            let me = self.clone();
            return Answer::later(async move { me.commit_and_offload(batch).await });
        }
        let (mut writes, state) = (batch.writes, Arc::clone(&self.state));
        let bodies = writes.iter().filter_map(|(_, write)| match write {
            Write::Put(new) => Some(new.body.len()),
            Write::Delete => None,
        });
        let bytes = bodies.sum();
        let sealed = heavy::over(bytes, move || {
            for (stored, write) in &mut writes {
                if let Write::Put(new) = write {
                    let body = state.pack(std::mem::take(&mut new.body));
                    new.body = state.seal_record(stored, &new.meta, body)?;
                }
            }
            Ok(Batch { checks: batch.checks, writes })
        });
        let me = self.clone();
        then(sealed, move |batch| me.engine.commit(batch))
    }

    async fn commit_and_offload(&self, batch: Batch) -> Result<Commit> {
        let mut writes = batch.writes;
        let mut new: Vec<Payload> = Vec::new();
        if let Err(error) = self.offload(&mut writes, &mut new).await {
            self.state.discard(new).await;
            return Err(error);
        }
        // As late as can be: what others commit from here on leaves its payload to the garbage collection.
        let old = self.payloads_of(writes.iter().map(|(stored, _)| stored.clone()).collect()).await;
        let commit = match old {
            Ok(_) => self.engine.commit(Batch { checks: batch.checks, writes }).await,
            Err(ref error) => Err(error.clone()),
        };
        let needless = match (&commit, old) {
            (Ok(Commit::Done(_)), Ok(old)) => old,
            // Of other errors it is not known whether the commit happened.
            (Ok(Commit::Conflict(_)) | Err(Error::LimitExceeded { .. }), _) | (_, Err(_)) => new,
            (Err(_), Ok(_)) => return commit,
        };
        self.state.discard(needless).await;
        commit
    }

    /// Packs, offloads and seals what is put; tells in `new` what it stored, even where it fails.
    async fn offload(&self, writes: &mut [(Key, Write)], new: &mut Vec<Payload>) -> Result<()> {
        for (stored, write) in writes {
            let Write::Put(put) = write else { continue };
            let (state, body) = (Arc::clone(&self.state), std::mem::take(&mut put.body));
            let mut body = heavy::over(body.len(), move || Ok(state.pack(body))).await?;
            if self.state.is_large(body.len()) {
                let pointer = self.state.upload(Name { key: stored, stored }, body, put.meta.expires_at).await?;
                body = pointer.body();
                new.push((stored.to_string(), pointer));
            }
            put.body = self.state.seal_record(stored, &put.meta, body)?;
        }
        Ok(())
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
}

/// The batch's keys as they were given, by how they are stored, where that differs.
fn originals<E: Engine + ?Sized>(layered: &Layered<E>, batch: &Batch) -> HashMap<String, Key> {
    if !layered.state.layers.hide_keys {
        return HashMap::new();
    }
    let checks = batch.checks.iter().map(|(key, _): &(Key, Check)| key);
    let keys = checks.chain(batch.writes.iter().map(|(key, _)| key));
    keys.filter_map(|key| Some((layered.state.stored(key).ok()?.to_string(), key.clone()))).collect()
}

/// A conflict, or a write that was done by halves, with the keys as they were given.
fn named(commit: Result<Commit>, originals: &HashMap<String, Key>) -> Result<Commit> {
    match commit {
        Ok(Commit::Conflict(key)) => Ok(Commit::Conflict(originals.get(&key[..]).cloned().unwrap_or(key))),
        Err(Error::PartialWrite { written, total, error }) => {
            let original = |key: String| originals.get(&key).map_or(key, |key| key.as_str().to_owned());
            Err(Error::PartialWrite { written: written.into_iter().map(original).collect(), total, error })
        }
        other => other,
    }
}
