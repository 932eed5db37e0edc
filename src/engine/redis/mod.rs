//! Records in Redis or Valkey, or in a cluster of them, shared by any number of processes.
//!
//! # What holds
//!
//! 1. A commit is one script, run by the server in one step: checks, records and the indexes that listings read.
//! 2. The caller's clock decides what has expired. Redis's own expiry, by the time that was left, frees records that no
//!    process of ours is left to free. Clocks of processes that share a storage are to agree.
//! 3. A listing rights the indexes where it meets a record that Redis has dropped (expired or evicted). A count looks
//!    for each of up to 2,000 records, and for a sample of more: where one of the sample is gone, for all. A server with
//!    `maxmemory` belongs under `noeviction` or a `volatile-` policy: an `allkeys-` one may take an index itself.
//! 4. Calls that wait travel as one pipeline (`lane`); a lone one is written to the socket by its own caller
//!    (`direct`). A broken connection is made anew and what was under way is brought to its end within the timeout,
//!    each write exactly once; past it, an error says that the outcome of a write is unknown.
//! 5. What was acknowledged survives the server's crash as far as its own configuration keeps it (`appendonly yes`,
//!    `appendfsync always` or `everysec`), and a failover as far as its replicas have it.
//! 6. [`Engine::remove_range`] deletes up to 50,000 records of a server (of a first namespace, on a cluster) in one
//!    step, and more in steps of that size: one step of that size blocks the server for about 0.4 seconds.
//! 7. On a cluster one first namespace (or all the keys in none) is on one node. Batches and transactions
//!    stay within one. Reads, listings, deletions and updates may span them, each namespace in a step of its own. What
//!    concerns everything asks every first namespace that holds keys or held some within the last hour.
//! 8. The bytes in [`Engine::stats`] are those of 256 records, evenly spread, times the count over 256: exact up to so
//!    many. A server's `server_used_memory` is exact, and is of everything on it.
//! 9. An answer takes 1 GiB at most; one that claims more ends the connection.
//!
//! A user of the server needs these commands, on names that start with the `key_prefix`: `GET MGET GETRANGE SET DEL
//! UNLINK EXISTS STRLEN PEXPIRE HGET HSET HSETNX HINCRBY HDEL HLEN ZADD ZREM ZSCORE ZRANGE ZRANGEBYLEX ZREVRANGEBYLEX
//! ZRANGEBYSCORE ZREMRANGEBYLEX ZLEXCOUNT EVALSHA SCRIPT|LOAD PING INFO TIME`, to fence off a broken connection
//! `CLIENT|ID` and `CLIENT|KILL`, `SELECT` for another database than 0, and on a cluster `CLUSTER|SLOTS`. Tested with
//! Redis 7.0 and Valkey 9.1; it needs nothing that is newer than Redis 5.0.

mod commit;
mod config;
mod connection;
mod direct;
mod errors;
mod lane;
mod layout;
mod listing;
mod registry;
mod request;
mod resp;
mod scripts;
mod stats;
mod store;
mod united;
mod update;
mod url;
mod wire;

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

pub use config::RedisConfig;

use self::errors::BACKEND;
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

/// How often another process's expired records are looked for.
const PURGE_EVERY: Duration = Duration::from_mins(1);

/// A store of records in Redis. See the module for what holds.
pub struct RedisEngine {
    config: RedisConfig,
    target: Target,
    clock: Clock,
    state: Mutex<State>,
    me: Weak<Self>,
}

struct State {
    generation: Generation,
    /// Set by the first close, for good.
    closed: bool,
    store: Option<Arc<Store>>,
}

impl RedisEngine {
    /// A store that connects at its first operation.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a url or an option that can't be used.
    pub fn new(config: RedisConfig, clock: Clock) -> Result<Arc<Self>> {
        let target = config.target()?;
        Ok(Arc::new_cyclic(|me| Self {
            config,
            target,
            clock,
            state: Mutex::new(State { generation: fork::generation(), closed: false, store: None }),
            me: me.clone(),
        }))
    }

    /// The configuration.
    pub fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// The state, as this generation left it. In the fork gate.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let here = fork::generation();
        if state.generation != here {
            state.generation = here;
            // Left as it is, not dropped: its sockets, and the tasks that use them, are the parent's.
            mem::forget(state.store.take());
        }
        state
    }

    fn store(&self) -> Result<Arc<Store>> {
        let _gate = fork::enter();
        let mut state = self.state();
        if state.closed {
            return Err(Error::Closed { backend: BACKEND });
        }
        if let Some(store) = &state.store {
            return Ok(Arc::clone(store));
        }
        let owner: Weak<dyn Purge> = self.me.clone();
        let store = Store::new(&self.config, self.target.clone(), self.clock.clone(), runtime::handle()?, owner);
        Ok(Arc::clone(state.store.insert(store)))
    }

    fn with<T: Send + 'static>(&self, work: impl FnOnce(Arc<Store>) -> Answer<Result<T>>) -> Answer<Result<T>> {
        match self.store() {
            Ok(store) => work(store),
            Err(error) => Answer::ready(Err(error)),
        }
    }
}

impl Purge for RedisEngine {
    fn purge(&self) -> Option<Duration> {
        let state = self.state();
        let store = state.store.as_ref().filter(|_| !state.closed)?;
        let task = Arc::clone(store);
        store.runtime.spawn(async move { task.purge().await });
        Some(PURGE_EVERY)
    }
}

impl Engine for RedisEngine {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn location(&self) -> String {
        self.target.location()
    }

    fn activity(&self) -> Vec<(&'static str, f64)> {
        self.store().map(|store| store.activity.figures(store.waiting())).unwrap_or_default()
    }

    fn may_block(&self) -> bool {
        false
    }

    fn open(&self) -> Answer<Result<()>> {
        self.ping()
    }

    fn read_one(&self, key: &Key) -> Answer<Result<Option<Record>>> {
        self.with(|store| store.read_one(key))
    }

    fn meta(&self, key: &Key) -> Answer<Result<Option<Meta>>> {
        self.with(|store| store.meta(key))
    }

    fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        self.with(|store| store.read(keys))
    }

    fn commit(&self, batch: Batch) -> Answer<Result<Commit>> {
        self.with(|store| store.commit(batch))
    }

    fn delete(&self, keys: Vec<Key>) -> Answer<Result<u64>> {
        self.with(|store| store.delete(&keys))
    }

    fn update(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<Updated>>> {
        self.with(|store| store.update(keys, change))
    }

    fn scan(&self, scan: Scan) -> Answer<Result<Page>> {
        self.with(|store| store.run(Arc::clone(&store).scan(scan)))
    }

    fn count(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.with(|store| store.run(Arc::clone(&store).count(range)))
    }

    fn remove_range(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.with(|store| store.run(Arc::clone(&store).remove_range(range)))
    }

    fn namespaces(&self, range: KeyRange, skip: usize, max_depth: Option<usize>) -> Answer<Result<Vec<String>>> {
        self.with(|store| store.run(Arc::clone(&store).namespaces(range, skip, max_depth)))
    }

    fn stats(&self, range: KeyRange) -> Answer<Result<EngineStats>> {
        self.with(|store| store.run(Arc::clone(&store).stats(range)))
    }

    fn census(&self, range: KeyRange, skip: usize) -> Answer<Result<(EngineStats, u64)>> {
        self.with(|store| store.run(Arc::clone(&store).census(range, skip)))
    }

    fn attribute(&self, name: &str, proposed: Option<Vec<u8>>) -> Answer<Result<Option<Vec<u8>>>> {
        let name = name.to_owned();
        self.with(|store| store.run(Arc::clone(&store).attribute(name, proposed)))
    }

    fn ping(&self) -> Answer<Result<()>> {
        self.with(|store| store.ping())
    }

    fn close(&self) -> Answer<Result<()>> {
        let _gate = fork::enter();
        let mut state = self.state();
        state.closed = true;
        match state.store.take() {
            None => Answer::ready(Ok(())),
            Some(store) => store.run({
                let store = Arc::clone(&store);
                async move {
                    store.shut_down().await;
                    Ok(())
                }
            }),
        }
    }
}

impl Drop for RedisEngine {
    fn drop(&mut self) {
        // Without the gate: whoever lets go last may hold it, or may be about to fork.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.generation != fork::generation() {
            // In a forked child: the sockets, and the tasks that use them, are the parent's.
            mem::forget(state.store.take());
        }
    }
}
