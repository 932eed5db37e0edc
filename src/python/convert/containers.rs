//! Reading sets and dicts while nothing else runs.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// The members of a set, in a tuple of our own.
pub(super) fn members<'py>(set: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let py = set.py();
    // SAFETY: the interpreter is attached. With the collector off no finaliser runs while the tuple is made, so that
    // reading a set in place needs no other code either; a collector that was on is turned on again.
    unsafe {
        let was_on = ffi::PyGC_Disable();
        let tuple = ffi::PySequence_Tuple(set.as_ptr());
        if was_on != 0 {
            ffi::PyGC_Enable();
        }
        Ok(Bound::from_owned_ptr_or_err(py, tuple)?.cast_into_unchecked())
    }
}

/// Whether both hold the same objects.
pub(super) fn same_objects(a: &Bound<'_, PyTuple>, b: &Bound<'_, PyTuple>) -> bool {
    a.len() == b.len() && a.iter_borrowed().zip(b.iter_borrowed()).all(|(a, b)| a.is(&*b))
}

/// Whether both hold the same objects.
pub(super) fn same_entries(a: &Bound<'_, PyDict>, b: &Bound<'_, PyDict>) -> bool {
    let (mut a, mut b) = (Entries::of(a), Entries::of(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a.0.is(&b.0) && a.1.is(&b.1) => {}
            _ => return false,
        }
    }
}

/// The entries of a dict that nothing but this thread changes between two calls of `next`, each held on its own.
pub(super) struct Entries<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
    position: ffi::Py_ssize_t,
}

impl<'a, 'py> Entries<'a, 'py> {
    pub(super) fn of(dict: &'a Bound<'py, PyDict>) -> Self {
        Self { dict, position: 0 }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the dict is one, and alive. The position is the interpreter's own, which stays within bounds whatever
        // happens to the dict. Nothing runs between the call and taking the references. In a free-threaded build the
        // dict is a private copy.
        unsafe {
            if ffi::PyDict_Next(self.dict.as_ptr(), &raw mut self.position, &raw mut key, &raw mut value) == 0 {
                return None;
            }
            let py = self.dict.py();
            Some((Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value)))
        }
    }
}
