//! Calls to a SQL server that travel together.

#[path = "../../src/engine/sql/queue.rs"]
mod queue;

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use loom::future::block_on;
use loom::thread;
use rrag_storage::{Key, Result};

use self::core::Core;
use self::queue::{Job, submit};
use crate::explore::{every, finds};
use crate::sync::lock;
use crate::sync::time::{Instant, advance};

/// The product's patience with a group, and the time that a call has.
const HELD_UP: Duration = Duration::from_millis(5);
const DEADLINE: Duration = Duration::from_secs(1);

mod errors {
    use rrag_storage::Error;

    #[derive(Clone, Copy)]
    pub(super) struct Dialect;

    pub(super) enum Fault {
        Late,
    }

    pub(super) fn gone(Dialect: Dialect) -> Error {
        Error::Backend { backend: "model", message: "given up".into() }
    }
}

/// What the product's module of this name offers to its queue, over one thread that runs all tasks.
mod core {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Weak};
    use std::task::{Context, Wake, Waker};

    use loom::thread::{self, JoinHandle};
    use rrag_storage::Error;

    use super::errors::{Dialect, Fault};
    use super::queue::{HasQueue, Queue};
    use super::{DEADLINE, Write};
    use crate::sync::time::Instant;
    use crate::sync::{Condvar, Mutex, lock, wait};

    pub(super) struct Table {
        pub(super) dialect: Dialect,
    }

    pub(super) struct Config {
        pub(super) max_connections: usize,
    }

    pub(super) struct Pool {
        pub(super) table: Table,
        pub(super) config: Config,
    }

    #[derive(Default)]
    pub(super) struct Activity(AtomicUsize);

    impl Activity {
        pub(super) fn batch(&self, calls: usize) {
            self.0.fetch_add(calls, Ordering::Relaxed);
        }
    }

    type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

    struct Task {
        work: Mutex<Option<Work>>,
        runtime: Weak<Runtime>,
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            if let Some(runtime) = self.runtime.upgrade() {
                lock(&runtime.ready).tasks.push(self);
                runtime.changed.notify_one();
            }
        }
    }

    struct Ready {
        tasks: Vec<Arc<Task>>,
        over: bool,
    }

    struct Runtime {
        ready: Mutex<Ready>,
        changed: Condvar,
    }

    impl Runtime {
        fn run(&self) {
            while let Some(tasks) = self.next() {
                for task in tasks {
                    let waker = Waker::from(Arc::clone(&task));
                    let Some(mut work) = lock(&task.work).take() else { continue };
                    if work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                        *lock(&task.work) = Some(work);
                    }
                }
            }
        }

        fn next(&self) -> Option<Vec<Arc<Task>>> {
            let mut ready = lock(&self.ready);
            while ready.tasks.is_empty() {
                if ready.over {
                    return None;
                }
                ready = wait(&self.changed, ready);
            }
            Some(std::mem::take(&mut ready.tasks))
        }
    }

    pub(super) struct Core {
        pub(super) pool: Pool,
        pub(super) activity: Activity,
        /// What the server did, in this order, and what it works at.
        pub(super) server: super::Server,
        queue: Queue<Write>,
        runtime: Arc<Runtime>,
    }

    #[expect(clippy::unused_self, reason = "methods in the product")]
    impl Core {
        pub(super) fn open(max_connections: usize) -> (Arc<Self>, JoinHandle<()>) {
            let ready = Mutex::new(Ready { tasks: Vec::new(), over: false });
            let runtime = Arc::new(Runtime { ready, changed: Condvar::new() });
            let runs = Arc::clone(&runtime);
            let core = Self {
                pool: Pool { table: Table { dialect: Dialect }, config: Config { max_connections } },
                activity: Activity::default(),
                server: super::Server::new(),
                queue: Queue::default(),
                runtime,
            };
            (Arc::new(core), thread::spawn(move || runs.run()))
        }

        pub(super) fn deadline(&self) -> Instant {
            Instant::now() + DEADLINE
        }

        pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
            let work: Work = Box::pin(future);
            Arc::new(Task { work: Mutex::new(Some(work)), runtime: Arc::downgrade(&self.runtime) }).wake();
        }

        pub(super) fn error(&self, Fault::Late: Fault, writes: bool) -> Error {
            assert!(writes);
            Error::Timeout { what: "model".into(), seconds: DEADLINE.as_secs_f64() }
        }

        /// How many calls set out.
        pub(super) fn set_out(&self) -> usize {
            self.activity.0.load(Ordering::Relaxed)
        }

        /// Ends the thread of the tasks once nothing is ready.
        pub(super) fn end(&self, thread: JoinHandle<()>) {
            lock(&self.runtime.ready).over = true;
            self.runtime.changed.notify_one();
            thread.join().unwrap();
            assert_eq!(self.queue.len(), 0, "calls that wait for ever");
        }
    }

    impl HasQueue<Write> for Core {
        fn queue(&self) -> &Queue<Write> {
            &self.queue
        }
    }
}

/// What the calls are made to.
struct Server {
    state: crate::sync::Mutex<State>,
    begun: crate::sync::Condvar,
}

struct State {
    begun: Vec<usize>,
    done: Vec<usize>,
    held: bool,
    waker: Option<std::task::Waker>,
}

impl Server {
    fn new() -> Self {
        let state = State { begun: Vec::new(), done: Vec::new(), held: true, waker: None };
        Self { state: crate::sync::Mutex::new(state), begun: crate::sync::Condvar::new() }
    }

    fn await_begun(&self, number: usize) {
        let mut state = lock(&self.state);
        while !state.begun.contains(&number) {
            state = crate::sync::wait(&self.begun, state);
        }
    }

    /// Answers what it holds back.
    fn release(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.held = false;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn done(&self) -> Vec<usize> {
        lock(&self.state).done.clone()
    }
}

/// A write of a number under a key; `held`: the server takes its time. With `keyless` its key is kept from the queue.
struct Write {
    number: usize,
    key: Key,
    held: bool,
    keyless: bool,
}

impl Write {
    fn new(number: usize, key: &str) -> Self {
        Self { number, key: Key::new(key).unwrap(), held: false, keyless: false }
    }

    fn held(self) -> Self {
        Self { held: true, ..self }
    }
}

impl Job for Write {
    type Done = usize;
    const WRITES: bool = true;

    fn weight(&self) -> usize {
        1
    }

    fn keys(&self, visit: &mut dyn FnMut(&Key)) {
        if !self.keyless {
            visit(&self.key);
        }
    }

    fn run(core: &Core, jobs: Vec<Self>, _until: Instant) -> impl Future<Output = Vec<Result<usize>>> + Send {
        let mut first = true;
        poll_fn(move |context| {
            let mut state = lock(&core.server.state);
            if std::mem::take(&mut first) {
                state.begun.extend(jobs.iter().map(|job| job.number));
                core.server.begun.notify_all();
            }
            if state.held && jobs.iter().any(|job| job.held) {
                state.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            state.done.extend(jobs.iter().map(|job| job.number));
            Poll::Ready(jobs.iter().map(|job| Ok(job.number)).collect())
        })
    }
}

fn answer(answer: rrag_storage::Answer<Result<usize>>) -> Option<usize> {
    block_on(answer).ok()
}

#[test]
fn calls_keep_their_order_and_get_their_own_answers() {
    every("four writes of two callers", 2, 5_000, || {
        let (core, runtime) = Core::open(2);
        let other = thread::spawn({
            let core = Arc::clone(&core);
            move || {
                let answers = [submit(&core, Write::new(10, "a")), submit(&core, Write::new(11, "b"))];
                assert_eq!(answers.map(answer), [Some(10), Some(11)]);
            }
        });
        let answers = [submit(&core, Write::new(0, "a")), submit(&core, Write::new(1, "a"))];
        assert_eq!(answers.map(answer), [Some(0), Some(1)]);
        other.join().unwrap();
        core.end(runtime);
        let done = core.server.done();
        assert!(place(&done, 0) < place(&done, 1), "{done:?}");
        assert_eq!((done.len(), core.set_out()), (4, 4));
    });
}

fn place(done: &[usize], number: usize) -> usize {
    done.iter().position(|each| *each == number).unwrap()
}

/// A write that takes long: one of another key overtakes it, one of the same key does not.
fn overtaking(keyless: bool) {
    let (core, runtime) = Core::open(2);
    let slow = submit(&core, Write { keyless, ..Write::new(0, "a").held() });
    core.server.await_begun(0);
    let caller = thread::spawn({
        let core = Arc::clone(&core);
        move || {
            let same = submit(&core, Write { keyless, ..Write::new(1, "a") });
            let other = submit(&core, Write::new(2, "b"));
            advance(HELD_UP);
            assert_eq!(answer(other), Some(2));
            core.server.release();
            assert_eq!(answer(same), Some(1));
        }
    });
    assert_eq!(answer(slow), Some(0));
    caller.join().unwrap();
    core.end(runtime);
    let done = core.server.done();
    assert!(place(&done, 0) < place(&done, 1), "out of order: {done:?}");
    assert_eq!((done.len(), core.set_out()), (3, 3));
}

#[test]
fn a_slow_group_holds_up_its_own_keys_only() {
    every("a slow write, one of its key and one of another", 2, 4_000, || overtaking(false));
}

#[test]
fn a_key_that_the_queue_does_not_see_is_found() {
    finds("writes whose key the queue does not see", "out of order", || overtaking(true));
}

/// A server that never answers: the call ends at its deadline, and the next one of its key goes on.
#[test]
fn a_deadline_ends_a_call_and_frees_its_key() {
    every("a deadline under two writes of one key", 2, 2_500, || {
        let (core, runtime) = Core::open(1);
        let lost = submit(&core, Write::new(0, "a").held());
        core.server.await_begun(0);
        let caller = thread::spawn({
            let core = Arc::clone(&core);
            move || answer(submit(&core, Write::new(1, "a")))
        });
        advance(DEADLINE * 2);
        assert_eq!(answer(lost), None);
        assert_eq!(caller.join().unwrap(), Some(1));
        core.end(runtime);
        assert_eq!(core.server.done(), [1]);
    });
}

/// A caller that goes away at any moment: its write is made once or not at all, and nobody waits for it.
#[test]
fn a_caller_that_goes_away_holds_up_nobody() {
    every("a caller that goes away", 2, 1_000, || {
        let (core, runtime) = Core::open(1);
        let caller = thread::spawn({
            let core = Arc::clone(&core);
            move || drop(submit(&core, Write::new(0, "a")))
        });
        assert_eq!(answer(submit(&core, Write::new(1, "a"))), Some(1));
        caller.join().unwrap();
        core.end(runtime);
        let mut done = core.server.done();
        done.sort_unstable();
        assert!(matches!(done[..], [1] | [0, 1]), "{done:?}");
    });
}
