//! Writing a value's CBOR, straight behind its header.

use num_bigint::BigInt;

use super::header::{self, HEADER_BYTES};
use super::text::{self, Text};
use super::{Encoded, Kind, MAX_BYTES, MAX_CONTAINERS, MAX_DEPTH, MAX_FRACTION_DIGITS, cbor, tags, token};
use crate::value::{DType, Date, DateTime, Parts, Time, TimeDelta, parse_decimal, to_magnitude};

/// A limit that a value goes past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    TooDeep,
    TooManyContainers,
    TooLarge,
    NotADecimal,
}

impl Refused {
    /// What an error says is not supported.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::TooDeep => "nesting deeper than 128",
            Self::TooManyContainers => "a value of more than 16,777,216 lists, dicts, tuples and sets",
            Self::TooLarge => "a value of more than 2,147,418,111 bytes",
            Self::NotADecimal => "a Decimal that does not print as one",
        }
    }
}

/// Writes one value. Each method that can fail leaves the writer unfit for anything but dropping.
pub(crate) struct Writer {
    out: Vec<u8>,
    containers: u32,
}

impl Writer {
    /// A writer with room for `capacity` bytes of payload.
    pub(crate) fn new(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(HEADER_BYTES + capacity);
        out.extend_from_slice(&header::plain(Kind::Null));
        Self { out, containers: 0 }
    }

    /// Ends the value: a JSON document where `json` says so, else of the kind that was written.
    pub(crate) fn finish(mut self, json: bool) -> Result<Encoded, Refused> {
        self.room(0)?;
        let written = if json { Some(Kind::Json) } else { token::kind_of(self.since(HEADER_BYTES)) };
        let kind = written.unwrap_or(Kind::Null);
        self.out[..HEADER_BYTES].copy_from_slice(&header::plain(kind));
        Ok(Encoded { kind, body: self.out })
    }

    /// How many bytes were written, header and all.
    pub(crate) fn position(&self) -> usize {
        self.out.len()
    }

    /// What was written since `position`.
    pub(crate) fn since(&self, position: usize) -> &[u8] {
        self.out.get(position..).unwrap_or_default()
    }

    #[inline]
    fn room(&self, bytes: usize) -> Result<(), Refused> {
        if bytes > MAX_BYTES || self.out.len() + bytes > MAX_BYTES + HEADER_BYTES {
            return Err(Refused::TooLarge);
        }
        Ok(())
    }

    #[inline]
    fn head(&mut self, major: u8, argument: u64) {
        cbor::put_head(&mut self.out, major, argument);
    }

    #[inline]
    fn blob(&mut self, major: u8, bytes: &[u8]) -> Result<(), Refused> {
        self.room(bytes.len())?;
        // Once, and with room for the head: a large value is not moved while it grows.
        self.out.reserve(bytes.len() + 9);
        self.head(major, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn container(&mut self, major: u8, tag: Option<u64>, items: usize, depth: u32) -> Result<(), Refused> {
        if depth >= MAX_DEPTH {
            return Err(Refused::TooDeep);
        }
        if self.containers == MAX_CONTAINERS {
            return Err(Refused::TooManyContainers);
        }
        self.containers += 1;
        self.room(items)?;
        if let Some(tag) = tag {
            self.head(cbor::TAG, tag);
        }
        self.head(major, items as u64);
        Ok(())
    }

    #[inline]
    pub(crate) fn null(&mut self) {
        self.out.push(cbor::NULL);
    }

    #[inline]
    pub(crate) fn boolean(&mut self, value: bool) {
        self.out.push(if value { cbor::TRUE } else { cbor::FALSE });
    }

    #[inline]
    #[allow(clippy::cast_sign_loss, reason = "either branch is not negative")]
    pub(crate) fn integer(&mut self, value: i64) {
        if value >= 0 {
            self.head(cbor::UNSIGNED, value as u64);
        } else {
            self.head(cbor::NEGATIVE, !value as u64);
        }
    }

    /// An integer of any size: a bignum where 64 bits do not do.
    pub(crate) fn big_integer(&mut self, value: &BigInt) -> Result<(), Refused> {
        let (negative, magnitude) = to_magnitude(value);
        if magnitude.len() <= 8 {
            let argument = magnitude.iter().fold(0, |argument, &byte| argument << 8 | u64::from(byte));
            self.head(if negative { cbor::NEGATIVE } else { cbor::UNSIGNED }, argument);
            return Ok(());
        }
        self.head(cbor::TAG, if negative { tags::NEGATIVE_BIGNUM } else { tags::BIGNUM });
        self.blob(cbor::BYTES, &magnitude)
    }

    /// A float: 64 bits, whatever they are.
    #[inline]
    pub(crate) fn float(&mut self, value: f64) {
        cbor::put(&mut self.out, cbor::FLOAT64, value.to_be_bytes());
    }

    #[inline]
    pub(crate) fn text(&mut self, value: &str) -> Result<(), Refused> {
        self.blob(cbor::TEXT, value.as_bytes())
    }

    #[inline]
    pub(crate) fn bytes(&mut self, value: &[u8]) -> Result<(), Refused> {
        self.blob(cbor::BYTES, value)
    }

    /// The head of a list at `depth`, which is how many containers stand around it. `items` values have to follow.
    #[inline]
    pub(crate) fn list(&mut self, items: usize, depth: u32) -> Result<(), Refused> {
        self.container(cbor::ARRAY, None, items, depth)
    }

    /// The head of a map: `items` times a text, which differs from those before it, and a value have to follow.
    #[inline]
    pub(crate) fn map(&mut self, items: usize, depth: u32) -> Result<(), Refused> {
        self.container(cbor::MAP, None, items, depth)
    }

    pub(crate) fn tuple(&mut self, items: usize, depth: u32) -> Result<(), Refused> {
        self.container(cbor::ARRAY, Some(tags::TUPLE), items, depth)
    }

    pub(crate) fn set(&mut self, items: usize, depth: u32) -> Result<(), Refused> {
        self.container(cbor::ARRAY, Some(tags::SET), items, depth)
    }

    pub(crate) fn frozen_set(&mut self, items: usize, depth: u32) -> Result<(), Refused> {
        self.container(cbor::ARRAY, Some(tags::FROZEN_SET), items, depth)
    }

    fn tagged_text(&mut self, tag: u64, text: &[u8]) -> Result<(), Refused> {
        self.head(cbor::TAG, tag);
        self.blob(cbor::TEXT, text)
    }

    pub(crate) fn date_time(&mut self, value: DateTime) -> Result<(), Refused> {
        if value.time.fold() {
            self.head(cbor::TAG, tags::FOLD);
        }
        let tag = match value.time.offset() {
            None => tags::NAIVE_DATE_TIME,
            Some(offset) if offset.is_whole_minutes() => tags::DATE_TIME_TEXT,
            Some(_) => tags::FINE_DATE_TIME,
        };
        let mut text = Text::new();
        text::put_date_time(&mut text, value);
        self.tagged_text(tag, &text)
    }

    pub(crate) fn date(&mut self, value: Date) -> Result<(), Refused> {
        let mut text = Text::new();
        text::put_date(&mut text, value);
        self.tagged_text(tags::DATE, &text)
    }

    pub(crate) fn time(&mut self, value: Time) -> Result<(), Refused> {
        if value.fold() {
            self.head(cbor::TAG, tags::FOLD);
        }
        let mut text = Text::new();
        text::put_time(&mut text, value);
        self.tagged_text(tags::TIME, &text)
    }

    pub(crate) fn time_delta(&mut self, value: TimeDelta) {
        let fine = value.microseconds() != 0;
        self.head(cbor::TAG, tags::DURATION);
        self.head(cbor::MAP, 1 + u64::from(fine));
        self.integer(1);
        self.integer(value.seconds());
        if fine {
            self.integer(-6);
            self.integer(value.microseconds().into());
        }
    }

    /// A decimal, given as [`crate::value::Decimal`] spells it.
    pub(crate) fn decimal(&mut self, text: &str) -> Result<(), Refused> {
        match parse_decimal(text).map_err(|_| Refused::NotADecimal)? {
            Some(parts) if parts.digits.len() <= MAX_FRACTION_DIGITS && !parts.is_negative_zero() => {
                self.decimal_fraction(&parts)
            }
            _ => self.tagged_text(tags::DECIMAL_TEXT, text.as_bytes()),
        }
    }

    fn decimal_fraction(&mut self, parts: &Parts) -> Result<(), Refused> {
        self.head(cbor::TAG, tags::DECIMAL_FRACTION);
        self.head(cbor::ARRAY, 2);
        self.integer(parts.exponent);
        if parts.digits.len() <= 18 {
            let mantissa = parts.digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
            self.integer(if parts.negative { -mantissa } else { mantissa });
            return Ok(());
        }
        let mantissa = BigInt::parse_bytes(&parts.digits, 10).ok_or(Refused::NotADecimal)?;
        self.big_integer(&if parts.negative { -mantissa } else { mantissa })
    }

    pub(crate) fn uuid(&mut self, bytes: &[u8; 16]) -> Result<(), Refused> {
        self.head(cbor::TAG, tags::UUID);
        self.blob(cbor::BYTES, bytes)
    }

    /// An array. Invariant, which the caller has to hold: `data` is what `shape` and `dtype` say.
    pub(crate) fn array(&mut self, dtype: DType, shape: &[u64], data: &[u8]) -> Result<(), Refused> {
        self.head(cbor::TAG, tags::ARRAY);
        self.head(cbor::ARRAY, 2);
        self.head(cbor::ARRAY, shape.len() as u64);
        for &dimension in shape {
            self.head(cbor::UNSIGNED, dimension);
        }
        if let Some(tag) = dtype.tag() {
            self.head(cbor::TAG, tag);
            return self.blob(cbor::BYTES, data);
        }
        self.room(data.len())?;
        self.head(cbor::TAG, tags::HOMOGENEOUS);
        self.head(cbor::ARRAY, data.len() as u64);
        self.out.extend(data.iter().map(|&byte| if byte == 0 { cbor::FALSE } else { cbor::TRUE }));
        Ok(())
    }

    /// A numpy scalar. Invariant, which the caller has to hold: `data` is one element of `dtype`.
    pub(crate) fn scalar(&mut self, dtype: DType, data: &[u8]) -> Result<(), Refused> {
        self.head(cbor::TAG, tags::SCALAR);
        let Some(tag) = dtype.tag() else {
            self.boolean(data.iter().any(|&byte| byte != 0));
            return Ok(());
        };
        self.head(cbor::TAG, tag);
        self.blob(cbor::BYTES, data)
    }
}
