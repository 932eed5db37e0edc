//! `Key`, `Compression`, and the options of every backend that say what is done to values.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMapping, PyType};

use super::args;
use super::storage::PyStorage;
use crate::error::Error;
use crate::layers::{Compression, Dictionary, EncryptionKey, KEY_BYTES, KeyRing, Layers};

fn refused(message: impl Into<String>) -> PyErr {
    Error::Configuration(message.into()).into()
}

/// A key of 256 bits for encryption at rest.
#[pyclass(frozen, name = "Key", module = "rrag_storage")]
pub(super) struct PyKey(EncryptionKey);

#[pymethods]
impl PyKey {
    #[new]
    fn new(key: &Bound<'_, PyBytes>) -> PyResult<Self> {
        Ok(Self(EncryptionKey::new(key.as_bytes())?))
    }

    /// A new key from the system's random numbers.
    #[classmethod]
    fn generate(_class: &Bound<'_, PyType>) -> PyResult<Self> {
        Ok(Self(EncryptionKey::generate()?))
    }

    /// The key of a passphrase.
    #[classmethod]
    fn from_passphrase(class: &Bound<'_, PyType>, passphrase: &str, salt: &Bound<'_, PyBytes>) -> PyResult<Self> {
        let salt = salt.as_bytes().to_vec();
        // Argon2 takes a while by design.
        Ok(Self(class.py().detach(|| EncryptionKey::from_passphrase(passphrase, &salt))?))
    }

    /// The key in an environment variable.
    #[classmethod]
    fn from_env(_class: &Bound<'_, PyType>, name: &str) -> PyResult<Self> {
        let usual = |_| {
            refused(format!(
                "the environment variable {name} is not set, or not text; it should hold what Key.export() gave"
            ))
        };
        let text = zeroize::Zeroizing::new(std::env::var(name).map_err(usual)?);
        let bytes = zeroize::Zeroizing::new(decoded(text.trim()).unwrap_or_default());
        if bytes.len() != KEY_BYTES {
            return Err(refused(format!(
                "the environment variable {name} holds no key: {KEY_BYTES} bytes in base64 or hexadecimal, as Key.export() gives"
            )));
        }
        Ok(Self(EncryptionKey::new(&bytes)?))
    }

    /// The key in base64, to be kept somewhere safe.
    fn export(&self) -> String {
        STANDARD.encode(&*self.0.expose())
    }

    /// An id that tells the key from others and nothing about it.
    #[getter]
    fn fingerprint(&self) -> String {
        self.0.fingerprint()
    }

    fn __repr__(&self) -> String {
        format!("<Key {}>", self.0.fingerprint())
    }
}

/// Bytes in base64 of either alphabet, or in hexadecimal.
fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.len() == 2 * KEY_BYTES && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return (0..KEY_BYTES).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect();
    }
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

/// How values are compressed.
#[pyclass(frozen, name = "Compression", module = "rrag_storage")]
pub(super) struct PyCompression(Compression);

#[pymethods]
impl PyCompression {
    #[new]
    #[pyo3(signature = (method="zstd", *, level=None, dictionary=None))]
    fn new(method: &str, level: Option<i32>, dictionary: Option<&Bound<'_, PyBytes>>) -> PyResult<Self> {
        let compression = match (Compression::by_name(method), level, dictionary) {
            (None, ..) => return Err(refused("compression must be \"zstd\" or \"lz4\"")),
            (Some(Compression::Lz4), None, None) => Compression::Lz4,
            (Some(Compression::Lz4), ..) => return Err(refused("lz4 takes neither level nor dictionary")),
            (Some(_), level, None) => Compression::Zstd { level: level.unwrap_or(3) },
            (Some(_), level, Some(bytes)) => {
                let dictionary = Arc::new(Dictionary::new(bytes.as_bytes().to_vec())?);
                Compression::Dictionary { level: level.unwrap_or(3), dictionary }
            }
        };
        compression.validate()?;
        Ok(Self(compression))
    }

    /// zstd with a dictionary of what the samples have in common.
    #[classmethod]
    #[pyo3(signature = (samples, *, level=3))]
    fn train(class: &Bound<'_, PyType>, samples: &Bound<'_, PyAny>, level: i32) -> PyResult<Self> {
        let encoded: Vec<Vec<u8>> =
            samples.try_iter()?.map(|sample| Ok(args::value(&sample?)?.payload().to_vec())).collect::<PyResult<_>>()?;
        let dictionary = class.py().detach(|| Dictionary::train(&encoded))?;
        let compression = Compression::Dictionary { level, dictionary: Arc::new(dictionary) };
        compression.validate()?;
        Ok(Self(compression))
    }

    #[getter]
    fn method(&self) -> &'static str {
        match self.0 {
            Compression::Lz4 => "lz4",
            Compression::Zstd { .. } | Compression::Dictionary { .. } => "zstd",
        }
    }

    #[getter]
    fn level(&self) -> Option<i32> {
        match self.0 {
            Compression::Lz4 => None,
            Compression::Zstd { level } | Compression::Dictionary { level, .. } => Some(level),
        }
    }

    /// The trained dictionary, or None.
    #[getter]
    fn dictionary<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match &self.0 {
            Compression::Dictionary { dictionary, .. } => Some(PyBytes::new(py, dictionary.bytes())),
            _ => None,
        }
    }

    fn __repr__(&self) -> String {
        match &self.0 {
            Compression::Lz4 => "Compression('lz4')".to_owned(),
            Compression::Zstd { level } => format!("Compression('zstd', level={level})"),
            Compression::Dictionary { level, dictionary } => {
                format!("Compression('zstd', level={level}, dictionary=<{} bytes>)", dictionary.bytes().len())
            }
        }
    }
}

fn compression_of(given: &Bound<'_, PyAny>) -> PyResult<Compression> {
    if let Ok(compression) = given.cast::<PyCompression>() {
        return Ok(compression.get().0.clone());
    }
    let name = given.extract::<&str>().ok().and_then(Compression::by_name);
    name.ok_or_else(|| refused("compression must be None, \"zstd\", \"lz4\" or a Compression"))
}

fn key_of(given: &Bound<'_, PyAny>) -> PyResult<EncryptionKey> {
    if let Ok(key) = given.cast::<PyKey>() {
        return Ok(key.get().0.clone());
    }
    match given.cast::<PyBytes>() {
        Ok(bytes) => Ok(EncryptionKey::new(bytes.as_bytes())?),
        Err(_) => Err(PyTypeError::new_err(format!(
            "encryption_key must be a Key, {KEY_BYTES} bytes, or a mapping of ids to them, not {}",
            args::type_name(given)
        ))),
    }
}

fn ring_of(given: &Bound<'_, PyAny>, active: Option<&str>) -> PyResult<KeyRing> {
    let Ok(mapping) = given.cast::<PyMapping>() else {
        if active.is_some() {
            return Err(refused("active_key needs several keys: encryption_key={\"2026\": key, …}"));
        }
        return Ok(KeyRing::of(&key_of(given)?));
    };
    let key = |item: Bound<'_, PyAny>| {
        let (id, key): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        Ok((args::text("an id in encryption_key", &id)?.to_owned(), key_of(&key)?))
    };
    let keys: Vec<_> = mapping.items()?.iter().map(key).collect::<PyResult<_>>()?;
    Ok(KeyRing::new(&keys, active)?)
}

/// The layers that keyword options ask for; `class` is for the error about an option that there isn't.
pub(super) fn layers_of(class: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Layers> {
    let mut layers = Layers::default();
    let Some(options) = options else { return Ok(layers) };
    let (mut keys, mut active, mut required) = (None, None, None);
    for (name, value) in options {
        let name = args::text("an option", &name)?.to_owned();
        if value.is_none() {
            // As if it had not been given.
            if OPTIONS.contains(&name.as_str()) {
                continue;
            }
        }
        match name.as_str() {
            "compression" => layers.compression = Some(compression_of(&value)?),
            "compression_threshold" => layers.compression_threshold = Some(args::size(&name, 0, &value)?),
            "encryption_key" => keys = Some(value),
            "active_key" => active = Some(args::text(&name, &value)?.to_owned()),
            "require_encryption" => required = Some(args::boolean(&name, &value)?),
            "hide_keys" => layers.hide_keys = args::boolean(&name, &value)?,
            "large_values" => match value.cast::<PyStorage>() {
                Ok(storage) => layers.large_values = Some(storage.get().shared().as_ref().clone()),
                Err(_) => {
                    let message = format!("large_values must be an ObjectStorage, not {}", args::type_name(&value));
                    return Err(PyTypeError::new_err(message));
                }
            },
            "large_value_threshold" => layers.large_value_threshold = Some(args::size(&name, 1, &value)?),
            _ => return Err(PyTypeError::new_err(format!("{class} got an unexpected keyword argument '{name}'"))),
        }
    }
    layers.keys = keys.map(|keys| ring_of(&keys, active.as_deref())).transpose()?.map(Arc::new);
    if layers.keys.is_none() && (active.is_some() || required == Some(true)) {
        return Err(refused("active_key and require_encryption need encryption_key"));
    }
    layers.allow_unencrypted = required == Some(false);
    layers.validate()?;
    Ok(layers)
}

const OPTIONS: [&str; 8] = [
    "compression",
    "compression_threshold",
    "encryption_key",
    "active_key",
    "require_encryption",
    "hide_keys",
    "large_values",
    "large_value_threshold",
];
