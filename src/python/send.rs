//! How the interpreter's `await`, and asyncio's tasks, take a step of an [`Operation`] (PEP 380's `send`, as the slot
//! `am_send`): what it returns is handed over as it is, where `__next__` has to wrap it in a `StopIteration`.
//!
//! The bindings know no name for this slot, so it is set in the finished type, when the module is imported.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

use super::operation::Operation;

/// The C function of `Operation._step`, which attaches, and catches panics.
static STEP: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Sets the slot.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<Operation>();
    let name = intern!(py, "_step");
    let descriptor = class.getattr("__dict__")?.get_item(name)?;
    let missing =
        || PyRuntimeError::new_err("rrag_storage was built for another interpreter: its awaitable has no step");
    // SAFETY: a type that is live for as long as its object; the pointer is not kept.
    let is_method = unsafe { ffi::Py_TYPE(descriptor.as_ptr()) == &raw mut ffi::PyMethodDescr_Type };
    if !is_method {
        return Err(missing());
    }
    // SAFETY: it is a method's descriptor, whose definition is static.
    let method = unsafe { &*(*descriptor.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method };
    let class = class.as_type_ptr();
    // SAFETY: the type is finished, and its object live.
    let slots = unsafe { (*class).tp_as_async };
    if method.ml_flags != ffi::METH_NOARGS || slots.is_null() {
        return Err(missing());
    }
    // SAFETY: a method without arguments is of this kind. The slots are the type's own, which nobody uses yet.
    unsafe {
        STEP.store(method.ml_meth.PyCFunction as *mut c_void, Ordering::Release);
        (*slots).am_send = Some(send);
    }
    py.get_type::<Operation>().delattr(name)
}

/// One step. `result` gets what it returns, or what the task is to wait for.
unsafe extern "C" fn send(
    operation: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: `install` stored a function of this kind before it set the slot; what calls it is an interpreter, with an
    // object of the type that has the slot, and with room for the result.
    unsafe {
        let step: unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject =
            std::mem::transmute(STEP.load(Ordering::Relaxed));
        let object = step(operation, ptr::null_mut());
        *result = object;
        if object.is_null() {
            return ffi::PySendResult::PYGEN_ERROR;
        }
        let operation = Borrowed::from_ptr(Python::assume_attached(), operation).cast_unchecked::<Operation>();
        if Operation::is_finished(&operation) { ffi::PySendResult::PYGEN_RETURN } else { ffi::PySendResult::PYGEN_NEXT }
    }
}
