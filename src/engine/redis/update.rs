//! Read, change and write in one step: read, then commit with checks that nothing has changed since, until that holds.
//!
//! Updates of the same keys that wait in this process are done together: each sees what the one before it left, and one
//! commit writes the last state. So they don't make each other's checks fail, as other processes' do.

use std::collections::hash_map::Entry;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_channel::oneshot::{self, Sender};
use futures_util::future::join_all;

use super::errors::{BACKEND, gone};
use super::store::Store;
use crate::answer::Answer;
use crate::engine::{Batch, Change, ChangeFn, Check, Commit, NewRecord, Record, Updated, Write};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::sync::lock;

const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// An update that waits.
pub(super) struct Pending {
    change: ChangeFn,
    reply: Sender<Result<Vec<Updated>>>,
}

impl Store {
    pub(super) fn update(self: &Arc<Self>, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<Updated>>> {
        if keys.is_empty() {
            return Answer::ready(Ok(Vec::new()));
        }
        let groups = self.layout.grouped(&keys);
        if groups.len() > 1 {
            return self.update_groups(&keys, groups, &change);
        }
        let (reply, answer) = oneshot::channel();
        let pending = Pending { change, reply };
        match lock(&self.updates).entry(keys) {
            Entry::Occupied(mut waiting) => waiting.get_mut().push(pending),
            Entry::Vacant(place) => {
                let keys = place.key().clone();
                place.insert(vec![pending]);
                let store = Arc::clone(self);
                self.runtime.spawn(async move { store.run_updates(keys).await });
            }
        }
        Answer::later(async move { answer.await.unwrap_or_else(|_| Err(gone())) })
    }

    /// Keys of several first namespaces of a cluster, each namespace in a step of its own.
    fn update_groups(
        self: &Arc<Self>,
        keys: &[Key],
        groups: Vec<Vec<usize>>,
        change: &ChangeFn,
    ) -> Answer<Result<Vec<Updated>>> {
        let of_group = |places: &Vec<usize>| {
            let keys = places.iter().filter_map(|&place| keys.get(place).cloned()).collect();
            self.update(keys, Arc::clone(change))
        };
        let answers: Vec<_> = groups.iter().map(of_group).collect();
        Answer::later(async move {
            let mut all = Vec::new();
            for (places, answer) in groups.into_iter().zip(join_all(answers).await) {
                all.extend(places.into_iter().zip(answer?));
            }
            all.sort_unstable_by_key(|(place, _)| *place);
            Ok(all.into_iter().map(|(_, updated)| updated).collect())
        })
    }

    /// Does what waits for `keys`, until nothing does.
    async fn run_updates(&self, keys: Vec<Key>) {
        loop {
            let group = {
                let mut updates = lock(&self.updates);
                let group = updates.get_mut(&keys).map(mem::take).unwrap_or_default();
                if group.is_empty() {
                    updates.remove(&keys);
                    return;
                }
                group
            };
            let deadline = Instant::now() + self.within;
            let mut pause = Duration::from_micros(100);
            let answers = loop {
                match self.try_updates(&keys, &group).await {
                    Ok(Some(answers)) => break Ok(answers),
                    Ok(None) if Instant::now() >= deadline => {
                        let what = format!("{BACKEND}: an update of a key that others keep changing");
                        break Err(Error::Timeout { what, seconds: self.within.as_secs_f64() });
                    }
                    Ok(None) => {
                        tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    Err(error) => break Err(error),
                }
            };
            match answers {
                Ok(answers) => group.into_iter().zip(answers).for_each(|(one, answer)| drop(one.reply.send(answer))),
                Err(error) => group.into_iter().for_each(|one| drop(one.reply.send(Err(error.clone())))),
            }
        }
    }

    /// One attempt; `None` where someone else changed a key meanwhile.
    async fn try_updates(&self, keys: &[Key], group: &[Pending]) -> Result<Option<Vec<Result<Vec<Updated>>>>> {
        let mut distinct: Vec<Key> = keys.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let places: Vec<usize> = keys.iter().filter_map(|key| distinct.binary_search(key).ok()).collect();
        let found = self.read(distinct.clone()).await?;
        let mut state = found.clone();
        let mut changed = vec![false; distinct.len()];
        let mut answers = Vec::with_capacity(group.len());
        for one in group {
            let before = (state.clone(), changed.clone());
            let answer = apply(keys, &places, &one.change, &mut state, &mut changed);
            if answer.is_err() {
                (state, changed) = before;
            }
            answers.push(answer);
        }
        let batch = Batch {
            checks: distinct.iter().zip(&found).map(|(key, record)| (key.clone(), check(record.as_ref()))).collect(),
            writes: distinct
                .iter()
                .zip(state)
                .zip(changed)
                .filter(|(_, changed)| *changed)
                .map(|((key, record), _)| (key.clone(), write(record)))
                .collect(),
        };
        if batch.writes.is_empty() {
            return Ok(Some(answers));
        }
        match self.commit_here(&batch).await? {
            Commit::Done(_) => Ok(Some(answers)),
            Commit::Conflict(_) => Ok(None),
        }
    }
}

fn check(found: Option<&Record>) -> Check {
    found.map_or(Check::Absent, |record| Check::Version(record.meta.version))
}

fn write(record: Option<Record>) -> Write {
    // The time of creation is settled here: a record may have gone and come back within the group.
    record.map_or(Write::Delete, |record| {
        Write::Put(NewRecord { meta: record.meta, body: record.body.to_vec(), force_created: true })
    })
}

/// Applies one update to what its keys hold.
fn apply(
    keys: &[Key],
    places: &[usize],
    change: &ChangeFn,
    state: &mut [Option<Record>],
    changed: &mut [bool],
) -> Result<Vec<Updated>> {
    let mut updated = Vec::with_capacity(keys.len());
    for (key, &place) in keys.iter().zip(places) {
        let (Some(slot), Some(changed)) = (state.get_mut(place), changed.get_mut(place)) else { return Err(gone()) };
        let before = slot.clone();
        // A panic of the caller's function is the caller's error alone.
        let answer = catch_unwind(AssertUnwindSafe(|| change(key, before.as_ref()))).unwrap_or_else(|_| {
            Err(Error::Backend { backend: BACKEND, message: "the function that changes a record panicked".to_owned() })
        })?;
        match answer {
            Change::Keep => {}
            Change::Put(new) => {
                let mut meta = new.meta;
                if let Some(old) = before.as_ref().filter(|_| !new.force_created) {
                    meta.created_at = old.meta.created_at;
                }
                *slot = Some(Record { meta, body: new.body.into() });
                *changed = true;
            }
            Change::Delete => {
                *slot = None;
                *changed = true;
            }
        }
        updated.push(Updated { before, after: slot.clone() });
    }
    Ok(updated)
}
