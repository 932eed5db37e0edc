//! Bytes to Python objects.

use std::sync::MutexGuard;

use num_bigint::{BigInt, Sign};
use pyo3::exceptions::{PyArithmeticError, PyTypeError, PyUnicodeDecodeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyString};
use pyo3::{IntoPyObjectExt, intern};

use super::keys::{self, Keys};
use super::numpy::Numpy;
use super::types::Types;
use super::{DecodeError, times};
use crate::codec::{Damage, Kind, Reader, Token};
use crate::value::MemoryValue;

/// The object that `payload`, of `kind`, holds: all of it.
pub(crate) fn decode<'py>(py: Python<'py>, kind: Kind, payload: &[u8]) -> Result<Bound<'py, PyAny>, DecodeError> {
    // Only lists and maps have keys to look up.
    let keys = if matches!(payload.first(), Some(0x80..=0xBF)) { keys::borrow() } else { None };
    let mut decoder = Decoder { py, reader: Reader::new(kind, payload), keys, has_fewer_elements: false };
    let token = decoder.reader.token(0)?;
    token.check_kind(kind)?;
    let value = decoder.value(token, 0)?;
    decoder.reader.finish()?;
    if decoder.has_fewer_elements {
        // Whether they are twice there is for the other decoder to say, which knows no equality across kinds.
        MemoryValue::decode(kind, payload)?;
    }
    Ok(value)
}

type Decoded<'py> = Result<Bound<'py, PyAny>, DecodeError>;

struct Decoder<'a, 'py> {
    py: Python<'py>,
    reader: Reader<'a>,
    keys: Option<MutexGuard<'static, Keys>>,
    /// Whether elements of a set became one.
    has_fewer_elements: bool,
}

impl<'py> Decoder<'_, 'py> {
    fn item(&mut self, depth: u32) -> Decoded<'py> {
        let token = self.reader.token(depth + 1)?;
        self.value(token, depth + 1)
    }

    fn value(&mut self, token: Token<'_>, depth: u32) -> Decoded<'py> {
        let py = self.py;
        Ok(match token {
            Token::Text(bytes) => text(py, bytes)?.into_any(),
            Token::Integer(value) => value.into_bound_py_any(py)?,
            Token::Float(value) => PyFloat::new(py, value).into_any(),
            Token::Map(count) => self.dict(count, depth)?,
            Token::List(count) => self.list(count, depth)?,
            Token::Null => py.None().into_bound(py),
            Token::Boolean(value) => value.into_bound_py_any(py)?,
            Token::Bytes(bytes) => {
                // SAFETY: the pointer and the length are those of a slice, which is never longer than `isize::MAX`.
                unsafe {
                    let object = ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len().cast_signed());
                    Bound::from_owned_ptr_or_err(py, object)?
                }
            }
            Token::Tuple(count) => self.tuple(count, depth)?,
            Token::BigInteger { negative, magnitude } => {
                let magnitude = BigInt::from_bytes_be(Sign::Plus, magnitude);
                (if negative { -magnitude - 1_i32 } else { magnitude }).into_bound_py_any(py)?
            }
            Token::Array(array) => Numpy::get(py)?.decode(py, &array)?,
            Token::DateTime(value) => self.date_or_time(times::to_date_time(py, value))?,
            Token::Date(value) => self.date_or_time(times::to_date(py, value))?,
            Token::Time(value) => self.date_or_time(times::to_time(py, value))?,
            Token::TimeDelta(value) => self.date_or_time(times::to_time_delta(py, value))?,
            Token::Decimal(value) => {
                let decimal = Types::get(py)?.decimal.bind(py).call1((value.as_str(),));
                self.refused_by::<PyArithmeticError>(decimal, "it holds a decimal out of Python's range")?
            }
            Token::Uuid(bytes) => {
                let class = Types::get(py)?.uuid.bind(py);
                let arguments = PyDict::new(py);
                arguments.set_item(intern!(py, "int"), u128::from_be_bytes(bytes))?;
                class.call((), Some(&arguments))?
            }
            Token::Set(count) => self.set(count, depth)?,
            Token::FrozenSet(count) => {
                let set = self.set(count, depth)?;
                // SAFETY: a set is iterable; the result is checked.
                unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyFrozenSet_New(set.as_ptr()))? }
            }
        })
    }

    /// `result`, whose exception of type `E` says that the bytes are wrong.
    fn refused_by<E: pyo3::PyTypeInfo>(
        &self,
        result: PyResult<Bound<'py, PyAny>>,
        reason: &'static str,
    ) -> Decoded<'py> {
        result.map_err(|error| {
            if error.is_instance_of::<E>(self.py) { Damage::new(reason).into() } else { DecodeError::Raised(error) }
        })
    }

    fn date_or_time(&self, result: PyResult<Bound<'py, PyAny>>) -> Decoded<'py> {
        self.refused_by::<pyo3::exceptions::PyValueError>(result, "it holds a date or time out of Python's range")
    }

    fn list(&mut self, count: usize, depth: u32) -> Decoded<'py> {
        // SAFETY: the reader has checked that the input has a byte for each item, so the length fits.
        let list = unsafe { Bound::from_owned_ptr_or_err(self.py, ffi::PyList_New(count.cast_signed()))? };
        for index in 0..count {
            let item = self.item(depth)?;
            // SAFETY: the list is ours alone, `index` is within it and was not set before; the reference is handed over.
            unsafe { ffi::PyList_SET_ITEM(list.as_ptr(), index.cast_signed(), item.into_ptr()) };
        }
        Ok(list)
    }

    fn tuple(&mut self, count: usize, depth: u32) -> Decoded<'py> {
        // SAFETY: as for lists.
        let tuple = unsafe { Bound::from_owned_ptr_or_err(self.py, ffi::PyTuple_New(count.cast_signed()))? };
        for index in 0..count {
            let item = self.item(depth)?;
            // SAFETY: as for lists.
            unsafe { ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index.cast_signed(), item.into_ptr()) };
        }
        Ok(tuple)
    }

    fn dict(&mut self, count: usize, depth: u32) -> Decoded<'py> {
        let dict = PyDict::new(self.py);
        for _ in 0..count {
            let bytes = self.reader.key()?;
            let key = match &mut self.keys {
                Some(keys) => keys.get(self.py, bytes, || text(self.py, bytes))?,
                None => text(self.py, bytes)?,
            };
            let value = self.item(depth)?;
            dict.set_item(key, value)?;
        }
        if dict.len() == count {
            Ok(dict.into_any())
        } else {
            Err(Damage::new("it holds a map with a key twice").into())
        }
    }

    /// Elements that Python holds equal, and other languages don't, become one.
    fn set(&mut self, count: usize, depth: u32) -> Decoded<'py> {
        let set = pyo3::types::PySet::empty(self.py)?;
        for _ in 0..count {
            let element = self.item(depth)?;
            set.add(element).map_err(|error| {
                if error.is_instance_of::<PyTypeError>(self.py) {
                    Damage::new("it holds a set with an element that can't be hashed").into()
                } else {
                    DecodeError::Raised(error)
                }
            })?;
        }
        self.has_fewer_elements |= set.len() < count;
        Ok(set.into_any())
    }
}

#[inline]
fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyString>, DecodeError> {
    // SAFETY: the pointer and the length are those of a slice; the decoder is strict, and what it returns is a str.
    let object = unsafe {
        let object = ffi::PyUnicode_DecodeUTF8(bytes.as_ptr().cast(), bytes.len().cast_signed(), std::ptr::null());
        Bound::from_owned_ptr_or_err(py, object).map(|object| object.cast_into_unchecked())
    };
    object.map_err(|error| {
        if error.is_instance_of::<PyUnicodeDecodeError>(py) {
            Damage::new("it holds text that is no UTF-8").into()
        } else {
            DecodeError::Raised(error)
        }
    })
}
