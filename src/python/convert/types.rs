//! The Python types that values have, looked up once.

use pyo3::ffi::PyTypeObject;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType, PyTzInfo};

/// Types that are no part of the interpreter's core.
pub(super) struct Types {
    pub(super) decimal: Py<PyType>,
    pub(super) uuid: Py<PyType>,
    pub(super) timezone: Py<PyType>,
    pub(super) utc: Py<PyTzInfo>,
    /// Whether threads run Python code at the same time.
    pub(super) free_threaded: bool,
}

static TYPES: PyOnceLock<Types> = PyOnceLock::new();

impl Types {
    pub(super) fn get(py: Python<'_>) -> PyResult<&Self> {
        TYPES.get_or_try_init(py, || {
            let class =
                |module: &str, name: &str| py.import(module)?.getattr(name)?.cast_into::<PyType>().map_err(PyErr::from);
            let gil = py.import("sys")?.getattr_opt("_is_gil_enabled")?;
            Ok(Self {
                decimal: class("decimal", "Decimal")?.unbind(),
                uuid: class("uuid", "UUID")?.unbind(),
                timezone: class("datetime", "timezone")?.unbind(),
                utc: PyTzInfo::utc(py)?.to_owned().unbind(),
                free_threaded: gil.is_some_and(|gil| gil.call0().and_then(|on| on.extract()).is_ok_and(|on: bool| !on)),
            })
        })
    }
}

/// Whether `object` has exactly the type `class`.
#[inline]
pub(super) fn is_exactly(object: &Bound<'_, PyAny>, class: &Py<PyType>) -> bool {
    object.get_type_ptr() == class.as_ptr().cast::<PyTypeObject>()
}

/// The module and the name of the type of `object`, for an error. Runs what a metaclass has to say: call it last.
pub(super) fn type_name(object: &Bound<'_, PyAny>) -> String {
    let class = object.get_type();
    let name = class.fully_qualified_name().and_then(|name| plain(&name));
    name.unwrap_or_else(|_| "an object whose type has no name".into())
}

fn plain(name: &Bound<'_, PyString>) -> PyResult<String> {
    name.to_str().map(Into::into)
}
