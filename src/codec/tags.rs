//! Every CBOR tag in use: the one table. A number is never given a second meaning, not even after it is retired.

/// Date and time as RFC 3339 text (RFC 8949): aware datetimes whose offset is whole minutes.
pub(crate) const DATE_TIME_TEXT: u64 = 0;
/// Unsigned bignum (RFC 8949).
pub(crate) const BIGNUM: u64 = 2;
/// Negative bignum, -1 - n (RFC 8949).
pub(crate) const NEGATIVE_BIGNUM: u64 = 3;
/// Decimal fraction, `[exponent, mantissa]` (RFC 8949).
pub(crate) const DECIMAL_FRACTION: u64 = 4;
/// UUID as 16 bytes (registry of CBOR tags).
pub(crate) const UUID: u64 = 37;
/// Row-major array, `[shape, elements]` (RFC 8746).
pub(crate) const ARRAY: u64 = 40;
/// Homogeneous array (RFC 8746): the elements of a boolean array.
pub(crate) const HOMOGENEOUS: u64 = 41;
/// The first typed array (RFC 8746): the low bits give kind, byte order and width, see [`crate::value::DType`].
pub(crate) const TYPED_ARRAY_FIRST: u64 = 64;
/// The last typed array.
pub(crate) const TYPED_ARRAY_LAST: u64 = 87;
/// Set (registry of CBOR tags).
pub(crate) const SET: u64 = 258;
/// Duration as a map (RFC 9581).
pub(crate) const DURATION: u64 = 1002;
/// Date as RFC 3339 full-date text (RFC 8943).
pub(crate) const DATE: u64 = 1004;

/// Where this library's own tags begin: `rra` and a zero byte.
const PRIVATE: u64 = 0x7272_6100;
/// An array that is a tuple.
pub(crate) const TUPLE: u64 = PRIVATE;
/// An array that is a frozen set.
pub(crate) const FROZEN_SET: u64 = PRIVATE + 1;
/// A datetime without offset, as text.
pub(crate) const NAIVE_DATE_TIME: u64 = PRIVATE + 2;
/// A datetime whose offset has seconds, as text.
pub(crate) const FINE_DATE_TIME: u64 = PRIVATE + 3;
/// A time of day, with or without offset, as text.
pub(crate) const TIME: u64 = PRIVATE + 4;
/// The datetime or time that follows is the second of two that read alike (PEP 495).
pub(crate) const FOLD: u64 = PRIVATE + 5;
/// A decimal that is no decimal fraction, as text.
pub(crate) const DECIMAL_TEXT: u64 = PRIVATE + 6;
/// A typed array of one element, or a boolean, that is a numpy scalar.
pub(crate) const SCALAR: u64 = PRIVATE + 7;
