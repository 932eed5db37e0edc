//! Batches: each key by itself, in one conditional write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use smallvec::SmallVec;
use tokio::time::{Instant, sleep};

use super::backing::{Backing, Condition, Found, Outcome};
use super::cloud::{PART, Sent};
use super::errors::{BACKEND, Fault};
use super::record::{Packed, State, grave, pack};
use super::store::Store;
use crate::engine::{Batch, Check, Commit, NewRecord, Write};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::storage::new_version;

/// Larger objects are written in parts, where no condition goes with them.
const IN_PARTS: usize = 2 * PART;

/// What became of a write.
pub(super) enum Written {
    /// It happened; whether the key held a live record before.
    Done(bool),
    /// Its check failed.
    Conflict,
}

impl Store {
    pub(super) async fn commit(&self, batch: Batch) -> Result<Commit> {
        if batch.checks.is_empty() {
            return self.write_each(batch.writes.into_vec()).await;
        }
        let mut keys = batch.checks.iter().map(|(key, _)| key).chain(batch.writes.iter().map(|(key, _)| key));
        let Some(key) = keys.next().cloned() else { return Ok(Commit::Done(SmallVec::new())) };
        if keys.any(|other| *other != key) {
            return Err(unsupported());
        }
        let checks: Vec<Check> = batch.checks.into_iter().map(|(_, check)| check).collect();
        let written = match batch.writes.into_iter().next() {
            Some((_, write)) => self.write(&key, write, &checks).await.map(|written| (written, true)),
            None => self.check(&key, &checks).await.map(|written| (written, false)),
        };
        match written.map_err(|fault| self.error(fault, true))? {
            (Written::Conflict, _) => Ok(Commit::Conflict(key)),
            (Written::Done(existed), true) => Ok(Commit::Done([existed].into_iter().collect())),
            (Written::Done(_), false) => Ok(Commit::Done(SmallVec::new())),
        }
    }

    /// Writes that depend on nothing, each by itself.
    async fn write_each(&self, writes: Vec<(Key, Write)>) -> Result<Commit> {
        // A name that is too long is refused before anything is written.
        writes.iter().try_for_each(|(key, _)| self.name(key).map(drop))?;
        let total = writes.len();
        let failed = AtomicBool::new(false);
        let failed = &failed;
        let mut answers = stream::iter(writes.into_iter().enumerate().map(|(place, (key, write))| async move {
            if failed.load(Ordering::Relaxed) {
                return (place, key, None);
            }
            let written = self.write(&key, write, &[]).await;
            if written.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            (place, key, Some(written))
        }))
        .buffer_unordered(self.width);
        let (mut done, mut error) = (Vec::with_capacity(total), None);
        while let Some((place, key, written)) = answers.next().await {
            match written {
                Some(Ok(Written::Done(existed))) => done.push((place, key, existed)),
                Some(Ok(Written::Conflict)) | None => {}
                Some(Err(fault)) => error = error.or(Some(self.error(fault, true))),
            }
        }
        done.sort_unstable_by_key(|(place, ..)| *place);
        match error {
            None => Ok(Commit::Done(done.into_iter().map(|(_, _, existed)| existed).collect())),
            Some(error) => Err(partial(done.into_iter().map(|(_, key, _)| key), total, error)),
        }
    }

    /// Whether `checks` hold for `key`.
    async fn check(&self, key: &Key, checks: &[Check]) -> Outcome<Written> {
        let found = self.backing.head(&self.name(key)?, self.deadline()).await?;
        let live = found.filter(|found| found.head.is_live(self.clock.now_ms()));
        Ok(if holds(checks, live.as_ref()) { Written::Done(live.is_some()) } else { Written::Conflict })
    }

    async fn write(&self, key: &Key, write: Write, checks: &[Check]) -> Outcome<Written> {
        match write {
            Write::Put(new) => self.put(key, new, checks).await,
            Write::Delete => self.delete(key, checks).await,
        }
    }

    async fn put(&self, key: &Key, new: NewRecord, checks: &[Check]) -> Outcome<Written> {
        let (name, until) = (self.name(key)?, self.deadline());
        let _turn = self.turn(key, until).await?;
        let NewRecord { mut meta, body, force_created } = new;
        let (body, stamp) = (Bytes::from(body), meta.created_at);
        // What must not be there most often isn't.
        let mut found = if checks == [Check::Absent] { None } else { self.settled_head(&name, until).await? };
        let mut pause = Pause::default();
        loop {
            let live = found.as_ref().filter(|found| found.head.is_live(self.clock.now_ms()));
            if !holds(checks, live) {
                return Ok(Written::Conflict);
            }
            meta.created_at = live.filter(|_| !force_created).map_or(stamp, |live| live.head.meta.created_at);
            let packed = pack(&meta, body.clone());
            let existed = live.is_some();
            let done = match &self.backing {
                Backing::Bucket(bucket) if packed.len() > IN_PARTS && checks.is_empty() => {
                    // Written over whatever is there: nobody may be about to remove that.
                    let safe = match &found {
                        Some(dead) if !existed => self.renew(&name, dead, until).await?,
                        _ => true,
                    };
                    if safe {
                        bucket.upload(&name, &packed, until).await?;
                    }
                    safe
                }
                backing => backing.put(&name, &packed, &condition(found.as_ref()), until).await?,
            };
            if done {
                self.expect(&name, meta.expires_at);
                return Ok(Written::Done(existed));
            }
            pause.pass(until, self.within).await?;
            found = self.settled_head(&name, until).await?;
        }
    }

    /// Makes a dead object look newly dead; whether it was still the same.
    async fn renew(&self, name: &str, dead: &Found, until: Instant) -> Outcome<bool> {
        let packed = self.grave(State::Deleted);
        self.backing.put(name, &packed, &Condition::Same(dead.tag.clone()), until).await
    }

    async fn delete(&self, key: &Key, checks: &[Check]) -> Outcome<Written> {
        let (name, until) = (self.name(key)?, self.deadline());
        let _turn = self.turn(key, until).await?;
        let mut pause = Pause::default();
        loop {
            let found = self.settled_head(&name, until).await?;
            let live = found.filter(|found| found.head.is_live(self.clock.now_ms()));
            if !holds(checks, live.as_ref()) {
                return Ok(Written::Conflict);
            }
            let Some(live) = live else { return Ok(Written::Done(false)) };
            let done = match &self.backing {
                Backing::Bucket(bucket) if checks.is_empty() => match bucket.delete(&name, until).await? {
                    Sent::Answered => true,
                    Sent::Doubtful(reason) => self.delete_again(&name, &live, until, reason).await?,
                },
                _ => self.bury(&name, &live, until).await?,
            };
            if done {
                return Ok(Written::Done(true));
            }
            pause.pass(until, self.within).await?;
        }
    }

    /// After a deletion whose answer was lost: it must not take what somebody else wrote since. Whether it is done.
    async fn delete_again(&self, name: &str, found: &Found, until: Instant, reason: String) -> Outcome<bool> {
        match self.backing.head(name, until).await? {
            Some(now) if now.tag == found.tag => self.bury(name, found, until).await,
            Some(now) if now.head.is_live(self.clock.now_ms()) => Err(Fault::Lost(reason)),
            _ => Ok(true),
        }
    }

    /// Deletes a record where it is still the one that was found; whether it was.
    pub(super) async fn bury(&self, name: &str, found: &Found, until: Instant) -> Outcome<bool> {
        if let Backing::Folder(folder) = &self.backing {
            return folder.delete(name, Some(&found.tag), until).await;
        }
        let packed = self.grave(State::Deleted);
        let done = self.backing.put(name, &packed, &Condition::Same(found.tag.clone()), until).await?;
        if done {
            self.expect(name, Some(self.clock.now_ms()));
        }
        Ok(done)
    }

    pub(super) fn grave(&self, state: State) -> Packed {
        grave(state, new_version(), self.clock.now_ns())
    }
}

/// What must hold for a write over what was found.
pub(super) fn condition(found: Option<&Found>) -> Condition {
    found.map_or(Condition::Absent, |found| Condition::Same(found.tag.clone()))
}

fn holds(checks: &[Check], live: Option<&Found>) -> bool {
    checks.iter().all(|check| match check {
        Check::Absent => live.is_none(),
        Check::Version(version) => live.is_some_and(|live| live.head.meta.version == *version),
    })
}

/// Some of several keys were written.
pub(super) fn partial(written: impl Iterator<Item = Key>, total: usize, error: Error) -> Error {
    let written: Vec<String> = written.map(|key| key.as_str().to_owned()).collect();
    if written.is_empty() { error } else { Error::PartialWrite { written, total, error: Box::new(error) } }
}

pub(super) fn unsupported() -> Error {
    Error::Unsupported {
        backend: BACKEND,
        operation: "transactions",
        reason: "an object store writes one key at a time; use compare_and_set or increment, or a DatabaseStorage"
            .into(),
    }
}

/// Waits between tries that others got in the way of.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(2))
    }
}

impl Pause {
    const LONGEST: Duration = Duration::from_millis(200);

    /// Waits.
    ///
    /// # Errors
    ///
    /// Its time is up: nothing happened.
    pub(super) async fn pass(&mut self, until: Instant, within: Duration) -> Outcome<()> {
        let wait = self.0.mul_f64(fastrand::f64());
        self.0 = (self.0 * 2).min(Self::LONGEST);
        if Instant::now() + wait >= until {
            return Err(Fault::Final(Error::Timeout {
                what: format!("{BACKEND}: a write of a key that others keep changing"),
                seconds: within.as_secs_f64(),
            }));
        }
        sleep(wait).await;
        Ok(())
    }
}
