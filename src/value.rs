//! The value of an entry, as Rust code sees it.

mod array;
mod convert;
mod decimal;
mod decode;
mod encode;
mod integer;
mod time;

use serde_json::Value as Json;
use uuid::Uuid;

pub use array::{Array, DType, Element};
pub use decimal::{Decimal, ParseDecimalError};
pub use integer::Integer;
pub use time::{Date, DateTime, Time, TimeDelta, UtcOffset};

pub(crate) use array::elements_of;
pub(crate) use decimal::{Parts, parse as parse_decimal};
pub(crate) use integer::to_magnitude;

use crate::codec::Kind;

/// A value: one variant for each kind that a storage keeps.
///
/// Equality is by kind and value: the integer 1, the float 1.0 and `true` all differ. The order of a map's items and of
/// a set's elements does not count. Floats and decimals compare as numbers, so a NaN equals nothing.
///
/// ```
/// use rrag_storage::MemoryValue;
///
/// let value = MemoryValue::from("text");
/// assert_eq!(value.as_string(), Some("text"));
/// assert_eq!(value.kind().name(), "string");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum MemoryValue {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer of any size.
    Integer(Integer),
    /// A float: its bits are kept, those of a NaN too.
    Float(f64),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<MemoryValue>),
    /// Items by key, in their order. A key that occurs twice can't be encoded.
    Map(Vec<(String, MemoryValue)>),
    /// A tuple.
    Tuple(Vec<MemoryValue>),
    /// A set. What Python can't hash can't be encoded as an element: lists, maps, sets, arrays.
    Set(Vec<MemoryValue>),
    /// A frozen set, with elements as in a set.
    FrozenSet(Vec<MemoryValue>),
    /// A day and a time.
    DateTime(DateTime),
    /// A day.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A duration.
    TimeDelta(TimeDelta),
    /// A decimal number.
    Decimal(Decimal),
    /// A UUID.
    Uuid(Uuid),
    /// An array of numbers, or a numpy scalar.
    Array(Array),
    /// A JSON document. It stands alone: inside another value it can't be encoded. Its integers are kept whatever their
    /// size; its other numbers are kept as 64-bit floats, and can't be encoded past their range.
    Json(Json),
}

impl MemoryValue {
    /// What the value is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) => Kind::Integer,
            Self::Float(_) => Kind::Float,
            Self::String(_) => Kind::String,
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
            Self::Json(_) => Kind::Json,
        }
    }

    /// The text; `None` for another kind.
    pub fn as_string(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The integer; `None` for another kind, and for one past 64 bits: see [`Integer`].
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => value.as_i64(),
            _ => None,
        }
    }

    /// The float; `None` for another kind.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The boolean; `None` for another kind.
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The JSON document; `None` for another kind.
    pub fn as_json(&self) -> Option<&Json> {
        match self {
            Self::Json(value) => Some(value),
            _ => None,
        }
    }

    /// The bytes; `None` for another kind.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(value) => Some(value),
            _ => None,
        }
    }
}

impl PartialEq for MemoryValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => same_items(a, b),
            (Self::Set(a), Self::Set(b)) | (Self::FrozenSet(a), Self::FrozenSet(b)) => same_elements(a, b),
            (Self::DateTime(a), Self::DateTime(b)) => a == b,
            (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::TimeDelta(a), Self::TimeDelta(b)) => a == b,
            (Self::Decimal(a), Self::Decimal(b)) => a == b,
            (Self::Uuid(a), Self::Uuid(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Json(a), Self::Json(b)) => a == b,
            _ => false,
        }
    }
}

fn same_items(a: &[(String, MemoryValue)], b: &[(String, MemoryValue)]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // Most equal maps have the same order as well.
    if a.iter().zip(b).all(|(a, b)| a.0 == b.0) {
        return a.iter().zip(b).all(|(a, b)| a.1 == b.1);
    }
    let by_key: std::collections::HashMap<_, _> = b.iter().map(|(key, value)| (key, value)).collect();
    by_key.len() == b.len() && a.iter().all(|(key, value)| by_key.get(key).is_some_and(|other| *other == value))
}

/// Sorted by their bytes first, so that large sets compare in good time; then each against all that is left, since equal
/// elements may have different bytes (decimals, datetimes).
fn same_elements(a: &[MemoryValue], b: &[MemoryValue]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut rest: Vec<(Vec<u8>, &MemoryValue)> = b.iter().map(|value| (value.sort_key(), value)).collect();
    rest.sort_by(|a, b| a.0.cmp(&b.0));
    let mut taken = vec![false; rest.len()];
    let mut unmatched = Vec::new();
    for value in a {
        let key = value.sort_key();
        let first = rest.partition_point(|(other, _)| *other < key);
        let place = (first..rest.len())
            .take_while(|&place| rest[place].0 == key)
            .find(|&place| !taken[place] && rest[place].1 == value);
        match place {
            Some(place) => taken[place] = true,
            None => unmatched.push(value),
        }
    }
    unmatched.into_iter().all(|value| {
        let place = (0..rest.len()).find(|&place| !taken[place] && rest[place].1 == value);
        place.inspect(|&place| taken[place] = true).is_some()
    })
}
