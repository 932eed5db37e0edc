//! An engine that does to values what the layers say, over another engine.

use std::sync::Arc;
use std::time::Duration;

use super::options::Layers;
use super::state::State;
use crate::answer::{Answer, attempt};
use crate::engine::{
    Announced, Batch, ChangeFn, Commit, Engine, EngineStats, KeyRange, Meta, Page, Record, Rotated, Scan, Updated,
};
use crate::error::{Error, Result};
use crate::key::Key;

/// `E` with layers over it.
pub struct Layered<E: ?Sized> {
    pub(super) engine: Arc<E>,
    pub(super) state: Arc<State>,
}

impl<E: ?Sized> Clone for Layered<E> {
    fn clone(&self) -> Self {
        Self { engine: Arc::clone(&self.engine), state: Arc::clone(&self.state) }
    }
}

impl<E: Engine + ?Sized> Layered<E> {
    /// `engine` with these layers over it.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for options that can't be used together.
    pub fn new(engine: Arc<E>, layers: Layers) -> Result<Arc<Self>> {
        layers.validate()?;
        Ok(Arc::new(Self { engine, state: Arc::new(State::new(layers)) }))
    }

    /// `engine`, with values written as they are.
    pub fn plain(engine: Arc<E>) -> Arc<Self> {
        Arc::new(Self { engine, state: Arc::new(State::new(Layers::default())) })
    }

    /// What is done to values.
    pub fn layers(&self) -> &Layers {
        &self.state.layers
    }

    /// Runs `work` at once where nothing has to be read from the backend first.
    fn ready<T: Send + 'static>(
        &self,
        needed: bool,
        work: impl FnOnce(&Self) -> Answer<Result<T>> + Send + 'static,
    ) -> Answer<Result<T>> {
        if !needed || self.state.is_ready() {
            return work(self);
        }
        let me = self.clone();
        Answer::later(async move {
            me.state.prepare(&*me.engine).await?;
            work(&me).await
        })
    }

    fn hides(&self) -> bool {
        self.state.layers.hide_keys
    }

    /// Refuses what hidden keys can't do.
    fn listed(&self, operation: &'static str) -> Result<()> {
        if !self.hides() {
            return Ok(());
        }
        Err(Error::Unsupported {
            backend: self.engine.name(),
            operation,
            reason: "hide_keys stores a hash in place of each key, so that only exact keys can be asked for".to_owned(),
        })
    }

    /// The whole range, or nothing where keys are hidden.
    fn range(&self, operation: &'static str, range: &KeyRange) -> Result<()> {
        if range.is_all() { Ok(()) } else { self.listed(operation) }
    }
}

/// `answer`, and then `next`: at once where the answer is there.
pub(super) fn then<T: Send + 'static, U: Send + 'static>(
    answer: Answer<Result<T>>,
    next: impl FnOnce(T) -> Answer<Result<U>> + Send + 'static,
) -> Answer<Result<U>> {
    match answer {
        Answer::Ready(Some(Ok(value))) => next(value),
        Answer::Ready(Some(Err(error))) => Answer::ready(Err(error)),
        Answer::Ready(None) => Answer::Ready(None),
        Answer::Later(future) => Answer::later(async move { next(future.await?).await }),
    }
}

#[deny(clippy::missing_trait_methods, reason = "a default would pass the layers by")]
impl<E: Engine + ?Sized> Engine for Layered<E> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn location(&self) -> String {
        self.engine.location()
    }

    fn may_block(&self) -> bool {
        // Compressing and sealing take longer than holding on to an interpreter is worth.
        self.engine.may_block() || !self.state.layers.writes_plain()
    }

    fn max_key_bytes(&self) -> usize {
        self.engine.max_key_bytes()
    }

    fn announced(&self) -> Option<&Announced> {
        self.engine.announced()
    }

    fn is_local(&self) -> bool {
        self.engine.is_local()
    }

    fn activity(&self) -> Vec<(&'static str, f64)> {
        self.engine.activity()
    }

    fn open(&self) -> Answer<Result<()>> {
        let me = self.clone();
        then(self.engine.open(), move |()| me.ready(true, |_| Answer::ready(Ok(()))))
    }

    fn read_one(&self, key: &Key) -> Answer<Result<Option<Record>>> {
        if !self.hides() {
            let answer = self.engine.read_one(key);
            // The usual case, with nothing moved.
            if let Answer::Ready(Some(Ok(found))) = &answer
                && found.as_ref().is_none_or(|record| self.state.is_plain(record))
            {
                return answer;
            }
            let (me, key) = (self.clone(), key.clone());
            return then(answer, move |record| match record {
                Some(record) => me.open_one(&key, &key, record),
                None => Answer::ready(Ok(None)),
            });
        }
        let key = key.clone();
        self.ready(true, move |me| {
            let stored = attempt!(me.state.stored(&key));
            let (answer, me) = (me.engine.read_one(&stored), me.clone());
            then(answer, move |record| match record {
                Some(record) => me.open_one(&key, &stored, record),
                None => Answer::ready(Ok(None)),
            })
        })
    }

    fn meta(&self, key: &Key) -> Answer<Result<Option<Meta>>> {
        let key = key.clone();
        self.ready(self.hides(), move |me| me.engine.meta(&attempt!(me.state.stored(&key))))
    }

    fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        self.ready(self.hides(), move |me| {
            let stored = attempt!(me.stored_all(&keys));
            let (answer, me) = (me.engine.read(stored.clone()), me.clone());
            then(answer, move |records| me.open_read(keys, stored, records))
        })
    }

    fn commit(&self, batch: Batch) -> Answer<Result<Commit>> {
        if self.state.layers.writes_plain() {
            return self.engine.commit(batch);
        }
        self.ready(true, move |me| me.commit_layered(batch))
    }

    fn delete(&self, keys: Vec<Key>) -> Answer<Result<u64>> {
        let payloads = self.state.layers.large_values.is_some();
        self.ready(payloads || self.hides(), move |me| {
            let stored = attempt!(me.stored_all(&keys));
            if !payloads {
                return me.engine.delete(stored);
            }
            let me = me.clone();
            Answer::later(async move { me.delete_and_discard(stored).await })
        })
    }

    fn update(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<Updated>>> {
        self.ready(true, move |me| me.update_layered(keys, change, true))
    }

    fn update_unread(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<bool>>> {
        self.ready(true, move |me| {
            me.update_layered(keys, change, false)
                .map_ok(|updated| updated.iter().map(|one| one.before.is_some()).collect())
        })
    }

    fn scan(&self, scan: Scan) -> Answer<Result<Page>> {
        attempt!(self.listed("a listing"));
        if !scan.records {
            return self.engine.scan(scan);
        }
        self.ready(true, move |me| {
            let (answer, me) = (me.engine.scan(scan.clone()), me.clone());
            then(answer, move |page| me.open_page(scan, page))
        })
    }

    fn count(&self, range: KeyRange) -> Answer<Result<u64>> {
        attempt!(self.range("count() of a part", &range));
        self.engine.count(range)
    }

    fn remove_range(&self, range: KeyRange) -> Answer<Result<u64>> {
        attempt!(self.range("clear() of a part", &range));
        if self.state.layers.large_values.is_none() {
            return self.engine.remove_range(range);
        }
        self.ready(true, move |me| {
            let me = me.clone();
            Answer::later(async move { me.remove_range_and_payloads(range).await })
        })
    }

    fn namespaces(&self, range: KeyRange, skip: usize, max_depth: Option<usize>) -> Answer<Result<Vec<String>>> {
        attempt!(self.listed("namespaces()"));
        self.engine.namespaces(range, skip, max_depth)
    }

    fn stats(&self, range: KeyRange) -> Answer<Result<EngineStats>> {
        attempt!(self.range("stats() of a view", &range));
        self.engine.stats(range)
    }

    fn census(&self, range: KeyRange, skip: usize) -> Answer<Result<(EngineStats, u64)>> {
        if self.hides() {
            return self.stats(range).map_ok(|stats| (stats, 0));
        }
        self.engine.census(range, skip)
    }

    fn transactions(&self) -> Result<()> {
        self.engine.transactions()
    }

    fn attribute(&self, name: &str, proposed: Option<Vec<u8>>) -> Answer<Result<Option<Vec<u8>>>> {
        self.engine.attribute(name, proposed)
    }

    fn rotate(&self, range: KeyRange, limit: usize) -> Answer<Result<Rotated>> {
        if range.end.is_some() {
            attempt!(self.listed("rotate() of a view"));
        }
        let me = self.clone();
        Answer::later(async move { me.rotate_page(range, limit).await })
    }

    fn collect_garbage(&self, older_than: Duration) -> Answer<Result<u64>> {
        let me = self.clone();
        Answer::later(async move { me.collect(older_than).await })
    }

    fn ping(&self) -> Answer<Result<()>> {
        self.engine.ping()
    }

    fn close(&self) -> Answer<Result<()>> {
        self.engine.close()
    }
}
