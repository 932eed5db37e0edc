//! Decimal numbers as text: sign, digits and exponent exactly as they were given.

use std::fmt;
use std::str::FromStr;

/// A decimal number in the notation of Python's `str(Decimal)`: `-0.00`, `1.5E+1000`, `Infinity`, `sNaN123`.
///
/// Two are equal when they are the same number, whatever their exponents; a NaN equals nothing.
#[derive(Debug, Clone)]
pub struct Decimal(Box<str>);

/// The text is no decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no decimal number")]
pub struct ParseDecimalError;

/// A finite decimal, in parts: the number is `digits` times ten to the `exponent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) negative: bool,
    /// ASCII digits, at least one, with no leading zero before another.
    pub(crate) digits: Vec<u8>,
    pub(crate) exponent: i64,
}

impl Decimal {
    /// The number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn parts(&self) -> Option<Parts> {
        parse(&self.0).ok()?
    }

    /// The text of a finite decimal, in scientific notation where Python uses it.
    pub(crate) fn from_parts(parts: &Parts) -> Self {
        let digits: String = parts.digits.iter().copied().map(char::from).collect();
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let sign = if parts.negative { "-" } else { "" };
        let adjusted = i128::from(parts.exponent) + i128::from(count) - 1;
        let text = if parts.exponent <= 0 && adjusted >= -6 {
            let point = usize::try_from(count + parts.exponent).unwrap_or(0);
            if parts.exponent == 0 {
                format!("{sign}{digits}")
            } else if point > 0 {
                format!("{sign}{}.{}", &digits[..point], &digits[point..])
            } else {
                let zeros = usize::try_from(-(count + parts.exponent)).unwrap_or(0);
                format!("{sign}0.{}{digits}", "0".repeat(zeros))
            }
        } else if count == 1 {
            format!("{sign}{digits}E{adjusted:+}")
        } else {
            format!("{sign}{}.{}E{adjusted:+}", &digits[..1], &digits[1..])
        };
        Self(text.into())
    }
}

/// The exponent of the last digit of the smallest number that Python's `decimal` can hold.
const SMALLEST_EXPONENT: i64 = -1_999_999_999_999_999_997;
/// The exponent of the first digit of the largest.
const LARGEST_EXPONENT: i64 = 999_999_999_999_999_999;

/// The parts of a finite number; `None` for a NaN or an infinity.
pub(crate) fn parse(text: &str) -> Result<Option<Parts>, ParseDecimalError> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if unsigned == "Infinity" {
        return Ok(None);
    }
    if let Some(payload) = unsigned.strip_prefix("sNaN").or_else(|| unsigned.strip_prefix("NaN")) {
        return if is_digits(payload) { Ok(None) } else { Err(ParseDecimalError) };
    }
    match parse_finite(negative, unsigned) {
        Some(parts) if parts.is_in_range() => Ok(Some(parts)),
        _ => Err(ParseDecimalError),
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_finite(negative: bool, text: &str) -> Option<Parts> {
    let (mantissa, exponent) = match text.split_once(['E', 'e']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.drain(..zeros.min(digits.len() - 1));
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    Some(Parts { negative, digits, exponent })
}

impl FromStr for Decimal {
    type Err = ParseDecimalError;

    /// Takes what Python's `str(Decimal)` gives.
    fn from_str(text: &str) -> Result<Self, ParseDecimalError> {
        parse(text).map(|_| Self(text.into()))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        match (self.parts(), other.parts()) {
            (Some(a), Some(b)) => a.normal() == b.normal(),
            (None, None) => self.0 == other.0 && self.0.ends_with("Infinity"),
            _ => false,
        }
    }
}

impl Parts {
    /// Whether Python's `decimal` can hold the number.
    pub(crate) fn is_in_range(&self) -> bool {
        let above = i64::try_from(self.digits.len()).unwrap_or(i64::MAX) - 1;
        self.exponent >= SMALLEST_EXPONENT && self.exponent.saturating_add(above) <= LARGEST_EXPONENT
    }

    /// Whether it is a zero with a sign, which no decimal fraction can hold.
    pub(crate) fn is_negative_zero(&self) -> bool {
        self.negative && self.digits.iter().all(|&digit| digit == b'0')
    }

    /// Sign, digits without trailing zeros, and exponent: the same for equal numbers.
    fn normal(&self) -> (bool, &[u8], i128) {
        let kept = self.digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        if kept == 0 {
            return (false, &[], 0);
        }
        let dropped = i128::try_from(self.digits.len() - kept).unwrap_or(i128::MAX);
        (self.negative, &self.digits[..kept], i128::from(self.exponent) + dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_give_the_text_back() {
        for text in ["0", "-0.00", "1.50", "123", "0.000001", "1E-7", "1E+1000", "1.5E+1000", "-1.23E-20", "0E+3"] {
            let again = text.parse::<Decimal>().ok().and_then(|d| d.parts()).map(|parts| Decimal::from_parts(&parts));
            assert_eq!(again.as_ref().map(Decimal::as_str), Some(text));
        }
        for text in ["NaN", "sNaN", "-sNaN12", "Infinity", "-Infinity"] {
            assert!(matches!(text.parse::<Decimal>(), Ok(d) if d.parts().is_none()));
        }
        for text in ["", "-", ".", "1.2.3", "E1", "1E", "nan", "NaNx", "1_0", " 1", "１", "1E1000000000000000000"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }

    #[test]
    fn equal_numbers_are_equal() {
        let same = |a: &str, b: &str| a.parse::<Decimal>() == b.parse::<Decimal>();
        assert!(same("1.0", "1.00") && same("10", "1E+1") && same("0", "-0.00") && same("Infinity", "Infinity"));
        assert!(!same("1", "-1") && !same("1", "2") && !same("NaN", "NaN") && !same("Infinity", "-Infinity"));
    }
}
