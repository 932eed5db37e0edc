//! `RedisStorage` and its options.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::super::args;
use super::super::layers::layers_of;
use super::super::operation::Operation;
use super::super::storage::PyStorage;
use super::{
    clock_of, connected, connection_count, connections_of, flag_of, options_of, path_of, refused, repr_of, text_of,
    timeout_of,
};
use crate::connect::RedisStorage;
use crate::engine::redis::RedisConfig;

/// A storage in Redis or Valkey, or in a cluster of them, shared by any number of processes.
#[pyclass(frozen, subclass, extends = PyStorage, name = "RedisStorage", module = "rrag_storage")]
pub(in crate::python) struct PyRedisStorage;

#[pymethods]
impl PyRedisStorage {
    #[new]
    #[pyo3(signature = (
        url, *, key_prefix=None, max_connections=None, connection_timeout=None, enable_query_logging=None,
        root_certificate=None, clock=None, **layers
    ), text_signature = "(url, *, key_prefix='rrag', max_connections=4, connection_timeout=30.0, enable_query_logging=False, root_certificate=None, clock=None, compression=None, compression_threshold=1024, encryption_key=None, active_key=None, require_encryption=None, hide_keys=False, large_values=None, large_value_threshold=1_048_576)")]
    #[allow(clippy::too_many_arguments)] // Python's keyword options.
    fn new(
        url: &Bound<'_, PyAny>,
        key_prefix: Option<&Bound<'_, PyAny>>,
        max_connections: Option<&Bound<'_, PyAny>>,
        connection_timeout: Option<&Bound<'_, PyAny>>,
        enable_query_logging: Option<&Bound<'_, PyAny>>,
        root_certificate: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
        layers: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let options = PyRedisConfig::new(
            url,
            key_prefix,
            max_connections,
            connection_timeout,
            enable_query_logging,
            root_certificate,
        )?;
        let ca_certificates = options.root_certificate.map(|path| {
            std::fs::read(&path).map_err(|error| refused(format!("root_certificate {path:?} can't be read: {error}")))
        });
        let config = RedisConfig {
            url: options.connection_string,
            key_prefix: options.key_prefix,
            connection_timeout: Duration::from_secs_f64(options.connection_timeout),
            max_connections: connections_of(options.max_connections)?,
            ca_certificates: ca_certificates.transpose()?,
        };
        let storage = RedisStorage::lazy(config, layers_of("RedisStorage", layers)?, clock_of(clock)?)?;
        let base = PyStorage::new(storage.into_dyn(), "RedisStorage", options.enable_query_logging);
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
        config: &Bound<'py, PyRedisConfig>,
        layers: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = options_of(config, &NAMES[1..], layers)?;
        class.call((&config.borrow().connection_string,), Some(&options))
    }
}

const NAMES: [&str; 6] = [
    "connection_string",
    "key_prefix",
    "max_connections",
    "connection_timeout",
    "enable_query_logging",
    "root_certificate",
];

/// The options of a `RedisStorage`, gathered.
#[pyclass(get_all, set_all, eq, name = "RedisConfig", module = "rrag_storage")]
#[derive(PartialEq)]
pub(in crate::python) struct PyRedisConfig {
    /// The url: `redis://…`, `rediss://…`, `redis+cluster://…` or `unix://…`.
    connection_string: String,
    /// What every name of the storage on the server starts with.
    key_prefix: String,
    /// How many connections there are at most (to each node of a cluster).
    max_connections: i64,
    /// The most seconds that an operation takes.
    connection_timeout: f64,
    /// Whether each operation is written to the logger `rrag_storage.query`.
    enable_query_logging: bool,
    /// The path of a PEM file of certificates, or None.
    root_certificate: Option<String>,
}

#[pymethods]
impl PyRedisConfig {
    #[new]
    #[pyo3(signature = (
        connection_string, *, key_prefix=None, max_connections=None, connection_timeout=None,
        enable_query_logging=None, root_certificate=None
    ), text_signature = "(connection_string, *, key_prefix='rrag', max_connections=4, connection_timeout=30.0, enable_query_logging=False, root_certificate=None)")]
    fn new(
        connection_string: &Bound<'_, PyAny>,
        key_prefix: Option<&Bound<'_, PyAny>>,
        max_connections: Option<&Bound<'_, PyAny>>,
        connection_timeout: Option<&Bound<'_, PyAny>>,
        enable_query_logging: Option<&Bound<'_, PyAny>>,
        root_certificate: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            connection_string: args::text("url", connection_string)?.to_owned(),
            key_prefix: text_of("key_prefix", key_prefix, "rrag")?,
            max_connections: max_connections.map_or(Ok(4), connection_count)?,
            connection_timeout: connection_timeout.map_or(Ok(30.0), timeout_of)?,
            enable_query_logging: flag_of("enable_query_logging", enable_query_logging)?,
            root_certificate: path_of("root_certificate", root_certificate)?,
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        repr_of(slf, "RedisConfig", &NAMES)
    }
}
