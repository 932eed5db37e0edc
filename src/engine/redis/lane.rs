//! One connection and the requests that travel over it.
//!
//! 1. What waits when the connection is free travels as one pipeline; what comes meanwhile makes the next one. A lone
//!    request goes at once, and by the calling thread itself where the connection allows it (`direct`).
//! 2. A request's answer goes to whoever asked, or nowhere: it is matched by its place in the pipeline, on a
//!    connection that is given up with the first pipeline that isn't answered whole.
//! 3. A pipeline that broke is sent again on a new connection, until each request's own time is up. That repeats
//!    nothing that was done: reads may be repeated, a blind put looks for what became of it, every other write is fenced
//!    (scripts/common.lua),
//!    and the server drops the old connection before it takes the new one's commands.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::{RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::connection::{Connection, Connector};
use super::direct::{Attended, Begun, DIRECT, Direct, Watch};
use super::errors::{Fault, of_answer, words};
use super::request::Request;
use super::united;
use crate::engine::Activity;
use crate::error::{Error, Result};
use crate::sync::lock;

/// At most so many requests in one pipeline.
const BATCH: usize = 512;
/// A pipeline that has so many bytes takes no more requests.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// A pipeline is given up and sent again after so long, where its requests have more time; and the bytes that make
/// this a second longer.
pub(super) const ATTEMPT: Duration = Duration::from_secs(10);
const BYTES_A_SECOND: usize = 4 * 1024 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Lane {
    connector: Arc<Connector>,
    runtime: Handle,
    pub(super) within: Duration,
    /// The first of the slots of its fenced writes.
    slots: usize,
    pub(super) queue: Mutex<Queue>,
    activity: Arc<Activity>,
    /// Wakes the task that attends to an idle connection.
    pub(super) wake: Notify,
    connection: tokio::sync::Mutex<Held>,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "four facts of a lane that hold or don't, each on its own")]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Request>,
    /// Whether requests are under way, or about to be: what comes now waits.
    running: bool,
    /// Whether there is a task that serves the lane.
    served: bool,
    /// The connection, while callers may write to it.
    pub(super) direct: Option<Direct>,
    /// Whether the task looks at the time.
    pub(super) watched: bool,
    /// Whether the connection is to be closed as soon as nothing is under way.
    pub(super) retired: bool,
}

#[derive(Default)]
struct Held {
    connection: Option<Connection>,
    /// The number of the connection before, which broke.
    broken: Option<i64>,
    /// Why the last attempt failed, until one succeeds: what those are told who waited too long behind it.
    trouble: Option<String>,
}

impl Held {
    /// Gives the connection up: it broke.
    fn give_up(&mut self) {
        self.broken = self.connection.take().and_then(|connection| connection.number());
    }
}

/// What the task is to do next.
enum Next {
    Serve(Vec<Request>),
    Attend,
    End,
}

impl Lane {
    pub(super) fn new(
        connector: Arc<Connector>,
        runtime: Handle,
        within: Duration,
        number: usize,
        activity: Arc<Activity>,
    ) -> Arc<Self> {
        let (queue, wake, connection) = (Mutex::default(), Notify::new(), tokio::sync::Mutex::default());
        Arc::new(Self { connector, runtime, within, slots: number * BATCH, queue, activity, wake, connection })
    }

    /// Takes a request.
    pub(super) fn push(self: &Arc<Self>, request: Request) {
        let mut queue = lock(&self.queue);
        if mem::replace(&mut queue.running, true) {
            queue.waiting.push_back(request);
            return;
        }
        let watched = queue.watched;
        if let Some(direct) = queue.direct.as_mut().filter(|_| request.weight <= DIRECT) {
            self.activity.batch(1);
            if !direct.begin(request, self.slots) || !watched {
                self.wake.notify_one();
            }
            return;
        }
        queue.waiting.push_back(request);
        if mem::replace(&mut queue.served, true) {
            self.wake.notify_one();
        } else {
            drop(queue);
            self.runtime.spawn(Arc::clone(self).run());
        }
    }

    /// How many requests wait.
    pub(super) fn len(&self) -> usize {
        lock(&self.queue).waiting.len()
    }

    /// Has the connection closed once what is under way is answered.
    pub(super) fn retire(&self) {
        lock(&self.queue).retired = true;
        self.wake.notify_one();
    }

    /// As [`Lane::retire`], and waits for that.
    pub(super) async fn disconnect(&self) {
        self.retire();
        self.connection.lock().await.connection = None;
    }

    async fn run(self: Arc<Self>) {
        let mut held = self.connection.lock().await;
        let mut watch = Watch::new();
        loop {
            match self.next(&mut held) {
                Next::Serve(batch) => {
                    let left = batch.into_iter().enumerate().map(|(at, request)| (self.slots + at, request)).collect();
                    self.serve(&mut held, left, None).await;
                }
                Next::Attend => self.attend(&mut held, &mut watch).await,
                Next::End => return,
            }
        }
    }

    fn next(&self, held: &mut Held) -> Next {
        let mut queue = lock(&self.queue);
        let (mut count, mut bytes) = (0, 0);
        for request in queue.waiting.iter().take(BATCH) {
            if bytes >= BATCH_BYTES {
                break;
            }
            bytes += request.weight;
            count += 1;
        }
        queue.direct = None;
        queue.running = count > 0;
        if count > 0 {
            self.activity.batch(count);
            return Next::Serve(queue.waiting.drain(..count).collect());
        }
        if queue.retired {
            held.connection = None;
        }
        if let Some(Connection::Wire(wire)) = &held.connection {
            queue.direct = Some(Direct::new(wire.socket()));
            return Next::Attend;
        }
        (queue.served, queue.watched) = (false, false);
        Next::End
    }

    /// Waits until a caller has written a request and its answer comes, or until there is other work.
    async fn attend(&self, held: &mut Held, watch: &mut Watch) {
        let Some(Connection::Wire(wire)) = &mut held.connection else { return };
        let (Begun { request, .. }, answer) = match self.attended(wire, watch).await {
            Attended::Wanted => return,
            Attended::Answered(begun, answer) => (begun, Ok(answer)),
            Attended::Broken(begun, said) => {
                held.give_up();
                let Some(begun) = begun else { return };
                (begun, Err(said))
            }
        };
        let mut left = vec![(self.slots, request)];
        let said = match answer {
            Ok(answer) => self.settle(held, &mut left, vec![Ok(answer)]).await,
            Err(said) => Some(said),
        };
        if !left.is_empty() {
            self.serve(held, left, said).await;
        }
    }

    /// Answers every request, each of which keeps its slot while it is repeated. `last` is what went wrong before.
    async fn serve(&self, held: &mut Held, mut left: Vec<(usize, Request)>, mut last: Option<String>) {
        let place = self.connector.place();
        let mut pause = FIRST_PAUSE;
        loop {
            let now = Instant::now();
            let (on_time, late): (Vec<_>, Vec<_>) = left.into_iter().partition(|(_, request)| request.deadline > now);
            for (_, request) in late {
                request.give_up(place, self.within, last.as_deref().or(held.trouble.as_deref()));
            }
            // What nobody waits for is not begun; what was begun is brought to its end.
            left = on_time.into_iter().filter(|(_, request)| request.writes || !request.is_deserted()).collect();
            let Some(until) = left.iter().map(|(_, request)| request.deadline).min() else { return };
            let passing = match self.attempt(held, &mut left, until.saturating_duration_since(now)).await {
                Ok(None) => {
                    held.trouble = None;
                    if left.is_empty() {
                        return;
                    }
                    continue;
                }
                Ok(Some(said)) => said,
                Err(error) => {
                    for (_, request) in left {
                        request.send(Err(error.clone()));
                    }
                    return;
                }
            };
            held.trouble = Some(passing.clone());
            last = Some(passing);
            let jitter = 0.5 + fastrand::f64();
            let wait = pause.mul_f64(jitter).min(until.saturating_duration_since(Instant::now()));
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends what is left once. Takes out of it what was answered; says why the rest was not, where there is a reason
    /// to wait before the next attempt.
    async fn attempt(
        &self,
        held: &mut Held,
        left: &mut Vec<(usize, Request)>,
        time: Duration,
    ) -> Result<Option<String>> {
        if held.connection.is_none() {
            match self.connector.connect(time, held.broken).await {
                Ok(connection) => {
                    held.broken = None;
                    held.connection = Some(connection);
                }
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Passing(said)) => return Ok(Some(said)),
                Err(Fault::NoScript) => return Ok(None),
            }
        }
        let Some(connection) = held.connection.as_mut() else { return Ok(None) };
        let bytes: usize = left.iter().map(|(_, request)| request.weight).sum();
        let patience = ATTEMPT + Duration::from_secs((bytes / BYTES_A_SECOND) as u64);
        let lengths = united::lengths(left);
        let commands = united::commands(left, &lengths);
        let answers = match tokio::time::timeout(time.min(patience), connection.exchange(commands)).await {
            Ok(Ok(answers)) if answers.len() == lengths.len() => answers,
            broken => {
                let said = match broken {
                    Ok(Ok(_)) => "the server's answers are out of step".to_owned(),
                    Ok(Err(said)) => said,
                    Err(_) => "the server does not answer".to_owned(),
                };
                held.give_up();
                return Ok(Some(said));
            }
        };
        let mut apart = Vec::new();
        let answers = united::parted(left, &lengths, answers, &mut apart);
        let said = self.settle(held, left, answers).await;
        left.append(&mut apart);
        Ok(said)
    }

    /// Hands out the answers. Leaves what is to be sent again; says what to wait for before that, if there is anything.
    async fn settle(
        &self,
        held: &mut Held,
        left: &mut Vec<(usize, Request)>,
        answers: Vec<RedisResult<Value>>,
    ) -> Option<String> {
        let (mut said, mut unloaded, mut replaced) = (None, false, false);
        let place = self.connector.place();
        let clustered = self.connector.is_clustered();
        for ((slot, request), answer) in mem::take(left).into_iter().zip(answers) {
            let fault = match answer {
                Ok(Value::ServerError(error)) => of_answer(&error, place, clustered),
                Ok(value) => {
                    request.send(Ok(value));
                    continue;
                }
                Err(error) => {
                    // The driver has lost every node, and may not find any again by itself.
                    replaced |= error.kind() == redis::ErrorKind::ClusterConnectionNotFound;
                    of_failure(&error, place)
                }
            };
            match fault {
                Fault::Final(error) => {
                    // The master may be found at the same address by a new connection.
                    replaced |= matches!(&error, Error::Backend { message, .. } if message.contains("READONLY"));
                    request.send(Err(error));
                }
                Fault::NoScript => {
                    unloaded = true;
                    left.push((slot, request));
                }
                Fault::Passing(words) => {
                    said = Some(words);
                    left.push((slot, request));
                }
            }
        }
        if unloaded && let Some(connection) = held.connection.as_mut() {
            // A server that never answers breaks the next attempt too.
            let refused = tokio::time::timeout(ATTEMPT.min(self.within), connection.load()).await.ok().flatten();
            if let Some(error) = refused {
                match of_answer(&error, place, clustered) {
                    Fault::Final(error) => left.drain(..).for_each(|(_, request)| request.send(Err(error.clone()))),
                    Fault::Passing(words) => said = Some(words),
                    Fault::NoScript => {}
                }
            }
        }
        if replaced {
            held.connection = None;
        }
        said
    }
}

/// One command's failure on a cluster, whose driver tells refusals and broken connections alike.
fn of_failure(error: &redis::RedisError, place: &str) -> Fault {
    match error.clone().into_server_errors().as_deref() {
        Some([(_, refusal), ..]) => of_answer(refusal, place, true),
        _ => Fault::Passing(words(error)),
    }
}
