//! The one awaitable: a coroutine whose work is Rust's.
//!
//! An [`Operation`] does nothing before its first step. That step runs the work once, in the calling thread; where the
//! answer is there, it is returned at once, with no trip through the event loop. Otherwise the operation waits on a
//! future of the running loop, which the loop's [`Bridge`] wakes. Invariants:
//!
//! 1. The state is looked at and changed inside [`Operation::with`] alone, where neither Python code nor an engine runs.
//! 2. A result is handed out once; an operation is awaited once, as a coroutine.
//! 3. Dropping one before its first step does nothing but warn.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyRuntimeWarning, PyStopIteration};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyTuple;

use super::bridge::Bridge;
use super::errors::internal;
use crate::answer::{Answer, BoxFuture};
use crate::error::Result;
use crate::meter::{Call, Meter};
use crate::storage::Storage;
use crate::transaction::Transaction;

/// A storage, or what belongs to one: where its calls are counted.
pub(super) trait Metered {
    fn meter(&self) -> &Meter;
}

impl Metered for Storage {
    fn meter(&self) -> &Meter {
        self.meter()
    }
}

impl Metered for Transaction {
    fn meter(&self) -> &Meter {
        self.storage().meter()
    }
}

/// What an operation gives: an object or an exception.
pub(super) type Outcome = PyResult<Py<PyAny>>;

/// Turns what Rust answered into what Python gets; in the thread that awaits.
pub(super) type Finish = Box<dyn FnOnce(Python<'_>) -> Outcome + Send>;

/// The first step's result.
enum Step {
    Done(Outcome),
    Later(BoxFuture<Finish>),
}

enum State {
    Created(Box<dyn FnOnce(Python<'_>) -> Step + Send>),
    /// Its arguments were refused: raised when it is awaited, as by a coroutine.
    Refused(PyErr),
    /// Waiting on a future of the loop, whose `__await__` iterator this is.
    Waiting {
        iterator: Py<PyAny>,
        bridge: Py<Bridge>,
        ticket: usize,
    },
    /// The answer is there; the awaiting task was woken to fetch it.
    Answered(Outcome),
    /// A step runs.
    Running,
    Finished,
}

/// What a step of the awaiting task ends in.
enum Turn {
    /// It waits on this.
    Yield(Py<PyAny>),
    /// It goes on with this.
    Return(Py<PyAny>),
}

/// Has an iterator's `__next__`, which is about to return without an object, end with `value`.
///
/// This is how a generator returns: without an exception where the value is None, and with one that is not made before
/// somebody looks at it otherwise. A tuple or an exception would be taken for the arguments or for the exception itself.
fn stop_with(value: &Bound<'_, PyAny>) {
    if value.is_none() {
        return;
    }
    if value.is_instance_of::<PyTuple>() || value.is_instance_of::<PyBaseException>() {
        PyStopIteration::new_err((value.clone().unbind(),)).restore(value.py());
        return;
    }
    // SAFETY: both are live objects, and the interpreter is attached; neither reference is taken over.
    unsafe { ffi::PyErr_SetObject(ffi::PyExc_StopIteration, value.as_ptr()) }
}

/// How long a blocking wait goes without looking for signals.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// An operation under way, or one that will be once it is awaited: `await` it, hand it to `asyncio.gather`,
/// `create_task`, `wait_for` or a `TaskGroup`, or block on it with `wait()`.
#[pyclass(frozen, module = "rrag_storage")]
pub(super) struct Operation {
    class: &'static str,
    call: Call,
    state: Guarded,
}

/// A state that the interpreter's lock guards, or the object's critical section in an interpreter without one: a lock of
/// its own would be taken and released four times in every call.
struct Guarded(UnsafeCell<State>);

// SAFETY: what is in it is `Send`, and `Operation::with` lets one thread at a time get at it.
unsafe impl Sync for Guarded {}

impl Operation {
    /// An operation of `class` on `owner`, which it keeps alive until it ends and which counts it. `start` begins the work, without
    /// the interpreter's lock where it is `blocking`, and `finish` turns a success into an object.
    pub(super) fn new<O, T, S, F>(
        class: &'static str,
        call: Call,
        blocking: bool,
        owner: Arc<O>,
        start: S,
        finish: F,
    ) -> Self
    where
        O: Metered + Send + Sync + 'static,
        T: Send + 'static,
        S: FnOnce(&O) -> Answer<Result<T>> + Send + 'static,
        F: FnOnce(Python<'_>, T) -> Outcome + Send + 'static,
    {
        let first = move |py: Python<'_>| {
            let begun = owner.meter().begin(call);
            let answer = if blocking { py.detach(|| start(&owner)) } else { start(&owner) };
            match answer {
                Answer::Ready(Some(result)) => {
                    owner.meter().end(call, begun, result.is_ok());
                    Step::Done(result.map_err(PyErr::from).and_then(|value| finish(py, value)))
                }
                Answer::Ready(None) => Step::Done(Err(internal(call.name()))),
                Answer::Later(future) => Step::Later(Box::pin(async move {
                    let result = future.await;
                    owner.meter().end(call, begun, result.is_ok());
                    drop(owner);
                    Box::new(move |py: Python<'_>| finish(py, result?)) as Finish
                })),
            }
        };
        Self { class, call, state: Guarded(UnsafeCell::new(State::Created(Box::new(first)))) }
    }

    /// An operation that raises `error` when it is awaited.
    pub(super) fn refused(class: &'static str, call: Call, error: PyErr) -> Self {
        Self { class, call, state: Guarded(UnsafeCell::new(State::Refused(error))) }
    }

    /// The same operation, with a line in the log for its end.
    pub(super) fn logged(mut self, backend: &'static str) -> Self {
        let name = self.call.name();
        let state = self.state.0.get_mut();
        if let State::Created(start) = std::mem::replace(state, State::Running) {
            *state = State::Created(Box::new(move |py| {
                let begun = Instant::now();
                match start(py) {
                    Step::Done(outcome) => {
                        log(py, backend, name, begun, &outcome);
                        Step::Done(outcome)
                    }
                    Step::Later(future) => Step::Later(Box::pin(async move {
                        let finish = future.await;
                        Box::new(move |py: Python<'_>| {
                            let outcome = finish(py);
                            log(py, backend, name, begun, &outcome);
                            outcome
                        }) as Finish
                    })),
                }
            }));
        }
        self
    }

    /// Looks at the state, or changes it. `look` must not run Python code, which dropping a state may do.
    fn with<R>(slf: &Bound<'_, Self>, look: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: the interpreter is attached to this thread and stays so, `look` doing nothing that lets go of it, so no
        // other thread of an interpreter with a lock is here; without one, the critical section keeps others out.
        with_critical_section(slf.as_any(), || look(unsafe { &mut *slf.get().state.0.get() }))
    }

    fn take(slf: &Bound<'_, Self>) -> State {
        Self::with(slf, |state| std::mem::replace(state, State::Running))
    }

    fn put(slf: &Bound<'_, Self>, state: State) {
        drop(Self::with(slf, |current| std::mem::replace(current, state)));
    }

    fn reused(&self) -> PyErr {
        PyRuntimeError::new_err(format!("cannot reuse already awaited {}.{}()", self.class, self.name()))
    }

    fn busy(&self) -> PyErr {
        PyRuntimeError::new_err(format!("{}.{}() is being awaited already", self.class, self.name()))
    }

    /// Runs the first step, and polls once what it leaves.
    fn begin(&self, py: Python<'_>, start: Box<dyn FnOnce(Python<'_>) -> Step + Send>) -> PyResult<Step> {
        let guarded = catch_unwind(AssertUnwindSafe(|| match start(py) {
            Step::Later(mut future) => match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(finish) => Step::Done(finish(py)),
                Poll::Pending => Step::Later(future),
            },
            done @ Step::Done(_) => done,
        }));
        guarded.map_err(|_| internal(self.name()))
    }

    /// One step of the awaiting task.
    fn step(slf: &Bound<'_, Self>) -> PyResult<Turn> {
        let (py, this) = (slf.py(), slf.get());
        match Self::take(slf) {
            State::Created(start) => match this.begin(py, start) {
                Ok(Step::Done(outcome)) => Self::end(slf, outcome),
                Ok(Step::Later(future)) => Self::suspend(slf, future),
                Err(error) => Self::end(slf, Err(error)),
            },
            State::Refused(error) => Self::end(slf, Err(error)),
            State::Answered(outcome) => Self::end(slf, outcome),
            waiting @ State::Waiting { .. } => {
                Self::put(slf, waiting);
                Err(this.busy())
            }
            State::Running => Err(this.busy()),
            State::Finished => {
                Self::put(slf, State::Finished);
                Err(this.reused())
            }
        }
    }

    fn end(slf: &Bound<'_, Self>, outcome: Outcome) -> PyResult<Turn> {
        Self::put(slf, State::Finished);
        outcome.map(Turn::Return)
    }

    /// Hands `future` to the running loop's bridge, and suspends the awaiting task until that has the answer.
    fn suspend(slf: &Bound<'_, Self>, future: BoxFuture<Finish>) -> PyResult<Turn> {
        let py = slf.py();
        let register = || {
            let (bridge, event_loop) = Bridge::of_running_loop(py)?;
            let waiter = event_loop.call_method0(pyo3::intern!(py, "create_future"))?;
            let iterator = waiter.call_method0(pyo3::intern!(py, "__await__"))?;
            let first = iterator.call_method0(pyo3::intern!(py, "__next__"))?;
            Ok((bridge, waiter, iterator, first))
        };
        match register() {
            Ok((bridge, waiter, iterator, first)) => {
                let ticket = bridge.get().reserve();
                Self::put(slf, State::Waiting { iterator: iterator.unbind(), bridge: bridge.clone().unbind(), ticket });
                bridge.get().watch(py, ticket, slf.clone().unbind(), waiter.unbind(), future)?;
                Ok(Turn::Yield(first.unbind()))
            }
            Err(error) => Self::end(slf, Err(error)),
        }
    }

    /// The answer has come: the awaiting task fetches it at its next step. `false` where nobody waits any more.
    pub(super) fn answer(slf: &Bound<'_, Self>, outcome: Outcome) -> bool {
        let mut answered = State::Answered(outcome);
        let waits = Self::with(slf, |state| {
            let waits = matches!(state, State::Waiting { .. });
            if waits {
                std::mem::swap(state, &mut answered);
            }
            waits
        });
        // What was exchanged, or the answer that nobody wants.
        drop(answered);
        waits
    }

    /// Whether the last step was its last.
    pub(super) fn is_finished(slf: &Bound<'_, Self>) -> bool {
        Self::with(slf, |state| matches!(state, State::Finished))
    }

    /// The operation's name, for messages.
    pub(super) fn name(&self) -> &'static str {
        self.call.name()
    }

    /// Ends it without a result. What was begun in an engine goes on there, whole.
    fn abandon(slf: &Bound<'_, Self>) {
        let before = Self::with(slf, |state| std::mem::replace(state, State::Finished));
        if let State::Waiting { bridge, ticket, .. } = before {
            bridge.bind(slf.py()).get().forget(ticket);
        }
    }
}

#[pymethods]
impl Operation {
    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (is_fresh, is_finished) = Self::with(&slf, |state| {
            (matches!(state, State::Created(_) | State::Refused(_)), matches!(state, State::Finished))
        });
        if is_fresh {
            return Ok(slf);
        }
        Err(if is_finished { slf.get().reused() } else { slf.get().busy() })
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        match Self::step(slf)? {
            Turn::Yield(waiter) => Ok(Some(waiter)),
            Turn::Return(value) => {
                stop_with(value.bind(slf.py()));
                Ok(None)
            }
        }
    }

    /// One step: what it returns where it is finished then, else what the task is to wait for. See `send`.
    fn _step(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        match Self::step(slf)? {
            Turn::Yield(object) | Turn::Return(object) => Ok(object),
        }
    }

    /// Runs one step, as a coroutine's `send`.
    fn send(slf: &Bound<'_, Self>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match Self::step(slf)? {
            Turn::Yield(waiter) => Ok(waiter),
            Turn::Return(value) => Err(PyStopIteration::new_err((value,))),
        }
    }

    /// Ends the operation with an exception, as a coroutine's `throw`.
    #[pyo3(signature = (kind, value=None, traceback=None))]
    fn throw(
        slf: &Bound<'_, Self>,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        Self::abandon(slf);
        let _ = traceback;
        let error = match value {
            Some(value) if kind.is_instance_of::<pyo3::types::PyType>() => {
                if value.is_instance(kind)? {
                    value.clone()
                } else {
                    kind.call1((value,))?
                }
            }
            _ if kind.is_instance_of::<pyo3::types::PyType>() => kind.call0()?,
            _ => kind.clone(),
        };
        Err(PyErr::from_value(error))
    }

    /// Ends the operation; nothing is done where it was not awaited yet.
    fn close(slf: &Bound<'_, Self>) {
        Self::abandon(slf);
    }

    /// Runs the operation and blocks until it has ended. Works while an event loop runs in this thread; Ctrl-C
    /// interrupts it.
    pub(super) fn wait(slf: &Bound<'_, Self>) -> Outcome {
        let (py, this) = (slf.py(), slf.get());
        let start = match Self::take(slf) {
            State::Created(start) => start,
            State::Refused(error) => {
                Self::put(slf, State::Finished);
                return Err(error);
            }
            other => {
                let error = if matches!(other, State::Finished) { this.reused() } else { this.busy() };
                Self::put(slf, other);
                return Err(error);
            }
        };
        let step = this.begin(py, start);
        Self::put(slf, State::Finished);
        match step? {
            Step::Done(outcome) => outcome,
            Step::Later(future) => block_on(py, this.name(), future)?(py),
        }
    }

    #[getter]
    fn __name__(&self) -> &'static str {
        self.name()
    }

    #[getter]
    fn __qualname__(&self) -> String {
        format!("{}.{}", self.class, self.name())
    }

    /// Whether a step of it runs at this moment.
    #[getter]
    fn cr_running(slf: &Bound<'_, Self>) -> bool {
        Self::with(slf, |state| matches!(state, State::Running))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let state = Self::with(slf, |state| match state {
            State::Created(_) | State::Refused(_) => "not awaited yet",
            State::Finished => "finished",
            _ => "under way",
        });
        format!("<Operation {}.{}() {state}>", slf.get().class, slf.get().name())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: the collector runs with the interpreter's lock, or while all other threads stand still; none of them
        // does so inside of `with`, where no Python code runs.
        if let State::Waiting { iterator, bridge, .. } = unsafe { &*self.state.0.get() } {
            visit.call(iterator)?;
            visit.call(bridge)?;
        }
        Ok(())
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        Self::put(slf, State::Finished);
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !matches!(self.state.0.get_mut(), State::Created(_) | State::Refused(_)) {
            return;
        }
        let message = format!("coroutine '{}.{}' was never awaited\0", self.class, self.name());
        Python::try_attach(|py| {
            // A destructor may run while an exception is on its way: it must still be there afterwards.
            let raised = PyErr::take(py);
            if let Ok(message) = std::ffi::CStr::from_bytes_with_nul(message.as_bytes()) {
                let category = py.get_type::<PyRuntimeWarning>();
                if let Err(error) = PyErr::warn(py, &category, message, 1) {
                    error.write_unraisable(py, None);
                }
            }
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls `future` in this thread, without the interpreter's lock, until it is ready or a signal handler raises.
fn block_on<T: Send>(py: Python<'_>, name: &str, mut future: BoxFuture<T>) -> PyResult<T> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        let polled = py.detach(|| {
            let until = Instant::now() + SIGNAL_INTERVAL;
            catch_unwind(AssertUnwindSafe(|| {
                loop {
                    if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return Some(value);
                    }
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    std::thread::park_timeout(left);
                }
            }))
        });
        match polled {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => py.check_signals()?,
            Err(_) => return Err(internal(name)),
        }
    }
}

static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Writes a debug line through Python's `logging`: operation, time and the class of an error; no key, no value.
fn log(py: Python<'_>, backend: &str, name: &str, begun: Instant, outcome: &Outcome) {
    let elapsed = begun.elapsed().as_secs_f64() * 1e3;
    let end = match outcome {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.get_type(py).name().map_or_else(|_| "error".to_owned(), |name| name.to_string()),
    };
    let write = || {
        let logger = LOGGER.get_or_try_init(py, || {
            py.import("logging")?.call_method1("getLogger", ("rrag_storage.query",)).map(Bound::unbind)
        })?;
        logger.bind(py).call_method1("debug", ("%s %s: %s in %.3f ms", backend, name, end, elapsed))
    };
    // A handler that fails must not fail the operation, which is done: logging's own convention.
    if let Err(error) = write() {
        error.write_unraisable(py, None);
    }
}
