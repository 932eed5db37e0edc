//! What callers and the threads of an open file meet at: the two queues, and who starts, who leaves and who locks up.
//!
//! 1. A job that was taken in is handed to a thread, or given back by the last one: nobody waits for it for ever.
//! 2. The writer is there from the beginning and leaves last: no reader is at work any more, and none starts, when it
//!    lets go of what they share.

use std::collections::VecDeque;
use std::mem;

use super::queue::Queue;
use crate::sync::{Condvar, Mutex, lock, wait};

/// See the module. `R` is the way back of one who waits for the end.
pub(super) struct Desk<T, Q, R> {
    pub(super) tasks: Queue<T>,
    pub(super) queries: Queue<Q>,
    readers: Mutex<Readers>,
    reader_left: Condvar,
    end: Mutex<End<R>>,
}

struct Readers {
    at_work: usize,
    /// No more of them start.
    over: bool,
}

struct End<R> {
    done: bool,
    waiting: Vec<R>,
}

impl<T, Q, R> Desk<T, Q, R> {
    pub(super) fn new() -> Self {
        Self {
            tasks: Queue::new(),
            queries: Queue::new(),
            readers: Mutex::new(Readers { at_work: 0, over: false }),
            reader_left: Condvar::new(),
            end: Mutex::new(End { done: false, waiting: Vec::new() }),
        }
    }

    /// Has `start` start one more reader, where there are fewer than `most`. Where it can't and there is none, the queries
    /// that wait are given back with the reason.
    pub(super) fn start_reader<E>(
        &self,
        most: usize,
        start: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), (E, VecDeque<Q>)> {
        let mut readers = lock(&self.readers);
        if readers.over || readers.at_work >= most {
            return Ok(());
        }
        match start() {
            Ok(()) => readers.at_work += 1,
            Err(error) if readers.at_work == 0 => {
                drop(readers);
                return Err((error, self.queries.take_all()));
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// A reader's last step.
    pub(super) fn reader_leaves(&self) {
        lock(&self.readers).at_work -= 1;
        self.reader_left.notify_all();
    }

    /// Takes nothing in any more; what is there is still worked off.
    pub(super) fn close(&self) {
        self.queries.close();
        self.tasks.close();
    }

    /// Has `reply` wait for the end; gives it back where that is past.
    pub(super) fn await_end(&self, reply: R) -> Option<R> {
        let mut end = lock(&self.end);
        if end.done {
            return Some(reply);
        }
        end.waiting.push(reply);
        None
    }

    /// The writer's last step: waits for the readers, and has what is left given up and what was shared `let_go` of. Who
    /// waited for this is to be told.
    pub(super) fn finish(
        &self,
        give_up_task: impl FnMut(T),
        give_up_query: impl FnMut(Q),
        let_go: impl FnOnce(),
    ) -> Vec<R> {
        self.tasks.abandon().into_iter().for_each(give_up_task);
        self.queries.close();
        let mut readers = lock(&self.readers);
        while readers.at_work > 0 {
            readers = wait(&self.reader_left, readers);
        }
        readers.over = true;
        drop(readers);
        self.queries.abandon().into_iter().for_each(give_up_query);
        let_go();
        let mut end = lock(&self.end);
        end.done = true;
        mem::take(&mut end.waiting)
    }
}
