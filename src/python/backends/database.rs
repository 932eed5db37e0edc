//! `DatabaseStorage` and its options.

use std::path::PathBuf;
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
use crate::connect::{DatabaseConfig, DatabaseStorage};
use crate::engine::sqlite::Synchronous;

/// A storage in a database: a SQLite file, PostgreSQL, MySQL or MariaDB, shared by any number of processes.
#[pyclass(frozen, subclass, extends = PyStorage, name = "DatabaseStorage", module = "rrag_storage")]
pub(in crate::python) struct PyDatabaseStorage;

#[pymethods]
impl PyDatabaseStorage {
    #[new]
    #[pyo3(signature = (
        url, *, max_connections=None, connection_timeout=None, enable_query_logging=None, table=None,
        synchronous=None, root_certificate=None, clock=None, **layers
    ), text_signature = "(url, *, max_connections=4, connection_timeout=30.0, enable_query_logging=False, table='rrag_storage', synchronous='full', root_certificate=None, clock=None, compression=None, compression_threshold=1024, encryption_key=None, active_key=None, require_encryption=None, hide_keys=False, large_values=None, large_value_threshold=1_048_576)")]
    #[allow(clippy::too_many_arguments)] // Python's keyword options.
    fn new(
        url: &Bound<'_, PyAny>,
        max_connections: Option<&Bound<'_, PyAny>>,
        connection_timeout: Option<&Bound<'_, PyAny>>,
        enable_query_logging: Option<&Bound<'_, PyAny>>,
        table: Option<&Bound<'_, PyAny>>,
        synchronous: Option<&Bound<'_, PyAny>>,
        root_certificate: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
        layers: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let options = PyDatabaseConfig::new(
            url,
            max_connections,
            connection_timeout,
            enable_query_logging,
            table,
            synchronous,
            root_certificate,
        )?;
        let synchronous = match options.synchronous.as_str() {
            "full" => Synchronous::Full,
            "normal" => Synchronous::Normal,
            _ => return Err(refused("synchronous must be \"full\" or \"normal\"")),
        };
        let config = DatabaseConfig {
            connection_string: options.connection_string,
            max_connections: connections_of(options.max_connections)?,
            connection_timeout: Duration::from_secs_f64(options.connection_timeout),
            table: options.table,
            synchronous,
            root_certificate: options.root_certificate.map(PathBuf::from),
            layers: layers_of("DatabaseStorage", layers)?,
            clock: clock_of(clock)?,
        };
        let storage = DatabaseStorage::lazy(config)?;
        let base = PyStorage::new(storage, "DatabaseStorage", options.enable_query_logging);
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
        config: &Bound<'py, PyDatabaseConfig>,
        layers: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let names = [
            "max_connections",
            "connection_timeout",
            "enable_query_logging",
            "table",
            "synchronous",
            "root_certificate",
        ];
        let options = options_of(config, &names, layers)?;
        class.call((&config.borrow().connection_string,), Some(&options))
    }
}

/// The options of a `DatabaseStorage`, gathered.
#[pyclass(get_all, set_all, eq, name = "DatabaseConfig", module = "rrag_storage")]
#[derive(PartialEq)]
pub(in crate::python) struct PyDatabaseConfig {
    /// The url: `sqlite:PATH`, `sqlite::memory:`, `postgres://…` or `mysql://…`.
    connection_string: String,
    /// How many connections there are at most (of readers, for SQLite).
    max_connections: i64,
    /// The most seconds that an operation takes.
    connection_timeout: f64,
    /// Whether each operation is written to the logger `rrag_storage.query`.
    enable_query_logging: bool,
    /// The table's name.
    table: String,
    /// "full" or "normal": what an acknowledged write survives.
    synchronous: String,
    /// The path of a PEM file of certificates, or None.
    root_certificate: Option<String>,
}

#[pymethods]
impl PyDatabaseConfig {
    #[new]
    #[pyo3(signature = (
        connection_string, *, max_connections=None, connection_timeout=None, enable_query_logging=None,
        table=None, synchronous=None, root_certificate=None
    ), text_signature = "(connection_string, *, max_connections=4, connection_timeout=30.0, enable_query_logging=False, table='rrag_storage', synchronous='full', root_certificate=None)")]
    fn new(
        connection_string: &Bound<'_, PyAny>,
        max_connections: Option<&Bound<'_, PyAny>>,
        connection_timeout: Option<&Bound<'_, PyAny>>,
        enable_query_logging: Option<&Bound<'_, PyAny>>,
        table: Option<&Bound<'_, PyAny>>,
        synchronous: Option<&Bound<'_, PyAny>>,
        root_certificate: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            connection_string: args::text("url", connection_string)?.to_owned(),
            max_connections: max_connections.map_or(Ok(4), connection_count)?,
            connection_timeout: connection_timeout.map_or(Ok(30.0), timeout_of)?,
            enable_query_logging: flag_of("enable_query_logging", enable_query_logging)?,
            table: text_of("table", table, "rrag_storage")?,
            synchronous: text_of("synchronous", synchronous, "full")?,
            root_certificate: path_of("root_certificate", root_certificate)?,
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let names = [
            "connection_string",
            "max_connections",
            "connection_timeout",
            "enable_query_logging",
            "table",
            "synchronous",
            "root_certificate",
        ];
        repr_of(slf, "DatabaseConfig", &names)
    }
}
