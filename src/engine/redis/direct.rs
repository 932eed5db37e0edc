//! A request that its caller writes to the idle connection itself, so that no thread is woken before the server is.
//!
//! The lane's task attends to the connection meanwhile: it reads the answer, writes what the caller could not write at
//! once, notices that the server hangs up, and looks at the time.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use redis::Value;
use tokio::time::Sleep;

use super::lane::{ATTEMPT, Lane};
use super::request::Request;
use super::wire::{Socket, Wire, out_of_step};
use crate::sync::lock;

/// Requests of more bytes are left to the task.
pub(super) const DIRECT: usize = 64 * 1024;

/// An idle connection, as callers see it.
pub(super) struct Direct {
    socket: Arc<Socket>,
    begun: Option<Begun>,
}

/// A request that was written to it.
pub(super) struct Begun {
    pub(super) request: Request,
    at: Instant,
    /// What the caller could not write.
    unsent: Vec<u8>,
}

impl Begun {
    /// When the answer is overdue.
    fn due(&self) -> Instant {
        self.request.deadline.min(self.at + ATTEMPT)
    }
}

impl Direct {
    pub(super) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, begun: None }
    }

    /// Writes the request; `false` where the task must write the rest of it.
    pub(super) fn begin(&mut self, mut request: Request, slot: usize) -> bool {
        let mut bytes = request.command(slot).get_packed_command();
        request.sent = true;
        let sent = self.socket.write_some(&bytes);
        bytes.drain(..sent);
        let whole = bytes.is_empty();
        self.begun = Some(Begun { request, at: Instant::now(), unsent: bytes });
        whole
    }
}

/// How an attendance ends.
pub(super) enum Attended {
    /// Something waits, or the connection is to be closed.
    Wanted,
    /// The request that was begun is answered.
    Answered(Begun, Value),
    /// The connection broke, with what was begun.
    Broken(Option<Begun>, String),
}

/// The clock of a lane's task. It is set once for many requests: whether one is overdue is seen when it rings.
pub(super) struct Watch(Pin<Box<Sleep>>);

impl Watch {
    pub(super) fn new() -> Self {
        Self(Box::pin(tokio::time::sleep(ATTEMPT)))
    }
}

impl Lane {
    /// Attends to an idle connection; see the module.
    pub(super) async fn attended(&self, wire: &mut Wire, watch: &mut Watch) -> Attended {
        let mut woken = pin!(self.wake.notified());
        poll_fn(|context| {
            loop {
                match wire.poll_answer(context) {
                    Poll::Ready(Ok(answer)) => return Poll::Ready(self.answered(wire, answer)),
                    Poll::Ready(Err(error)) => return Poll::Ready(self.broken(error.to_string())),
                    Poll::Pending => {}
                }
                if let Poll::Ready(end) = self.look(watch, context) {
                    return Poll::Ready(end);
                }
                if woken.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                woken.set(self.wake.notified());
            }
        })
        .await
    }

    /// Looks at what callers have left, and at the time.
    fn look(&self, watch: &mut Watch, context: &mut Context<'_>) -> Poll<Attended> {
        let mut queue = lock(&self.queue);
        let queue = &mut *queue;
        let begun = queue.direct.as_mut().and_then(|direct| Some((&direct.socket, direct.begun.as_mut()?)));
        let Some((socket, begun)) = begun else {
            if queue.retired || !queue.waiting.is_empty() {
                return Poll::Ready(Attended::Wanted);
            }
            if queue.watched && watch.0.as_mut().poll(context).is_ready() {
                queue.watched = false;
            }
            return Poll::Pending;
        };
        if !begun.unsent.is_empty() {
            let mut unsent = begun.unsent.as_slice();
            // An error shows when the answer is read.
            let _ = socket.poll_write(context, &mut unsent);
            let sent = begun.unsent.len() - unsent.len();
            begun.unsent.drain(..sent);
        }
        if !mem::replace(&mut queue.watched, true) {
            watch.0.as_mut().reset(begun.due().into());
        }
        while watch.0.as_mut().poll(context).is_ready() {
            if begun.due() <= Instant::now() {
                let begun = queue.direct.take().and_then(|direct| direct.begun);
                return Poll::Ready(Attended::Broken(begun, "the server does not answer".to_owned()));
            }
            watch.0.as_mut().reset(begun.due().into());
        }
        Poll::Pending
    }

    /// What an answer belongs to.
    fn answered(&self, wire: &Wire, answer: Value) -> Attended {
        let mut queue = lock(&self.queue);
        match queue.direct.take().and_then(|direct| direct.begun) {
            Some(begun) if wire.is_quiet() => Attended::Answered(begun, answer),
            begun => Attended::Broken(begun, out_of_step().to_string()),
        }
    }

    fn broken(&self, said: String) -> Attended {
        Attended::Broken(lock(&self.queue).direct.take().and_then(|direct| direct.begun), said)
    }
}
