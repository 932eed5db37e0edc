//! What can go wrong, each with what was asked, what was wrong and what to do.

use std::fmt;

use crate::key::MAX_KEY_BYTES;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of an operation. No variant ever carries a password, a secret or a stored value.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage was closed.
    #[error("this {backend} storage is closed; open a new one")]
    Closed {
        /// The backend's name.
        backend: &'static str,
    },
    /// A write would go past a limit of the storage. Nothing was changed.
    #[error(
        "{limit} is reached: {needed} needed, {allowed} allowed; delete entries, raise the limit, or set eviction=\"lru\""
    )]
    LimitExceeded {
        /// The limit's name, as the constructor spells it.
        limit: &'static str,
        /// What the write would have taken the storage to.
        needed: u64,
        /// The limit.
        allowed: u64,
    },
    /// A transaction read a key that has changed since. Nothing was written.
    #[error(
        "key {key:?} was changed by someone else since this transaction read it; run the transaction again, or use transact()"
    )]
    Conflict {
        /// The key that changed.
        key: String,
    },
    /// A call of a transaction that was committed or rolled back.
    #[error("this transaction is over; begin a new one with transaction()")]
    TransactionFinished,
    /// A stored record can't be read: cut, changed, or not written by this library.
    #[error("{} is damaged: {reason}; restore it from a copy, or delete it", place(key))]
    Corrupted {
        /// The key under which the record stands; empty where it is not known.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A sealed record can't be opened, or one that should be sealed is not.
    #[error("{} can't be decrypted with key id {key_id:?}: {reason}", place(key))]
    Decryption {
        /// The key under which the record stands.
        key: String,
        /// The id of the key that seals it; empty where none does.
        key_id: String,
        /// Why not.
        reason: String,
    },
    /// The backend can't be reached or opened.
    #[error("{what}: {reason}")]
    Unavailable {
        /// Which backend, with no secret.
        what: String,
        /// Why, in the system's words.
        reason: String,
    },
    /// The backend did not answer in time.
    #[error("{what} took longer than {seconds} s; raise connection_timeout, or look for who holds it")]
    Timeout {
        /// What was waited for.
        what: String,
        /// The timeout.
        seconds: f64,
    },
    /// The backend can't do this.
    #[error("{backend} does not support {operation}: {reason}")]
    Unsupported {
        /// The backend's name.
        backend: &'static str,
        /// What was asked.
        operation: &'static str,
        /// Why not, and what to use instead.
        reason: String,
    },
    /// A backend that writes key by key failed in the middle.
    #[error("{} of {total} keys were written, then: {error}; write the others again", written.len())]
    PartialWrite {
        /// The keys that were written, or deleted.
        written: Vec<String>,
        /// How many there were to write.
        total: usize,
        /// Why the next was not.
        error: Box<Error>,
    },
    /// A key that can't be stored.
    #[error("{0}")]
    InvalidKey(KeyProblem),
    /// A value that can't be stored exactly.
    #[error("{path}: {what} is not supported")]
    UnsupportedType {
        /// Where in the value, as `value["docs"][3]`.
        path: String,
        /// The type or the trait that can't be stored.
        what: String,
    },
    /// The key holds a value of another kind than the operation works on.
    #[error("key {key:?} holds a {found}, not {wanted}")]
    WrongKind {
        /// The key.
        key: String,
        /// The kind that is there.
        found: &'static str,
        /// The kind that the operation needs.
        wanted: &'static str,
    },
    /// An argument outside its range.
    #[error("{0}")]
    InvalidArgument(String),
    /// An option or a url that can't be used.
    #[error("{0}")]
    Configuration(String),
    /// The backend refused or failed, in its own words.
    #[error("{backend}: {message}")]
    Backend {
        /// The backend's name.
        backend: &'static str,
        /// What it said.
        message: String,
    },
}

/// Why a key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyProblem {
    /// The empty string.
    Empty,
    /// Longer than the limit, in bytes of UTF-8.
    TooLong {
        /// The key's length.
        bytes: usize,
        /// The backend's limit.
        limit: usize,
    },
    /// Its object's name would be longer than the limit, with what stands before each and with each character written
    /// out in those that names may hold.
    NameTooLong {
        /// The name's length, in bytes.
        bytes: usize,
        /// The object store's limit.
        limit: usize,
    },
    /// Holds a lone surrogate, which UTF-8 can't express.
    LoneSurrogate,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a key must not be empty; give it at least one character"),
            Self::TooLong { bytes, limit } => {
                write!(f, "the key has {bytes} bytes in UTF-8, more than the {limit} allowed; shorten it or hash it")?;
                if *limit < MAX_KEY_BYTES {
                    f.write_str(" (this backend's own limit)")?;
                }
                Ok(())
            }
            Self::NameTooLong { bytes, limit } => write!(
                f,
                "the key takes {bytes} bytes as an object's name, with the storage's prefix, more than the {limit} allowed; shorten it or hash it (this backend's own limit)"
            ),
            Self::LoneSurrogate => {
                f.write_str("the key holds a lone surrogate, which UTF-8 can't express; encode it first, with 'surrogateescape' for a file name")
            }
        }
    }
}

/// What is damaged: a record, or what holds them all.
fn place(key: &str) -> String {
    if key.is_empty() { "the stored data".to_owned() } else { format!("the record under key {key:?}") }
}

impl Error {
    /// Whether the same call may succeed later, with nothing changed by the caller.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Unavailable { .. } | Self::Timeout { .. })
            || matches!(self, Self::PartialWrite { error, .. } if error.is_retryable())
    }

    /// The key the error is about, where there is one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Corrupted { key, .. } if key.is_empty() => None,
            Self::Conflict { key }
            | Self::Corrupted { key, .. }
            | Self::Decryption { key, .. }
            | Self::WrongKind { key, .. } => Some(key),
            _ => None,
        }
    }
}
