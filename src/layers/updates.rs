//! Changing in place through the layers: the engine's one step sees what the front would.
//!
//! A change must not wait, and a value that lives elsewhere takes waiting: a change is shown the pointer, which it keeps
//! or deletes. Where it needs the value, that is fetched first, and the change begun again; where it gives the record
//! another end than its payload's, a payload that suits it is stored first.

use std::collections::{HashMap, HashSet};
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

/// What was fetched and stored for a change, by the ids of the payloads that it found.
#[derive(Clone, Default)]
struct Fetched {
    values: HashMap<[u8; PAYLOAD_ID_BYTES], Body>,
    /// The payloads to take their places, and the keys under which they are.
    stored_anew: HashMap<[u8; PAYLOAD_ID_BYTES], Payload>,
}

/// What a change needs and can't wait for.
struct Needs {
    /// The key, as it was given and as it is stored.
    key: Key,
    stored: Key,
    opened: Opened,
    /// Whether a payload is needed that suits a record with this expiry, rather than the value.
    anew: Option<Option<i64>>,
}

type Needed = Arc<Mutex<Option<Needs>>>;

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
        self.update_in_layers(keys, change, wants_values)
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
        let slowly = move || me.update_in_layers(again, change, wants_values);
        match self.engine.update(keys, quick) {
            Answer::Ready(Some(Err(_))) if met.load(Ordering::Relaxed) => slowly(),
            Answer::Later(answer) => Answer::later(async move {
                match answer.await {
                    Err(_) if met.load(Ordering::Relaxed) => slowly().await,
                    done => done,
                }
            }),
            answer @ Answer::Ready(_) => answer,
        }
    }

    fn update_in_layers(&self, keys: Vec<Key>, change: ChangeFn, wants_values: bool) -> Answer<Result<Vec<Updated>>> {
        let stored = attempt!(self.stored_all(&keys));
        let (known, needed) = (Arc::default(), Needed::default());
        let layered = self.layered_change(&keys, &stored, Arc::clone(&change), wants_values, &known, &needed);
        let me = self.clone();
        match self.engine.update(stored.clone(), layered) {
            Answer::Ready(Some(Err(error))) if lock(&needed).is_none() => Answer::ready(Err(error)),
            Answer::Ready(Some(Ok(updated))) => me.updated(keys, stored, updated, wants_values, &known),
            answer => Answer::later(async move {
                let (mut answer, mut known, mut needed) = (answer, known, needed);
                loop {
                    let error = match answer.await {
                        Ok(updated) => return me.updated(keys, stored, updated, wants_values, &known).await,
                        Err(error) => error,
                    };
                    // What was stored anew is left to the garbage collection: it is not known whether it is pointed to.
                    let Some(needs) = lock(&needed).take() else { return Err(error) };
                    known = Arc::new(me.provide(needs, &known).await?);
                    needed = Needed::default();
                    let change = Arc::clone(&change);
                    let layered = me.layered_change(&keys, &stored, change, wants_values, &known, &needed);
                    answer = me.engine.update(stored.clone(), layered);
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
            let needs = |opened, anew| {
                lock(&needed).replace(Needs { key: key.clone(), stored: stored.clone(), opened, anew });
                Err(Error::Conflict { key: key.to_string() })
            };
            let Some(record) = record else { return seal_change(&state, stored, change(key, None)?) };
            let (meta, pointer) = match state.open(Name { key, stored }, record.clone())? {
                Opened::Plain(record) => return seal_change(&state, stored, change(key, Some(&record))?),
                Opened::Elsewhere(meta, pointer) => (meta, pointer),
                opened => return needs(opened, None),
            };
            let shown = match known.values.get(&pointer.id) {
                Some(value) => value.clone(),
                // An integer may be counted on.
                None if pointer.kind == Kind::Integer => return needs(Opened::Elsewhere(meta, pointer), None),
                None => pointer.body().into(),
            };
            let changed = match change(key, Some(&Record { meta, body: shown.clone() }))? {
                // What keeps its value keeps its payload, where that lives as long.
                Change::Put(new) if new.body[..] == shown[..] => {
                    let anew = known.stored_anew.get(&pointer.id).map(|(_, anew)| anew);
                    let expires_at = new.meta.expires_at;
                    match [Some(&pointer), anew].into_iter().flatten().find(|one| one.suits(expires_at)) {
                        Some(kept) => Change::Put(NewRecord { body: kept.body(), ..new }),
                        None => return needs(Opened::Elsewhere(meta, pointer), Some(expires_at)),
                    }
                }
                changed => changed,
            };
            if wants_values && matches!(changed, Change::Delete) && !known.values.contains_key(&pointer.id) {
                // Who takes a value out wants to have it: it goes only once it is here.
                return needs(Opened::Elsewhere(meta, pointer), None);
            }
            seal_change(&state, stored, changed)
        })
    }

    /// Asks for what a change could not wait for, and adds it to what is known.
    async fn provide(&self, needs: Needs, known: &Fetched) -> Result<Fetched> {
        let Needs { key, stored, opened, anew } = needs;
        let name = Name { key: &key, stored: &stored };
        let (mut known, payload) = (known.clone(), opened.payload());
        let record = self.state.resolve(&*self.engine, name, opened).await?;
        let Some(payload) = payload else { return Ok(known) };
        let Some(record) = record else {
            let again = self.engine.read_one(&stored).await?.map(|record| self.state.open(name, record));
            if again.transpose()?.and_then(|opened| opened.payload()) == Some(payload) {
                return Err(missing(&key));
            }
            return Ok(known);
        };
        match anew {
            None => _ = known.values.insert(payload, record.body),
            Some(expires_at) => {
                let body = self.state.pack(record.body.to_vec());
                let pointer = self.state.upload(name, body, expires_at).await?;
                let needless = known.stored_anew.insert(payload, (stored.to_string(), pointer));
                self.state.discard(needless.into_iter().collect()).await;
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
        let gone = self.needless(&stored, &updated, known);
        if !wants_values {
            return self.discarded(gone, updated);
        }
        let (mut metas, mut wanted, mut there) = (Vec::new(), Vec::new(), Vec::new());
        for (stored, one) in stored.iter().zip(updated) {
            let pointer = |record: &Option<Record>| self.state.pointer(stored, record.as_ref()?);
            let (before, after) = (pointer(&one.before), pointer(&one.after));
            let deleted = one.after.is_none();
            metas.push((one.before.as_ref().map(|record| record.meta), deleted));
            let (record, pointer) = if deleted { (one.before, before) } else { (one.after, after) };
            let value = pointer.and_then(|pointer| known.values.get(&pointer.id));
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
            me.discarded(gone, updated.collect())
        })
    }

    /// The payloads that nothing points to after an update.
    fn needless(&self, stored: &[Key], updated: &[Updated], known: &Fetched) -> Vec<Payload> {
        if self.state.layers.large_values.is_none() {
            return Vec::new();
        }
        let (mut before, mut after) = (Vec::new(), HashSet::new());
        for (stored, one) in stored.iter().zip(updated) {
            let pointer = |record: &Option<Record>| self.state.pointer(stored, record.as_ref()?);
            before.extend(pointer(&one.before).map(|pointer| (stored.to_string(), pointer)));
            after.extend(pointer(&one.after).map(|pointer| pointer.id));
        }
        before.extend(known.stored_anew.values().cloned());
        before.retain(|(_, pointer)| !after.contains(&pointer.id));
        before
    }

    /// `updated`, once the payloads in `gone` are removed.
    fn discarded(&self, gone: Vec<Payload>, updated: Vec<Updated>) -> Answer<Result<Vec<Updated>>> {
        if gone.is_empty() {
            return Answer::ready(Ok(updated));
        }
        let me = self.clone();
        Answer::later(async move {
            me.state.discard(gone).await;
            Ok(updated)
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
