//! Transactions: reads are remembered with their versions, writes are kept back, and one commit checks the first and
//! does the second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use num_bigint::BigInt;

use crate::answer::Answer;
use crate::codec::Encoded;
use crate::engine::{Batch, Check, Commit, Engine, Meta, Record, Write};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::storage::{Storage, integer_of, new_record, new_version};
use crate::sync::lock;
use crate::ttl::Ttl;
use crate::value::MemoryValue;

/// A serialisable transaction over one storage. Nothing is visible outside before [`Transaction::commit`]; dropping it
/// undoes it. Reads are repeatable and see the transaction's own writes. Clones are handles to one transaction.
pub struct Transaction<E: ?Sized = dyn Engine> {
    storage: Storage<E>,
    state: Arc<Mutex<State>>,
}

impl<E: ?Sized> Clone for Transaction<E> {
    fn clone(&self) -> Self {
        Self { storage: self.storage.clone(), state: Arc::clone(&self.state) }
    }
}

#[derive(Default)]
struct State {
    /// What was read from the storage: the transaction commits only where all of it still stands.
    reads: HashMap<Key, Option<Record>>,
    /// What is to be written: `None` for a deletion.
    writes: HashMap<Key, Option<Record>>,
    /// The keys of `writes` in the order of their first write.
    order: Vec<Key>,
    finished: bool,
}

impl State {
    fn check_open(&self) -> Result<()> {
        if self.finished {
            return Err(Error::TransactionFinished);
        }
        Ok(())
    }

    /// What the transaction sees under `key`; `None` where the storage has to be asked.
    fn seen(&self, key: &Key) -> Option<Option<Record>> {
        self.writes.get(key).or_else(|| self.reads.get(key)).cloned()
    }

    fn write(&mut self, key: Key, record: Option<Record>) {
        if self.writes.insert(key.clone(), record).is_none() {
            self.order.push(key);
        }
    }
}

impl<E: Engine + ?Sized> Transaction<E> {
    pub(crate) fn new(storage: Storage<E>) -> Self {
        Self { storage, state: Arc::default() }
    }

    /// The storage that it is a transaction of.
    pub fn storage(&self) -> &Storage<E> {
        &self.storage
    }

    /// What `keys` hold, in their order, as this transaction sees it.
    pub fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        let missing: Vec<Key> = {
            let state = lock(&self.state);
            if let Err(error) = state.check_open() {
                return Answer::ready(Err(error));
            }
            let mut missing: Vec<Key> = keys.iter().filter(|key| state.seen(key).is_none()).cloned().collect();
            missing.sort_unstable();
            missing.dedup();
            missing
        };
        let state = Arc::clone(&self.state);
        let see = move |read: Vec<(Key, Option<Record>)>| {
            let mut state = lock(&state);
            state.check_open()?;
            for (key, record) in read {
                // Of two calls that read a key at once, the first counts: reads are repeatable.
                state.reads.entry(key).or_insert(record);
            }
            Ok(keys.iter().map(|key| state.seen(key).flatten()).collect())
        };
        if missing.is_empty() {
            return Answer::ready(see(Vec::new()));
        }
        let asked = missing.clone();
        self.storage.read_many(missing).and_then(move |records| see(asked.into_iter().zip(records).collect()))
    }

    /// Stores `value` under `key`, at the commit.
    pub fn write(&self, key: Key, value: Encoded, ttl: Option<Ttl>) -> Answer<Result<()>> {
        Answer::ready(self.put(lock(&self.state), key, value, ttl))
    }

    /// Stores all of `pairs`, at the commit.
    pub fn write_many(&self, pairs: Vec<(Key, Encoded)>, ttl: Option<Ttl>) -> Answer<Result<()>> {
        for (key, value) in pairs {
            if let Err(error) = self.put(lock(&self.state), key, value, ttl) {
                return Answer::ready(Err(error));
            }
        }
        Answer::ready(lock(&self.state).check_open())
    }

    fn put(
        &self,
        mut state: std::sync::MutexGuard<'_, State>,
        key: Key,
        value: Encoded,
        ttl: Option<Ttl>,
    ) -> Result<()> {
        state.check_open()?;
        let expires_at = ttl.map(|ttl| ttl.expires_at(self.storage.clock())).transpose()?;
        let new = new_record(value, expires_at, self.storage.clock().stamp());
        // As the engine will at the commit: an overwrite keeps the time of creation.
        let created_at = state.seen(&key).flatten().map_or(new.meta.created_at, |record| record.meta.created_at);
        state.write(key, Some(Record { meta: Meta { created_at, ..new.meta }, body: new.body.into() }));
        Ok(())
    }

    /// Stores `value` where `key` holds nothing; whether it did.
    pub fn write_if_absent(&self, key: Key, value: Encoded, ttl: Option<Ttl>) -> Answer<Result<bool>> {
        let this = self.clone();
        self.read(vec![key.clone()]).and_then(move |records| {
            let state = lock(&this.state);
            // A call of this transaction that ran meanwhile may have written it.
            if records.iter().any(Option::is_some) || state.seen(&key).flatten().is_some() {
                return Ok(false);
            }
            this.put(state, key, value, ttl).map(|()| true)
        })
    }

    /// Deletes `keys`, at the commit; how many of them were there.
    pub fn remove(&self, keys: Vec<Key>) -> Answer<Result<u64>> {
        let this = self.clone();
        self.read(keys.clone()).and_then(move |_| {
            let mut state = lock(&this.state);
            state.check_open()?;
            let mut removed = 0;
            for key in keys {
                if state.seen(&key).flatten().is_some() {
                    removed += 1;
                    state.write(key, None);
                }
            }
            Ok(removed)
        })
    }

    /// Adds `by` to the integer under `key`; the new record.
    pub fn add(&self, key: Key, by: BigInt) -> Answer<Result<Option<Record>>> {
        let this = self.clone();
        self.read(vec![key.clone()]).and_then(move |_| {
            let mut state = lock(&this.state);
            state.check_open()?;
            let before = state.seen(&key).flatten();
            let sum = integer_of(this.storage.local(&key), before.as_ref())? + by;
            let stamp = this.storage.clock().stamp();
            let meta = before.map_or(
                Meta { version: new_version(), created_at: stamp, updated_at: stamp, expires_at: None },
                |record| Meta { version: new_version(), updated_at: stamp, ..record.meta },
            );
            let after = Record { meta, body: MemoryValue::from(sum).encode()?.into_body().into() };
            state.write(key, Some(after.clone()));
            Ok(Some(after))
        })
    }

    /// Commits: all writes happen in one step, if nothing that was read has changed.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where something has changed; nothing happened then.
    pub fn commit(&self) -> Answer<Result<()>> {
        let batch = {
            let mut state = lock(&self.state);
            if let Err(error) = state.check_open() {
                return Answer::ready(Err(error));
            }
            batch_of(std::mem::replace(&mut *state, State { finished: true, ..State::default() }))
        };
        if batch.checks.is_empty() && batch.writes.is_empty() {
            return Answer::ready(Ok(()));
        }
        let prefix = self.storage.prefix().len();
        self.storage.commit(batch).and_then(move |commit| match commit {
            Commit::Done(_) => Ok(()),
            Commit::Conflict(key) => Err(Error::Conflict { key: key.get(prefix..).unwrap_or_default().to_owned() }),
        })
    }

    /// Forgets all writes. Idempotent.
    pub fn rollback(&self) {
        *lock(&self.state) = State { finished: true, ..State::default() };
    }
}

fn batch_of(mut state: State) -> Batch {
    let checks = state
        .reads
        .into_iter()
        .map(|(key, record)| (key, record.map_or(Check::Absent, |record| Check::Version(record.meta.version))))
        .collect();
    let writes = state
        .order
        .into_iter()
        .filter_map(|key| {
            let record = state.writes.remove(&key)?;
            Some((key, record.map_or(Write::Delete, |record| Write::Put(record.into()))))
        })
        .collect();
    Batch { checks, writes }
}
