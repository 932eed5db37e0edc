//! Answers on their way to an event loop's thread.

#[path = "../../src/python/tickets.rs"]
mod tickets;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use loom::thread;

use self::tickets::{Signal, Tickets, Waiting};
use crate::explore::{every, finds};
use crate::sync::{Condvar, Mutex, lock, wait};

/// A descriptor that is up or down, and a loop that sleeps until it is up.
#[derive(Clone)]
struct Flag(Arc<(Mutex<bool>, Condvar)>);

impl Flag {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    fn await_up(&self) {
        let mut up = lock(&self.0.0);
        while !*up {
            up = wait(&self.0.1, up);
        }
    }

    fn lower(&self) {
        *lock(&self.0.0) = false;
    }
}

/// The loop's signal; where it is `late`, it is not taken back when it should be.
struct Up {
    flag: Flag,
    late: bool,
}

impl Signal for Up {
    fn raise(&self) {
        *lock(&self.flag.0.0) = true;
        self.flag.0.1.notify_all();
    }

    fn clear(&self) {
        if !self.late {
            self.flag.lower();
        }
    }
}

/// What a worker answers with, after so many wakings.
struct Work(Mutex<(usize, Option<Waker>)>);

impl Work {
    fn new(steps: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new((steps, None))))
    }

    /// A step of the worker. It wakes whoever looked last, outside its lock.
    fn step(&self) {
        let waker = {
            let mut state = lock(&self.0);
            state.0 -= 1;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What becomes of an operation.
#[derive(Default)]
struct Fate {
    answers: AtomicUsize,
    drops: AtomicUsize,
}

impl Fate {
    fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::Relaxed)
    }
}

/// An operation that waits for its worker.
struct Operation {
    work: Arc<Work>,
    fate: Arc<Fate>,
}

impl Operation {
    fn new(work: &Arc<Work>) -> (Self, Arc<Fate>) {
        let fate = Arc::new(Fate::default());
        (Self { work: Arc::clone(work), fate: Arc::clone(&fate) }, fate)
    }
}

impl Waiting<()> for Operation {
    type End = ();

    fn poll(&mut self, (): (), context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.work.0);
        if state.0 == 0 {
            return Poll::Ready(());
        }
        state.1 = Some(context.waker().clone());
        Poll::Pending
    }

    fn end(self, (): (), (): ()) {
        self.fate.answers.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.fate.drops.fetch_add(1, Ordering::Relaxed);
    }
}

type Bridge = Tickets<Up, Operation>;

fn bridge(late: bool) -> (Arc<Bridge>, Flag) {
    let flag = Flag::new();
    (Arc::new(Tickets::new(Up { flag: flag.clone(), late })), flag)
}

fn begin(bridge: &Bridge, work: &Arc<Work>) -> (usize, Arc<Fate>) {
    let (operation, fate) = Operation::new(work);
    let ticket = bridge.reserve();
    bridge.watch(ticket, operation, ());
    (ticket, fate)
}

/// A turn of the loop after the other, until `done`.
fn serve(bridge: &Bridge, flag: &Flag, late: bool, done: impl Fn() -> bool) {
    while !done() {
        flag.await_up();
        bridge.drain(());
        if late {
            flag.lower();
        }
    }
}

/// Two workers, each of which answers one operation in so many steps.
fn two_workers(late: bool, steps: usize) {
    let (bridge, flag) = bridge(late);
    let works = [Work::new(steps), Work::new(1)];
    let workers = works.clone().map(|work| {
        thread::spawn(move || {
            let left = lock(&work.0).0;
            (0..left).for_each(|_| work.step());
        })
    });
    let fates = works.map(|work| begin(&bridge, &work).1);
    serve(&bridge, &flag, late, || fates.iter().all(|fate| fate.answers() == 1));
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(fates.map(|fate| (fate.answers(), fate.drops())), [(1, 1), (1, 1)]);
    // The tickets were given back.
    let (one, other) = (bridge.reserve(), bridge.reserve());
    assert_eq!(one + other, 1);
}

#[test]
fn each_answer_arrives_once() {
    every("answers of two workers", 3, 1_000, || two_workers(false, 1));
}

#[test]
fn wakings_in_between_cost_nothing() {
    every("answers in two steps", 3, 1_500, || two_workers(false, 2));
}

#[test]
fn a_signal_that_is_taken_back_late_is_found() {
    finds("a signal that is taken back after the list", "deadlock", || two_workers(true, 1));
}

/// The loop gives up one operation, and begins another that may get its ticket, while a worker answers the first.
#[test]
fn what_is_given_up_is_not_answered() {
    every("one that is given up", 3, 100, || {
        let (bridge, flag) = bridge(false);
        let (doomed, next) = (Work::new(2), Work::new(1));
        let worker = thread::spawn({
            let (doomed, next) = (Arc::clone(&doomed), Arc::clone(&next));
            move || {
                doomed.step();
                doomed.step();
                next.step();
            }
        });
        let (ticket, given_up) = begin(&bridge, &doomed);
        bridge.forget(ticket);
        let before = given_up.answers();
        let (_, fate) = begin(&bridge, &next);
        serve(&bridge, &flag, false, || fate.answers() == 1);
        worker.join().unwrap();
        bridge.drain(());
        assert_eq!((given_up.answers(), given_up.drops()), (before, 1));
        assert_eq!((fate.answers(), fate.drops()), (1, 1));
    });
}

/// Another thread than the loop's gives up an operation, at any moment of the loop's turn.
#[test]
fn given_up_by_another_thread_it_ends_once() {
    every("one that another thread gives up", 3, 50, || {
        let (bridge, _) = bridge(false);
        let work = Work::new(1);
        let (ticket, fate) = begin(&bridge, &work);
        let threads = [
            thread::spawn({
                let work = Arc::clone(&work);
                move || work.step()
            }),
            thread::spawn({
                let bridge = Arc::clone(&bridge);
                move || bridge.forget(ticket)
            }),
        ];
        bridge.drain(());
        for thread in threads {
            thread.join().unwrap();
        }
        bridge.drain(());
        assert!(fate.answers() <= 1);
        assert_eq!(fate.drops(), 1);
        // The ticket was given back once.
        assert_ne!(bridge.reserve(), bridge.reserve());
    });
}

/// The loop is closed and dropped under its operations, while workers answer them.
#[test]
fn a_loop_that_is_gone_leaves_nothing() {
    every("a loop that is closed under two operations", 3, 200, || {
        let (bridge, _) = bridge(false);
        let works = [Work::new(1), Work::new(1)];
        let fates = works.clone().map(|work| begin(&bridge, &work).1);
        let workers = works.clone().map(|work| thread::spawn(move || work.step()));
        bridge.drain(());
        let mut seen = 0;
        let looked: Result<(), ()> = bridge.look(|_| {
            seen += 1;
            Ok(())
        });
        assert_eq!((looked, seen), (Ok(()), fates.iter().filter(|fate| fate.drops() == 0).count()));
        bridge.forget_all();
        assert!(fates.iter().all(|fate| fate.drops() == 1 && fate.answers() <= 1));
        drop(bridge);
        for worker in workers {
            worker.join().unwrap();
        }
        assert!(works.iter().all(|work| lock(&work.0).0 == 0));
    });
}
