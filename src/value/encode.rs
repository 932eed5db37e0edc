//! Rust values to bytes.

use std::collections::HashSet;

use num_bigint::BigInt;
use serde_json::{Number, Value as Json};

use super::{Array, Element, Integer, MemoryValue};
use crate::codec::{Encoded, Step, Unsupported, Writer};
use crate::error::Result;

/// The longest number in a JSON document: reading it back as text takes the square of its length.
const MAX_JSON_DIGITS: usize = 150_000;

type Written<T = ()> = std::result::Result<T, Unsupported>;

impl MemoryValue {
    /// The value as bytes.
    ///
    /// # Errors
    ///
    /// [`crate::Error::UnsupportedType`], with the place in the value, for what can't be read back as it was: nesting
    /// past [`crate::codec::MAX_DEPTH`], a map with a key twice, an element of a set that Python can't hash, a JSON
    /// document inside another value, a JSON number past a float's range, and what goes past the codec's limits.
    pub fn encode(&self) -> Result<Encoded> {
        let mut writer = Writer::new(128);
        let json = if let Self::Json(document) = self {
            write_json(&mut writer, document, 0)?;
            true
        } else {
            self.write(&mut writer, 0)?;
            false
        };
        writer.finish(json).map_err(|refused| Unsupported::from(refused).into())
    }

    /// Bytes that equal values of most kinds have in common; empty for what can't be encoded.
    pub(super) fn sort_key(&self) -> Vec<u8> {
        self.encode().map(Encoded::into_body).unwrap_or_default()
    }

    fn write(&self, writer: &mut Writer, depth: u32) -> Written {
        match self {
            Self::Null => writer.null(),
            Self::Boolean(value) => writer.boolean(*value),
            Self::Integer(value) => write_integer(writer, value)?,
            Self::Float(value) => writer.float(*value),
            Self::String(value) => writer.text(value)?,
            Self::Bytes(value) => writer.bytes(value)?,
            Self::List(items) => {
                writer.list(items.len(), depth)?;
                write_items(writer, items, depth)?;
            }
            Self::Tuple(items) => {
                writer.tuple(items.len(), depth)?;
                write_items(writer, items, depth)?;
            }
            Self::Map(items) => write_map(writer, items, depth)?,
            Self::Set(elements) => {
                writer.set(elements.len(), depth)?;
                write_elements(writer, elements, depth)?;
            }
            Self::FrozenSet(elements) => {
                writer.frozen_set(elements.len(), depth)?;
                write_elements(writer, elements, depth)?;
            }
            Self::DateTime(value) => writer.date_time(*value)?,
            Self::Date(value) => writer.date(*value)?,
            Self::Time(value) => writer.time(*value)?,
            Self::TimeDelta(value) => writer.time_delta(*value),
            Self::Decimal(value) => writer.decimal(value.as_str())?,
            Self::Uuid(value) => writer.uuid(value.as_bytes())?,
            Self::Array(value) if value.is_scalar() => writer.scalar(value.dtype(), value.data())?,
            Self::Array(value) => writer.array(value.dtype(), value.shape(), value.data())?,
            Self::Json(_) => return Err(Unsupported::new("a JSON document inside another value")),
        }
        Ok(())
    }

    /// Whether it is no NaN and holds none, nor may be one of numpy's: of these a set may have several, as in Python.
    pub(super) fn equals_itself(&self) -> bool {
        match self {
            Self::Float(value) => !value.is_nan(),
            Self::Decimal(decimal) => !decimal.as_str().contains("NaN"),
            Self::Tuple(items) | Self::FrozenSet(items) => items.iter().all(Self::equals_itself),
            Self::Array(array) => !matches!(array.dtype().element(), Element::F16 | Element::F32 | Element::F64),
            _ => true,
        }
    }

    /// Whether Python can hash it.
    pub(super) fn is_hashable(&self) -> bool {
        match self {
            Self::List(_) | Self::Map(_) | Self::Set(_) | Self::Json(_) => false,
            Self::Array(array) => Array::is_scalar(array),
            // A signalling NaN raises when it is hashed.
            Self::Decimal(decimal) => !decimal.as_str().contains("sNaN"),
            Self::Tuple(items) => items.iter().all(Self::is_hashable),
            _ => true,
        }
    }
}

fn write_integer(writer: &mut Writer, value: &Integer) -> Written {
    match value.as_big() {
        Ok(small) => writer.integer(small),
        Err(big) => writer.big_integer(big)?,
    }
    Ok(())
}

fn write_items(writer: &mut Writer, items: &[MemoryValue], depth: u32) -> Written {
    for (index, item) in items.iter().enumerate() {
        item.write(writer, depth + 1).map_err(|error| error.inside(Step::Index(index)))?;
    }
    Ok(())
}

fn write_elements(writer: &mut Writer, elements: &[MemoryValue], depth: u32) -> Written {
    let mut places = Vec::with_capacity(elements.len());
    for element in elements {
        if !element.is_hashable() {
            let what = format!("an element that Python can't hash (a {})", element.kind());
            return Err(Unsupported::new(what).inside(Step::Member));
        }
        places.push(writer.position());
        element.write(writer, depth + 1).map_err(|error| error.inside(Step::Member))?;
    }
    let ends = places.iter().skip(1).copied().chain([writer.position()]);
    let mut seen = HashSet::with_capacity(elements.len());
    for ((&start, end), element) in places.iter().zip(ends).zip(elements) {
        if !seen.insert(&writer.since(start)[..end - start]) && element.equals_itself() {
            return Err(Unsupported::new("a set with an element twice"));
        }
    }
    Ok(())
}

fn write_map(writer: &mut Writer, items: &[(String, MemoryValue)], depth: u32) -> Written {
    writer.map(items.len(), depth)?;
    let mut seen = HashSet::with_capacity(items.len());
    for (key, value) in items {
        if !seen.insert(key) {
            return Err(Unsupported::new("a key that occurs twice").inside(Step::Key(key.clone())));
        }
        writer.text(key)?;
        value.write(writer, depth + 1).map_err(|error| error.inside(Step::Key(key.clone())))?;
    }
    Ok(())
}

fn write_json(writer: &mut Writer, document: &Json, depth: u32) -> Written {
    match document {
        Json::Null => writer.null(),
        Json::Bool(value) => writer.boolean(*value),
        Json::Number(number) => write_number(writer, number)?,
        Json::String(value) => writer.text(value)?,
        Json::Array(items) => {
            writer.list(items.len(), depth)?;
            for (index, item) in items.iter().enumerate() {
                write_json(writer, item, depth + 1).map_err(|error| error.inside(Step::Index(index)))?;
            }
        }
        Json::Object(items) => {
            writer.map(items.len(), depth)?;
            for (key, value) in items {
                writer.text(key)?;
                write_json(writer, value, depth + 1).map_err(|error| error.inside(Step::Key(key.clone())))?;
            }
        }
    }
    Ok(())
}

fn write_number(writer: &mut Writer, number: &Number) -> Written {
    if let Some(small) = number.as_i64() {
        writer.integer(small);
        return Ok(());
    }
    let text = number.as_str();
    if text.len() > MAX_JSON_DIGITS {
        return Err(Unsupported::new("a JSON number of more than 150,000 characters"));
    }
    if let Some(big) = BigInt::parse_bytes(text.as_bytes(), 10) {
        return write_integer(writer, &big.into());
    }
    match number.as_f64() {
        Some(value) if value.is_finite() => writer.float(value),
        _ => return Err(Unsupported::new("a JSON number past the range of a float")),
    }
    Ok(())
}
