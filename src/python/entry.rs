//! `MemoryEntry` and `MemoryStats`: what a storage knows of an entry and of itself.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::value::PyMemoryValue;
use super::{convert, html, time};
use crate::codec::{self, Kind};
use crate::engine::{EngineStats, Meta, Record};
use crate::error::Error;

/// What `record` holds, as a native object.
pub(super) fn decode(py: Python<'_>, key: &str, record: &Record) -> PyResult<Py<PyAny>> {
    let (kind, payload) = codec::open(&record.body).map_err(|damage| damage.under(key))?;
    Ok(convert::decode(py, kind, payload).map_err(|error| error.under(key))?.unbind())
}

/// What `record` holds, as a native object, or `default` where there is none.
pub(super) fn decode_or(
    py: Python<'_>,
    key: &str,
    record: Option<&Record>,
    default: &Py<PyAny>,
) -> PyResult<Py<PyAny>> {
    record.map_or_else(|| Ok(default.clone_ref(py)), |record| decode(py, key, record))
}

/// What `record` holds, encoded.
pub(super) fn memory_value(key: &str, record: &Record) -> Result<PyMemoryValue, Error> {
    let encoded = codec::Encoded::from_body(record.body.to_vec()).map_err(|damage| damage.under(key))?;
    Ok(PyMemoryValue::new(encoded))
}

/// An entry: its value, its times and its version, as of the moment when it was read.
#[pyclass(frozen, name = "MemoryEntry", module = "rrag_storage")]
pub(super) struct PyMemoryEntry {
    key: String,
    record: Record,
    kind: Kind,
    size: usize,
}

impl PyMemoryEntry {
    pub(super) fn new(key: &str, record: Record) -> Result<Self, Error> {
        let (kind, payload) = codec::open(&record.body).map_err(|damage| damage.under(key))?;
        let size = payload.len();
        Ok(Self { key: key.to_owned(), record, kind, size })
    }

    fn meta(&self) -> &Meta {
        &self.record.meta
    }
}

#[pymethods]
impl PyMemoryEntry {
    /// The key, as the storage or view that gave the entry spells it.
    #[getter]
    fn key(&self) -> &str {
        &self.key
    }

    /// The value as a native Python object, made anew at each access.
    #[getter]
    fn value(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        decode(py, &self.key, &self.record)
    }

    /// When the key was first written, as an aware UTC datetime; an overwrite keeps it.
    #[getter]
    fn created_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time::from_nanos(py, self.meta().created_at)
    }

    /// When it was last written, as an aware UTC datetime.
    #[getter]
    fn updated_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time::from_nanos(py, self.meta().updated_at)
    }

    /// When it expires, as an aware UTC datetime; None where it never does.
    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.meta().expires_at.map(|at| time::from_millis(py, at)).transpose()
    }

    /// The token of this very write, for `compare_and_set`.
    #[getter]
    fn version(&self) -> u64 {
        self.meta().version
    }

    /// The size of the encoded value in bytes.
    #[getter]
    fn size_bytes(&self) -> usize {
        self.size
    }

    /// The kind of the value, as `MemoryValue.kind`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.kind.name()
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let Ok(other) = other.cast::<Self>() else { return Ok(py.NotImplemented()) };
        let other = other.get();
        let equal = self.key == other.key && self.meta() == other.meta() && *self.record.body == *other.record.body;
        Ok(equal.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __hash__(&self) -> u64 {
        self.meta().version
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let key = PyString::new(py, &self.key).repr()?;
        let expires = match self.expires_at(py)? {
            Some(at) => at.call_method0("isoformat")?.to_string(),
            None => "never".to_owned(),
        };
        Ok(format!(
            "<MemoryEntry {key}: {}, {} bytes, updated {}, expires {expires}>",
            self.kind(),
            self.size,
            self.updated_at(py)?.call_method0("isoformat")?
        ))
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let text = |object: Bound<'_, PyAny>| object.str().map(|text| text.to_string());
        let value = html::shortened(&self.value(py)?.bind(py).repr()?.to_string());
        let expires = self.expires_at(py)?.map_or_else(|| Ok("never".to_owned()), text)?;
        Ok(html::table(
            "MemoryEntry",
            &[
                ("key", html::shortened(&self.key)),
                ("kind", self.kind().to_owned()),
                ("value", value),
                ("size", format!("{} bytes", self.size)),
                ("created", text(self.created_at(py)?)?),
                ("updated", text(self.updated_at(py)?)?),
                ("expires", expires),
                ("version", self.version().to_string()),
            ],
        ))
    }
}

/// Figures on a storage or a view.
#[pyclass(frozen, get_all, name = "MemoryStats", module = "rrag_storage")]
pub(super) struct PyMemoryStats {
    /// Live entries.
    total_keys: u64,
    /// What they take, in bytes, in memory or in the file.
    memory_bytes: u64,
    /// The backend's name.
    backend_type: &'static str,
    /// Distinct first-level namespaces.
    namespace_count: u64,
    /// When the figures were taken, as an aware UTC datetime.
    last_updated: Py<PyAny>,
    /// The backend's further figures: a dict of str to float.
    extra: Py<PyDict>,
}

impl PyMemoryStats {
    pub(super) fn new(
        py: Python<'_>,
        backend_type: &'static str,
        stats: EngineStats,
        namespace_count: u64,
        now_ns: i64,
    ) -> PyResult<Self> {
        let extra = PyDict::new(py);
        for (name, figure) in stats.extra {
            extra.set_item(name, figure)?;
        }
        Ok(Self {
            total_keys: stats.keys,
            memory_bytes: stats.bytes,
            backend_type,
            namespace_count,
            last_updated: time::from_nanos(py, now_ns)?.unbind(),
            extra: extra.unbind(),
        })
    }
}

#[pymethods]
impl PyMemoryStats {
    fn __repr__(&self) -> String {
        format!(
            "MemoryStats(total_keys={}, memory_bytes={}, backend_type='{}', namespace_count={})",
            self.total_keys, self.memory_bytes, self.backend_type, self.namespace_count
        )
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let mut rows = vec![
            ("backend", self.backend_type.to_owned()),
            ("entries", self.total_keys.to_string()),
            ("bytes", self.memory_bytes.to_string()),
            ("namespaces", self.namespace_count.to_string()),
            ("as of", self.last_updated.bind(py).str()?.to_string()),
        ];
        let extra = self.extra.bind(py);
        let names: Vec<(String, String)> =
            extra.iter().map(|(name, figure)| (name.to_string(), figure.to_string())).collect();
        rows.extend(names.iter().map(|(name, figure)| (name.as_str(), figure.clone())));
        Ok(html::table("MemoryStats", &rows))
    }
}
