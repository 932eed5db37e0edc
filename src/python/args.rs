//! Python arguments to Rust ones: keys, spans of time, numbers, pairs.

use std::convert::Infallible;
use std::time::Duration;

use num_bigint::BigInt;
use pyo3::Borrowed;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDelta, PyDeltaAccess, PyDict, PyFloat, PyInt, PyMapping, PyString, PyTuple};

use super::convert;
use super::value::PyMemoryValue;
use crate::codec::Encoded;
use crate::engine::Engine;
use crate::error::{Error, KeyProblem};
use crate::key::Key;
use crate::storage::Storage;
use crate::ttl::Ttl;

pub(super) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

/// A str argument; `what` names it in the error.
pub(super) fn text<'a>(what: &str, object: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let Ok(text) = object.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!("{what} must be a str, not {}", type_name(object))));
    };
    text.to_str().map_err(|_| Error::InvalidKey(KeyProblem::LoneSurrogate).into())
}

/// A str or None.
pub(super) fn optional_text(what: &str, object: Option<&Bound<'_, PyAny>>) -> PyResult<Option<String>> {
    object.filter(|object| !object.is_none()).map(|object| text(what, object).map(str::to_owned)).transpose()
}

/// A key of `storage`.
pub(super) fn key<E: Engine + ?Sized>(storage: &Storage<E>, object: &Bound<'_, PyAny>) -> PyResult<Key> {
    Ok(storage.key(text("key", object)?)?)
}

/// An iterable of keys.
pub(super) fn keys<E: Engine + ?Sized>(storage: &Storage<E>, object: &Bound<'_, PyAny>) -> PyResult<Vec<Key>> {
    if object.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("keys must be an iterable of str, not a str; for one key there is get()"));
    }
    object.try_iter()?.map(|item| key(storage, &item?)).collect()
}

/// A value to store: native, or a `MemoryValue`.
pub(super) fn value(object: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    if let Ok(value) = object.cast_exact::<PyMemoryValue>() {
        return Ok(value.get().encoded().clone());
    }
    Ok(convert::encode(object)?)
}

/// A mapping of keys to values, or an iterable of pairs.
pub(super) fn pairs<E: Engine + ?Sized>(
    storage: &Storage<E>,
    object: &Bound<'_, PyAny>,
) -> PyResult<Vec<(Key, Encoded)>> {
    let pair = |item: &Bound<'_, PyAny>| {
        let pair = item.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2).ok_or_else(|| {
            PyTypeError::new_err(format!("mset takes a mapping or (key, value) tuples, not {}", type_name(item)))
        })?;
        Ok((key(storage, &pair.get_item(0)?)?, value(&pair.get_item(1)?)?))
    };
    if let Ok(mapping) = object.cast::<PyDict>() {
        // A copy of the pairs: encoding a value may run a tzinfo's Python code, which may change the dict.
        return mapping.items().iter().map(|item| pair(&item)).collect();
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        return mapping.items()?.iter().map(|item| pair(&item)).collect();
    }
    object.try_iter()?.map(|item| pair(&item?)).collect()
}

/// A span in seconds: an int, a float or a timedelta, of any size and sign.
fn seconds(what: &str, object: &Bound<'_, PyAny>) -> PyResult<f64> {
    if !object.is_instance_of::<PyBool>() && (object.is_instance_of::<PyInt>() || object.is_instance_of::<PyFloat>()) {
        return object
            .extract()
            .map_err(|_| PyValueError::new_err(format!("{what} must be positive and finite; this is out of range")));
    }
    if object.is_instance_of::<PyDelta>() {
        return object.call_method0("total_seconds")?.extract();
    }
    Err(PyTypeError::new_err(format!("{what} must be seconds (int, float) or a timedelta, not {}", type_name(object))))
}

/// A time to live.
pub(super) fn ttl(object: &Bound<'_, PyAny>) -> PyResult<Ttl> {
    Ok(Ttl::from_seconds(seconds("ttl", object)?)?)
}

/// A time to live or None.
pub(super) fn optional_ttl(object: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Ttl>> {
    object.filter(|object| !object.is_none()).map(ttl).transpose()
}

/// A span of time that may be none.
pub(super) fn span(what: &str, object: &Bound<'_, PyAny>) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds(what, object)?)
        .map_err(|_| PyValueError::new_err(format!("{what} must be zero or more seconds, and finite")))
}

/// A timeout of a configuration.
pub(super) fn timeout(what: &str, object: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let seconds = seconds(what, object)?;
    // Past some centuries a timeout can't be told from none, and the clocks overflow.
    if !(seconds > 0.0 && seconds <= 1e9) {
        return Err(Error::Configuration(format!("{what} must be a positive number of seconds, not {seconds}")).into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Nanoseconds, of any sign: how far a test moves its clock.
pub(super) fn nanos(what: &str, object: &Bound<'_, PyAny>) -> PyResult<i64> {
    if let Ok(delta) = object.cast::<PyDelta>() {
        // Not by way of a float, whose nanoseconds are none since 1970.
        let seconds = i64::from(delta.get_days()) * 86_400 + i64::from(delta.get_seconds());
        let micros = seconds * 1_000_000 + i64::from(delta.get_microseconds());
        return micros.checked_mul(1_000).ok_or_else(|| PyValueError::new_err(format!("{what} is out of range")));
    }
    let nanos = seconds(what, object)? * 1e9;
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // Bounded by the check.
    if nanos.abs() < i64::MAX as f64 {
        Ok(nanos.round() as i64)
    } else {
        Err(PyValueError::new_err(format!("{what} is out of range")))
    }
}

/// A bool.
pub(super) fn boolean(what: &str, object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.extract().map_err(|_| PyTypeError::new_err(format!("{what} must be a bool, not {}", type_name(object))))
}

/// An int that is no bool.
pub(super) fn integer(what: &str, object: &Bound<'_, PyAny>) -> PyResult<BigInt> {
    if object.is_instance_of::<PyBool>() || !object.is_instance_of::<PyInt>() {
        return Err(PyTypeError::new_err(format!("{what} must be an int, not {}", type_name(object))));
    }
    object.extract()
}

/// What to add: 1 unless it is given, which None is not.
pub(super) enum By<'a, 'py> {
    One,
    Given(Borrowed<'a, 'py, PyAny>),
}

impl By<'_, '_> {
    /// How much that is.
    pub(super) fn integer(self) -> PyResult<BigInt> {
        match self {
            Self::One => Ok(BigInt::from(1)),
            Self::Given(by) => integer("by", &by),
        }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for By<'a, 'py> {
    type Error = Infallible;

    fn extract(by: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self::Given(by))
    }
}

/// An int of at least `least`.
pub(super) fn size(what: &str, least: usize, object: &Bound<'_, PyAny>) -> PyResult<usize> {
    let number = integer(what, object)?;
    if number >= BigInt::from(least) {
        // More than fits a usize is more than there can be of anything.
        return Ok(usize::try_from(number).unwrap_or(usize::MAX));
    }
    Err(PyValueError::new_err(format!("{what} must be at least {least}, not {number}")))
}

/// An int of at least `least`, or None.
pub(super) fn optional_size(what: &str, least: usize, object: Option<&Bound<'_, PyAny>>) -> PyResult<Option<usize>> {
    object.filter(|object| !object.is_none()).map(|object| size(what, least, object)).transpose()
}

/// The version of an entry. What no entry can have fits none.
pub(super) fn version(object: &Bound<'_, PyAny>) -> PyResult<u64> {
    Ok(u64::try_from(integer("version", object)?).unwrap_or(0))
}
