//! The Python extension module `rrag_storage._native`: the only folder that names pyo3.

mod args;
mod backends;
mod bridge;
mod convert;
mod copy;
mod entry;
mod errors;
mod html;
mod iterator;
mod layers;
mod operation;
mod query;
mod send;
mod signal;
mod storage;
mod tickets;
mod time;
mod transaction;
mod value;

use pyo3::prelude::*;
use pyo3::types::PyDict;

#[pyfunction]
fn _before_fork(py: Python<'_>) {
    convert::settle(py);
    // Waits with the interpreter's lock: whoever is inside an engine leaves it without, and nobody new gets in.
    crate::fork::before();
}

#[pyfunction]
fn _after_fork_in_parent() {
    crate::fork::after_in_parent();
}

#[pyfunction]
fn _after_fork_in_child() {
    crate::fork::after_in_child();
}

/// Runs `wait` without the interpreter's lock, where this thread holds it.
fn without_interpreter(wait: &mut dyn FnMut()) {
    // SAFETY: asks a thread-local state of the interpreter, which every thread may.
    if unsafe { pyo3::ffi::PyGILState_Check() } == 0 {
        return wait();
    }
    // SAFETY: this thread is attached, `wait` touches no Python object and does not unwind, and the state goes back.
    unsafe {
        let state = pyo3::ffi::PyEval_SaveThread();
        wait();
        pyo3::ffi::PyEval_RestoreThread(state);
    }
}

/// Has Python tell of forks, where the system has them.
fn watch_forks(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::fork::wait_inside(without_interpreter);
    let py = module.py();
    let Ok(register) = py.import("os")?.getattr("register_at_fork") else { return Ok(()) };
    let hooks = PyDict::new(py);
    hooks.set_item("before", wrap_pyfunction!(_before_fork, module)?)?;
    hooks.set_item("after_in_parent", wrap_pyfunction!(_after_fork_in_parent, module)?)?;
    hooks.set_item("after_in_child", wrap_pyfunction!(_after_fork_in_child, module)?)?;
    register.call((), Some(&hooks)).map(drop)
}

#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<storage::PyStorage>()?;
    module.add_class::<backends::PyInMemoryStorage>()?;
    module.add_class::<backends::PyDatabaseStorage>()?;
    module.add_class::<backends::PyRedisStorage>()?;
    module.add_class::<backends::PyObjectStorage>()?;
    module.add_class::<backends::PyInMemoryConfig>()?;
    module.add_class::<backends::PyDatabaseConfig>()?;
    module.add_class::<backends::PyRedisConfig>()?;
    module.add_class::<layers::PyKey>()?;
    module.add_class::<layers::PyCompression>()?;
    module.add_class::<backends::PyObjectConfig>()?;
    module.add_class::<value::PyMemoryValue>()?;
    module.add_class::<entry::PyMemoryEntry>()?;
    module.add_class::<entry::PyMemoryStats>()?;
    module.add_class::<query::PyMemoryQuery>()?;
    module.add_class::<query::PySortOrder>()?;
    module.add_class::<transaction::PyTransaction>()?;
    module.add_class::<operation::Operation>()?;
    send::install(module.py())?;
    module.add_class::<iterator::PyEntryIterator>()?;
    module.add_class::<time::PyManualClock>()?;
    module.add_function(wrap_pyfunction!(backends::connect, module)?)?;
    // No part of the interface: it stands in no `__all__`.
    module.setattr("_copy_pages", wrap_pyfunction!(copy::_copy_pages, module)?)?;
    convert::prepare(module.py())?;
    time::prepare(module.py())?;
    bridge::prepare(module.py())?;
    watch_forks(module)
}
