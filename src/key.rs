//! Keys: UTF-8, compared byte by byte, with namespaces before each `::`.

use std::borrow::Borrow;
use std::ops::Deref;

use smol_str::SmolStr;

use crate::error::{Error, KeyProblem, Result};

/// The longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 2048;

/// What stands between a namespace and the rest of a key.
pub(crate) const SEPARATOR: &str = "::";

/// A key: between 1 and [`MAX_KEY_BYTES`] bytes of UTF-8. Ordered byte by byte, which is by code point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(SmolStr);

impl Key {
    /// Checks `key` and stores `prefix` and it, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`] for an empty key, and for one longer than `limit` bytes with its prefix.
    pub fn with_prefix(prefix: &str, key: &str, limit: usize) -> Result<Self> {
        if key.is_empty() {
            return Err(Error::InvalidKey(KeyProblem::Empty));
        }
        let bytes = prefix.len() + key.len();
        if bytes > limit {
            return Err(Error::InvalidKey(KeyProblem::TooLong { bytes, limit }));
        }
        if prefix.is_empty() {
            return Ok(Self(SmolStr::new(key)));
        }
        let mut whole = String::with_capacity(bytes);
        whole.push_str(prefix);
        whole.push_str(key);
        Ok(Self(SmolStr::from(whole)))
    }

    /// Checks `key`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`] for an empty key and for one that is too long.
    pub fn new(key: &str) -> Result<Self> {
        Self::with_prefix("", key, MAX_KEY_BYTES)
    }

    /// A key that a storage holds, and which was checked when it was written.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupted`] for bytes that are no UTF-8.
    pub fn from_stored(bytes: &[u8]) -> Result<Self> {
        match std::str::from_utf8(bytes) {
            Ok(key) => Ok(Self(SmolStr::new(key))),
            Err(_) => Err(Error::Corrupted {
                key: String::from_utf8_lossy(bytes).into_owned(),
                reason: "the key is not UTF-8".into(),
            }),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as bytes of UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The namespaces of `key`, outermost first: what stands before each `::`, read from the left, none overlapping.
#[cfg(test)]
pub(crate) fn namespaces_of(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices(SEPARATOR).map(|(at, _)| &key[..at])
}

/// The smallest byte string that is greater than every string that starts with `prefix`; `None` where there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_stand_before_each_separator() {
        let of = |key| namespaces_of(key).collect::<Vec<_>>();
        assert_eq!(of("users::ada::notes"), ["users", "users::ada"]);
        assert_eq!(of("plain"), [""; 0]);
        assert_eq!(of("a:::b"), ["a"]);
        assert_eq!(of("a::::b"), ["a", "a::"]);
        assert_eq!(of("::x"), [""]);
        assert_eq!(of("x::"), ["x"]);
    }

    #[test]
    fn prefix_end_is_the_next_string_past_the_prefix() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }

    #[test]
    fn keys_are_bounded() {
        assert!(matches!(Key::new(""), Err(Error::InvalidKey(KeyProblem::Empty))));
        assert!(Key::new(&"é".repeat(1024)).is_ok());
        assert!(matches!(
            Key::new(&"é".repeat(1025)),
            Err(Error::InvalidKey(KeyProblem::TooLong { bytes: 2050, limit: 2048 }))
        ));
    }
}
