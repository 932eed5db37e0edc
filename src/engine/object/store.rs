//! What an open engine holds. Belongs to one generation; a forked child makes its own.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::backing::{Backing, Found, Loaded, Next, Outcome};
use super::config::ObjectConfig;
use super::errors::{Fault, MAX_NAME_BYTES, too_long};
use super::names;
use super::purge::Dead;
use super::record::State;
use crate::clock::Clock;
use crate::engine::Record;
use crate::error::{Error, Result};
use crate::janitor::Purge;
use crate::key::Key;
use crate::sync::lock;

/// Tasks that may be under way at the same time; no limit that is meant to be met.
const TASKS: u32 = 1 << 28;
/// Whoever finds an object that somebody is about to remove, and that stays for so long, takes it over. Far longer than
/// the removal may take; see `purge`.
const TAKE_OVER: Duration = Duration::from_secs(10);
/// Requests of one operation that are under way at the same time.
const WIDTH: usize = 64;

/// A store that is open.
pub(super) struct Store {
    pub(super) backing: Backing,
    pub(super) clock: Clock,
    pub(super) within: Duration,
    pub(super) width: usize,
    pub(super) place: String,
    prefix_bytes: usize,
    runtime: Handle,
    tasks: Arc<Semaphore>,
    /// Writes of one key take turns within the process: they would only make each other's conditions fail.
    turns: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
    pub(super) dead: Dead,
}

impl Store {
    pub(super) fn new(
        backing: Backing,
        config: &ObjectConfig,
        place: String,
        prefix_bytes: usize,
        clock: Clock,
        runtime: Handle,
        owner: Weak<dyn Purge>,
    ) -> Self {
        Self {
            dead: Dead::new(owner, matches!(backing, Backing::Folder(_))),
            backing,
            clock,
            within: config.connection_timeout,
            width: config.max_connections.min(WIDTH),
            place,
            prefix_bytes,
            runtime,
            tasks: Arc::new(Semaphore::new(TASKS as usize)),
            turns: Mutex::default(),
        }
    }

    /// Starts a task, for which [`Store::close`] waits.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let permit = Arc::clone(&self.tasks).try_acquire_owned();
        self.runtime.spawn(async move {
            task.await;
            drop(permit);
        });
    }

    /// Waits for the tasks under way, as long as any of them may live.
    pub(super) async fn close(&self) {
        let patience = self.within.saturating_mul(2) + Duration::from_secs(1);
        let _ = timeout(patience, self.tasks.acquire_many(TASKS)).await;
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// When what is asked now must be answered.
    pub(super) fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.within).unwrap_or(now + Duration::from_hours(24 * 365))
    }

    /// A failure in words. `writes`: whether what was asked changes anything.
    pub(super) fn error(&self, fault: Fault, writes: bool) -> Error {
        fault.into_error(&self.place, self.within.as_secs_f64(), writes)
    }

    /// The name of the object that holds `key`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`] for one that is too long.
    pub(super) fn name(&self, key: &Key) -> Result<String> {
        let name = names::name_of(key);
        let bytes = self.prefix_bytes + name.len();
        if bytes > MAX_NAME_BYTES { Err(too_long(bytes)) } else { Ok(name) }
    }

    /// Waits for the turn to write `key`.
    pub(super) async fn turn(&self, key: &Key, until: Instant) -> Outcome<Turn<'_>> {
        let mutex = Arc::clone(lock(&self.turns).entry(key.clone()).or_default());
        let held = timeout_at(until, mutex.lock_owned()).await.map_err(|_| Fault::Late(None))?;
        Ok(Turn { store: self, key: key.clone(), held: Some(held) })
    }

    /// Whether the store answers, and lets itself be listed.
    pub(super) async fn ping(&self) -> Outcome<()> {
        let until = self.deadline();
        if let Backing::Folder(folder) = &self.backing {
            return folder.open(until).await;
        }
        self.backing.list("", &Next::After(String::new()), 1, until).await.map(|_| ())
    }

    /// The record under `key`, where it is there now.
    pub(super) async fn read(&self, key: &Key) -> Outcome<Option<Record>> {
        let name = self.name(key)?;
        let loaded = self.backing.load(&name, self.deadline()).await?;
        Ok(loaded.and_then(|loaded| self.live(loaded)))
    }

    /// The record of an object, where it is there now.
    pub(super) fn live(&self, loaded: Loaded) -> Option<Record> {
        let head = loaded.found.head;
        head.is_live(self.clock.now_ms()).then(|| head.record(loaded.bytes))
    }

    /// As [`Backing::head`], once nobody is about to remove the object.
    pub(super) async fn settled_head(&self, name: &str, until: Instant) -> Outcome<Option<Found>> {
        let mut patience = Patience::default();
        loop {
            let found = self.backing.head(name, until).await?;
            if patience.is_settled(found.as_ref(), until).await? {
                return Ok(found);
            }
        }
    }

    /// As [`Backing::load`], once nobody is about to remove the object.
    pub(super) async fn settled(&self, name: &str, until: Instant) -> Outcome<Option<Loaded>> {
        let mut patience = Patience::default();
        loop {
            let loaded = self.backing.load(name, until).await?;
            if patience.is_settled(loaded.as_ref().map(|loaded| &loaded.found), until).await? {
                return Ok(loaded);
            }
        }
    }
}

/// Waits for an object to be gone that somebody is about to remove.
#[derive(Default)]
struct Patience {
    /// What was seen first, and when.
    seen: Option<(Found, Instant)>,
}

impl Patience {
    /// Whether what was found may be written over; waits a little where it may not.
    async fn is_settled(&mut self, found: Option<&Found>, until: Instant) -> Outcome<bool> {
        let Some(found) = found.filter(|found| found.head.state == State::Condemned) else { return Ok(true) };
        let now = Instant::now();
        match &self.seen {
            Some((before, since)) if before.tag == found.tag => {
                if now.duration_since(*since) >= TAKE_OVER {
                    return Ok(true);
                }
            }
            _ => self.seen = Some((found.clone(), now)),
        }
        if now >= until {
            return Err(Fault::Late(Some("somebody began to remove the expired object and did not finish".into())));
        }
        sleep(Duration::from_millis(20).mul_f64(0.5 + fastrand::f64())).await;
        Ok(false)
    }
}

/// The turn to write a key.
pub(super) struct Turn<'a> {
    store: &'a Store,
    key: Key,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = lock(&self.store.turns);
        drop(self.held.take());
        // Those who wait have it too.
        if turns.get(&self.key).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            turns.remove(&self.key);
        }
    }
}
