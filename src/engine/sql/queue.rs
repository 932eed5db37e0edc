//! Calls that wait at the same time travel together.
//!
//! # What holds
//!
//! 1. A call that finds nobody under way goes at once, alone. What comes while a group is under way makes the next one.
//! 2. A group that takes long does not hold up what came after it: another sets out, up to a limit, with the calls that
//!    touch none of its keys. Writes of one key happen in the order in which they were asked for.
//! 3. Each call has its own answer and its own deadline; a group goes on for those whose deadline is not over.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot::{self, Sender};

use super::core::Core;
use super::errors::{Fault, gone};
use crate::answer::Answer;
use crate::error::Result;
use crate::key::Key;
use crate::sync::time::{Instant, timeout_at};
use crate::sync::{Mutex, lock};

/// So much weight travels together at most, unless one call alone has more.
const GROUP_WEIGHT: usize = 4 * 1024 * 1024;
/// After so long a group no longer holds up what came after it.
const PATIENCE: Duration = Duration::from_millis(5);

/// Past its deadline a group has so long to say itself what happened: it knows more.
const GRACE: Duration = Duration::from_millis(50);

/// A kind of call.
pub(super) trait Job: Send + Sync + Sized + 'static {
    type Done: Send + 'static;
    /// Whether jobs on one key keep their order, and whether one that was not answered may have happened.
    const WRITES: bool;

    /// How much of a group it takes, in bytes.
    fn weight(&self) -> usize;

    /// Calls `visit` with each key that it touches.
    fn keys(&self, visit: &mut dyn FnMut(&Key));

    /// Does a group; as many answers as jobs, in their order.
    fn run(core: &Core, jobs: Vec<Self>, until: Instant) -> impl Future<Output = Vec<Result<Self::Done>>> + Send;
}

struct Waiting<J: Job> {
    job: J,
    way_back: WayBack<J>,
}

struct WayBack<J: Job> {
    reply: Option<Sender<Result<J::Done>>>,
    until: Instant,
}

impl<J: Job> WayBack<J> {
    fn send(&mut self, answer: Result<J::Done>) {
        if let Some(reply) = self.reply.take() {
            // The caller may have gone away: nobody is left to tell.
            let _ = reply.send(answer);
        }
    }
}

struct State<J: Job> {
    waiting: VecDeque<Waiting<J>>,
    /// Groups under way.
    running: usize,
    /// The keys of the writes under way.
    busy: HashSet<Key>,
}

/// The calls of one kind.
pub(super) struct Queue<J: Job>(Mutex<State<J>>);

impl<J: Job> Default for Queue<J> {
    fn default() -> Self {
        Self(Mutex::new(State { waiting: VecDeque::new(), running: 0, busy: HashSet::new() }))
    }
}

impl<J: Job> Queue<J> {
    /// How many calls wait.
    pub(super) fn len(&self) -> usize {
        lock(&self.0).waiting.len()
    }
}

/// A place in [`Core`] for the queue of a kind of calls.
pub(super) trait HasQueue<J: Job> {
    fn queue(&self) -> &Queue<J>;
}

/// Takes a job in.
pub(super) fn submit<J: Job>(core: &Arc<Core>, job: J) -> Answer<Result<J::Done>>
where
    Core: HasQueue<J>,
{
    let (reply, answer) = oneshot::channel();
    let dialect = core.pool.table.dialect;
    let answer = Answer::later(async move { answer.await.unwrap_or_else(|_| Err(gone(dialect))) });
    let until = core.deadline();
    let mut state = lock(&core.queue().0);
    state.waiting.push_back(Waiting { job, way_back: WayBack { reply: Some(reply), until } });
    if state.running == 0 {
        state.running = 1;
        drop(state);
        set_out(core);
    }
    answer
}

fn set_out<J: Job>(core: &Arc<Core>)
where
    Core: HasQueue<J>,
{
    let under_way = UnderWay::<J> { core: Arc::clone(core), keys: Vec::new(), kind: PhantomData };
    core.spawn(drive(under_way));
}

/// A group under way: leaves the queue in order however it ends.
struct UnderWay<J: Job>
where
    Core: HasQueue<J>,
{
    core: Arc<Core>,
    keys: Vec<Key>,
    kind: PhantomData<fn() -> J>,
}

impl<J: Job> UnderWay<J>
where
    Core: HasQueue<J>,
{
    /// The next group; `None` where there is nothing to do, and then this one has left the queue.
    fn next(&mut self) -> Option<(Vec<J>, Vec<WayBack<J>>)> {
        let mut state = lock(&HasQueue::<J>::queue(&*self.core).0);
        let state = &mut *state;
        for key in self.keys.drain(..) {
            state.busy.remove(&key);
        }
        let (mut jobs, mut ways, mut weight) = (Vec::new(), Vec::new(), 0);
        let mut passed: HashSet<Key> = HashSet::new();
        let mut left = VecDeque::new();
        while let Some(waiting) = state.waiting.pop_front() {
            if J::WRITES && !(state.busy.is_empty() && passed.is_empty()) {
                let mut blocked = false;
                waiting.job.keys(&mut |key| blocked |= state.busy.contains(key) || passed.contains(key));
                if blocked {
                    waiting.job.keys(&mut |key| {
                        passed.insert(key.clone());
                    });
                    left.push_back(waiting);
                    continue;
                }
            }
            weight += waiting.job.weight();
            if weight > GROUP_WEIGHT && !jobs.is_empty() {
                left.push_back(waiting);
                break;
            }
            jobs.push(waiting.job);
            ways.push(waiting.way_back);
        }
        left.append(&mut state.waiting);
        state.waiting = left;
        if jobs.is_empty() {
            return None;
        }
        if J::WRITES {
            for job in &jobs {
                job.keys(&mut |key| self.keys.push(key.clone()));
            }
            state.busy.extend(self.keys.iter().cloned());
        }
        self.core.activity.batch(jobs.len());
        Some((jobs, ways))
    }
}

impl<J: Job> Drop for UnderWay<J>
where
    Core: HasQueue<J>,
{
    fn drop(&mut self) {
        let mut state = lock(&HasQueue::<J>::queue(&*self.core).0);
        state.running -= 1;
        for key in mem::take(&mut self.keys) {
            state.busy.remove(&key);
        }
        // What came between the last look and now, or was blocked by these keys.
        if state.running == 0 && !state.waiting.is_empty() {
            state.running = 1;
            drop(state);
            set_out::<J>(&self.core);
        }
    }
}

async fn drive<J: Job>(mut under_way: UnderWay<J>)
where
    Core: HasQueue<J>,
{
    while let Some((jobs, ways)) = under_way.next() {
        travel(&under_way.core, jobs, ways).await;
    }
}

async fn travel<J: Job>(core: &Arc<Core>, jobs: Vec<J>, mut ways: Vec<WayBack<J>>)
where
    Core: HasQueue<J>,
{
    let last = ways.iter().map(|way| way.until).max().unwrap_or_else(Instant::now);
    let mut work = std::pin::pin!(J::run(core, jobs, last));
    let mut held_up = Instant::now() + PATIENCE;
    let mut helped = false;
    loop {
        let next = ways.iter().filter(|way| way.reply.is_some()).map(|way| way.until + GRACE).min();
        let Some(next) = next else { return };
        let wake = if helped { next } else { next.min(held_up) };
        if let Ok(answers) = timeout_at(wake, &mut work).await {
            for (way, answer) in ways.iter_mut().zip(answers) {
                way.send(answer);
            }
            return;
        }
        let now = Instant::now();
        if !helped && now >= held_up {
            helped = help::<J>(core);
            held_up = now + PATIENCE;
        }
        for way in ways.iter_mut().filter(|way| way.until + GRACE <= now) {
            way.send(Err(core.error(Fault::Late, J::WRITES)));
        }
    }
}

/// Sends another group out where calls wait; whether no more are to be sent for this one.
fn help<J: Job>(core: &Arc<Core>) -> bool
where
    Core: HasQueue<J>,
{
    let mut state = lock(&HasQueue::<J>::queue(&**core).0);
    if state.running >= core.pool.config.max_connections {
        return true;
    }
    if state.waiting.is_empty() {
        return false;
    }
    state.running += 1;
    drop(state);
    set_out::<J>(core);
    true
}
