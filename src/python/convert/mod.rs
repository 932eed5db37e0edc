//! Python objects to bytes and back, with no tree in between.
//!
//! Invariants of the way in:
//!
//! 1. No code but ours and the interpreter's own C runs while a container is read in place. Where an object has to be
//!    asked (a foreign `tzinfo`) or the interpreter's lock may be let go of (a strided array), the whole encoding
//!    begins anew with private copies of all containers, and compares them with the originals when it is through.
//! 2. Every object that is looked at is held by a reference of our own.
//! 3. Only exact types get in, so what comes back has the type that went in.

mod containers;
mod decode;
mod encode;
mod keys;
mod numpy;
mod times;
mod types;

use pyo3::{PyErr, PyResult, Python};

pub(crate) use decode::decode;
pub(crate) use encode::{encode, encode_json};

use crate::codec::Damage;
use crate::python::errors;

/// Looks up the types that values have. To be called when the module is imported: a look-up imports modules, and a
/// process that is forked while another thread is at it would wait for that thread for ever.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    types::Types::get(py).map(drop)
}

/// Waits until no other thread looks anything up; to be called before a fork.
pub(crate) fn settle(py: Python<'_>) {
    numpy::Numpy::settle(py);
}

/// Why an object could not be encoded.
#[derive(Debug)]
pub(crate) enum EncodeError {
    /// It can't be stored exactly: [`crate::Error::UnsupportedType`].
    Unsupported(crate::Error),
    /// The object raised when it was asked, or changed under way.
    Raised(PyErr),
}

/// Why bytes could not be decoded.
#[derive(Debug)]
pub(crate) enum DecodeError {
    /// They are no value.
    Damage(Damage),
    /// The interpreter could not make the objects: numpy is missing, or memory.
    Raised(PyErr),
}

impl From<EncodeError> for PyErr {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Unsupported(error) => errors::raise(error),
            EncodeError::Raised(error) => error,
        }
    }
}

impl DecodeError {
    /// The exception for a record under `key`.
    pub(crate) fn under(self, key: &str) -> PyErr {
        match self {
            Self::Damage(damage) => errors::raise(damage.under(key)),
            Self::Raised(error) => error,
        }
    }
}

impl From<Damage> for DecodeError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl From<PyErr> for DecodeError {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}
