//! Records on the server: the connections, and single reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use futures_channel::oneshot::{self, Receiver};
use futures_util::future::join_all;
use redis::{Value, cmd};
use tokio::runtime::Handle;

use super::config::RedisConfig;
use super::connection::Connector;
use super::errors::{gone, unexpected};
use super::lane::Lane;
use super::layout::{HEAD, Layout, Names, decode, decode_head};
use super::request::{Request, Work};
use super::scripts;
use super::update::Pending;
use super::url::Target;
use crate::answer::Answer;
use crate::clock::Clock;
use crate::engine::{Activity, Meta, Record};
use crate::error::Result;
use crate::janitor::{self, Purge};
use crate::key::Key;
use crate::sync::lock;

/// Requests that send more than this don't hold up small ones.
const LARGE: usize = 256 * 1024;

/// The connections of one process to one server or cluster.
pub(super) struct Store {
    pub(super) layout: Layout,
    pub(super) clock: Clock,
    pub(super) runtime: Handle,
    pub(super) within: Duration,
    pub(super) updates: Mutex<HashMap<Vec<Key>, Vec<Pending>>>,
    owner: Weak<dyn Purge>,
    pub(super) activity: Arc<Activity>,
    /// The first for small requests, the others for large ones.
    lanes: Vec<Arc<Lane>>,
    next: AtomicUsize,
    /// When each first namespace was last put into the cluster's list.
    pub(super) registered: Mutex<HashMap<Vec<u8>, Instant>>,
}

impl Store {
    /// In the fork gate.
    pub(super) fn new(
        config: &RedisConfig,
        target: Target,
        clock: Clock,
        runtime: Handle,
        owner: Weak<dyn Purge>,
    ) -> Arc<Self> {
        scripts::prepare();
        let connector = Arc::new(Connector::new(config, target));
        let within = config.connection_timeout;
        let activity = Arc::new(Activity::default());
        let lane = |number| Lane::new(Arc::clone(&connector), runtime.clone(), within, number, Arc::clone(&activity));
        Arc::new(Self {
            layout: Layout::new(&config.key_prefix, connector.is_clustered(), fastrand::u64(..)),
            lanes: (0..config.max_connections).map(lane).collect(),
            activity: Arc::clone(&activity),
            updates: Mutex::default(),
            next: AtomicUsize::new(0),
            registered: Mutex::default(),
            clock,
            runtime,
            within,
            owner,
        })
    }

    /// How many requests wait for others that are under way.
    pub(super) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.len()).sum::<usize>()
            + lock(&self.updates).values().map(Vec::len).sum::<usize>()
    }

    /// Sends a request on its way; `large` ones by a connection of their own, where there are several.
    pub(super) fn send(&self, work: Work, writes: bool, large: bool) -> Receiver<Result<Value>> {
        let (request, answer) = Request::new(work, writes, self.within);
        let lane = if (large || request.weight > LARGE) && self.lanes.len() > 1 {
            1 + self.next.fetch_add(1, Ordering::Relaxed) % (self.lanes.len() - 1)
        } else {
            0
        };
        if let Some(lane) = self.lanes.get(lane) {
            lane.push(request);
        }
        answer
    }

    /// A request and its answer.
    pub(super) async fn ask(&self, work: Work, writes: bool, large: bool) -> Result<Value> {
        received(self.send(work, writes, large)).await
    }

    /// A script that lists or counts.
    pub(super) async fn list(
        &self,
        script: &'static scripts::Script,
        names: &Names,
        rest: Vec<Vec<u8>>,
    ) -> Result<Value> {
        self.ask(self.script(script, names, rest, false), false, true).await
    }

    /// A script over the indexes of a tag.
    pub(super) fn script(
        &self,
        script: &'static scripts::Script,
        names: &Names,
        rest: Vec<Vec<u8>>,
        fenced: bool,
    ) -> Work {
        let mut args = vec![self.clock.now_ms().to_string().into_bytes(), names.records.clone()];
        args.extend(rest);
        Work::Script { script, names: names.heading(), args, fenced }
    }

    /// Runs `task` to its end, whether or not its answer is waited for.
    pub(super) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        task: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Answer<Result<T>> {
        let (reply, answer) = oneshot::channel();
        self.runtime.spawn(async move {
            let _ = reply.send(task.await);
        });
        Answer::later(async move { answer.await.unwrap_or_else(|_| Err(gone())) })
    }

    pub(super) fn ping(&self) -> Answer<Result<()>> {
        let answer = self.send(Work::Command(cmd("PING")), false, false);
        Answer::later(async move { received(answer).await.map(drop) })
    }

    pub(super) fn read_one(&self, key: &Key) -> Answer<Result<Option<Record>>> {
        let names = self.layout.names_of(key.as_bytes());
        let answer = self.send(Work::Command(cmd("GET").arg(names.record(key.as_bytes())).clone()), false, false);
        let (key, clock) = (key.clone(), self.clock.clone());
        Answer::later(async move { record(&key, received(answer).await?, &clock) })
    }

    pub(super) fn meta(&self, key: &Key) -> Answer<Result<Option<Meta>>> {
        let names = self.layout.names_of(key.as_bytes());
        let mut command = cmd("GETRANGE");
        command.arg(names.record(key.as_bytes())).arg(0).arg(HEAD - 1);
        let answer = self.send(Work::Command(command), false, false);
        let (key, clock) = (key.clone(), self.clock.clone());
        Answer::later(async move {
            match received(answer).await? {
                Value::Nil => Ok(None),
                Value::BulkString(bytes) if bytes.is_empty() => Ok(None),
                Value::BulkString(bytes) => {
                    let meta = decode_head(key.as_bytes(), &bytes)?;
                    Ok((!meta.is_expired(clock.now_ms())).then_some(meta))
                }
                _ => Err(unexpected("GETRANGE")),
            }
        })
    }

    /// All as of one moment, but on a cluster for each first namespace its own.
    pub(super) fn read(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        if keys.is_empty() {
            return Answer::ready(Ok(Vec::new()));
        }
        let groups = self.layout.grouped(&keys);
        let mut sent = Vec::with_capacity(groups.len());
        for places in groups {
            let mut command = cmd("MGET");
            for key in places.iter().filter_map(|&place| keys.get(place)) {
                command.arg(self.layout.names_of(key.as_bytes()).record(key.as_bytes()));
            }
            sent.push((self.send(Work::Command(command), false, keys.len() > 4_096), places));
        }
        let clock = self.clock.clone();
        Answer::later(async move {
            let mut records: Vec<Option<Record>> = vec![None; keys.len()];
            for (answer, places) in sent {
                let Value::Array(values) = received(answer).await? else { return Err(unexpected("MGET")) };
                for (place, value) in places.into_iter().zip(values) {
                    if let (Some(slot), Some(key)) = (records.get_mut(place), keys.get(place)) {
                        *slot = record(key, value, &clock)?;
                    }
                }
            }
            Ok(records)
        })
    }

    /// Has what expires at `at` purged then.
    pub(super) fn expect(&self, at: Option<i64>) {
        if let Some(at) = at {
            let wait = u64::try_from(at.saturating_sub(self.clock.now_ms())).unwrap_or(0);
            janitor::watch(&self.owner, Duration::from_millis(wait));
        }
    }

    /// The value of an attribute; the proposed one where it has none. Asked twice it comes to the same.
    pub(super) async fn attribute(self: Arc<Self>, name: String, proposed: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
        let place = self.layout.attributes();
        if let Some(proposed) = proposed {
            let command = cmd("HSETNX").arg(&place).arg(&name).arg(proposed).clone();
            self.ask(Work::Command(command), false, false).await?;
        }
        match self.ask(Work::Command(cmd("HGET").arg(&place).arg(&name).clone()), false, false).await? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes)),
            _ => Err(unexpected("HGET")),
        }
    }

    /// Waits for what is under way, then closes every connection.
    pub(super) async fn shut_down(&self) {
        while self.lanes.iter().any(|lane| lane.len() > 0) || !lock(&self.updates).is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        join_all(self.lanes.iter().map(|lane| lane.disconnect())).await;
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.retire();
        }
    }
}

/// The answer to a request.
pub(super) async fn received(answer: Receiver<Result<Value>>) -> Result<Value> {
    answer.await.unwrap_or_else(|_| Err(gone()))
}

fn record(key: &Key, value: Value, clock: &Clock) -> Result<Option<Record>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => {
            let record = decode(key.as_bytes(), bytes)?;
            Ok((!record.meta.is_expired(clock.now_ms())).then_some(record))
        }
        _ => Err(unexpected("a read")),
    }
}
