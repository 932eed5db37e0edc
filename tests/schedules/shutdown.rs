//! The two queues of a SQLite file, its writer, its readers, and the end of them.

#[path = "../../src/engine/sqlite/desk.rs"]
mod desk;
#[path = "../../src/engine/sqlite/queue.rs"]
mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;

use self::desk::Desk;
use crate::explore::{every, finds};
use crate::sync::{Mutex, lock};

/// The way back to a caller: how often it was used, and with what.
#[derive(Clone, Default)]
struct Reply(Arc<[AtomicUsize; 2]>);

const DONE: usize = 0;
const GIVEN_UP: usize = 1;

impl Reply {
    fn send(&self, how: usize) {
        self.0[how].fetch_add(1, Ordering::Relaxed);
    }

    fn times(&self) -> (usize, usize) {
        (self.0[DONE].load(Ordering::Relaxed), self.0[GIVEN_UP].load(Ordering::Relaxed))
    }
}

/// Whether threads for readers are to be had, and the bug of one that the desk does not know of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Threads {
    Some,
    None,
    Uncounted,
}

struct File {
    desk: Desk<(usize, Reply), Reply, Reply>,
    /// What the writer has written, group after group.
    written: Mutex<Vec<Vec<usize>>>,
    /// Who is at work on a connection.
    at_work: AtomicUsize,
    let_go: AtomicUsize,
}

impl File {
    fn open() -> (Arc<Self>, thread::JoinHandle<()>) {
        let file = Arc::new(Self {
            desk: Desk::new(),
            written: Mutex::new(Vec::new()),
            at_work: AtomicUsize::new(0),
            let_go: AtomicUsize::new(0),
        });
        let writer = Arc::clone(&file);
        (file, thread::spawn(move || writer.write()))
    }

    /// The writer's life.
    fn write(&self) {
        while self.desk.tasks.wait() {
            let group = self.desk.tasks.take(|queue| queue.drain(..queue.len().min(2)).collect());
            lock(&self.written).push(group.iter().map(|(task, _)| *task).collect());
            for (_, reply) in &group {
                reply.send(DONE);
            }
        }
        let let_go = || {
            assert_eq!(self.at_work.load(Ordering::Relaxed), 0, "the connection is gone under a reader");
            self.let_go.fetch_add(1, Ordering::Relaxed);
        };
        let give_up = |reply: Reply| reply.send(GIVEN_UP);
        let waiting = self.desk.finish(|(_, reply)| give_up(reply), give_up, let_go);
        for reply in &waiting {
            reply.send(DONE);
        }
    }

    /// A reader's life.
    fn read(&self, threads: Threads) {
        while self.desk.queries.wait() {
            let queries = self.desk.queries.take(|queue| queue.pop_front().into_iter().collect());
            if !queries.is_empty() {
                self.at_work.fetch_add(1, Ordering::Relaxed);
                assert_eq!(self.let_go.load(Ordering::Relaxed), 0, "the connection is gone before a reader");
                thread::yield_now();
                self.at_work.fetch_sub(1, Ordering::Relaxed);
            }
            for reply in &queries {
                reply.send(DONE);
            }
        }
        if threads == Threads::Some {
            self.desk.reader_leaves();
        }
    }

    /// A caller's write.
    fn submit(&self, task: usize) -> Reply {
        let reply = Reply::default();
        if let Err((_, reply)) = self.desk.tasks.push((task, reply.clone())) {
            reply.send(GIVEN_UP);
        }
        reply
    }

    /// A caller's read, for which a reader is started where there is none.
    fn ask(self: &Arc<Self>, threads: Threads) -> Reply {
        let reply = Reply::default();
        match self.desk.queries.push(reply.clone()) {
            Ok(true) => {
                let file = Arc::clone(self);
                let start = || {
                    let spawn = || thread::spawn(move || file.read(threads));
                    (threads != Threads::None).then(spawn).map(drop).ok_or("there is no thread to be had")
                };
                if threads == Threads::Uncounted {
                    start().unwrap();
                } else if let Err((_, queries)) = self.desk.start_reader(1, start) {
                    for reply in &queries {
                        reply.send(GIVEN_UP);
                    }
                }
            }
            Ok(false) => {}
            Err(reply) => reply.send(GIVEN_UP),
        }
        reply
    }

    fn close(&self) -> Reply {
        let reply = Reply::default();
        self.desk.close();
        if let Some(reply) = self.desk.await_end(reply.clone()) {
            reply.send(DONE);
        }
        reply
    }
}

fn is_answered_once(reply: &Reply) -> bool {
    matches!(reply.times(), (1, 0) | (0, 1))
}

/// Two callers who write: each keeps its order, and what was asked before the end is done.
#[test]
fn groups_keep_the_order_of_each_caller() {
    every("the writes of two callers", 3, 4_000, || {
        let (file, writer) = File::open();
        let other = thread::spawn({
            let file = Arc::clone(&file);
            move || [file.submit(10), file.submit(11)]
        });
        let mut replies = vec![file.submit(0), file.submit(1)];
        replies.extend(other.join().unwrap());
        let end = file.close();
        writer.join().unwrap();
        assert!(replies.iter().all(|reply| reply.times() == (1, 0)));
        assert_eq!(end.times(), (1, 0));
        let written = lock(&file.written);
        assert!(written.iter().all(|group| !group.is_empty()));
        let written: Vec<_> = written.iter().flatten().copied().collect();
        let of = |who| written.iter().copied().filter(|task| task / 10 == who).collect::<Vec<_>>();
        assert_eq!((of(0), of(1), written.len()), (vec![0, 1], vec![10, 11], 4));
    });
}

/// A storage that is closed while another thread writes and reads: each call is answered once, and the end waits for the
/// readers.
#[test]
fn a_close_ends_all_that_is_under_way() {
    every("a close under a write and a read", 3, 3_000, || closed_under_a_call(Threads::Some));
}

/// A reader that starts while the file is being let go of: the fourth preemption is the one that tells.
#[test]
fn no_reader_starts_at_the_end() {
    every("a close under a read", 4, 8_000, || {
        let (file, writer) = File::open();
        let caller = thread::spawn({
            let file = Arc::clone(&file);
            move || file.ask(Threads::Some)
        });
        let end = file.close();
        let reply = caller.join().unwrap();
        writer.join().unwrap();
        assert!(is_answered_once(&reply));
        assert_eq!(end.times(), (1, 0));
    });
}

#[test]
fn a_close_ends_what_has_no_thread() {
    every("a close where there is no thread for readers", 3, 1_000, || closed_under_a_call(Threads::None));
}

#[test]
fn a_reader_that_nobody_waits_for_is_found() {
    finds("a reader that nobody waits for", "the connection is gone", || closed_under_a_call(Threads::Uncounted));
}

fn closed_under_a_call(threads: Threads) {
    let (file, writer) = File::open();
    let caller = thread::spawn({
        let file = Arc::clone(&file);
        move || [file.submit(0), file.ask(threads)]
    });
    let end = file.close();
    let replies = caller.join().unwrap();
    writer.join().unwrap();
    assert!(replies.iter().all(is_answered_once), "a call that is not answered, or twice");
    assert_eq!(end.times(), (1, 0));
    assert_eq!(file.close().times(), (1, 0));
    assert_eq!(file.let_go.load(Ordering::Relaxed), 1);
    assert_eq!((file.desk.tasks.len(), file.desk.queries.len()), (0, 0));
}

/// One reader, two callers: none of the queries waits for ever.
#[test]
fn a_reader_forgets_nobody() {
    every("two queries for one reader", 2, 5_000, || {
        let (file, writer) = File::open();
        let other = thread::spawn({
            let file = Arc::clone(&file);
            move || file.ask(Threads::Some)
        });
        let reply = file.ask(Threads::Some);
        let other = other.join().unwrap();
        let end = file.close();
        writer.join().unwrap();
        assert_eq!([reply, other, end].map(|reply| reply.times()), [(1, 0); 3]);
    });
}
