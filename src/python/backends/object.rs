//! `ObjectStorage` and its options.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyType};

use super::super::args;
use super::super::layers::layers_of;
use super::super::operation::Operation;
use super::super::storage::PyStorage;
use super::{clock_of, connected, connection_count, connections_of, flag_of, options_of, path_of, repr_of, timeout_of};
use crate::connect::ObjectStorage;
use crate::engine::object::ObjectConfig;

const MAX_CONNECTIONS: i64 = 64;

/// A storage in an object store.
#[pyclass(frozen, subclass, extends = PyStorage, name = "ObjectStorage", module = "rrag_storage")]
pub(in crate::python) struct PyObjectStorage;

#[pymethods]
impl PyObjectStorage {
    #[new]
    #[pyo3(signature = (
        url, *, storage_options=None, allow_http=None, max_connections=None, connection_timeout=None,
        enable_query_logging=None, root_certificate=None, clock=None, **layers
    ), text_signature = "(url, *, storage_options=None, allow_http=False, max_connections=64, connection_timeout=30.0, enable_query_logging=False, root_certificate=None, clock=None, compression=None, compression_threshold=1024, encryption_key=None, active_key=None, require_encryption=None, hide_keys=False, large_values=None, large_value_threshold=1_048_576)")]
    #[allow(clippy::too_many_arguments)] // Python's keyword options.
    fn new(
        url: &Bound<'_, PyAny>,
        storage_options: Option<&Bound<'_, PyAny>>,
        allow_http: Option<&Bound<'_, PyAny>>,
        max_connections: Option<&Bound<'_, PyAny>>,
        connection_timeout: Option<&Bound<'_, PyAny>>,
        enable_query_logging: Option<&Bound<'_, PyAny>>,
        root_certificate: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
        layers: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let options = PyObjectConfig::new(
            url,
            storage_options,
            allow_http,
            max_connections,
            connection_timeout,
            enable_query_logging,
            root_certificate,
        )?;
        let config = ObjectConfig {
            url: options.connection_string,
            storage_options: options.storage_options.into_iter().collect(),
            allow_http: options.allow_http,
            max_connections: connections_of(options.max_connections)?,
            connection_timeout: Duration::from_secs_f64(options.connection_timeout),
            root_certificate: options.root_certificate.map(PathBuf::from),
        };
        let storage = ObjectStorage::lazy(config, layers_of("ObjectStorage", layers)?, clock_of(clock)?)?;
        let base = PyStorage::new(storage.into_dyn(), "ObjectStorage", options.enable_query_logging);
        Ok(PyClassInitializer::from(base).add_subclass(Self))
    }

    #[classmethod]
    #[pyo3(signature = (url, **options))]
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
        config: &Bound<'py, PyObjectConfig>,
        layers: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = options_of(config, &NAMES[1..], layers)?;
        class.call((&config.borrow().connection_string,), Some(&options))
    }
}

/// A mapping of str to str, or None.
fn pairs_of(name: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<BTreeMap<String, String>> {
    let Some(given) = given.filter(|given| !given.is_none()) else { return Ok(BTreeMap::new()) };
    let Ok(mapping) = given.cast::<PyMapping>() else {
        return Err(PyTypeError::new_err(format!("{name} must be a mapping of str, not {}", args::type_name(given))));
    };
    let pair = |item: Bound<'_, PyAny>| {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        let key = args::text(&format!("a name in {name}"), &key)?.to_owned();
        let value = args::text(&format!("{name}[{key:?}]"), &value)?.to_owned();
        Ok((key, value))
    };
    mapping.items()?.iter().map(pair).collect()
}

const NAMES: [&str; 7] = [
    "connection_string",
    "storage_options",
    "allow_http",
    "max_connections",
    "connection_timeout",
    "enable_query_logging",
    "root_certificate",
];

/// The options of an `ObjectStorage`, gathered.
#[pyclass(get_all, set_all, eq, name = "ObjectConfig", module = "rrag_storage")]
#[derive(PartialEq)]
pub(in crate::python) struct PyObjectConfig {
    /// The url: `s3://…`, `gs://…`, `az://…` or `file:///…`.
    connection_string: String,
    /// The store's own settings.
    storage_options: BTreeMap<String, String>,
    /// Whether an endpoint may be plain `http://`.
    allow_http: bool,
    /// How many requests there are at once at most.
    max_connections: i64,
    /// The most seconds that a request takes.
    connection_timeout: f64,
    /// Whether each operation is written to the logger `rrag_storage.query`.
    enable_query_logging: bool,
    /// The path of a PEM file of certificates, or None.
    root_certificate: Option<String>,
}

#[pymethods]
impl PyObjectConfig {
    #[new]
    #[pyo3(signature = (
        connection_string, *, storage_options=None, allow_http=None, max_connections=None, connection_timeout=None,
        enable_query_logging=None, root_certificate=None
    ), text_signature = "(connection_string, *, storage_options=None, allow_http=False, max_connections=64, connection_timeout=30.0, enable_query_logging=False, root_certificate=None)")]
    fn new(
        connection_string: &Bound<'_, PyAny>,
        storage_options: Option<&Bound<'_, PyAny>>,
        allow_http: Option<&Bound<'_, PyAny>>,
        max_connections: Option<&Bound<'_, PyAny>>,
        connection_timeout: Option<&Bound<'_, PyAny>>,
        enable_query_logging: Option<&Bound<'_, PyAny>>,
        root_certificate: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            connection_string: args::text("url", connection_string)?.to_owned(),
            storage_options: pairs_of("storage_options", storage_options)?,
            allow_http: flag_of("allow_http", allow_http)?,
            max_connections: max_connections.map_or(Ok(MAX_CONNECTIONS), connection_count)?,
            connection_timeout: connection_timeout.map_or(Ok(30.0), timeout_of)?,
            enable_query_logging: flag_of("enable_query_logging", enable_query_logging)?,
            root_certificate: path_of("root_certificate", root_certificate)?,
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        repr_of(slf, "ObjectConfig", &NAMES)
    }
}
