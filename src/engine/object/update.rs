//! Read, change and write: each key by itself, again where somebody else was faster.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::backing::Outcome;
use super::errors::{Fault, backend};
use super::record::pack;
use super::store::Store;
use super::writes::{Pause, condition, partial};
use crate::engine::{Change, ChangeFn, Record, Updated};
use crate::error::Result;
use crate::key::Key;

impl Store {
    pub(super) async fn update(&self, keys: Vec<Key>, change: ChangeFn) -> Result<Vec<Updated>> {
        keys.iter().try_for_each(|key| self.name(key).map(drop))?;
        let change = &change;
        let mut answers =
            stream::iter(keys.clone().into_iter().map(|key| async move { self.update_one(&key, change).await }))
                .buffered(self.width);
        let (mut updated, mut error) = (Vec::with_capacity(keys.len()), None);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(one) => updated.push(Some(one)),
                Err(fault) => {
                    error = error.or(Some(self.error(fault, true)));
                    updated.push(None);
                }
            }
        }
        let Some(error) = error else { return Ok(updated.into_iter().flatten().collect()) };
        let changed = keys.iter().zip(updated).filter(|(_, one)| one.as_ref().is_some_and(is_changed));
        Err(partial(changed.map(|(key, _)| key.clone()), keys.len(), error))
    }

    async fn update_one(&self, key: &Key, change: &ChangeFn) -> Outcome<Updated> {
        let (name, until) = (self.name(key)?, self.deadline());
        let _turn = self.turn(key, until).await?;
        let mut pause = Pause::default();
        loop {
            let loaded = self.settled(&name, until).await?;
            let found = loaded.as_ref().map(|loaded| loaded.found.clone());
            let before = loaded.and_then(|loaded| self.live(loaded));
            // A panic of the caller's function is the caller's error alone.
            let answer = catch_unwind(AssertUnwindSafe(|| change(key, before.as_ref())))
                .unwrap_or_else(|_| Err(backend("the function that changes a record panicked".to_owned())));
            let (done, after) = match answer.map_err(Fault::Final)? {
                Change::Put(new) => {
                    let mut meta = new.meta;
                    if let Some(old) = before.as_ref().filter(|_| !new.force_created) {
                        meta.created_at = old.meta.created_at;
                    }
                    let body = Bytes::from(new.body);
                    let packed = pack(&meta, body.clone());
                    let done = self.backing.put(&name, &packed, &condition(found.as_ref()), until).await?;
                    if done {
                        self.expect(&name, meta.expires_at);
                    }
                    (done, Some(Record { meta, body: body[..].into() }))
                }
                Change::Delete => match (&found, &before) {
                    (Some(found), Some(_)) => (self.bury(&name, found, until).await?, None),
                    _ => (true, None),
                },
                Change::Keep => (true, before.clone()),
            };
            if done {
                return Ok(Updated { before, after });
            }
            pause.pass(until, self.within).await?;
        }
    }
}

fn is_changed(one: &Updated) -> bool {
    let version = |record: &Option<Record>| record.as_ref().map(|record| record.meta.version);
    version(&one.before) != version(&one.after)
}
