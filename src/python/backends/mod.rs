//! The backends' classes: constructors and configurations; every method is `Storage`'s.

mod database;
mod in_memory;
mod object;
mod redis;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::args;
use super::operation::Operation;
use super::storage::PyStorage;
use super::time::PyManualClock;
use crate::clock::Clock;
use crate::connect::{Scheme, masked, scheme_of};
use crate::error::Error;
use crate::meter::Call;

pub(super) use database::{PyDatabaseConfig, PyDatabaseStorage};
pub(super) use in_memory::{PyInMemoryConfig, PyInMemoryStorage};
pub(super) use object::{PyObjectConfig, PyObjectStorage};
pub(super) use redis::{PyRedisConfig, PyRedisStorage};

/// More connections than that help nobody.
const MOST_CONNECTIONS: usize = 1000;

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

/// The options that a configuration object holds and `others` beside them, as keywords for the constructor.
fn options_of<'py>(
    config: &Bound<'py, PyAny>,
    names: &[&str],
    others: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let options = others.map_or_else(|| Ok(PyDict::new(config.py())), PyDictMethods::copy)?;
    for name in names {
        if options.contains(name)? {
            let message = format!("with_config() takes {name} from the configuration, not as a keyword argument");
            return Err(PyTypeError::new_err(message));
        }
        options.set_item(name, config.getattr(*name)?)?;
    }
    Ok(options)
}

/// A `max_connections` that is an int; its range is checked when a storage is made.
fn connection_count(count: &Bound<'_, PyAny>) -> PyResult<i64> {
    // What no i64 can hold is out of range as well.
    args::integer("max_connections", count).map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

fn connections_of(count: i64) -> PyResult<usize> {
    usize::try_from(count)
        .ok()
        .filter(|count| (1..=MOST_CONNECTIONS).contains(count))
        .ok_or_else(|| refused(format!("max_connections must be between 1 and {MOST_CONNECTIONS}, not {count}")))
}

/// A `connection_timeout` in seconds.
fn timeout_of(timeout: &Bound<'_, PyAny>) -> PyResult<f64> {
    args::timeout("connection_timeout", timeout).map(|timeout| timeout.as_secs_f64())
}

/// A bool that is False unless given.
fn flag_of(name: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    given.map_or(Ok(false), |given| args::boolean(name, given))
}

fn text_of(name: &str, given: Option<&Bound<'_, PyAny>>, default: &str) -> PyResult<String> {
    given.map_or_else(|| Ok(default.to_owned()), |given| args::text(name, given).map(str::to_owned))
}

/// A str or an `os.PathLike` of one, or None.
fn path_of(name: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<String>> {
    let Some(given) = given.filter(|given| !given.is_none()) else { return Ok(None) };
    match given.py().import("os")?.getattr("fspath")?.call1((given,)) {
        Ok(path) => args::text(name, &path).map(|path| Some(path.to_owned())),
        Err(_) => Err(PyTypeError::new_err(format!("{name} must be a path, not {}", args::type_name(given)))),
    }
}

/// A storage of `class` that is opened at once. What the constructor refuses is raised when this is awaited.
fn connected(class: &Bound<'_, PyType>, url: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Operation> {
    match class.call((url,), options) {
        Ok(storage) => Ok(PyStorage::open(&storage.cast_into::<PyStorage>()?)),
        Err(error) if error.is_instance_of::<PyTypeError>(class.py()) => Err(error),
        Err(error) => Ok(Operation::refused("Storage", Call::Connect, error)),
    }
}

/// A storage of the class that `url` leads to. It opens at its first operation, or when it is awaited.
#[pyfunction]
#[pyo3(signature = (url, **options))]
pub(in crate::python) fn connect<'py>(
    py: Python<'py>,
    url: &str,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let class = match scheme_of(url)? {
        Scheme::Memory => py.get_type::<PyInMemoryStorage>(),
        Scheme::Sqlite | Scheme::Sql => py.get_type::<PyDatabaseStorage>(),
        Scheme::Redis => py.get_type::<PyRedisStorage>(),
        Scheme::Object => py.get_type::<PyObjectStorage>(),
    };
    class.call((url,), options)
}

fn repr_of(config: &Bound<'_, PyAny>, class: &str, names: &[&str]) -> PyResult<String> {
    let part = |name: &&str| {
        let value = config.getattr(*name)?;
        let shown = match *name {
            "connection_string" => masked(value.extract()?).into_pyobject(config.py())?.into_any(),
            // Their values may be secrets.
            "storage_options" => value.call_method0("keys")?,
            _ => value,
        };
        Ok(format!("{name}={}", shown.repr()?))
    };
    Ok(format!("{class}({})", names.iter().map(part).collect::<PyResult<Vec<_>>>()?.join(", ")))
}
