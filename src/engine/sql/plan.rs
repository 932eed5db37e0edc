//! What a group of writes comes to, given what its keys hold: decided here, in memory, before anything is written.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::dialect::Dialect;
use super::errors::refused;
use super::rows::Found;
use super::writes::{Done, Work};
use crate::engine::{Batch, Body, Change, ChangeFn, Check, Commit, Meta, NewRecord, Record, Updated, Write};
use crate::error::{Error, Result};
use crate::key::Key;

/// The bytes of a record: those of the batch, or shared ones.
#[derive(Clone)]
pub(super) enum Content<'j> {
    Lent(&'j [u8]),
    Shared(Body),
}

impl Deref for Content<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Shared(body) => body,
        }
    }
}

/// What a key is to hold.
#[derive(Clone)]
pub(super) enum Wanted<'j> {
    Record(Meta, Content<'j>),
    Nothing,
}

/// A key in the course of a group.
#[derive(Clone)]
pub(super) struct Slot<'j> {
    /// The row that is there, live or expired.
    pub(super) stored: Option<Found>,
    pub(super) wanted: Option<Wanted<'j>>,
}

impl Slot<'_> {
    fn meta(&self, now_ms: i64) -> Option<Meta> {
        let meta = match &self.wanted {
            Some(Wanted::Record(meta, _)) => Some(*meta),
            Some(Wanted::Nothing) => None,
            None => self.stored.as_ref().map(|found| found.meta),
        };
        meta.filter(|meta| !meta.is_expired(now_ms))
    }

    fn record(&self, now_ms: i64) -> Option<Record> {
        let meta = self.meta(now_ms)?;
        let body = match &self.wanted {
            Some(Wanted::Record(_, Content::Shared(body))) => body.clone(),
            Some(Wanted::Record(_, Content::Lent(bytes))) => Body::from(*bytes),
            _ => self.stored.as_ref()?.body.clone()?,
        };
        Some(Record { meta, body })
    }
}

/// The keys of a group, in order.
pub(super) struct Plan<'j> {
    pub(super) slots: BTreeMap<&'j Key, Slot<'j>>,
    dialect: Dialect,
    now_ms: i64,
}

impl<'j> Plan<'j> {
    /// A plan over `keys`, of which those in `found` have rows.
    pub(super) fn new(
        keys: impl IntoIterator<Item = &'j Key>,
        found: &HashMap<Key, Found>,
        dialect: Dialect,
        now_ms: i64,
    ) -> Self {
        let slot = |key: &'j Key| (key, Slot { stored: found.get(key).cloned(), wanted: None });
        Self { slots: keys.into_iter().map(slot).collect(), dialect, now_ms }
    }

    /// Does one job to the plan. An error or a conflict leaves the plan as it was.
    pub(super) fn work(&mut self, work: &'j Work) -> Result<Done> {
        match work {
            Work::Commit(batch) => Ok(Done::Commit(self.commit(batch))),
            Work::Update(keys, change) => self.update(keys, change).map(Done::Updated),
        }
    }

    fn meta(&self, key: &Key) -> Option<Meta> {
        self.slots.get(key).and_then(|slot| slot.meta(self.now_ms))
    }

    fn set(&mut self, key: &Key, wanted: Wanted<'j>) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.wanted = Some(wanted);
        }
    }

    /// The times that a record gets: it keeps the creation time of a live one.
    fn settled(&self, key: &Key, record: &NewRecord) -> Meta {
        let mut meta = record.meta;
        if let (Some(before), false) = (self.meta(key), record.force_created) {
            meta.created_at = before.created_at;
        }
        meta
    }

    fn commit(&mut self, batch: &'j Batch) -> Commit {
        for (key, check) in &batch.checks {
            let meta = self.meta(key);
            let holds = match check {
                Check::Absent => meta.is_none(),
                Check::Version(version) => meta.is_some_and(|meta| meta.version == *version),
            };
            if !holds {
                return Commit::Conflict(key.clone());
            }
        }
        let mut done = smallvec::SmallVec::with_capacity(batch.writes.len());
        for (key, write) in &batch.writes {
            done.push(self.meta(key).is_some());
            let wanted = match write {
                Write::Put(record) => Wanted::Record(self.settled(key, record), Content::Lent(&record.body)),
                Write::Delete => Wanted::Nothing,
            };
            self.set(key, wanted);
        }
        Commit::Done(done)
    }

    fn update(&mut self, keys: &'j [Key], change: &ChangeFn) -> Result<Vec<Updated>> {
        let before: Vec<(&Key, Option<Wanted<'j>>)> =
            keys.iter().filter_map(|key| Some((key, self.slots.get(key)?.wanted.clone()))).collect();
        let mut updated = Vec::with_capacity(keys.len());
        for key in keys {
            match self.change(key, change) {
                Ok(one) => updated.push(one),
                Err(error) => {
                    // In reverse: of a key named twice the first memory is the one that counts.
                    for (key, wanted) in before.into_iter().rev() {
                        if let Some(slot) = self.slots.get_mut(key) {
                            slot.wanted = wanted;
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(updated)
    }

    fn change(&mut self, key: &Key, change: &ChangeFn) -> Result<Updated> {
        let before = self.slots.get(key).and_then(|slot| slot.record(self.now_ms));
        // A panic of the caller's must not take everyone else's writes along.
        let asked = catch_unwind(AssertUnwindSafe(|| change(key, before.as_ref())));
        let panicked =
            |_| -> Error { refused(self.dialect, "the change of a record panicked; nothing was written".to_owned()) };
        let after = match asked.map_err(panicked)?? {
            Change::Keep => return Ok(Updated { after: before.clone(), before }),
            Change::Delete => {
                self.set(key, Wanted::Nothing);
                None
            }
            Change::Put(record) => {
                let meta = self.settled(key, &record);
                let body = Body::from(record.body);
                self.set(key, Wanted::Record(meta, Content::Shared(body.clone())));
                Some(Record { meta, body })
            }
        };
        Ok(Updated { before, after })
    }
}
