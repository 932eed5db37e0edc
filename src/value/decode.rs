//! Bytes to Rust values.

use std::collections::HashSet;

use serde_json::{Map, Number, Value as Json};
use uuid::Uuid;

use super::{Array, Element, Integer, MemoryValue};
use crate::codec::{ArrayToken, Damage, Kind, Reader, Token};

/// The most bytes of an integer in a JSON document: it is held as text, and the way there takes the square of its length.
const MAX_JSON_INTEGER_BYTES: usize = 1 << 16;

const INCOMPATIBLE: Damage = Damage::new("it holds a JSON number that can't be represented");

impl MemoryValue {
    /// The value of `kind` that `payload` holds: all of it.
    ///
    /// # Errors
    ///
    /// Whatever the bytes are, a reason or a value; never a panic, nor more memory than a small multiple of their length.
    pub fn decode(kind: Kind, payload: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader::new(kind, payload);
        let token = reader.token(0)?;
        token.check_kind(kind)?;
        let value = match kind {
            Kind::Json => Self::Json(json(&mut reader, &token, 0)?),
            _ => value(&mut reader, token, 0)?,
        };
        reader.finish()?;
        Ok(value)
    }
}

fn utf8(bytes: &[u8]) -> Result<String, Damage> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(Damage::new("it holds text that is no UTF-8")),
    }
}

fn value(reader: &mut Reader<'_>, token: Token<'_>, depth: u32) -> Result<MemoryValue, Damage> {
    Ok(match token {
        Token::Null => MemoryValue::Null,
        Token::Boolean(value) => MemoryValue::Boolean(value),
        Token::Integer(value) => MemoryValue::Integer(value.into()),
        Token::BigInteger { negative, magnitude } => MemoryValue::Integer(Integer::from_magnitude(negative, magnitude)),
        Token::Float(value) => MemoryValue::Float(value),
        Token::Text(value) => MemoryValue::String(utf8(value)?),
        Token::Bytes(value) => MemoryValue::Bytes(value.into()),
        Token::List(count) => MemoryValue::List(items(reader, count, depth)?),
        Token::Tuple(count) => MemoryValue::Tuple(items(reader, count, depth)?),
        Token::Set(count) => MemoryValue::Set(elements(reader, count, depth)?),
        Token::FrozenSet(count) => MemoryValue::FrozenSet(elements(reader, count, depth)?),
        Token::Map(count) => map(reader, count, depth)?,
        Token::DateTime(value) => MemoryValue::DateTime(value),
        Token::Date(value) => MemoryValue::Date(value),
        Token::Time(value) => MemoryValue::Time(value),
        Token::TimeDelta(value) => MemoryValue::TimeDelta(value),
        Token::Decimal(value) => MemoryValue::Decimal(value),
        Token::Uuid(value) => MemoryValue::Uuid(Uuid::from_bytes(value)),
        Token::Array(value) => MemoryValue::Array(array(*value)?),
    })
}

/// How many items to make room for at once: what the reader let through is bounded, but a value is larger than its bytes.
const ROOM: usize = 1 << 12;

fn items(reader: &mut Reader<'_>, count: usize, depth: u32) -> Result<Vec<MemoryValue>, Damage> {
    let mut items = Vec::with_capacity(count.min(ROOM));
    for _ in 0..count {
        let token = reader.token(depth + 1)?;
        items.push(value(reader, token, depth + 1)?);
    }
    Ok(items)
}

fn elements(reader: &mut Reader<'_>, count: usize, depth: u32) -> Result<Vec<MemoryValue>, Damage> {
    let mut elements = Vec::with_capacity(count.min(ROOM));
    let mut seen = HashSet::with_capacity(count.min(ROOM));
    for _ in 0..count {
        let before = reader.rest();
        let token = reader.token(depth + 1)?;
        let element = value(reader, token, depth + 1)?;
        if !element.is_hashable() {
            return Err(Damage::new("it holds a set with an element that can't be hashed"));
        }
        if !seen.insert(&before[..before.len() - reader.rest().len()]) && element.equals_itself() {
            return Err(Damage::new("it holds a set with an element twice"));
        }
        elements.push(element);
    }
    Ok(elements)
}

fn map(reader: &mut Reader<'_>, count: usize, depth: u32) -> Result<MemoryValue, Damage> {
    let mut items = Vec::with_capacity(count.min(ROOM));
    let mut seen = HashSet::with_capacity(count.min(ROOM));
    for _ in 0..count {
        let key = unique_key(reader, &mut seen)?;
        let token = reader.token(depth + 1)?;
        items.push((key, value(reader, token, depth + 1)?));
    }
    Ok(MemoryValue::Map(items))
}

fn unique_key<'a>(reader: &mut Reader<'a>, seen: &mut HashSet<&'a [u8]>) -> Result<String, Damage> {
    let key = reader.key()?;
    if seen.insert(key) { utf8(key) } else { Err(Damage::new("it holds a map with a key twice")) }
}

fn array(token: ArrayToken<'_>) -> Result<Array, Damage> {
    let ArrayToken { dtype, shape, data, scalar } = token;
    let data = match dtype.element() {
        Element::Bool => data.iter().map(|byte| byte & 1).collect(),
        _ => data.to_vec(),
    };
    let array = if !scalar {
        Array::new(dtype, shape.into_vec(), data)
    } else if dtype.is_big_endian() {
        Array::scalar(dtype.element(), data.into_iter().rev().collect())
    } else {
        Array::scalar(dtype.element(), data)
    };
    array.ok_or(Damage::new("it holds an array whose shape and data do not fit"))
}

fn json(reader: &mut Reader<'_>, token: &Token<'_>, depth: u32) -> Result<Json, Damage> {
    Ok(match *token {
        Token::Null => Json::Null,
        Token::Boolean(value) => Json::Bool(value),
        Token::Integer(value) => Json::Number(value.into()),
        Token::BigInteger { negative, magnitude } => Json::Number(number(negative, magnitude)?),
        Token::Float(value) => Json::Number(Number::from_f64(value).ok_or(INCOMPATIBLE)?),
        Token::Text(value) => Json::String(utf8(value)?),
        Token::List(count) => {
            let mut items = Vec::with_capacity(count.min(ROOM));
            for _ in 0..count {
                let token = reader.token(depth + 1)?;
                items.push(json(reader, &token, depth + 1)?);
            }
            Json::Array(items)
        }
        Token::Map(count) => {
            let mut items = Map::with_capacity(count.min(ROOM));
            let mut seen = HashSet::with_capacity(count.min(ROOM));
            for _ in 0..count {
                let key = unique_key(reader, &mut seen)?;
                let token = reader.token(depth + 1)?;
                items.insert(key, json(reader, &token, depth + 1)?);
            }
            Json::Object(items)
        }
        _ => return Err(INCOMPATIBLE),
    })
}

fn number(negative: bool, magnitude: &[u8]) -> Result<Number, Damage> {
    if magnitude.len() > MAX_JSON_INTEGER_BYTES {
        return Err(INCOMPATIBLE);
    }
    Integer::from_magnitude(negative, magnitude).to_string().parse().map_err(|_| INCOMPATIBLE)
}
