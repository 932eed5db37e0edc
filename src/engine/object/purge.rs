//! Removing dead objects, without anyone calling anything.
//!
//! In a folder an object is deleted where it is still the dead one. In a bucket that can't be said, so:
//!
//! 1. A dead object that is unchanged after a [grace](grace) longer than any write takes is condemned, by a conditional
//!    write. A writer that has looked before has written before, or finds that its condition fails.
//! 2. It is deleted at once, by a request that is sent once and has [`REMOVAL`] to be done.
//! 3. A writer that finds a condemned object waits until it is gone, and takes it over after five times that.
//!
//! What expires is known of those records that this process wrote. Those of others are found by a look through the
//! whole store now and then, a bounded part each time.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout};

use super::backing::{Backing, Condition, Outcome, Tag};
use super::record::{State, is_immortal};
use super::scan::Walk;
use super::store::Store;
use crate::engine::{Activity, KeyRange};
use crate::janitor::{self, Purge};
use crate::sync::lock;

/// How many objects are remembered; others are found again.
const MAX_KNOWN: usize = 10_000;
/// How long the request that removes a condemned object has.
const REMOVAL: Duration = Duration::from_secs(2);
/// How often the store is looked through: where that costs money, and where it doesn't.
const LOOK_EVERY: Duration = Duration::from_mins(10);
const LOOK_EVERY_LOCAL: Duration = Duration::from_mins(1);
/// Names and heads that one look reads.
const LOOK_BATCHES: usize = 20;
const LOOK_HEADS: usize = 1000;
/// Requests at the same time.
const WIDTH: usize = 8;

/// What is dead, or will be.
pub(super) struct Dead {
    owner: Weak<dyn Purge>,
    local: bool,
    state: Mutex<Known>,
    running: AtomicBool,
    pub(super) activity: Activity,
}

struct Known {
    /// When which objects will be dead, in milliseconds since the Unix epoch.
    due: BTreeSet<(i64, String)>,
    /// Dead objects, and since when they are known to be.
    graves: HashMap<String, (Tag, Instant)>,
    look_at: Instant,
    /// Where the next look starts.
    resume: Vec<u8>,
}

impl Dead {
    pub(super) fn new(owner: Weak<dyn Purge>, local: bool) -> Self {
        // Processes that start together don't look together.
        let every = if local { LOOK_EVERY_LOCAL } else { LOOK_EVERY };
        let look_at = Instant::now() + every.mul_f64(0.5 + fastrand::f64() / 2.0);
        let known = Known { due: BTreeSet::new(), graves: HashMap::new(), look_at, resume: Vec::new() };
        Self { owner, local, state: Mutex::new(known), running: AtomicBool::new(false), activity: Activity::default() }
    }

    /// Has the store looked through, in time.
    pub(super) fn watch(&self) {
        janitor::watch(&self.owner, LOOK_EVERY_LOCAL);
    }
}

/// How long a dead object is left as it is: any write that took it for alive is over by then.
fn grace(within: Duration) -> Duration {
    within.saturating_mul(2)
}

impl Store {
    /// Notes that an object will be dead.
    pub(super) fn expect(&self, name: &str, at: Option<i64>) {
        let Some(at) = at else { return };
        let mut known = lock(&self.dead.state);
        if known.due.len() >= MAX_KNOWN {
            return;
        }
        let first = known.due.first().is_none_or(|(first, _)| at < *first);
        known.due.insert((at, name.to_owned()));
        drop(known);
        if first {
            let wait = u64::try_from(at.saturating_sub(self.clock.now_ms())).unwrap_or(0);
            janitor::watch(&self.dead.owner, Duration::from_millis(wait));
        }
    }

    /// Removes what is due, in a task of its own; how long to wait until the next time.
    pub(super) fn start_purge(self: &Arc<Self>) -> Duration {
        if !self.dead.running.swap(true, Ordering::AcqRel) {
            let store = Arc::clone(self);
            self.runtime().spawn(async move {
                store.purge().await;
                store.dead.running.store(false, Ordering::Release);
                janitor::watch(&store.dead.owner, store.next_purge());
            });
        }
        LOOK_EVERY_LOCAL
    }

    fn next_purge(&self) -> Duration {
        let known = lock(&self.dead.state);
        let now = Instant::now();
        let due = known
            .due
            .first()
            .map(|(at, _)| Duration::from_millis(u64::try_from(at.saturating_sub(self.clock.now_ms())).unwrap_or(0)));
        let grave =
            known.graves.values().map(|(_, since)| (*since + grace(self.within)).saturating_duration_since(now));
        let look = known.look_at.saturating_duration_since(now);
        // Not at once: what could not be removed now is tried a little later.
        due.into_iter().chain(grave).chain([look]).min().unwrap_or(look).max(Duration::from_millis(50))
    }

    async fn purge(&self) {
        let due = {
            let mut known = lock(&self.dead.state);
            let later = known.due.split_off(&(self.clock.now_ms() + 1, String::new()));
            std::mem::replace(&mut known.due, later)
        };
        // What fails is made up for by the next look.
        let each = stream::iter(due).map(|(_, name)| async move { drop(self.examine(&name).await) });
        each.buffer_unordered(WIDTH).collect::<()>().await;
        let ripe: Vec<(String, Tag)> = {
            let known = lock(&self.dead.state);
            let ripe = known.graves.iter().filter(|(_, (_, since))| since.elapsed() >= grace(self.within));
            ripe.map(|(name, (tag, _))| (name.clone(), tag.clone())).collect()
        };
        let each = stream::iter(ripe).map(|(name, tag)| async move {
            drop(self.remove(&name, &tag).await);
            lock(&self.dead.state).graves.remove(&name);
        });
        each.buffer_unordered(WIDTH).collect::<()>().await;
        if lock(&self.dead.state).look_at <= Instant::now() {
            drop(self.look().await);
            let every = if self.dead.local { LOOK_EVERY_LOCAL } else { LOOK_EVERY };
            lock(&self.dead.state).look_at = Instant::now() + every;
        }
    }

    /// Looks at an object that may be dead.
    async fn examine(&self, name: &str) -> Outcome<()> {
        let until = self.deadline();
        let found = self.backing.head(name, until).await?;
        let Some(dead) = found.filter(|found| !found.head.is_live(self.clock.now_ms())) else { return Ok(()) };
        if let Backing::Folder(folder) = &self.backing {
            let gone = folder.delete(name, Some(&dead.tag), until).await?;
            self.dead.activity.freed(u64::from(gone));
            return Ok(());
        }
        let mut known = lock(&self.dead.state);
        if known.graves.get(name).is_none_or(|(tag, _)| *tag != dead.tag) && known.graves.len() < MAX_KNOWN {
            known.graves.insert(name.to_owned(), (dead.tag, Instant::now()));
        }
        Ok(())
    }

    /// Removes an object that was dead for the grace, where it is still the same.
    async fn remove(&self, name: &str, tag: &Tag) -> Outcome<()> {
        let Backing::Bucket(bucket) = &self.backing else { return Ok(()) };
        let condemned = self.grave(State::Condemned);
        if !self.backing.put(name, &condemned, &Condition::Same(tag.clone()), self.deadline()).await? {
            return Ok(());
        }
        let until = Instant::now() + REMOVAL;
        timeout(REMOVAL, bucket.delete_once(name, until)).await.unwrap_or(Ok(()))?;
        self.dead.activity.freed(1);
        Ok(())
    }

    /// Looks through a part of the store.
    async fn look(&self) -> Outcome<()> {
        let start = std::mem::take(&mut lock(&self.dead.state).resume);
        let mut walk = Walk::new(KeyRange { start, end: None });
        let mut heads = 0;
        for _ in 0..LOOK_BATCHES {
            let entries = walk.batch(self, 1000).await?;
            let last = entries.last().map(|entry| entry.key.as_bytes().to_vec());
            let doubtful: Vec<_> = entries.into_iter().filter(|entry| !is_immortal(entry.listed.size)).collect();
            heads += doubtful.len();
            let each = stream::iter(doubtful).map(|entry| async move { drop(self.examine(&entry.listed.name).await) });
            each.buffer_unordered(WIDTH).collect::<()>().await;
            if walk.is_done() {
                break;
            }
            if let Some(last) = last {
                lock(&self.dead.state).resume = [last.as_slice(), &[0]].concat();
            }
            if heads >= LOOK_HEADS {
                break;
            }
        }
        if walk.is_done() {
            lock(&self.dead.state).resume.clear();
        }
        if let Backing::Folder(folder) = &self.backing {
            folder.tidy(self.deadline()).await;
        }
        Ok(())
    }
}
