//! Values as bytes: a short header, and CBOR (RFC 8949) after it. `docs/format.md` names every byte.
//!
//! Invariants:
//!
//! 1. There is one [`Writer`] and one [`Reader`]. Rust values and Python objects both pass through them, so the bytes of
//!    a value do not depend on where it came from.
//! 2. Reading is total: any bytes give a value or a [`Damage`], in memory and time bounded by their number.
//! 3. What the writer lets through the reader reads: both hold to the same limits.

mod cbor;
mod header;
mod path;
mod read;
mod tags;
mod text;
mod token;
mod write;

use std::borrow::Cow;
use std::fmt;

pub use header::open;
pub(crate) use header::{Frame, HEADER_BYTES, Packing};
pub(crate) use path::{Step, Unsupported};
pub(crate) use read::Reader;
pub(crate) use token::{ArrayToken, Token};
pub(crate) use write::{Refused, Writer};

/// The deepest nesting of a value: a scalar has depth 0, an empty list depth 1.
pub const MAX_DEPTH: u32 = 128;
/// The most lists, maps, tuples and sets in one value, counted as often as they occur.
pub const MAX_CONTAINERS: u32 = 1 << 24;
/// The most bytes in one encoded value.
pub const MAX_BYTES: usize = (i32::MAX as usize) - (64 << 10);
/// The most digits of a decimal that is stored as a decimal fraction; longer ones are stored as text.
pub(crate) const MAX_FRACTION_DIGITS: usize = 1000;

/// What a value is. The numbers are stored: none is ever given a second meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Kind {
    Null = 1,
    Boolean = 2,
    Integer = 3,
    Float = 4,
    String = 5,
    Bytes = 6,
    List = 7,
    Map = 8,
    Tuple = 9,
    Set = 10,
    FrozenSet = 11,
    DateTime = 12,
    Date = 13,
    Time = 14,
    TimeDelta = 15,
    Decimal = 16,
    Uuid = 17,
    Array = 18,
    Json = 19,
}

impl Kind {
    /// Every kind, by number.
    pub const ALL: [Self; 19] = [
        Self::Null,
        Self::Boolean,
        Self::Integer,
        Self::Float,
        Self::String,
        Self::Bytes,
        Self::List,
        Self::Map,
        Self::Tuple,
        Self::Set,
        Self::FrozenSet,
        Self::DateTime,
        Self::Date,
        Self::Time,
        Self::TimeDelta,
        Self::Decimal,
        Self::Uuid,
        Self::Array,
        Self::Json,
    ];

    /// The kind with this number in a header.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The name that users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Tuple => "tuple",
            Self::Set => "set",
            Self::FrozenSet => "frozenset",
            Self::DateTime => "datetime",
            Self::Date => "date",
            Self::Time => "time",
            Self::TimeDelta => "timedelta",
            Self::Decimal => "decimal",
            Self::Uuid => "uuid",
            Self::Array => "array",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes can't be read as a value. Says nothing of what they hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damage(Cow<'static, str>);

impl Damage {
    pub(crate) const fn new(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }

    pub(crate) fn of(reason: String) -> Self {
        Self(Cow::Owned(reason))
    }

    /// The damage as an error of the record under `key`.
    #[must_use]
    pub fn under(self, key: &str) -> crate::Error {
        crate::Error::Corrupted { key: key.into(), reason: self.0.into_owned() }
    }
}

/// An encoded value: header and CBOR in one buffer, which holds both from the first byte written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    kind: Kind,
    body: Vec<u8>,
}

impl Encoded {
    /// Takes the body of a record over. Only its header is looked at.
    ///
    /// # Errors
    ///
    /// As [`open`].
    pub fn from_body(body: Vec<u8>) -> Result<Self, Damage> {
        let (kind, _) = open(&body)?;
        Ok(Self { kind, body })
    }

    /// What the value is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The kind that the payload has by itself: that of its outermost value, for a JSON document.
    pub fn plain_kind(&self) -> Kind {
        token::kind_of(self.payload()).unwrap_or(self.kind)
    }

    /// The CBOR of the value, without the header.
    pub fn payload(&self) -> &[u8] {
        &self.body[HEADER_BYTES..]
    }

    /// The length of [`Self::payload`].
    pub fn size(&self) -> usize {
        self.body.len() - HEADER_BYTES
    }

    /// Header and payload.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Header and payload, as a record's body.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_number() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind as u8), Some(kind));
        }
        assert_eq!(Kind::from_number(0), None);
        assert_eq!(Kind::from_number(20), None);
    }
}
