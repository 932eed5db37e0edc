//! Integers of any size.

use std::fmt;
use std::ops::Add;

use num_bigint::{BigInt, Sign};

/// An integer of any size.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Integer(Repr);

/// Invariant: `Big` holds only what no `i64` can.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Repr {
    Small(i64),
    Big(BigInt),
}

impl Integer {
    /// The integer, where an `i64` can hold it.
    pub fn as_i64(&self) -> Option<i64> {
        match &self.0 {
            Repr::Small(small) => Some(*small),
            Repr::Big(_) => None,
        }
    }

    /// The integer as a big one.
    pub fn to_big(&self) -> BigInt {
        match &self.0 {
            Repr::Small(small) => BigInt::from(*small),
            Repr::Big(big) => big.clone(),
        }
    }

    pub(crate) fn as_big(&self) -> Result<i64, &BigInt> {
        match &self.0 {
            Repr::Small(small) => Ok(*small),
            Repr::Big(big) => Err(big),
        }
    }

    /// `magnitude` (big-endian), or -1 minus it where `negative`.
    pub(crate) fn from_magnitude(negative: bool, magnitude: &[u8]) -> Self {
        let magnitude = BigInt::from_bytes_be(Sign::Plus, magnitude);
        Self::from(if negative { -magnitude - 1 } else { magnitude })
    }
}

/// The sign of `big`, and the bytes of `n` where it is `n` or -1 - `n`: its form in CBOR.
pub(crate) fn to_magnitude(big: &BigInt) -> (bool, Vec<u8>) {
    match big.sign() {
        Sign::Minus => (true, (-big - 1_i32).to_bytes_be().1),
        _ => (false, big.to_bytes_be().1),
    }
}

impl From<BigInt> for Integer {
    fn from(big: BigInt) -> Self {
        Self(i64::try_from(&big).map_or_else(|_| Repr::Big(big), Repr::Small))
    }
}

impl From<i64> for Integer {
    fn from(small: i64) -> Self {
        Self(Repr::Small(small))
    }
}

impl From<u64> for Integer {
    fn from(number: u64) -> Self {
        Self(i64::try_from(number).map_or_else(|_| Repr::Big(number.into()), Repr::Small))
    }
}

impl Add for &Integer {
    type Output = Integer;

    fn add(self, other: Self) -> Integer {
        match (self.as_i64(), other.as_i64()) {
            (Some(a), Some(b)) => a.checked_add(b).map_or_else(|| (BigInt::from(a) + b).into(), Integer::from),
            _ => (self.to_big() + other.to_big()).into(),
        }
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Small(small) => small.fmt(f),
            Repr::Big(big) => big.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_grow_and_shrink() {
        let (max, one, minus_one) = (Integer::from(i64::MAX), Integer::from(1), Integer::from(-1));
        let past = &max + &one;
        assert_eq!(past.as_i64(), None);
        assert_eq!(past, Integer::from(1_u64 << 63));
        assert_eq!(&past + &minus_one, max);
    }

    #[test]
    fn magnitudes_come_back() {
        for shift in [0_u32, 8, 63, 64, 65, 200] {
            let one: BigInt = BigInt::from(1) << shift;
            for big in [one.clone(), -one] {
                let (negative, magnitude) = to_magnitude(&big);
                assert_eq!(Integer::from_magnitude(negative, &magnitude).to_big(), big);
            }
        }
    }
}
