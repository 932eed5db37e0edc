//! The way back to an event loop: workers name what is ready and signal once; the loop's own thread does the rest.
//!
//! There is one [`Bridge`] a loop. It lives as an attribute of the loop and is watched by it, so it goes when the loop
//! goes. Futures of operations are polled in the loop's thread: when one is woken, by whatever thread, its ticket is
//! put on the list and, if that was empty, the loop is signalled; the loop then polls all that are on the list, see
//! `tickets`. No worker ever takes the interpreter's lock, except where a loop has no `add_reader`, once a batch.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use pyo3::exceptions::{PyException, PyNotImplementedError, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyWeakrefReference;

use super::errors::internal;
use super::operation::{Finish, Operation, Outcome};
use super::signal::Signal;
use super::tickets::{Tickets, Waiting};
use crate::answer::BoxFuture;
use crate::fork::{Generation, generation};

/// An operation that waits.
struct Suspended {
    operation: Py<Operation>,
    /// The loop's future on which its task is suspended.
    waiter: Py<PyAny>,
    future: BoxFuture<Finish>,
}

/// A turn of the loop's thread.
#[derive(Clone, Copy)]
struct Turn<'t> {
    py: Python<'t>,
    /// What has to end the turn, once all are served: a signal's handler may raise wherever Python code runs.
    raised: &'t Cell<Option<PyErr>>,
}

impl Waiting<Turn<'_>> for Suspended {
    type End = Outcome;

    fn poll(&mut self, Turn { py, .. }: Turn<'_>, context: &mut Context<'_>) -> Poll<Outcome> {
        catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(context).map(|finish| finish(py))))
            .unwrap_or_else(|_| Poll::Ready(Err(internal(self.operation.bind(py).get().name()))))
    }

    fn end(self, Turn { py, raised }: Turn<'_>, outcome: Outcome) {
        if Operation::answer(self.operation.bind(py), outcome)
            && let Err(error) = self.waiter.bind(py).call_method1(pyo3::intern!(py, "set_result"), (py.None(),))
            // Refused where the waiting task was cancelled in the same turn of the loop: it has been woken for that.
            && !error.is_instance_of::<PyException>(py)
        {
            raised.set(Some(error));
        }
    }
}

/// The bridge of one event loop.
#[pyclass(frozen, module = "rrag_storage", name = "_Bridge")]
pub(super) struct Bridge {
    tickets: Tickets<Signal, Suspended>,
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
        let make = |signal| Bound::new(py, Self { tickets: Tickets::new(signal), generation: generation() });
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
        self.tickets.reserve()
    }

    /// Polls `future`, and again whenever it is woken; then `operation` has its answer and `waiter` is woken.
    pub(super) fn watch(
        &self,
        py: Python<'_>,
        ticket: usize,
        operation: Py<Operation>,
        waiter: Py<PyAny>,
        future: BoxFuture<Finish>,
    ) -> PyResult<()> {
        turn(py, |turn| self.tickets.watch(ticket, Suspended { operation, waiter, future }, turn))
    }

    /// Forgets an operation whose task gave up.
    pub(super) fn forget(&self, ticket: usize) {
        self.tickets.forget(ticket);
    }
}

fn turn(py: Python<'_>, serve: impl FnOnce(Turn<'_>)) -> PyResult<()> {
    let raised = Cell::new(None);
    serve(Turn { py, raised: &raised });
    raised.take().map_or(Ok(()), Err)
}

/// Has the loop drain its bridge. From another thread than the loop's.
pub(super) fn schedule_drain(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let drain = event_loop.getattr(ATTRIBUTE)?.getattr("drain")?;
    event_loop.call_method1("call_soon_threadsafe", (drain,)).map(drop)
}

#[pymethods]
impl Bridge {
    /// Called by the loop: completes what is ready.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        turn(py, |turn| self.tickets.drain(turn))
    }

    /// What waits refers to its loop, which refers to this: a loop that was closed under operations is such a cycle.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.tickets.look(|suspended| {
            visit.call(&suspended.operation)?;
            visit.call(&suspended.waiter)
        })
    }

    fn __clear__(&self) {
        self.tickets.forget_all();
    }
}
