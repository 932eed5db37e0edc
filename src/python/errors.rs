//! Rust errors to the exceptions of `rrag_storage.errors`.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::error::Error;

mod classes {
    pyo3::import_exception!(rrag_storage.errors, StorageError);
    pyo3::import_exception!(rrag_storage.errors, StorageClosedError);
    pyo3::import_exception!(rrag_storage.errors, LimitExceededError);
    pyo3::import_exception!(rrag_storage.errors, ConflictError);
    pyo3::import_exception!(rrag_storage.errors, PartialWriteError);
    pyo3::import_exception!(rrag_storage.errors, CorruptedDataError);
    pyo3::import_exception!(rrag_storage.errors, DecryptionError);
    pyo3::import_exception!(rrag_storage.errors, UnsupportedOperationError);
    pyo3::import_exception!(rrag_storage.errors, BackendUnavailableError);
    pyo3::import_exception!(rrag_storage.errors, OperationTimeoutError);
    pyo3::import_exception!(rrag_storage.errors, InvalidKeyError);
    pyo3::import_exception!(rrag_storage.errors, UnsupportedTypeError);
    pyo3::import_exception!(rrag_storage.errors, ConfigurationError);
}

/// The exception for `error`, with its `key` where it has one.
#[expect(clippy::needless_pass_by_value, reason = "an error ends here")]
pub(super) fn raise(error: Error) -> PyErr {
    let message = error.to_string();
    let exception = match &error {
        Error::Closed { .. } => classes::StorageClosedError::new_err(message),
        Error::LimitExceeded { .. } => classes::LimitExceededError::new_err(message),
        Error::Conflict { .. } => classes::ConflictError::new_err(message),
        Error::Corrupted { .. } => classes::CorruptedDataError::new_err(message),
        Error::Decryption { .. } => classes::DecryptionError::new_err(message),
        Error::PartialWrite { .. } => classes::PartialWriteError::new_err(message),
        Error::Unavailable { .. } => classes::BackendUnavailableError::new_err(message),
        Error::Timeout { .. } => classes::OperationTimeoutError::new_err(message),
        Error::Unsupported { .. } => classes::UnsupportedOperationError::new_err(message),
        Error::InvalidKey(_) => classes::InvalidKeyError::new_err(message),
        Error::UnsupportedType { .. } => classes::UnsupportedTypeError::new_err(message),
        Error::Configuration(_) => classes::ConfigurationError::new_err(message),
        Error::WrongKind { .. } => PyTypeError::new_err(message),
        Error::InvalidArgument(_) => PyValueError::new_err(message),
        Error::TransactionFinished | Error::Backend { .. } => classes::StorageError::new_err(message),
    };
    if let Error::PartialWrite { written, .. } = &error {
        Python::attach(|py| {
            let _ = exception.value(py).setattr("written", written);
        });
    }
    if let Some(key) = error.key() {
        Python::attach(|py| {
            // The exception says the key in its message too: one that can't take the attribute is still right.
            let _ = exception.value(py).setattr("key", key);
        });
    }
    exception
}

/// What a panic of ours becomes: it is our bug, and the interpreter lives on.
pub(super) fn internal(operation: &str) -> PyErr {
    classes::StorageError::new_err(format!("internal error in {operation}; please report it with what is on stderr"))
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        raise(error)
    }
}
