//! Python objects to bytes.

use num_bigint::BigInt;
use pyo3::exceptions::{PyRuntimeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDate, PyDateTime, PyDelta, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTime,
    PyTuple,
};
use pyo3::{PyTypeInfo, ffi, intern};

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
fn inside(failure: Box<Failure>, step: impl FnOnce() -> Step) -> Box<Failure> {
    match *failure {
        Failure::Unsupported(unsupported) => Box::new(Failure::Unsupported(unsupported.inside(step()))),
        other => Box::new(other),
    }
}

#[cold]
fn changed<T>() -> Walked<T> {
    Err(PyRuntimeError::new_err("the value was changed while it was being encoded; nothing was stored").into())
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

/// A guess that spares small values a second allocation, and large ones one that is too large.
fn capacity(object: &Bound<'_, PyAny>) -> usize {
    if object.is_exact_instance_of::<PyDict>() || object.is_exact_instance_of::<PyList>() { 252 } else { 28 }
}

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
        let py = object.py();
        let class = object.get_type_ptr();
        // SAFETY (all casts below): the type was compared for identity.
        if class == PyString::type_object_raw(py) {
            self.text(unsafe { object.cast_unchecked() })
        } else if class == PyInt::type_object_raw(py) {
            self.integer(object)
        } else if class == PyFloat::type_object_raw(py) {
            self.float(unsafe { object.cast_unchecked::<PyFloat>() }.value())
        } else if class == PyDict::type_object_raw(py) {
            self.dict(unsafe { object.cast_unchecked() }, depth)
        } else if class == PyList::type_object_raw(py) {
            self.list(unsafe { object.cast_unchecked() }, depth)
        } else if object.is_none() {
            self.writer.null();
            Ok(())
        } else if class == PyBool::type_object_raw(py) {
            self.writer.boolean(unsafe { object.cast_unchecked::<PyBool>() }.is_true());
            Ok(())
        } else if class == PyTuple::type_object_raw(py) {
            let tuple = unsafe { object.cast_unchecked::<PyTuple>() };
            if self.json {
                self.writer.list(tuple.len(), depth)?;
            } else {
                self.writer.tuple(tuple.len(), depth)?;
            }
            self.items(tuple, depth, Step::Index)
        } else if self.json {
            unsupported(format!("{} in a JSON document", type_name(object)))
        } else if class == PyBytes::type_object_raw(py) {
            Ok(self.writer.bytes(unsafe { object.cast_unchecked::<PyBytes>() }.as_bytes())?)
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
        if let Ok(value) = object.cast_exact::<PyDateTime>() {
            let value = times::date_time(self, value, depth)?;
            self.writer.date_time(value)?;
        } else if let Ok(value) = object.cast_exact::<PyDate>() {
            self.writer.date(times::date(value)?)?;
        } else if let Ok(value) = object.cast_exact::<PyTime>() {
            let value = times::time(self, value, depth)?;
            self.writer.time(value)?;
        } else if let Ok(value) = object.cast_exact::<PyDelta>() {
            self.writer.time_delta(times::time_delta(value)?);
        } else if is_exactly(object, &types.uuid) {
            let number: u128 = object.getattr(intern!(py, "int"))?.extract()?;
            self.writer.uuid(&number.to_be_bytes())?;
        } else if is_exactly(object, &types.decimal) {
            self.writer.decimal(object.str()?.to_str()?)?;
        } else if object.is_exact_instance_of::<PySet>() {
            self.set(object, depth, Writer::set)?;
        } else if object.is_exact_instance_of::<PyFrozenSet>() {
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
            Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(value.py()) => {
                unsupported("a str with a lone surrogate")
            }
            Err(error) => Err(error.into()),
        }
    }

    #[inline]
    fn integer(&mut self, object: &Bound<'_, PyAny>) -> Walked {
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
            return unsupported(format!("the float {value} in a JSON document"));
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
            let Ok(key) = key.cast_exact::<PyString>() else {
                return unsupported(format!("a dict key of type {}", type_name(&key)));
            };
            self.text(key)
                .and_then(|()| self.value(&value, depth + 1))
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

/// The members of a set, in a tuple of our own.
fn members<'py>(set: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let py = set.py();
    // SAFETY: the interpreter is attached. With the collector off no finaliser runs while the tuple is made, so that
    // reading a set in place needs no other code either; a collector that was on is turned on again.
    unsafe {
        let was_on = ffi::PyGC_Disable();
        let tuple = ffi::PySequence_Tuple(set.as_ptr());
        if was_on != 0 {
            ffi::PyGC_Enable();
        }
        Ok(Bound::from_owned_ptr_or_err(py, tuple)?.cast_into_unchecked())
    }
}

fn same_objects(a: &Bound<'_, PyTuple>, b: &Bound<'_, PyTuple>) -> bool {
    a.len() == b.len() && a.iter_borrowed().zip(b.iter_borrowed()).all(|(a, b)| a.is(&*b))
}

fn same_entries(a: &Bound<'_, PyDict>, b: &Bound<'_, PyDict>) -> bool {
    let (mut a, mut b) = (Entries::of(a), Entries::of(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a.0.is(&b.0) && a.1.is(&b.1) => {}
            _ => return false,
        }
    }
}

/// The entries of a dict that nothing but this thread changes between two calls of `next`, each held on its own.
struct Entries<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
    position: ffi::Py_ssize_t,
}

impl<'a, 'py> Entries<'a, 'py> {
    fn of(dict: &'a Bound<'py, PyDict>) -> Self {
        Self { dict, position: 0 }
    }

    #[inline]
    fn next(&mut self) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the dict is one, and alive. The position is the interpreter's own, which stays within bounds whatever
        // happens to the dict. Nothing runs between the call and taking the references. In a free-threaded build the
        // dict is a private copy.
        unsafe {
            if ffi::PyDict_Next(self.dict.as_ptr(), &raw mut self.position, &raw mut key, &raw mut value) == 0 {
                return None;
            }
            let py = self.dict.py();
            Some((Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value)))
        }
    }
}
