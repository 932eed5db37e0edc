//! Records in an object store, S3, Google Cloud Storage or Azure Blob Storage, or in a folder; for large values.
//!
//! # What holds
//!
//! 1. A record is one object; its name is its key, written so that names sort as keys do (`names`), and its version and
//!    times stand in it (`record`). Keys are as long as names may be: 1,024 bytes, prefix included, after writing out
//!    what is no small letter or digit; a longer one is an [`crate::error::KeyProblem::NameTooLong`].
//! 2. One key is written in one conditional request, so `set_if_absent`, `compare_and_set`, `increment` and `pop` are
//!    exact, whoever else writes. Several keys are written one by one ([`Error::PartialWrite`]), and read one by one:
//!    there are no transactions. A bucket has to support `If-Match` and `If-None-Match`.
//! 3. What must not be lost is not deleted: a bucket deletes without a condition, so what `pop` takes out and what expires
//!    is first overwritten on condition, and removed a while after nobody wants it (`purge`). A `delete` is one such
//!    request: of two processes that delete one key at the same moment both may be told that it was there.
//! 4. A value past 16 MiB is written in parts, unless a condition goes with it, and one past 8 MiB read in parts: 8 parts
//!    at the same time. A conditional write takes up to 5 GiB in one request.
//! 5. Expiry is decided by this process's clock, not by the store's.
//!
//! # What it costs, in requests
//!
//! | operation | requests |
//! | --- | --- |
//! | `get`, `set_if_absent` | 1 |
//! | `set`, `delete`, `compare_and_set`, `increment`, `pop` | 2 |
//! | `keys`, `count`, `stats`, `clear` | 1 for a thousand keys, and 1 for each that has an expiry; `clear` 1 more a thousand |
//! | `items`, `entries` | as `keys`, and 1 for each |
//! | descending order | as listing the whole range, for each page |
//! | order of creation | 1 for each key of the range, for each page |
//! | `namespaces` | as `keys` at most; with a depth, at most 2 for each namespace |

mod attributes;
mod backing;
mod builder;
mod cloud;
mod config;
mod errors;
mod folder;
mod names;
mod purge;
mod record;
mod scan;
mod store;
mod update;
mod url;
mod writes;

use std::future::Future;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::{StreamExt, TryStreamExt, stream};

pub use config::ObjectConfig;

use self::backing::{Backing, Outcome};
use self::builder::Builder;
use self::cloud::Bucket;
use self::errors::{BACKEND, Fault, MAX_NAME_BYTES, gone};
use self::folder::Folder;
use self::store::Store;
use self::url::Target;
use super::{Batch, ChangeFn, Commit, Engine, EngineStats, KeyRange, Meta, Page, Record, Scan, Updated, runtime};
use crate::answer::Answer;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fork::{self, Generation};
use crate::janitor::Purge;
use crate::key::Key;
use crate::sync::lock;

/// A store of records in an object store. See the module for what holds.
pub struct ObjectEngine {
    config: ObjectConfig,
    target: Target,
    builder: Option<Builder>,
    clock: Clock,
    state: Mutex<Opened>,
    me: Weak<Self>,
}

struct Opened {
    generation: Generation,
    /// Set by the first close, for good.
    closed: bool,
    store: Option<Arc<Store>>,
}

impl ObjectEngine {
    /// A store that connects at its first operation. Reads the environment, and the certificate where one is given.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a url or an option that can't be used.
    pub fn new(config: ObjectConfig, clock: Clock) -> Result<Arc<Self>> {
        config.validate()?;
        let target = Target::parse(&config.url)?;
        let builder = match &target {
            Target::Cloud { cloud, bucket, .. } => Some(Builder::new(*cloud, bucket, &config)?),
            Target::Folder(_) => None,
        };
        let opened = Opened { generation: fork::generation(), closed: false, store: None };
        Ok(Arc::new_cyclic(|me| Self { config, target, builder, clock, state: Mutex::new(opened), me: me.clone() }))
    }

    /// The configuration. Its options may hold secrets; its `Debug` form does not show them.
    pub fn config(&self) -> &ObjectConfig {
        &self.config
    }

    /// The store's name in errors.
    fn place(&self) -> String {
        match self.builder.as_ref().and_then(Builder::host) {
            Some(host) => format!("{} at {host}", self.target.location()),
            None => self.target.location(),
        }
    }

    /// The state, as this generation left it. In the fork gate.
    fn state(&self) -> MutexGuard<'_, Opened> {
        let mut state = lock(&self.state);
        let here = fork::generation();
        if state.generation != here {
            state.generation = here;
            // Left as it is, not dropped: its sockets, and the tasks that use them, are the parent's.
            mem::forget(state.store.take());
        }
        state
    }

    /// What this generation works with. In the fork gate.
    fn store(&self) -> Result<Arc<Store>> {
        let mut state = self.state();
        if state.closed {
            return Err(Error::Closed { backend: BACKEND });
        }
        if let Some(store) = &state.store {
            return Ok(Arc::clone(store));
        }
        let (config, place) = (&self.config, self.place());
        let backing = match (&self.target, &self.builder) {
            (Target::Cloud { prefix, .. }, Some(builder)) => Backing::Bucket(Box::new(Bucket::new(
                builder.clone(),
                prefix.clone(),
                place.clone(),
                config.max_connections,
                config.connection_timeout,
            ))),
            (Target::Folder(path), _) => Backing::Folder(Folder::new(
                path.clone(),
                place.clone(),
                config.max_connections,
                config.connection_timeout,
            )),
            (Target::Cloud { .. }, None) => return Err(gone()),
        };
        let (prefix, owner): (_, Weak<dyn Purge>) = (self.target.prefix().len(), self.me.clone());
        let store = Store::new(backing, config, place, prefix, self.clock.clone(), runtime::wide_handle()?, owner);
        let store = Arc::clone(state.store.insert(Arc::new(store)));
        drop(state);
        store.dead.watch();
        Ok(store)
    }

    /// Runs `work` in a task of its own, which goes on where the answer is dropped.
    fn task<T, F>(&self, work: impl FnOnce(Arc<Store>) -> F + Send + 'static) -> Answer<Result<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let _gate = fork::enter();
        let store = match self.store() {
            Ok(store) => store,
            Err(error) => return Answer::ready(Err(error)),
        };
        let (reply, answer) = oneshot::channel();
        let theirs = Arc::clone(&store);
        store.spawn(async move {
            // The caller may have gone away: nobody is left to tell.
            let _ = reply.send(work(theirs).await);
        });
        Answer::later(async move { answer.await.unwrap_or_else(|_| Err(gone())) })
    }

    /// As [`ObjectEngine::task`], for what changes nothing.
    fn ask<T, F>(&self, work: impl FnOnce(Arc<Store>) -> F + Send + 'static) -> Answer<Result<T>>
    where
        T: Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        self.task(|store| async move {
            let answer = work(Arc::clone(&store)).await;
            answer.map_err(|fault: Fault| store.error(fault, false))
        })
    }
}

impl Purge for ObjectEngine {
    fn purge(&self) -> Option<Duration> {
        let state = self.state();
        let store = state.store.as_ref().filter(|_| !state.closed)?;
        Some(store.start_purge())
    }
}

impl Drop for ObjectEngine {
    fn drop(&mut self) {
        // Without the gate: the janitor, who may be the last to let go, is inside already.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.generation != fork::generation() {
            mem::forget(state.store.take());
        }
    }
}

impl Engine for ObjectEngine {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn location(&self) -> String {
        self.target.location()
    }

    fn activity(&self) -> Vec<(&'static str, f64)> {
        let _gate = fork::enter();
        self.store().map(|store| vec![store.dead.activity.expiries()]).unwrap_or_default()
    }

    fn may_block(&self) -> bool {
        false
    }

    fn max_key_bytes(&self) -> usize {
        // The end of each name is one byte more.
        MAX_NAME_BYTES.saturating_sub(self.target.prefix().len() + 1)
    }

    fn transactions(&self) -> Result<()> {
        Err(writes::unsupported())
    }

    fn open(&self) -> Answer<Result<()>> {
        self.ping()
    }

    fn read_one(&self, key: &Key) -> Answer<Result<Option<Record>>> {
        let key = key.clone();
        self.ask(move |store| async move { store.read(&key).await })
    }

    fn meta(&self, key: &Key) -> Answer<Result<Option<Meta>>> {
        let key = key.clone();
        self.ask(move |store| async move { store.meta(&key).await })
    }

    /// Each as of its own moment.
    fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        if keys.is_empty() {
            return Answer::ready(Ok(Vec::new()));
        }
        self.ask(move |store| async move {
            let store = &store;
            let reads = stream::iter(keys.into_iter().map(|key| async move { store.read(&key).await }));
            reads.buffered(store.width).try_collect().await
        })
    }

    fn commit(&self, batch: Batch) -> Answer<Result<Commit>> {
        self.task(move |store| async move { store.commit(batch).await })
    }

    /// Each key in a step of its own.
    fn update(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<Updated>>> {
        self.task(move |store| async move { store.update(keys, change).await })
    }

    fn scan(&self, scan: Scan) -> Answer<Result<Page>> {
        self.ask(move |store| async move { store.scan(scan).await })
    }

    fn count(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.ask(move |store| async move { store.stats(range).await.map(|stats| stats.keys) })
    }

    /// Each object by itself: what is written meanwhile may stay or go.
    fn remove_range(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.task(move |store| async move {
            let removed = store.remove_range(range).await;
            removed.map_err(|fault| store.error(fault, true))
        })
    }

    fn namespaces(&self, range: KeyRange, skip: usize, max_depth: Option<usize>) -> Answer<Result<Vec<String>>> {
        self.ask(move |store| async move { store.namespaces(range, skip, max_depth).await })
    }

    fn stats(&self, range: KeyRange) -> Answer<Result<EngineStats>> {
        self.ask(move |store| async move { store.stats(range).await })
    }

    fn attribute(&self, name: &str, proposed: Option<Vec<u8>>) -> Answer<Result<Option<Vec<u8>>>> {
        let name = name.to_owned();
        self.ask(move |store| async move { store.attribute(&name, proposed).await })
    }

    fn ping(&self) -> Answer<Result<()>> {
        self.ask(|store| async move { store.ping().await })
    }

    fn close(&self) -> Answer<Result<()>> {
        let _gate = fork::enter();
        let mut state = self.state();
        state.closed = true;
        let Some(store) = state.store.take() else { return Answer::ready(Ok(())) };
        drop(state);
        let (reply, answer) = oneshot::channel();
        let runtime = store.runtime().clone();
        runtime.spawn(async move {
            store.close().await;
            let _ = reply.send(());
        });
        Answer::later(async move {
            let _ = answer.await;
            Ok(())
        })
    }
}
