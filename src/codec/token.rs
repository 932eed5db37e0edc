//! What a payload is made of.

use smallvec::SmallVec;

use super::cbor::{self, Cursor};
use super::{Damage, Kind, tags};
use crate::value::{DType, Date, DateTime, Decimal, Time, TimeDelta};

/// One scalar, or the beginning of a container with the number of its items.
#[derive(Debug)]
pub(crate) enum Token<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    /// `magnitude` (big-endian), or -1 minus it.
    BigInteger {
        negative: bool,
        magnitude: &'a [u8],
    },
    Float(f64),
    /// Claimed to be UTF-8, not checked.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    List(usize),
    /// Each item is a [`super::Reader::key`] and a value.
    Map(usize),
    Tuple(usize),
    Set(usize),
    FrozenSet(usize),
    DateTime(DateTime),
    Date(Date),
    Time(Time),
    TimeDelta(TimeDelta),
    Decimal(Decimal),
    Uuid([u8; 16]),
    Array(Box<ArrayToken<'a>>),
}

/// An array or scalar whose data is as long as shape and type say. Booleans are CBOR's: 0xF4 and 0xF5.
#[derive(Debug)]
pub(crate) struct ArrayToken<'a> {
    pub(crate) dtype: DType,
    pub(crate) shape: SmallVec<[u64; 4]>,
    pub(crate) data: &'a [u8],
    pub(crate) scalar: bool,
}

impl Token<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) | Self::BigInteger { .. } => Kind::Integer,
            Self::Float(_) => Kind::Float,
            Self::Text(_) => Kind::String,
            Self::Bytes(_) => Kind::Bytes,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
            Self::Tuple(_) => Kind::Tuple,
            Self::Set(_) => Kind::Set,
            Self::FrozenSet(_) => Kind::FrozenSet,
            Self::DateTime(_) => Kind::DateTime,
            Self::Date(_) => Kind::Date,
            Self::Time(_) => Kind::Time,
            Self::TimeDelta(_) => Kind::TimeDelta,
            Self::Decimal(_) => Kind::Decimal,
            Self::Uuid(_) => Kind::Uuid,
            Self::Array(_) => Kind::Array,
        }
    }

    /// Whether a JSON document can hold it.
    pub(crate) fn is_json(&self) -> bool {
        match self {
            Self::Float(value) => value.is_finite(),
            Self::Null
            | Self::Boolean(_)
            | Self::Integer(_)
            | Self::BigInteger { .. }
            | Self::Text(_)
            | Self::List(_)
            | Self::Map(_) => true,
            _ => false,
        }
    }

    /// Fails where a value of `kind` can't begin so.
    pub(crate) fn check_kind(&self, kind: Kind) -> Result<(), Damage> {
        if kind == Kind::Json || self.kind() == kind {
            return Ok(());
        }
        Err(Damage::of(format!("its header says {kind}, its payload is a {}", self.kind())))
    }
}

/// The kind of the value that `payload` begins with, by its first heads; `None` where it begins with none.
pub(crate) fn kind_of(payload: &[u8]) -> Option<Kind> {
    let mut cursor = Cursor::new(payload);
    let mut head = cursor.head().ok()?;
    if head.major == cbor::TAG && head.argument == tags::FOLD {
        head = cursor.head().ok()?;
    }
    Some(match (head.major, head.argument) {
        (cbor::UNSIGNED | cbor::NEGATIVE, _) | (cbor::TAG, tags::BIGNUM | tags::NEGATIVE_BIGNUM) => Kind::Integer,
        (cbor::BYTES, _) => Kind::Bytes,
        (cbor::TEXT, _) => Kind::String,
        (cbor::ARRAY, _) => Kind::List,
        (cbor::MAP, _) => Kind::Map,
        (cbor::TAG, tags::TUPLE) => Kind::Tuple,
        (cbor::TAG, tags::SET) => Kind::Set,
        (cbor::TAG, tags::FROZEN_SET) => Kind::FrozenSet,
        (cbor::TAG, tags::DATE_TIME_TEXT | tags::NAIVE_DATE_TIME | tags::FINE_DATE_TIME) => Kind::DateTime,
        (cbor::TAG, tags::DATE) => Kind::Date,
        (cbor::TAG, tags::TIME) => Kind::Time,
        (cbor::TAG, tags::DURATION) => Kind::TimeDelta,
        (cbor::TAG, tags::DECIMAL_FRACTION | tags::DECIMAL_TEXT) => Kind::Decimal,
        (cbor::TAG, tags::UUID) => Kind::Uuid,
        (cbor::TAG, tags::ARRAY | tags::SCALAR) => Kind::Array,
        (cbor::OTHER, 20 | 21) if head.info < 24 => Kind::Boolean,
        (cbor::OTHER, 22) if head.info < 24 => Kind::Null,
        (cbor::OTHER, _) if head.info == 27 => Kind::Float,
        _ => return None,
    })
}
