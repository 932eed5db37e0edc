//! Python objects to bytes.

use num_bigint::BigInt;
use pyo3::exceptions::{PyRuntimeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDate, PyDateTime, PyDelta, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTime,
    PyTuple,
};
use pyo3::{PyTypeInfo, ffi, intern};

use super::containers::{Entries, members, same_entries, same_objects};
use super::numpy::Numpy;
use super::types::{Types, is_exactly, type_name};
use super::{EncodeError, times};
use crate::codec::{Encoded, Refused, Step, Unsupported, Writer};

/// Why the walk ends early.
pub(super) enum Failure {
    Unsupported(Unsupported),
    Raised(PyErr),
    /// Other code has to run: the walk has to begin anew, over private copies.
    Again,
}

/// A result whose error takes a register.
pub(super) type Walked<T = ()> = Result<T, Box<Failure>>;

impl From<Refused> for Box<Failure> {
    fn from(refused: Refused) -> Self {
        Box::new(Failure::Unsupported(refused.into()))
    }
}

impl From<PyErr> for Box<Failure> {
    fn from(error: PyErr) -> Self {
        Box::new(Failure::Raised(error))
    }
}

pub(super) fn unsupported<T>(what: impl Into<std::borrow::Cow<'static, str>>) -> Walked<T> {
    Err(Box::new(Failure::Unsupported(Unsupported::new(what))))
}

#[cold]
#[allow(clippy::unnecessary_box_returns, reason = "it is a step of errors on their way out")]
fn inside(mut failure: Box<Failure>, step: impl FnOnce() -> Step) -> Box<Failure> {
    if let Failure::Unsupported(unsupported) = &mut *failure {
        unsupported.add(step());
    }
    failure
}

#[cold]
fn changed<T>() -> Walked<T> {
    Err(PyRuntimeError::new_err("the value was changed while it was being encoded; nothing was stored").into())
}

#[cold]
fn not_utf8(py: Python<'_>, error: PyErr, what: &'static str) -> Walked {
    if error.is_instance_of::<PyUnicodeEncodeError>(py) { unsupported(what) } else { Err(error.into()) }
}

/// Encodes a native object.
pub(crate) fn encode(object: &Bound<'_, PyAny>) -> Result<Encoded, EncodeError> {
    run(object, false)
}

/// Encodes a JSON document; a tuple becomes a list.
pub(crate) fn encode_json(object: &Bound<'_, PyAny>) -> Result<Encoded, EncodeError> {
    run(object, true)
}

fn run(object: &Bound<'_, PyAny>, json: bool) -> Result<Encoded, EncodeError> {
    let free_threaded = Types::get(object.py()).map_err(EncodeError::Raised)?.free_threaded;
    let outcome = match walk(object, json, free_threaded) {
        Err(failure) if matches!(*failure, Failure::Again) => walk(object, json, true),
        outcome => outcome,
    };
    outcome.map_err(|failure| match *failure {
        Failure::Unsupported(unsupported) => EncodeError::Unsupported(unsupported.into()),
        Failure::Raised(error) => EncodeError::Raised(error),
        Failure::Again => EncodeError::Raised(PyRuntimeError::new_err("the value could not be read")),
    })
}

fn walk(object: &Bound<'_, PyAny>, json: bool, careful: bool) -> Walked<Encoded> {
    let mut encoder = Encoder { writer: Writer::new(capacity(object)), json, careful };
    encoder.value(object, 0)?;
    Ok(encoder.writer.finish(json)?)
}

/// `object`, where it is a `T` and of no subclass.
#[inline]
fn exactly<'a, 'py, T: PyTypeInfo>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, T>> {
    if object.get_type_ptr() != T::type_object_raw(object.py()) {
        return None;
    }
    // SAFETY: the object's type is that of `T`.
    Some(unsafe { object.cast_unchecked() })
}

/// A guess that spares most values a second allocation, and large ones one that is too large.
fn capacity(object: &Bound<'_, PyAny>) -> usize {
    if let Some(text) = exactly::<PyString>(object) {
        // SAFETY: it is a str. One that is not ASCII takes more bytes than it has characters.
        let characters = unsafe { ffi::PyUnicode_GET_LENGTH(text.as_ptr()) };
        return usize::try_from(characters).unwrap_or(0).min(LONGEST_GUESS) + HEAD_BYTES;
    }
    if object.is_exact_instance_of::<PyDict>() || object.is_exact_instance_of::<PyList>() { 252 } else { 28 }
}

/// The most that stands before the bytes of a str.
const HEAD_BYTES: usize = 9;
/// What is longer costs much more than an allocation, and may be refused.
const LONGEST_GUESS: usize = 64 * 1024;

pub(super) struct Encoder {
    pub(super) writer: Writer,
    json: bool,
    careful: bool,
}

impl Encoder {
    /// To be called before other code runs inside a container: see invariant 1.
    pub(super) fn before_other_code(&self, depth: u32) -> Walked {
        if depth > 0 && !self.careful { Err(Box::new(Failure::Again)) } else { Ok(()) }
    }

    /// Writes `object`, with `depth` containers around it.
    fn value(&mut self, object: &Bound<'_, PyAny>, depth: u32) -> Walked {
        if let Some(value) = exactly::<PyString>(object) {
            self.text(value)
        } else if let Some(value) = exactly::<PyInt>(object) {
            self.integer(value)
        } else if let Some(value) = exactly::<PyFloat>(object) {
            self.float(value.value())
        } else if let Some(value) = exactly::<PyDict>(object) {
            self.dict(value, depth)
        } else if let Some(value) = exactly::<PyList>(object) {
            self.list(value, depth)
        } else if object.is_none() {
            self.writer.null();
            Ok(())
        } else if let Some(value) = exactly::<PyBool>(object) {
            self.writer.boolean(value.is_true());
            Ok(())
        } else if let Some(tuple) = exactly::<PyTuple>(object) {
            if self.json {
                self.writer.list(tuple.len(), depth)?;
            } else {
                self.writer.tuple(tuple.len(), depth)?;
            }
            self.items(tuple, depth, Step::Index)
        } else if self.json {
            unsupported(format!("{} in a JSON document", type_name(object)))
        } else if let Some(value) = exactly::<PyBytes>(object) {
            Ok(self.writer.bytes(value.as_bytes())?)
        } else {
            self.rare(object, depth)
        }
    }

    fn rare(&mut self, object: &Bound<'_, PyAny>, depth: u32) -> Walked {
        let py = object.py();
        if let Some(numpy) = Numpy::if_loaded(py, self, depth)? {
            if numpy.is_array(object) {
                return numpy.encode_array(self, object, depth);
            }
            if let Some(element) = numpy.scalar_element(object) {
                return Numpy::encode_scalar(self, object, element);
            }
        }
        let types = Types::get(py)?;
        if let Some(value) = exactly::<PyDateTime>(object) {
            let value = times::date_time(self, value, depth)?;
            self.writer.date_time(value)?;
        } else if let Some(value) = exactly::<PyDate>(object) {
            self.writer.date(times::date(value)?)?;
        } else if let Some(value) = exactly::<PyTime>(object) {
            let value = times::time(self, value, depth)?;
            self.writer.time(value)?;
        } else if let Some(value) = exactly::<PyDelta>(object) {
            self.writer.time_delta(times::time_delta(value)?);
        } else if is_exactly(object, &types.uuid) {
            let number: u128 = object.getattr(intern!(py, "int"))?.extract()?;
            self.writer.uuid(&number.to_be_bytes())?;
        } else if is_exactly(object, &types.decimal) {
            self.writer.decimal(object.str()?.to_str()?)?;
        } else if exactly::<PySet>(object).is_some() {
            self.set(object, depth, Writer::set)?;
        } else if exactly::<PyFrozenSet>(object).is_some() {
            self.set(object, depth, Writer::frozen_set)?;
        } else {
            return unsupported(type_name(object));
        }
        Ok(())
    }

    #[inline]
    fn text(&mut self, value: &Bound<'_, PyString>) -> Walked {
        match value.to_str() {
            Ok(text) => Ok(self.writer.text(text)?),
            Err(error) => not_utf8(value.py(), error, "a str with a lone surrogate"),
        }
    }

    #[inline]
    fn key(&mut self, key: &Bound<'_, PyString>) -> Walked {
        match key.to_str() {
            Ok(text) => Ok(self.writer.text(text)?),
            Err(error) => not_utf8(key.py(), error, "a dict key with a lone surrogate"),
        }
    }

    #[inline]
    fn integer(&mut self, object: &Bound<'_, PyInt>) -> Walked {
        let mut overflow = 0;
        // SAFETY: the object is an exact int, so neither an error nor other code comes of it.
        let small = unsafe { ffi::PyLong_AsLongLongAndOverflow(object.as_ptr(), &raw mut overflow) };
        if overflow == 0 {
            self.writer.integer(small);
            return Ok(());
        }
        let big: BigInt = object.extract()?;
        Ok(self.writer.big_integer(&big)?)
    }

    #[inline]
    fn float(&mut self, value: f64) -> Walked {
        if self.json && !value.is_finite() {
            return unsupported("a float that is not finite, in a JSON document,");
        }
        self.writer.float(value);
        Ok(())
    }

    fn items(&mut self, tuple: &Bound<'_, PyTuple>, depth: u32, step: impl Fn(usize) -> Step) -> Walked {
        for (index, item) in tuple.iter_borrowed().enumerate() {
            self.value(&item, depth + 1).map_err(|failure| inside(failure, || step(index)))?;
        }
        Ok(())
    }

    fn list(&mut self, list: &Bound<'_, PyList>, depth: u32) -> Walked {
        if self.careful {
            return self.copied_list(list, depth);
        }
        let length = list.len();
        self.writer.list(length, depth)?;
        for index in 0..length {
            let Ok(item) = list.get_item(index) else { return changed() };
            self.value(&item, depth + 1).map_err(|failure| inside(failure, || Step::Index(index)))?;
        }
        if list.len() == length { Ok(()) } else { changed() }
    }

    fn copied_list(&mut self, list: &Bound<'_, PyList>, depth: u32) -> Walked {
        let copy = list.to_tuple();
        self.writer.list(copy.len(), depth)?;
        self.items(&copy, depth, Step::Index)?;
        if same_objects(&copy, &list.to_tuple()) { Ok(()) } else { changed() }
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>, depth: u32) -> Walked {
        if !self.careful {
            return self.entries(dict, depth);
        }
        let copy = dict.copy()?;
        self.entries(&copy, depth)?;
        if same_entries(&copy, &dict.copy()?) { Ok(()) } else { changed() }
    }

    fn entries(&mut self, dict: &Bound<'_, PyDict>, depth: u32) -> Walked {
        let length = dict.len();
        self.writer.map(length, depth)?;
        let mut entries = Entries::of(dict);
        for _ in 0..length {
            let Some((key, value)) = entries.next() else { return changed() };
            let Some(key) = exactly::<PyString>(&key) else {
                return unsupported(format!("a dict key of type {}", type_name(&key)));
            };
            self.key(key)?;
            self.value(&value, depth + 1)
                .map_err(|failure| inside(failure, || Step::Key(key.to_string_lossy().into_owned())))?;
        }
        if entries.next().is_none() && dict.len() == length { Ok(()) } else { changed() }
    }

    fn set(
        &mut self,
        set: &Bound<'_, PyAny>,
        depth: u32,
        begin: impl FnOnce(&mut Writer, usize, u32) -> Result<(), Refused>,
    ) -> Walked {
        let copy = members(set)?;
        begin(&mut self.writer, copy.len(), depth)?;
        self.items(&copy, depth, |_| Step::Member)?;
        if !self.careful || same_objects(&copy, &members(set)?) { Ok(()) } else { changed() }
    }
}
