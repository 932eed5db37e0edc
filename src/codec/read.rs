//! Reading a value's CBOR, token by token. Whatever the bytes are, the outcome is a token or a [`Damage`].
//!
//! Invariants:
//!
//! 1. The items that all open containers still owe are never more than the bytes left (each takes one at least). So
//!    what a reader allocates for declared lengths is bounded by the length of its input, at any nesting.
//! 2. Each token is complete but for the items of a container, which follow as tokens of their own.

use num_bigint::BigUint;
use smallvec::SmallVec;

use super::cbor::{self, Cursor, Head};
use super::token::{ArrayToken, Token};
use super::{Damage, Kind, MAX_CONTAINERS, MAX_DEPTH, MAX_FRACTION_DIGITS, tags, text};
use crate::value::{Array, DType, DateTime, Decimal, Element, Parts, TimeDelta, elements_of};

/// The most bytes of a mantissa with [`MAX_FRACTION_DIGITS`] digits.
const MAX_MANTISSA_BYTES: usize = MAX_FRACTION_DIGITS * 10 / 24 + 1;

/// Reads one value.
pub(crate) struct Reader<'a> {
    cursor: Cursor<'a>,
    owed: usize,
    containers: u32,
    json: bool,
}

impl<'a> Reader<'a> {
    /// A reader of a value of `kind`; only what JSON has gets through where that is a JSON document.
    pub(crate) fn new(kind: Kind, payload: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(payload), owed: 1, containers: 0, json: kind == Kind::Json }
    }

    /// What is left to read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.cursor.rest()
    }

    /// Ends the value.
    pub(crate) fn finish(self) -> Result<(), Damage> {
        if self.cursor.left() == 0 { Ok(()) } else { Err(Damage::new("bytes follow its end")) }
    }

    /// The next token; `depth` is how many containers stand around it.
    #[inline]
    pub(crate) fn token(&mut self, depth: u32) -> Result<Token<'a>, Damage> {
        let token = self.any_token(depth)?;
        if self.json && !token.is_json() {
            return Err(Damage::new("it holds what no JSON document can"));
        }
        Ok(token)
    }

    #[inline]
    #[allow(clippy::cast_possible_wrap, reason = "the guards leave what fits")]
    fn any_token(&mut self, depth: u32) -> Result<Token<'a>, Damage> {
        self.owed = self.owed.saturating_sub(1);
        let Head { major, info, argument } = self.cursor.head()?;
        let fits = i64::try_from(argument).is_ok();
        Ok(match major {
            cbor::TEXT => Token::Text(self.cursor.take(argument)?),
            cbor::UNSIGNED if fits => Token::Integer(argument as i64),
            cbor::NEGATIVE if fits => Token::Integer(!(argument as i64)),
            cbor::UNSIGNED | cbor::NEGATIVE => {
                Token::BigInteger { negative: major == cbor::NEGATIVE, magnitude: self.cursor.last_eight() }
            }
            cbor::BYTES => Token::Bytes(self.cursor.take(argument)?),
            cbor::ARRAY => Token::List(self.open(argument, 1, depth)?),
            cbor::MAP => Token::Map(self.open(argument, 2, depth)?),
            cbor::TAG => self.tagged(argument, depth)?,
            _ => match (info, argument) {
                (20, _) => Token::Boolean(false),
                (21, _) => Token::Boolean(true),
                (22, _) => Token::Null,
                (27, bits) => Token::Float(f64::from_bits(bits)),
                _ => return Err(Damage::new("it holds a simple value or a float that is never written")),
            },
        })
    }

    /// A key of a map: text, not checked to be UTF-8.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<&'a [u8], Damage> {
        self.owed = self.owed.saturating_sub(1);
        let head = self.cursor.head()?;
        if head.major != cbor::TEXT {
            return Err(Damage::new("it holds a map whose key is no text"));
        }
        self.cursor.take(head.argument)
    }

    #[inline]
    fn open(&mut self, items: u64, each: usize, depth: u32) -> Result<usize, Damage> {
        if depth >= MAX_DEPTH {
            return Err(Damage::new("it is nested deeper than 128"));
        }
        if self.containers == MAX_CONTAINERS {
            return Err(Damage::new("it holds more containers than are ever written"));
        }
        self.containers += 1;
        let cut = Damage::new("it is cut: it claims more items than there are bytes");
        let Ok(items) = usize::try_from(items) else { return Err(cut) };
        let owed = items.checked_mul(each).and_then(|more| self.owed.checked_add(more));
        match owed {
            Some(owed) if owed <= self.cursor.left() => {
                self.owed = owed;
                Ok(items)
            }
            _ => Err(cut),
        }
    }

    fn tagged(&mut self, tag: u64, depth: u32) -> Result<Token<'a>, Damage> {
        Ok(match tag {
            tags::DATE_TIME_TEXT | tags::NAIVE_DATE_TIME | tags::FINE_DATE_TIME => {
                Token::DateTime(self.date_time(tag)?)
            }
            tags::TIME => Token::Time(self.parsed(text::parse_time)?),
            tags::FOLD => self.folded()?,
            tags::DATE => Token::Date(self.parsed(text::parse_date)?),
            tags::DURATION => Token::TimeDelta(self.duration()?),
            tags::BIGNUM | tags::NEGATIVE_BIGNUM => {
                Token::BigInteger { negative: tag == tags::NEGATIVE_BIGNUM, magnitude: self.blob(cbor::BYTES)? }
            }
            tags::DECIMAL_FRACTION => Token::Decimal(self.decimal_fraction()?),
            tags::DECIMAL_TEXT => Token::Decimal(self.parsed(|text| std::str::from_utf8(text).ok()?.parse().ok())?),
            tags::UUID => match self.blob(cbor::BYTES)?.try_into() {
                Ok(bytes) => Token::Uuid(bytes),
                Err(_) => return Err(Damage::new("it holds a UUID that has not 16 bytes")),
            },
            tags::TUPLE => Token::Tuple(self.tagged_array(depth)?),
            tags::SET => Token::Set(self.tagged_array(depth)?),
            tags::FROZEN_SET => Token::FrozenSet(self.tagged_array(depth)?),
            tags::ARRAY => Token::Array(Box::new(self.array()?)),
            tags::SCALAR => Token::Array(Box::new(self.scalar()?)),
            _ => return Err(Damage::of(format!("it holds tag {tag}, which this version does not know"))),
        })
    }

    fn argument(&mut self, major: u8) -> Result<u64, Damage> {
        let head = self.cursor.head()?;
        if head.major == major {
            return Ok(head.argument);
        }
        Err(Damage::new("it holds a tag on the wrong type of data item"))
    }

    fn blob(&mut self, major: u8) -> Result<&'a [u8], Damage> {
        let length = self.argument(major)?;
        self.cursor.take(length)
    }

    fn tagged_array(&mut self, depth: u32) -> Result<usize, Damage> {
        let items = self.argument(cbor::ARRAY)?;
        self.open(items, 1, depth)
    }

    fn parsed<T>(&mut self, parse: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, Damage> {
        parse(self.blob(cbor::TEXT)?).ok_or(Damage::new("it holds a date, time or number whose text is malformed"))
    }

    fn date_time(&mut self, tag: u64) -> Result<DateTime, Damage> {
        let value = self.parsed(text::parse_date_time)?;
        if value.time.offset().is_none() == (tag == tags::NAIVE_DATE_TIME) {
            return Ok(value);
        }
        Err(Damage::new("it holds a datetime whose offset does not go with its tag"))
    }

    fn folded(&mut self) -> Result<Token<'a>, Damage> {
        match self.argument(cbor::TAG)? {
            tag @ (tags::DATE_TIME_TEXT | tags::NAIVE_DATE_TIME | tags::FINE_DATE_TIME) => {
                let DateTime { date, time } = self.date_time(tag)?;
                Ok(Token::DateTime(DateTime { date, time: time.with_fold(true) }))
            }
            tags::TIME => Ok(Token::Time(self.parsed(text::parse_time)?.with_fold(true))),
            _ => Err(Damage::new("it holds a fold of what is no datetime or time")),
        }
    }

    /// A number of at most 64 bits, wherever a tag needs one.
    fn small(&mut self) -> Result<i64, Damage> {
        let head = self.cursor.head()?;
        match (head.major, i64::try_from(head.argument)) {
            (cbor::UNSIGNED, Ok(number)) => Ok(number),
            (cbor::NEGATIVE, Ok(number)) => Ok(!number),
            _ => Err(Damage::new("it holds a tag with a number out of its range")),
        }
    }

    fn duration(&mut self) -> Result<TimeDelta, Damage> {
        let malformed = Damage::new("it holds a duration out of its range");
        let pairs = self.argument(cbor::MAP)?;
        let seconds_key = self.small()?;
        let seconds = self.small()?;
        let micros = match pairs {
            1 => 0,
            2 if self.small()? == -6 => self.small()?,
            _ => return Err(malformed),
        };
        u32::try_from(micros)
            .ok()
            .filter(|_| seconds_key == 1)
            .and_then(|micros| TimeDelta::new(seconds, micros))
            .ok_or(malformed)
    }

    fn decimal_fraction(&mut self) -> Result<Decimal, Damage> {
        let malformed = || Damage::new("it holds a decimal fraction that is malformed");
        if self.argument(cbor::ARRAY)? != 2 {
            return Err(malformed());
        }
        let exponent = self.small()?;
        let head = self.cursor.head()?;
        let (tag, magnitude) = match head.major {
            cbor::UNSIGNED => (tags::BIGNUM, BigUint::from(head.argument)),
            cbor::NEGATIVE => (tags::NEGATIVE_BIGNUM, BigUint::from(head.argument)),
            cbor::TAG => match self.blob(cbor::BYTES)? {
                magnitude if magnitude.len() <= MAX_MANTISSA_BYTES => {
                    (head.argument, BigUint::from_bytes_be(magnitude))
                }
                _ => return Err(malformed()),
            },
            _ => return Err(malformed()),
        };
        let (negative, mantissa) = match tag {
            tags::BIGNUM => (false, magnitude),
            tags::NEGATIVE_BIGNUM => (true, magnitude + 1_u32),
            _ => return Err(malformed()),
        };
        let parts = Parts { negative, digits: mantissa.to_string().into_bytes(), exponent };
        if parts.is_in_range() { Ok(Decimal::from_parts(&parts)) } else { Err(malformed()) }
    }

    fn array(&mut self) -> Result<ArrayToken<'a>, Damage> {
        let malformed = || Damage::new("it holds an array whose shape and data do not fit");
        if self.argument(cbor::ARRAY)? != 2 {
            return Err(malformed());
        }
        let dimensions = self.argument(cbor::ARRAY)?;
        if dimensions > Array::MAX_DIMENSIONS as u64 {
            return Err(malformed());
        }
        let mut shape = SmallVec::new();
        for _ in 0..dimensions {
            shape.push(u64::try_from(self.small()?).map_err(|_| malformed())?);
        }
        let (dtype, data) = match self.argument(cbor::TAG)? {
            tags::HOMOGENEOUS => (Element::Bool.native(), self.booleans()?),
            tag => self.typed_array(tag)?,
        };
        let bytes = elements_of(&shape).and_then(|count| count.checked_mul(dtype.element().width() as u64));
        if bytes != Some(data.len() as u64) {
            return Err(malformed());
        }
        Ok(ArrayToken { dtype, shape, data, scalar: false })
    }

    fn booleans(&mut self) -> Result<&'a [u8], Damage> {
        let data = self.blob(cbor::ARRAY)?;
        if data.iter().all(|&byte| byte == cbor::FALSE || byte == cbor::TRUE) {
            return Ok(data);
        }
        Err(Damage::new("it holds a boolean array with something else in it"))
    }

    fn typed_array(&mut self, tag: u64) -> Result<(DType, &'a [u8]), Damage> {
        match DType::from_tag(tag) {
            Some(dtype) if (tags::TYPED_ARRAY_FIRST..=tags::TYPED_ARRAY_LAST).contains(&tag) => {
                Ok((dtype, self.blob(cbor::BYTES)?))
            }
            _ => Err(Damage::of(format!("it holds an array of tag {tag}, which this version does not know"))),
        }
    }

    fn scalar(&mut self) -> Result<ArrayToken<'a>, Damage> {
        let before = self.cursor.clone();
        let head = self.cursor.head()?;
        let (dtype, data) = if head.major == cbor::TAG {
            self.typed_array(head.argument)?
        } else {
            self.cursor = before;
            (Element::Bool.native(), self.cursor.take(1)?)
        };
        let valid = dtype.element() != Element::Bool || matches!(data, [cbor::FALSE | cbor::TRUE]);
        if data.len() != dtype.element().width() || !valid {
            return Err(Damage::new("it holds a numpy scalar that is malformed"));
        }
        Ok(ArrayToken { dtype, shape: SmallVec::new(), data, scalar: true })
    }
}
