//! `InMemoryStorage` and its options.

use std::convert::Infallible;

use pyo3::Borrowed;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::super::args;
use super::super::layers::layers_of;
use super::super::operation::Operation;
use super::super::storage::PyStorage;
use super::{clock_of, connected, options_of, refused, repr_of};
use crate::connect::{DEFAULT_MAX_KEYS, DEFAULT_MAX_MEMORY_BYTES, InMemoryStorage, Scheme, scheme_of};
use crate::engine::in_memory::{Eviction, InMemoryLimits};

/// A storage in this process's memory: limits, eviction, and byte accounting.
#[pyclass(frozen, subclass, extends = PyStorage, name = "InMemoryStorage", module = "rrag_storage")]
pub(in crate::python) struct PyInMemoryStorage;

/// A limit: an int of at least 1, or None for no limit.
enum Limit<'a, 'py> {
    Default(u64),
    Given(Borrowed<'a, 'py, PyAny>),
}

impl Limit<'_, '_> {
    fn named(self, name: &str) -> PyResult<Option<u64>> {
        let limit = match self {
            Self::Default(limit) => return Ok(Some(limit)),
            Self::Given(limit) if limit.is_none() => return Ok(None),
            Self::Given(limit) => limit,
        };
        match u64::try_from(args::integer(name, &limit)?) {
            Ok(0) | Err(_) => {
                Err(refused(format!("{name} must be an int of at least 1, or None for no limit, not {}", &*limit)))
            }
            Ok(limit) => Ok(Some(limit)),
        }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Limit<'a, 'py> {
    type Error = Infallible;

    fn extract(limit: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self::Given(limit))
    }
}

const MAX_KEYS: Limit<'static, 'static> = Limit::Default(DEFAULT_MAX_KEYS);
const MAX_MEMORY_BYTES: Limit<'static, 'static> = Limit::Default(DEFAULT_MAX_MEMORY_BYTES);

fn eviction_of(name: Option<&Bound<'_, PyAny>>) -> PyResult<Eviction> {
    match name.map(PyAnyMethods::extract::<Option<String>>) {
        None | Some(Ok(None)) => Ok(Eviction::None),
        Some(Ok(Some(name))) if name == "lru" => Ok(Eviction::Lru),
        _ => Err(refused("eviction must be None or \"lru\"")),
    }
}

#[pymethods]
impl PyInMemoryStorage {
    #[new]
    #[pyo3(
        signature = (url="memory://", *, max_keys=MAX_KEYS, max_memory_bytes=MAX_MEMORY_BYTES, eviction=None, clock=None, **layers),
        text_signature = "(url='memory://', *, max_keys=100_000, max_memory_bytes=1_000_000_000, eviction=None, clock=None, compression=None, compression_threshold=1024, encryption_key=None, active_key=None, require_encryption=None, hide_keys=False, large_values=None, large_value_threshold=1_048_576)"
    )]
    fn new(
        url: &str,
        max_keys: Limit<'_, '_>,
        max_memory_bytes: Limit<'_, '_>,
        eviction: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
        layers: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        if scheme_of(url)? != Scheme::Memory {
            return Err(refused("InMemoryStorage takes the url memory://; a file is DatabaseStorage(\"sqlite:PATH\")"));
        }
        let eviction = eviction_of(eviction)?;
        let limits = InMemoryLimits {
            max_keys: max_keys.named("max_keys")?,
            max_memory_bytes: max_memory_bytes.named("max_memory_bytes")?,
            eviction,
        };
        let storage = InMemoryStorage::with_layers(limits, layers_of("InMemoryStorage", layers)?, clock_of(clock)?)?;
        let base = PyStorage::new(storage.into_dyn(), "InMemoryStorage", false);
        Ok(PyClassInitializer::from(base).add_subclass(Self))
    }

    #[classmethod]
    #[pyo3(signature = (url="memory://", **options))]
    fn connect<'py>(
        class: &Bound<'py, PyType>,
        url: &str,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Operation> {
        connected(class, url, options)
    }

    #[classmethod]
    #[pyo3(signature = (config, **layers), text_signature = "(config, *, clock=None, compression=None, compression_threshold=1024, encryption_key=None, active_key=None, require_encryption=None, hide_keys=False, large_values=None, large_value_threshold=1_048_576)")]
    fn with_config<'py>(
        class: &Bound<'py, PyType>,
        config: &Bound<'py, PyInMemoryConfig>,
        layers: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = options_of(config, &["max_keys", "max_memory_bytes", "eviction"], layers)?;
        class.call((), Some(&options))
    }
}

/// The options of an `InMemoryStorage`, gathered.
#[pyclass(get_all, set_all, eq, name = "InMemoryConfig", module = "rrag_storage")]
#[derive(PartialEq)]
pub(in crate::python) struct PyInMemoryConfig {
    /// The most entries; None for no limit.
    max_keys: Option<u64>,
    /// The most bytes; None for no limit.
    max_memory_bytes: Option<u64>,
    /// None, or "lru".
    eviction: Option<String>,
}

#[pymethods]
impl PyInMemoryConfig {
    #[new]
    #[pyo3(
        signature = (*, max_keys=MAX_KEYS, max_memory_bytes=MAX_MEMORY_BYTES, eviction=None),
        text_signature = "(*, max_keys=100_000, max_memory_bytes=1_000_000_000, eviction=None)"
    )]
    fn new(max_keys: Limit<'_, '_>, max_memory_bytes: Limit<'_, '_>, eviction: Option<String>) -> PyResult<Self> {
        let (max_keys, max_memory_bytes) = (max_keys.named("max_keys")?, max_memory_bytes.named("max_memory_bytes")?);
        Ok(Self { max_keys, max_memory_bytes, eviction })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        repr_of(slf, "InMemoryConfig", &["max_keys", "max_memory_bytes", "eviction"])
    }
}
