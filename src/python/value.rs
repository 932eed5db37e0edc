//! `MemoryValue`: a value as it is stored, without the storage.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple, PyType};

use super::convert::{self, EncodeError};
use super::errors;
use crate::codec::{Encoded, Kind};
use crate::value::MemoryValue;

/// The largest payload whose value a repr shows.
const SHOWN_BYTES: usize = 4096;
/// The most characters that a repr shows of it.
const SHOWN_CHARACTERS: usize = 200;

/// A value in its stored form: what it is, and its bytes. Changes with nothing.
#[pyclass(frozen, name = "MemoryValue", module = "rrag_storage")]
pub(crate) struct PyMemoryValue(Encoded);

impl PyMemoryValue {
    /// A value that is encoded already.
    pub(crate) fn new(encoded: Encoded) -> Self {
        Self(encoded)
    }

    /// The encoded value.
    pub(crate) fn encoded(&self) -> &Encoded {
        &self.0
    }

    fn native<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::decode(py, self.0.kind(), self.0.payload()).map_err(|error| error.under(""))
    }

    fn native_of<'py>(&self, py: Python<'py>, kind: Kind) -> PyResult<Bound<'py, PyAny>> {
        if self.0.kind() == kind { self.native(py) } else { Ok(py.None().into_bound(py)) }
    }
}

#[pymethods]
impl PyMemoryValue {
    /// The value of a native object, exactly.
    #[staticmethod]
    fn from_python(obj: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(convert::encode(obj)?))
    }

    /// The value of a JSON document: None, bool, int, finite float, str, list, tuple (which becomes a list), dict.
    #[staticmethod]
    fn json(obj: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(convert::encode_json(obj)?))
    }

    /// The native object: a new one at each call.
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.native(py)
    }

    /// What the value is: `"string"`, `"list"`, `"array"`…
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind().name()
    }

    /// The str; None for another kind.
    fn as_string<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.native_of(py, Kind::String)
    }

    /// The int; None for another kind.
    fn as_integer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.native_of(py, Kind::Integer)
    }

    /// The float; None for another kind.
    fn as_float<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.native_of(py, Kind::Float)
    }

    /// The bool; None for another kind.
    fn as_boolean<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.native_of(py, Kind::Boolean)
    }

    /// The JSON document as a native object; None for another kind.
    fn as_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.native_of(py, Kind::Json)
    }

    /// The bytes; None for another kind.
    fn as_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.native_of(py, Kind::Bytes)
    }

    fn __eq__<'py>(&self, py: Python<'py>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(other) = other.cast::<Self>() {
            let other = &other.get().0;
            return (self.0.kind() == other.kind() && self.holds(other)?).into_bound_py_any(py);
        }
        match convert::encode(other) {
            Ok(other) => (self.0.kind() == other.kind() || self.0.kind() == Kind::Json)
                .then(|| self.holds(&other))
                .transpose()?
                .unwrap_or(false)
                .into_bound_py_any(py),
            Err(EncodeError::Unsupported(_)) => Ok(py.NotImplemented().into_bound(py)),
            Err(EncodeError::Raised(error)) => Err(error),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        // A NaN hashes by its identity: no two that are alive agree, and the bytes have to do.
        let (one, another) = (self.native(py)?, self.native(py)?);
        match (one.hash()?, another.hash()?) {
            (one, another) if one == another => Ok(one),
            _ => PyBytes::new(py, self.0.payload()).hash(),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let make = if self.0.kind() == Kind::Json { "json" } else { "from_python" };
        if self.0.size() > SHOWN_BYTES {
            return Ok(format!("MemoryValue.{make}(<{} of {} bytes>)", self.kind(), self.0.size()));
        }
        let native = self.native(py)?.repr()?.extract::<String>()?;
        Ok(match native.char_indices().nth(SHOWN_CHARACTERS) {
            None => format!("MemoryValue.{make}({native})"),
            Some((end, _)) => format!("MemoryValue.{make}({}…)", &native[..end]),
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let make = py.get_type::<Self>().getattr("_from_body")?;
        (make, (PyBytes::new(py, self.0.body()),)).into_pyobject(py)
    }

    /// Takes a pickled value over, once its bytes have been read through.
    #[classmethod]
    fn _from_body(class: &Bound<'_, PyType>, body: &[u8]) -> PyResult<Self> {
        let encoded = Encoded::from_body(body.to_vec()).map_err(|damage| errors::raise(damage.under("")))?;
        let value = Self(encoded);
        // Python holds integers in a JSON document that Rust does not; what Rust holds of the rest needs no numpy.
        if value.0.kind() == Kind::Json {
            value.native(class.py())?;
        } else {
            decode(value.0.kind(), &value.0)?;
        }
        Ok(value)
    }
}

impl PyMemoryValue {
    /// Whether `other` is the same value, types included. What has the same bytes is equal, a NaN too.
    fn holds(&self, other: &Encoded) -> PyResult<bool> {
        if self.0.payload() == other.payload() {
            return Ok(true);
        }
        // A JSON document is compared as the list or map that it would be without being one.
        Ok(decode(self.0.plain_kind(), &self.0)? == decode(other.plain_kind(), other)?)
    }
}

fn decode(kind: Kind, encoded: &Encoded) -> PyResult<MemoryValue> {
    MemoryValue::decode(kind, encoded.payload()).map_err(|damage| errors::raise(damage.under("")))
}
