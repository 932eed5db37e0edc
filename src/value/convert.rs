//! Values from what Rust code has at hand.

use serde_json::Value as Json;
use uuid::Uuid;

use super::{Array, Date, DateTime, Decimal, Integer, MemoryValue, Time, TimeDelta};

macro_rules! from {
    ($($type:ty => $variant:ident,)*) => {$(
        impl From<$type> for MemoryValue {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

from! {
    bool => Boolean,
    i32 => Integer,
    i64 => Integer,
    u32 => Integer,
    u64 => Integer,
    num_bigint::BigInt => Integer,
    Integer => Integer,
    f64 => Float,
    &str => String,
    String => String,
    Vec<u8> => Bytes,
    &[u8] => Bytes,
    Vec<MemoryValue> => List,
    Vec<(String, MemoryValue)> => Map,
    &[f32] => Array,
    Array => Array,
    DateTime => DateTime,
    Date => Date,
    Time => Time,
    TimeDelta => TimeDelta,
    Decimal => Decimal,
    Uuid => Uuid,
    Json => Json,
}

impl From<Vec<f32>> for MemoryValue {
    fn from(value: Vec<f32>) -> Self {
        Self::from(value.as_slice())
    }
}

impl From<()> for MemoryValue {
    fn from((): ()) -> Self {
        Self::Null
    }
}

impl<T: Into<MemoryValue>> From<Option<T>> for MemoryValue {
    /// `None` is [`MemoryValue::Null`].
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<i32> for Integer {
    fn from(number: i32) -> Self {
        i64::from(number).into()
    }
}

impl From<u32> for Integer {
    fn from(number: u32) -> Self {
        i64::from(number).into()
    }
}
