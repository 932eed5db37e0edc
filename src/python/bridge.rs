//! The way back to an event loop: workers name what is ready and signal once; the loop's own thread does the rest.
//!
//! There is one [`Bridge`] a loop. It lives as an attribute of the loop and is watched by it, so it goes when the loop
//! goes. Futures of operations are polled in the loop's thread: when one is woken, by whatever thread, its ticket is
//! put on the list and, if that was empty, the loop is signalled; the loop then polls all that are on the list. No
//! worker ever takes the interpreter's lock, except where a loop has no `add_reader`, once a batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::exceptions::{PyNotImplementedError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyWeakrefReference;

use super::errors::internal;
use super::operation::{Finish, Operation, Outcome};
use super::signal::Signal;
use crate::answer::BoxFuture;
use crate::fork::{Generation, generation};
use crate::sync::lock;

/// What workers see of a bridge.
pub(super) struct Shared {
    ready: Mutex<Vec<usize>>,
    signal: Signal,
}

struct Ticket {
    shared: Arc<Shared>,
    number: usize,
}

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let first = {
            let mut ready = lock(&self.shared.ready);
            ready.push(self.number);
            ready.len() == 1
        };
        if first {
            self.shared.signal.raise();
        }
    }
}

/// An operation that waits.
struct Slot {
    operation: Py<Operation>,
    /// The loop's future on which its task is suspended.
    waiter: Py<PyAny>,
    future: BoxFuture<Finish>,
    waker: Waker,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
}

/// The bridge of one event loop.
#[pyclass(frozen, module = "rrag_storage", name = "_Bridge")]
pub(super) struct Bridge {
    shared: Arc<Shared>,
    slots: Mutex<Slots>,
    /// A loop that a forked child inherited has a bridge whose signal is the parent's.
    generation: Generation,
}

fn get_running_loop(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static GET_RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let find = || py.import("asyncio")?.getattr("get_running_loop").map(Bound::unbind);
    GET_RUNNING_LOOP.get_or_try_init(py, find).map(|found| found.bind(py))
}

/// Looks up asyncio, when the module is imported.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    get_running_loop(py).map(drop)
}

const ATTRIBUTE: &str = "_rrag_storage_bridge";

impl Bridge {
    /// The running loop's bridge, made where there is none yet, and the loop.
    pub(super) fn of_running_loop(py: Python<'_>) -> PyResult<(Bound<'_, Self>, Bound<'_, PyAny>)> {
        let event_loop = get_running_loop(py)?.call0().map_err(|error| {
            if error.is_instance_of::<PyRuntimeError>(py) {
                PyRuntimeError::new_err("no running asyncio event loop; block on it with .wait(), or use storage.sync")
            } else {
                error
            }
        })?;
        let attribute = pyo3::intern!(py, ATTRIBUTE);
        if let Ok(found) = event_loop.getattr(attribute)
            && let Ok(bridge) = found.cast_into::<Self>()
            && bridge.get().generation == generation()
        {
            return Ok((bridge, event_loop));
        }
        let bridge = Self::attach_to(&event_loop)?;
        event_loop.setattr(attribute, &bridge)?;
        Ok((bridge, event_loop))
    }

    fn attach_to<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        let py = event_loop.py();
        let make = |signal| {
            let shared = Arc::new(Shared { ready: Mutex::default(), signal });
            Bound::new(py, Self { shared, slots: Mutex::default(), generation: generation() })
        };
        if let Some((signal, descriptor)) = Signal::descriptor()? {
            let bridge = make(signal)?;
            match event_loop.call_method1("add_reader", (descriptor, bridge.getattr("drain")?)) {
                Ok(_) => return Ok(bridge),
                Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => {}
                Err(error) => return Err(error),
            }
        }
        make(Signal::threadsafe(PyWeakrefReference::new(event_loop)?.unbind()))
    }

    /// A ticket for an operation that is about to wait.
    pub(super) fn reserve(&self) -> usize {
        let mut slots = lock(&self.slots);
        slots.free.pop().unwrap_or_else(|| {
            slots.slots.push(None);
            slots.slots.len() - 1
        })
    }

    /// Polls `future`, and again whenever it is woken; then `operation` has its answer and `waiter` is woken.
    pub(super) fn watch(
        &self,
        py: Python<'_>,
        ticket: usize,
        operation: Py<Operation>,
        waiter: Py<PyAny>,
        future: BoxFuture<Finish>,
    ) {
        let waker = Waker::from(Arc::new(Ticket { shared: Arc::clone(&self.shared), number: ticket }));
        self.poll(py, ticket, Slot { operation, waiter, future, waker });
    }

    fn poll(&self, py: Python<'_>, ticket: usize, mut slot: Slot) {
        let polled =
            catch_unwind(AssertUnwindSafe(|| match slot.future.as_mut().poll(&mut Context::from_waker(&slot.waker)) {
                Poll::Ready(finish) => Poll::Ready(finish(py)),
                Poll::Pending => Poll::Pending,
            }));
        let outcome: Outcome = match polled {
            Ok(Poll::Pending) => {
                if let Some(place) = lock(&self.slots).slots.get_mut(ticket) {
                    *place = Some(slot);
                }
                return;
            }
            Ok(Poll::Ready(outcome)) => outcome,
            Err(_) => Err(internal(slot.operation.bind(py).get().name())),
        };
        lock(&self.slots).free.push(ticket);
        if Operation::answer(slot.operation.bind(py), outcome) {
            // Refused where the waiting task was cancelled in the same turn of the loop: it has been woken for that.
            let _ = slot.waiter.bind(py).call_method1(pyo3::intern!(py, "set_result"), (py.None(),));
        }
    }

    /// Forgets an operation whose task gave up.
    pub(super) fn forget(&self, ticket: usize) {
        let slot = {
            let mut slots = lock(&self.slots);
            let slot = slots.slots.get_mut(ticket).and_then(Option::take);
            if slot.is_some() {
                slots.free.push(ticket);
            }
            slot
        };
        drop(slot);
    }
}

/// Has the loop drain its bridge. From another thread than the loop's.
pub(super) fn schedule_drain(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let drain = event_loop.getattr(ATTRIBUTE)?.getattr("drain")?;
    event_loop.call_method1("call_soon_threadsafe", (drain,)).map(drop)
}

#[pymethods]
impl Bridge {
    /// Called by the loop: completes what is ready.
    fn drain(&self, py: Python<'_>) {
        self.shared.signal.clear();
        let ready = std::mem::take(&mut *lock(&self.shared.ready));
        for ticket in ready {
            // A ticket may be stale, of an operation that was forgotten: its slot is empty, or polled once too often.
            let slot = lock(&self.slots).slots.get_mut(ticket).and_then(Option::take);
            if let Some(slot) = slot {
                self.poll(py, ticket, slot);
            }
        }
    }
}
