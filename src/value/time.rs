//! Dates, times of day, datetimes and durations: the ranges and the resolution of Python's `datetime`.

use std::time::Duration;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;

/// A day of the proleptic Gregorian calendar, in the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day; `None` where the calendar has no such day.
    pub const fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        if year < 1 || year > 9999 || day < 1 || day > days_in_month(year, month) {
            return None;
        }
        Some(Self { year, month, day })
    }

    /// The year, 1 to 9999.
    pub const fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, from 1.
    pub const fn day(self) -> u8 {
        self.day
    }

    /// Days since 1970-01-01.
    pub fn days_since_epoch(self) -> i64 {
        // Years begin in March here, so that a leap day is the last of its year.
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        let year = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }
}

const fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}

/// How far a local time is ahead of UTC: less than a day either way, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcOffset(i64);

impl UtcOffset {
    /// UTC itself.
    pub const UTC: Self = Self(0);

    /// The offset; `None` for a day or more.
    pub const fn from_microseconds(microseconds: i64) -> Option<Self> {
        if microseconds <= -MICROS_PER_DAY || microseconds >= MICROS_PER_DAY {
            return None;
        }
        Some(Self(microseconds))
    }

    /// The offset in microseconds.
    pub const fn microseconds(self) -> i64 {
        self.0
    }

    /// Whether it has no seconds.
    pub const fn is_whole_minutes(self) -> bool {
        self.0 % (60 * MICROS_PER_SECOND) == 0
    }
}

/// A time of day, to the microsecond; with an offset where it is aware.
///
/// Two aware times are equal when they are the same moment of a day of UTC; an aware one is never equal to a naive one.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    hour: u8,
    minute: u8,
    second: u8,
    microsecond: u32,
    offset: Option<UtcOffset>,
    fold: bool,
}

impl Time {
    /// The naive time; `None` where a field is out of its range. There are no leap seconds.
    pub const fn new(hour: u8, minute: u8, second: u8, microsecond: u32) -> Option<Self> {
        if hour > 23 || minute > 59 || second > 59 || microsecond > 999_999 {
            return None;
        }
        Some(Self { hour, minute, second, microsecond, offset: None, fold: false })
    }

    /// The same reading of the clock at `offset`.
    #[must_use]
    pub const fn with_offset(mut self, offset: Option<UtcOffset>) -> Self {
        self.offset = offset;
        self
    }

    /// The same, as the second of two times that read alike where `fold` is true (PEP 495).
    #[must_use]
    pub const fn with_fold(mut self, fold: bool) -> Self {
        self.fold = fold;
        self
    }

    /// The hour, 0 to 23.
    pub const fn hour(self) -> u8 {
        self.hour
    }

    /// The minute, 0 to 59.
    pub const fn minute(self) -> u8 {
        self.minute
    }

    /// The second, 0 to 59.
    pub const fn second(self) -> u8 {
        self.second
    }

    /// The microsecond, 0 to 999,999.
    pub const fn microsecond(self) -> u32 {
        self.microsecond
    }

    /// The offset of an aware time.
    pub const fn offset(self) -> Option<UtcOffset> {
        self.offset
    }

    /// Whether it is the second of two times that read alike.
    pub const fn fold(self) -> bool {
        self.fold
    }

    fn micros_of_day(self) -> i64 {
        let seconds = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        seconds * MICROS_PER_SECOND + i64::from(self.microsecond)
    }

    /// Microseconds since midnight UTC of an aware time, since midnight of a naive one.
    fn comparable(self) -> (bool, i64) {
        let offset = self.offset.unwrap_or(UtcOffset::UTC);
        (self.offset.is_some(), self.micros_of_day() - offset.0)
    }
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.comparable() == other.comparable()
    }
}

/// A day and a time of it; with an offset where it is aware.
///
/// Two aware ones are equal when they are the same instant; an aware one is never equal to a naive one.
#[derive(Debug, Clone, Copy)]
pub struct DateTime {
    /// The day.
    pub date: Date,
    /// The time, with the offset.
    pub time: Time,
}

impl DateTime {
    /// Microseconds since the Unix epoch, where the datetime is aware.
    pub fn unix_microseconds(self) -> Option<i64> {
        self.time.offset.map(|_| self.comparable().1)
    }

    fn comparable(self) -> (bool, i64) {
        let (aware, micros) = self.time.comparable();
        (aware, self.date.days_since_epoch() * MICROS_PER_DAY + micros)
    }
}

impl PartialEq for DateTime {
    fn eq(&self, other: &Self) -> bool {
        self.comparable() == other.comparable()
    }
}

/// A duration of either sign, to the microsecond, of less than a billion days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeDelta {
    seconds: i64,
    microseconds: u32,
}

impl TimeDelta {
    const MAX_DAYS: i64 = 999_999_999;

    /// `seconds`, and `microseconds` more; `None` past the range, or for a million microseconds.
    pub const fn new(seconds: i64, microseconds: u32) -> Option<Self> {
        if seconds < -Self::MAX_DAYS * SECONDS_PER_DAY
            || seconds >= (Self::MAX_DAYS + 1) * SECONDS_PER_DAY
            || microseconds > 999_999
        {
            return None;
        }
        Some(Self { seconds, microseconds })
    }

    /// Whole seconds, rounded down.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Microseconds past [`Self::seconds`], 0 to 999,999.
    pub const fn microseconds(self) -> u32 {
        self.microseconds
    }
}

impl TryFrom<Duration> for TimeDelta {
    type Error = Duration;

    /// Fails for what is too long, or finer than a microsecond.
    fn try_from(duration: Duration) -> Result<Self, Duration> {
        let seconds = i64::try_from(duration.as_secs()).ok();
        let whole = duration.subsec_nanos().is_multiple_of(1000);
        seconds.filter(|_| whole).and_then(|seconds| Self::new(seconds, duration.subsec_micros())).ok_or(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar() {
        assert!(Date::new(2024, 2, 29).is_some());
        assert!(Date::new(2000, 2, 29).is_some());
        for (year, month, day) in [(1900, 2, 29), (2023, 2, 29), (2024, 4, 31), (0, 1, 1), (10_000, 1, 1), (1, 13, 1)] {
            assert_eq!(Date::new(year, month, day), None);
        }
        let days = |y, m, d| Date::new(y, m, d).map(Date::days_since_epoch);
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 3, 1), Some(11_017));
        assert_eq!(days(1, 1, 1), Some(-719_162));
        assert_eq!(days(9999, 12, 31), Some(2_932_896));
    }

    #[test]
    fn aware_datetimes_are_equal_as_instants() {
        let at = |hour, offset| {
            let time = Time::new(hour, 0, 0, 0)?.with_offset(UtcOffset::from_microseconds(offset));
            Some(DateTime { date: Date::new(2024, 5, 1)?, time })
        };
        assert_eq!(at(12, 0), at(14, 7_200_000_000));
        assert_ne!(at(12, 0), at(12, 7_200_000_000));
        assert_eq!(UtcOffset::from_microseconds(MICROS_PER_DAY), None);
    }
}
