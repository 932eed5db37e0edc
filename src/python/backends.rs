//! The backends' classes: constructors and configurations; every method is `Storage`'s.

use std::convert::Infallible;
use std::time::Duration;

use pyo3::Borrowed;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::args;
use super::operation::Operation;
use super::storage::PyStorage;
use super::time::PyManualClock;
use crate::clock::Clock;
use crate::connect::{
    DEFAULT_MAX_KEYS, DEFAULT_MAX_MEMORY_BYTES, DatabaseConfig, DatabaseStorage, InMemoryStorage, Scheme, scheme_of,
};
use crate::engine::in_memory::{Eviction, InMemoryLimits};
use crate::engine::sqlite::Synchronous;
use crate::error::Error;

fn refused(message: impl Into<String>) -> PyErr {
    Error::Configuration(message.into()).into()
}

fn clock_of(clock: Option<&Bound<'_, PyAny>>) -> PyResult<Clock> {
    match clock.filter(|clock| !clock.is_none()) {
        None => Ok(Clock::System),
        Some(clock) => match clock.cast::<PyManualClock>() {
            Ok(clock) => Ok(clock.get().clock()),
            Err(_) => Err(refused(format!("clock must be a ManualClock, not {}", args::type_name(clock)))),
        },
    }
}

/// The options that a configuration object holds, as keywords for the constructor.
fn options_of<'py>(config: &Bound<'py, PyAny>, names: &[&str]) -> PyResult<Bound<'py, PyDict>> {
    let options = PyDict::new(config.py());
    for name in names {
        options.set_item(name, config.getattr(*name)?)?;
    }
    Ok(options)
}

/// A storage in this process's memory: limits, eviction, and byte accounting.
#[pyclass(frozen, subclass, extends = PyStorage, name = "InMemoryStorage", module = "rrag_storage")]
pub(super) struct PyInMemoryStorage;

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
        signature = (url="memory://", *, max_keys=MAX_KEYS, max_memory_bytes=MAX_MEMORY_BYTES, eviction=None, clock=None),
        text_signature = "(url='memory://', *, max_keys=100_000, max_memory_bytes=1_000_000_000, eviction=None, clock=None)"
    )]
    fn new(
        url: &str,
        max_keys: Limit<'_, '_>,
        max_memory_bytes: Limit<'_, '_>,
        eviction: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
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
        let storage = InMemoryStorage::with_limits(limits, clock_of(clock)?);
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
    fn with_config<'py>(
        class: &Bound<'py, PyType>,
        config: &Bound<'py, PyInMemoryConfig>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = options_of(config, &["max_keys", "max_memory_bytes", "eviction"])?;
        class.call((), Some(&options))
    }
}

/// A storage of `class` that is opened at once. What the constructor refuses is raised when this is awaited.
fn connected(class: &Bound<'_, PyType>, url: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Operation> {
    match class.call((url,), options) {
        Ok(storage) => Ok(PyStorage::open(&storage.cast_into::<PyStorage>()?)),
        Err(error) if error.is_instance_of::<PyTypeError>(class.py()) => Err(error),
        Err(error) => Ok(Operation::refused("Storage", "connect", error)),
    }
}

/// A storage in a database: a SQLite file, shared by any number of processes.
#[pyclass(frozen, subclass, extends = PyStorage, name = "DatabaseStorage", module = "rrag_storage")]
pub(super) struct PyDatabaseStorage;

/// More readers than that help nobody, and each is a thread.
const MOST_CONNECTIONS: usize = 1000;

#[pymethods]
impl PyDatabaseStorage {
    #[new]
    #[pyo3(signature = (
        url, *, max_connections=None, connection_timeout=None, enable_query_logging=None, table=None,
        synchronous=None, clock=None
    ), text_signature = "(url, *, max_connections=4, connection_timeout=30.0, enable_query_logging=False, table='rrag_storage', synchronous='full', clock=None)")]
    fn new(
        url: &Bound<'_, PyAny>,
        max_connections: Option<&Bound<'_, PyAny>>,
        connection_timeout: Option<&Bound<'_, PyAny>>,
        enable_query_logging: Option<&Bound<'_, PyAny>>,
        table: Option<&Bound<'_, PyAny>>,
        synchronous: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let options =
            PyDatabaseConfig::new(url, max_connections, connection_timeout, enable_query_logging, table, synchronous)?;
        let max_connections = usize::try_from(options.max_connections)
            .ok()
            .filter(|count| (1..=MOST_CONNECTIONS).contains(count))
            .ok_or_else(|| {
                refused(format!(
                    "max_connections must be between 1 and {MOST_CONNECTIONS}, not {}",
                    options.max_connections
                ))
            })?;
        let synchronous = match options.synchronous.as_str() {
            "full" => Synchronous::Full,
            "normal" => Synchronous::Normal,
            _ => return Err(refused("synchronous must be \"full\" or \"normal\"")),
        };
        let config = DatabaseConfig {
            connection_string: options.connection_string,
            max_connections,
            connection_timeout: Duration::from_secs_f64(options.connection_timeout),
            table: options.table,
            synchronous,
            clock: clock_of(clock)?,
        };
        let storage = DatabaseStorage::lazy(config)?;
        let base = PyStorage::new(storage.into_dyn(), "DatabaseStorage", options.enable_query_logging);
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
    fn with_config<'py>(
        class: &Bound<'py, PyType>,
        config: &Bound<'py, PyDatabaseConfig>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let names = ["max_connections", "connection_timeout", "enable_query_logging", "table", "synchronous"];
        let options = options_of(config, &names)?;
        class.call((&config.borrow().connection_string,), Some(&options))
    }
}

/// A storage of the class that `url` leads to. It opens at its first operation, or when it is awaited.
#[pyfunction]
#[pyo3(signature = (url, **options))]
pub(super) fn connect<'py>(
    py: Python<'py>,
    url: &str,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let class = match scheme_of(url)? {
        Scheme::Memory => py.get_type::<PyInMemoryStorage>(),
        Scheme::Sqlite => py.get_type::<PyDatabaseStorage>(),
    };
    class.call((url,), options)
}

/// The options of an `InMemoryStorage`, gathered.
#[pyclass(get_all, set_all, eq, name = "InMemoryConfig", module = "rrag_storage")]
#[derive(PartialEq)]
pub(super) struct PyInMemoryConfig {
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

/// The options of a `DatabaseStorage`, gathered.
#[pyclass(get_all, set_all, eq, name = "DatabaseConfig", module = "rrag_storage")]
#[derive(PartialEq)]
pub(super) struct PyDatabaseConfig {
    /// The url: `sqlite:PATH` or `sqlite::memory:`.
    connection_string: String,
    /// How many connections read at the same time.
    max_connections: i64,
    /// Seconds to wait for another writer, or for the file to open.
    connection_timeout: f64,
    /// Whether each operation is written to the logger `rrag_storage.query`.
    enable_query_logging: bool,
    /// The table's name.
    table: String,
    /// "full" or "normal": what an acknowledged write survives.
    synchronous: String,
}

#[pymethods]
impl PyDatabaseConfig {
    #[new]
    #[pyo3(signature = (
        connection_string, *, max_connections=None, connection_timeout=None, enable_query_logging=None,
        table=None, synchronous=None
    ), text_signature = "(connection_string, *, max_connections=4, connection_timeout=30.0, enable_query_logging=False, table='rrag_storage', synchronous='full')")]
    fn new(
        connection_string: &Bound<'_, PyAny>,
        max_connections: Option<&Bound<'_, PyAny>>,
        connection_timeout: Option<&Bound<'_, PyAny>>,
        enable_query_logging: Option<&Bound<'_, PyAny>>,
        table: Option<&Bound<'_, PyAny>>,
        synchronous: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let text = |name, given: Option<&Bound<'_, PyAny>>, default: &str| {
            given.map_or_else(|| Ok(default.to_owned()), |given| args::text(name, given).map(str::to_owned))
        };
        Ok(Self {
            connection_string: text("url", Some(connection_string), "")?,
            max_connections: max_connections.map_or(Ok(4), |count| {
                // What no i64 can hold is out of range as well.
                args::integer("max_connections", count).map(|count| i64::try_from(count).unwrap_or(i64::MAX))
            })?,
            connection_timeout: connection_timeout.map_or(Ok(30.0), |timeout| {
                args::timeout("connection_timeout", timeout).map(|timeout| timeout.as_secs_f64())
            })?,
            enable_query_logging: enable_query_logging
                .map_or(Ok(false), |enabled| args::boolean("enable_query_logging", enabled))?,
            table: text("table", table, "rrag_storage")?,
            synchronous: text("synchronous", synchronous, "full")?,
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
        ];
        repr_of(slf, "DatabaseConfig", &names)
    }
}

fn repr_of(config: &Bound<'_, PyAny>, class: &str, names: &[&str]) -> PyResult<String> {
    let part = |name: &&str| Ok(format!("{name}={}", config.getattr(*name)?.repr()?));
    Ok(format!("{class}({})", names.iter().map(part).collect::<PyResult<Vec<_>>>()?.join(", ")))
}
