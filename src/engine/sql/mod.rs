//! Records in a PostgreSQL or a MySQL server, and in what speaks their protocols.
//!
//! # What holds
//!
//! 1. Keys are compared and sorted as bytes: their columns have no collation.
//! 2. Calls that wait at the same time travel together, each batch whole or not at all: see `queue` and `writes`.
//! 3. A connection is given back only when its last answer was read in full, so nobody reads another's: see `pool`.
//! 4. What was lost on the way is asked again where that can do no harm, until the time is up: see `core`, `writes`.
//! 5. Expiry is decided by this process's clock, not by the server's.
//! 6. A forked child connects anew: its parent's connections are left as they are.

mod attributes;
mod config;
mod connection;
mod core;
mod counts;
mod dialect;
mod errors;
mod gone;
mod locked;
mod mysql;
mod plan;
mod pool;
mod postgres;
mod purge;
mod queue;
mod ranges;
mod reads;
mod rows;
mod scan;
mod schema;
mod spaces;
mod url;
mod writes;

use std::mem;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_channel::oneshot;

pub use config::SqlConfig;

use self::attributes::Attribute;
use self::core::{Ask, Core};
use self::counts::SpaceNames;
use self::purge::PURGE_EVERY;
use self::queue::submit;
use self::ranges::{Census, Count, Ping, RemoveRange, Stats};
use self::reads::Read;
use self::scan::ScanPage;
use self::url::Target;
use self::writes::{Done, Work};
use super::{
    Batch, ChangeFn, Commit, Engine, EngineStats, KeyRange, Meta, Page, Record, Scan, Updated, Write, runtime,
};
use crate::answer::Answer;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fork::{self, Generation};
use crate::janitor;
use crate::key::Key;
use crate::sync::lock;

/// The largest body: PostgreSQL takes messages and values, MySQL packets, of a gigabyte at most.
const MAX_BODY: usize = 1_000_000_000;

/// A store of records on a SQL server. See the module for what holds.
pub struct SqlEngine {
    target: Target,
    config: SqlConfig,
    clock: Clock,
    state: Mutex<State>,
    me: Weak<Self>,
}

struct State {
    generation: Generation,
    /// Set by the first close, for good.
    closed: bool,
    core: Option<Arc<Core>>,
}

impl SqlEngine {
    /// A store that connects at its first operation.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a url or an option that can't be used; the url is not repeated in it.
    pub fn new(config: SqlConfig, clock: Clock) -> Result<Arc<Self>> {
        config.validate()?;
        let target = Target::parse(&config.url)?;
        Ok(Arc::new_cyclic(|me| Self {
            target,
            config,
            clock,
            state: Mutex::new(State { generation: fork::generation(), closed: false, core: None }),
            me: me.clone(),
        }))
    }

    /// The configuration. Its url may hold a password; its `Debug` form does not show it.
    pub fn config(&self) -> &SqlConfig {
        &self.config
    }

    /// What this generation works with. In the fork gate.
    fn core(&self) -> Result<Arc<Core>> {
        let here = fork::generation();
        let mut state = lock(&self.state);
        if state.generation != here {
            state.generation = here;
            // Left as it is, not dropped: its connections and tasks are the parent's.
            mem::forget(state.core.take());
        }
        if state.closed {
            return Err(Error::Closed { backend: self.target.dialect.name() });
        }
        if let Some(core) = &state.core {
            return Ok(Arc::clone(core));
        }
        let runtime = runtime::handle()?;
        let core = Arc::new(Core::new(self.target.clone(), self.config.clone(), self.clock.clone(), runtime));
        state.core = Some(Arc::clone(&core));
        drop(state);
        janitor::watch(&self.purger(), PURGE_EVERY);
        Ok(core)
    }

    /// Hands work over, in the fork gate.
    fn hand_over<T: Send + 'static>(
        &self,
        hand_over: impl FnOnce(&Arc<Core>) -> Answer<Result<T>>,
    ) -> Answer<Result<T>> {
        let _gate = fork::enter();
        match self.core() {
            Ok(core) => hand_over(&core),
            Err(error) => Answer::ready(Err(error)),
        }
    }

    /// Runs `work` in a task of its own, which goes on where the answer is dropped.
    fn task<T, F>(&self, work: impl FnOnce(Arc<Core>) -> F + Send + 'static) -> Answer<Result<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.hand_over(|core| {
            let (reply, answer) = oneshot::channel();
            let (theirs, dialect) = (Arc::clone(core), self.target.dialect);
            core.spawn(async move {
                // The caller may have gone away: nobody is left to tell.
                let _ = reply.send(work(theirs).await);
            });
            Answer::later(async move { answer.await.unwrap_or_else(|_| Err(errors::gone(dialect))) })
        })
    }

    fn ask<A: Ask + Send + 'static>(&self, ask: A) -> Answer<Result<A::Answer>>
    where
        A::Answer: 'static,
    {
        self.task(|core| async move {
            let until = core.deadline();
            core.ask(&ask, until).await
        })
    }

    fn census_of(&self, range: KeyRange) -> Answer<Result<Census>> {
        let me = self.me.clone();
        self.ask(Stats(range)).map_ok(move |census| {
            if let (true, Some(me)) = (census.untidy, me.upgrade()) {
                me.untidy();
            }
            census
        })
    }

    fn read_keys(&self, keys: Vec<Key>, body: bool) -> Answer<Result<reads::Reading>> {
        self.hand_over(|core| submit(core, Read { keys, body }))
    }
}

impl Drop for SqlEngine {
    fn drop(&mut self) {
        // Without the gate: the janitor, who may be the last to let go, is inside already.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.generation != fork::generation() {
            // Dropped in a child, its sockets would be taken off the list by which the parent's runtime waits for them.
            mem::forget(state.core.take());
        }
    }
}

impl Engine for SqlEngine {
    fn name(&self) -> &'static str {
        self.target.dialect.name()
    }

    fn location(&self) -> String {
        self.target.location()
    }

    fn activity(&self) -> Vec<(&'static str, f64)> {
        let _gate = fork::enter();
        self.core().map(|core| core.activity.figures(core.waiting())).unwrap_or_default()
    }

    fn may_block(&self) -> bool {
        false
    }

    fn open(&self) -> Answer<Result<()>> {
        self.ask(Ping)
    }

    fn read_one(&self, key: &Key) -> Answer<Result<Option<Record>>> {
        self.read_keys(vec![key.clone()], true).map_ok(|mut found| found.pop().flatten().and_then(reads::record))
    }

    fn meta(&self, key: &Key) -> Answer<Result<Option<Meta>>> {
        self.read_keys(vec![key.clone()], false).map_ok(|mut found| found.pop().flatten().as_ref().map(reads::meta))
    }

    fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        if keys.is_empty() {
            return Answer::ready(Ok(Vec::new()));
        }
        self.read_keys(keys, true)
            .map_ok(|found| found.into_iter().map(|found| found.and_then(reads::record)).collect())
    }

    fn commit(&self, batch: Batch) -> Answer<Result<Commit>> {
        if batch.writes.is_empty() && batch.checks.is_empty() {
            return Answer::ready(Ok(Commit::Done(smallvec::smallvec![])));
        }
        let dialect = self.target.dialect;
        let too_large = |(_, write): &(Key, Write)| matches!(write, Write::Put(record) if record.body.len() > MAX_BODY);
        if batch.writes.iter().any(too_large) {
            return Answer::ready(Err(errors::too_large(dialect, &format!("{MAX_BODY} bytes at most"))));
        }
        let expiry = |(_, write): &(Key, Write)| match write {
            Write::Put(record) => record.meta.expires_at,
            Write::Delete => None,
        };
        let earliest = batch.writes.iter().filter_map(expiry).min();
        self.hand_over(|core| {
            if let Some(at) = earliest {
                self.expires(core, at);
            }
            submit(core, Work::Commit(batch))
        })
        .and_then(move |done| match done {
            Done::Commit(commit) => Ok(commit),
            Done::Updated(_) => Err(errors::gone(dialect)),
        })
    }

    fn update(&self, keys: Vec<Key>, change: ChangeFn) -> Answer<Result<Vec<Updated>>> {
        if keys.is_empty() {
            return Answer::ready(Ok(Vec::new()));
        }
        let (dialect, me) = (self.target.dialect, self.me.clone());
        self.hand_over(|core| submit(core, Work::Update(keys, change))).and_then(move |done| match done {
            Done::Updated(updated) => {
                let expiry = |one: &Updated| one.after.as_ref().and_then(|record| record.meta.expires_at);
                if let (Some(at), Some(me)) = (updated.iter().filter_map(expiry).min(), me.upgrade()) {
                    let _gate = fork::enter();
                    if let Ok(core) = me.core() {
                        me.expires(&core, at);
                    }
                }
                Ok(updated)
            }
            Done::Commit(_) => Err(errors::gone(dialect)),
        })
    }

    fn scan(&self, scan: Scan) -> Answer<Result<Page>> {
        self.ask(ScanPage(scan))
    }

    fn count(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.ask(Count(range))
    }

    fn remove_range(&self, range: KeyRange) -> Answer<Result<u64>> {
        self.ask(RemoveRange(range))
    }

    fn namespaces(&self, range: KeyRange, skip: usize, max_depth: Option<usize>) -> Answer<Result<Vec<String>>> {
        if range.is_all() && skip == 0 && max_depth == Some(1) {
            return self.ask(SpaceNames);
        }
        self.task(move |core| async move {
            let until = core.deadline();
            spaces::namespaces(&core, &range, skip, max_depth, until).await
        })
    }

    fn stats(&self, range: KeyRange) -> Answer<Result<EngineStats>> {
        self.census_of(range).map_ok(|census| census.stats)
    }

    fn census(&self, range: KeyRange, skip: usize) -> Answer<Result<(EngineStats, u64)>> {
        let namespaces = (!range.is_all()).then(|| self.namespaces(range.clone(), skip, Some(1)));
        let figures = self.census_of(range);
        Answer::later(async move {
            let census = figures.await?;
            let listed = match namespaces {
                Some(namespaces) => namespaces.await?.len() as u64,
                None => 0,
            };
            Ok((census.stats, census.spaces.unwrap_or(listed)))
        })
    }

    fn attribute(&self, name: &str, proposed: Option<Vec<u8>>) -> Answer<Result<Option<Vec<u8>>>> {
        self.ask(Attribute { name: name.to_owned(), proposed })
    }

    fn ping(&self) -> Answer<Result<()>> {
        self.ask(Ping)
    }

    fn close(&self) -> Answer<Result<()>> {
        let _gate = fork::enter();
        let mut state = lock(&self.state);
        let here = fork::generation();
        if state.generation != here {
            state.generation = here;
            mem::forget(state.core.take());
        }
        state.closed = true;
        let Some(core) = state.core.clone() else { return Answer::ready(Ok(())) };
        drop(state);
        let (reply, answer) = oneshot::channel();
        let runtime = core.runtime().clone();
        runtime.spawn(async move {
            core.close().await;
            let _ = reply.send(());
        });
        Answer::later(async move {
            let _ = answer.await;
            Ok(())
        })
    }
}
