//! How long an entry lives.

use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Result};

/// The last millisecond of the year 9999, UTC: the last moment that Python's `datetime` can name.
const LATEST_EXPIRY_MS: i64 = 253_402_300_799_999;

/// A positive span of whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    millis: i64,
}

impl Ttl {
    /// A span of `seconds`, rounded up to whole milliseconds.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] unless `seconds` is positive and finite.
    pub fn from_seconds(seconds: f64) -> Result<Self> {
        if !seconds.is_finite() || seconds <= 0.0 {
            return Err(Error::InvalidArgument(format!(
                "ttl must be a positive, finite number of seconds, not {seconds}; leave it out for an entry that never expires"
            )));
        }
        // Saturates past the range of i64; `expires_at` refuses what is past the year 9999. A float like 0.07 is a
        // hair off its decimal: without the rounding to a nanosecond it would gain a millisecond.
        #[allow(clippy::cast_possible_truncation)]
        let millis = ((seconds * 1e9).round() / 1e6).ceil() as i64;
        Ok(Self { millis: millis.max(1) })
    }

    /// The moment, in milliseconds since the Unix epoch, at which what is written now expires.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where that lies past the year 9999.
    pub fn expires_at(self, clock: &Clock) -> Result<i64> {
        clock.now_ms().checked_add(self.millis).filter(|&at| at <= LATEST_EXPIRY_MS).ok_or_else(|| {
            Error::InvalidArgument(
                "ttl reaches past the year 9999; leave it out for an entry that never expires".to_owned(),
            )
        })
    }
}

impl TryFrom<Duration> for Ttl {
    type Error = Error;

    fn try_from(span: Duration) -> Result<Self> {
        Self::from_seconds(span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_round_up_to_a_millisecond() {
        let millis = |seconds| Ttl::from_seconds(seconds).map(|ttl| ttl.millis);
        assert_eq!(millis(0.07).ok(), Some(70));
        assert_eq!(millis(1e-9).ok(), Some(1));
        assert_eq!(millis(1.0001).ok(), Some(1001));
        assert_eq!(millis(3600.0).ok(), Some(3_600_000));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(millis(bad).is_err());
        }
    }

    #[test]
    fn an_expiry_past_the_year_9999_is_refused() {
        let ttl = Ttl::from_seconds(1e300).map(|ttl| ttl.expires_at(&Clock::System));
        assert!(matches!(ttl, Ok(Err(Error::InvalidArgument(_)))));
    }
}
