//! Changing in place through the layers: the engine's one step sees what the front would.
//!
//! A change must not wait, and a value that lives elsewhere takes waiting: a change is shown the pointer, which it keeps
//! or deletes. Where it needs the value, that is fetched first, and the change begun again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::large::PAYLOAD_ID_BYTES;
use super::layered::{Layered, then};
use super::reads::missing;
use super::state::{Name, Opened, State};
use super::writes::Payload;
use crate::answer::{Answer, attempt};
use crate::codec::{Frame, Kind};
use crate::engine::{Body, Change, ChangeFn, Engine, NewRecord, Record, Updated};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::sync::lock;

/// Values that live elsewhere and were fetched, by the ids of their payloads.
type Fetched = HashMap<[u8; PAYLOAD_ID_BYTES], Body>;

/// What a change needs and can't wait for: the key, as it was given and as it is stored, and the record.
type Needed = Arc<Mutex<Option<(Key, Key, Opened)>>>;

impl<E: Engine + ?Sized> Layered<E> {
    /// Reads, changes and writes.
    pub(super) fn update_layered(
        &self,
        keys: Vec<Key>,
        change: ChangeFn,
        wants_values: bool,
    ) -> Answer<Result<Vec<Updated>>> {
        if self.state.layers.writes_plain() {
            return self.update_plain(keys, change, wants_values);
        }
        self.update_knowing(keys, change, wants_values, Arc::default())
    }

    /// The same where values are written as they are: the engine's own update, unless a record of other days is met.
    fn update_plain(&self, keys: Vec<Key>, change: ChangeFn, wants_values: bool) -> Answer<Result<Vec<Updated>>> {
        let met = Arc::new(AtomicBool::new(false));
        let (meets, plainly) = (Arc::clone(&met), Arc::clone(&change));
        let quick: ChangeFn = Arc::new(move |key, record| {
            if record.is_none_or(|record| Frame::is_plain_body(&record.body)) {
                return plainly(key, record);
            }
            meets.store(true, Ordering::Relaxed);
            Err(Error::Conflict { key: key.to_string() })
        });
        let (me, again) = (self.clone(), keys.clone());
        let slowly = move || me.update_knowing(again, change, wants_values, Arc::default());
        match self.engine.update(keys, quick) {
            Answer::Ready(Some(Err(_))) if met.load(Ordering::Relaxed) => slowly(),
            Answer::Later(answer) => Answer::later(async move {
                match answer.await {
                    Err(_) if met.load(Ordering::Relaxed) => slowly().await,
                    done => done,
                }
            }),
            answer => answer,
        }
    }

    fn update_knowing(
        &self,
        keys: Vec<Key>,
        change: ChangeFn,
        wants_values: bool,
        known: Arc<Fetched>,
    ) -> Answer<Result<Vec<Updated>>> {
        let stored = attempt!(self.stored_all(&keys));
        let needed = Needed::default();
        let layered = self.layered_change(&keys, &stored, Arc::clone(&change), wants_values, &known, &needed);
        let me = self.clone();
        match self.engine.update(stored.clone(), layered) {
            Answer::Ready(Some(Err(error))) if lock(&needed).is_none() => Answer::ready(Err(error)),
            Answer::Ready(Some(Ok(updated))) => me.updated(keys, stored, updated, wants_values, &known),
            answer => Answer::later(async move {
                match answer.await {
                    Ok(updated) => me.updated(keys, stored, updated, wants_values, &known).await,
                    Err(error) => {
                        let Some((key, stored, opened)) = lock(&needed).take() else { return Err(error) };
                        let known = me.fetch_needed(&key, &stored, opened, &known).await?;
                        me.update_knowing(keys, change, wants_values, Arc::new(known)).await
                    }
                }
            }),
        }
    }

    /// `change` as the engine's step runs it: on what the front would see, and with the outcome sealed.
    fn layered_change(
        &self,
        keys: &[Key],
        stored: &[Key],
        change: ChangeFn,
        wants_values: bool,
        known: &Arc<Fetched>,
        needed: &Needed,
    ) -> ChangeFn {
        let originals: HashMap<Key, Key> = if self.state.layers.hide_keys {
            stored.iter().cloned().zip(keys.iter().cloned()).collect()
        } else {
            HashMap::new()
        };
        let (state, known, needed) = (Arc::clone(&self.state), Arc::clone(known), Arc::clone(needed));
        Arc::new(move |stored, record| {
            let key = originals.get(stored).unwrap_or(stored);
            let needs = |opened| {
                lock(&needed).replace((key.clone(), stored.clone(), opened));
                Err(Error::Conflict { key: key.to_string() })
            };
            let Some(record) = record else { return seal_change(&state, stored, change(key, None)?) };
            let (meta, pointer) = match state.open(Name { key, stored }, record.clone())? {
                Opened::Plain(record) => return seal_change(&state, stored, change(key, Some(&record))?),
                Opened::Elsewhere(meta, pointer) => (meta, pointer),
                opened => return needs(opened),
            };
            let changed = match known.get(&pointer.id) {
                Some(value) => {
                    change(key, Some(&Record { meta, body: value.clone() })).map(|changed| match changed {
                        // What keeps its value keeps its payload.
                        Change::Put(new) if new.body[..] == value[..] => {
                            Change::Put(NewRecord { body: pointer.body(), ..new })
                        }
                        changed => changed,
                    })?
                }
                // An integer may be counted on.
                None if pointer.kind == Kind::Integer => return needs(Opened::Elsewhere(meta, pointer)),
                None => change(key, Some(&Record { meta, body: pointer.body().into() }))?,
            };
            if wants_values && matches!(changed, Change::Delete) && !known.contains_key(&pointer.id) {
                // Who takes a value out wants to have it: it goes only once it is here.
                return needs(Opened::Elsewhere(meta, pointer));
            }
            seal_change(&state, stored, changed)
        })
    }

    /// Asks for what a change could not wait for.
    async fn fetch_needed(&self, key: &Key, stored: &Key, opened: Opened, known: &Fetched) -> Result<Fetched> {
        let name = Name { key, stored };
        let (mut known, payload) = (known.clone(), opened.payload());
        let record = self.state.resolve(&*self.engine, name, opened).await?;
        let Some(payload) = payload else { return Ok(known) };
        match record {
            Some(record) => _ = known.insert(payload, record.body),
            None => {
                let again = self.engine.read_one(stored).await?.map(|record| self.state.open(name, record));
                if again.transpose()?.and_then(|opened| opened.payload()) == Some(payload) {
                    return Err(missing(key));
                }
            }
        }
        Ok(known)
    }

    /// What an update left, plain where values are wanted. Payloads that nothing points to any more are removed.
    fn updated(
        &self,
        keys: Vec<Key>,
        stored: Vec<Key>,
        updated: Vec<Updated>,
        wants_values: bool,
        known: &Fetched,
    ) -> Answer<Result<Vec<Updated>>> {
        if !wants_values {
            return Answer::ready(Ok(updated));
        }
        let mut gone: Vec<Payload> = Vec::new();
        let (mut metas, mut wanted, mut there) = (Vec::new(), Vec::new(), Vec::new());
        for (stored, one) in stored.iter().zip(updated) {
            let pointer = |record: &Option<Record>| self.state.pointer(stored, record.as_ref()?);
            let (before, after) = (pointer(&one.before), pointer(&one.after));
            if let Some(before) = before
                && after.is_none_or(|after| after.id != before.id)
            {
                gone.push((stored.to_string(), before));
            }
            let deleted = one.after.is_none();
            metas.push((one.before.as_ref().map(|record| record.meta), deleted));
            let (record, pointer) = if deleted { (one.before, before) } else { (one.after, after) };
            let value = pointer.and_then(|pointer| known.get(&pointer.id));
            // What is there already is not asked for.
            let is_there = value.is_some();
            there.push(value.and_then(|body| Some(Record { meta: record.as_ref()?.meta, body: body.clone() })));
            wanted.push(record.filter(|_| !is_there));
        }
        let me = self.clone();
        then(self.open_each(keys, stored, &wanted), move |records| {
            let updated = records.into_iter().zip(there).zip(metas).map(|((record, there), (before, deleted))| {
                let record = record.or(there);
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

/// The record of a change, sealed. The caller's answer carries what the engine stored.
fn seal_change(state: &State, stored: &Key, change: Change) -> Result<Change> {
    let Change::Put(new) = change else { return Ok(change) };
    let is_pointer = Frame::parse(&new.body).is_ok_and(|frame| frame.is_offloaded);
    let body = if is_pointer { new.body } else { state.pack(new.body) };
    let body = state.seal_record(stored, &new.meta, body)?;
    Ok(Change::Put(NewRecord { body, ..new }))
}
