//! What waits for workers, by ticket: whoever is done names the ticket, and one thread, the event loop's, does the rest.
//!
//! 1. A ticket that is named when the list is empty raises the signal. The thread takes the signal back before it takes
//!    the list, so that a ticket which is named meanwhile raises it anew.
//! 2. What waits is in its place, or with the one who polls it: nobody else gets at it, so it ends once.
//! 3. What waits is polled and dropped outside the locks: both may run code that comes back here.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::sync::{Mutex, lock};

/// How the thread is woken.
pub(super) trait Signal: Send + Sync + 'static {
    /// Wakes it. From any thread.
    fn raise(&self);

    /// Takes the signal back.
    fn clear(&self);
}

/// Something that waits, for a thread that has an `A` at hand.
pub(super) trait Waiting<A> {
    type End;

    /// Whether it has come to its end; else `context` wakes its ticket when there is a reason to ask again.
    fn poll(&mut self, at_hand: A, context: &mut Context<'_>) -> Poll<Self::End>;

    /// Hears of its end.
    fn end(self, at_hand: A, end: Self::End);
}

/// What workers see.
struct Ready<S> {
    list: Mutex<Vec<usize>>,
    signal: S,
}

struct Ticket<S> {
    ready: Arc<Ready<S>>,
    number: usize,
}

impl<S: Signal> Wake for Ticket<S> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let first = {
            let mut list = lock(&self.ready.list);
            list.push(self.number);
            list.len() == 1
        };
        if first {
            self.ready.signal.raise();
        }
    }
}

struct Place<W> {
    waiting: W,
    waker: Waker,
}

struct Places<W> {
    places: Vec<Option<Place<W>>>,
    free: Vec<usize>,
}

/// See the module.
pub(super) struct Tickets<S, W> {
    ready: Arc<Ready<S>>,
    places: Mutex<Places<W>>,
}

impl<S: Signal, W> Tickets<S, W> {
    pub(super) fn new(signal: S) -> Self {
        let ready = Arc::new(Ready { list: Mutex::new(Vec::new()), signal });
        Self { ready, places: Mutex::new(Places { places: Vec::new(), free: Vec::new() }) }
    }

    /// A ticket for something that is about to wait.
    pub(super) fn reserve(&self) -> usize {
        let mut places = lock(&self.places);
        places.free.pop().unwrap_or_else(|| {
            places.places.push(None);
            places.places.len() - 1
        })
    }

    /// Polls `waiting`, and again whenever it is woken, until its end.
    pub(super) fn watch<A>(&self, ticket: usize, waiting: W, at_hand: A)
    where
        W: Waiting<A>,
        A: Copy,
    {
        let waker = Waker::from(Arc::new(Ticket { ready: Arc::clone(&self.ready), number: ticket }));
        self.poll(ticket, Place { waiting, waker }, at_hand);
    }

    /// Polls what is ready. The thread's answer to the signal.
    pub(super) fn drain<A>(&self, at_hand: A)
    where
        W: Waiting<A>,
        A: Copy,
    {
        self.ready.signal.clear();
        let ready = std::mem::take(&mut *lock(&self.ready.list));
        for ticket in ready {
            // A ticket may be stale, of something that was forgotten: its place is empty, or polled once too often.
            let place = lock(&self.places).places.get_mut(ticket).and_then(Option::take);
            if let Some(place) = place {
                self.poll(ticket, place, at_hand);
            }
        }
    }

    fn poll<A>(&self, ticket: usize, mut place: Place<W>, at_hand: A)
    where
        W: Waiting<A>,
        A: Copy,
    {
        match place.waiting.poll(at_hand, &mut Context::from_waker(&place.waker)) {
            Poll::Pending => {
                if let Some(empty) = lock(&self.places).places.get_mut(ticket) {
                    *empty = Some(place);
                }
            }
            Poll::Ready(end) => {
                lock(&self.places).free.push(ticket);
                place.waiting.end(at_hand, end);
            }
        }
    }

    /// Forgets what waits under `ticket`, without an end.
    pub(super) fn forget(&self, ticket: usize) {
        let place = {
            let mut places = lock(&self.places);
            let place = places.places.get_mut(ticket).and_then(Option::take);
            if place.is_some() {
                places.free.push(ticket);
            }
            place
        };
        drop(place);
    }

    /// Forgets all that waits.
    pub(super) fn forget_all(&self) {
        let forgotten: Vec<_> = {
            let mut places = lock(&self.places);
            let Places { places, free } = &mut *places;
            let taken = |(ticket, place): (usize, &mut Option<Place<W>>)| {
                let place = place.take()?;
                free.push(ticket);
                Some(place)
            };
            places.iter_mut().enumerate().filter_map(taken).collect()
        };
        drop(forgotten);
    }

    /// Has `look` see all that waits; nothing while another thread is at it.
    pub(super) fn look<E>(&self, mut look: impl FnMut(&W) -> Result<(), E>) -> Result<(), E> {
        let Ok(places) = self.places.try_lock() else { return Ok(()) };
        places.places.iter().flatten().try_for_each(|place| look(&place.waiting))
    }
}
