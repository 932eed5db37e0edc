//! Dates and times as text: RFC 3339, and ISO 8601 where an offset is missing or has seconds.

use smallvec::SmallVec;

use crate::value::{Date, DateTime, Time, UtcOffset};

/// Long enough for a datetime with microseconds in itself and in its offset.
pub(crate) type Text = SmallVec<[u8; 64]>;

const MICROS_PER_SECOND: u32 = 1_000_000;

#[allow(clippy::cast_possible_truncation, reason = "one digit at a time")]
fn put_digits<const N: usize>(out: &mut Text, mut number: u32) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

fn put_fraction(out: &mut Text, microsecond: u32) {
    if microsecond != 0 {
        out.push(b'.');
        put_digits::<6>(out, microsecond);
    }
}

pub(crate) fn put_date(out: &mut Text, date: Date) {
    put_digits::<4>(out, date.year().into());
    out.push(b'-');
    put_digits::<2>(out, date.month().into());
    out.push(b'-');
    put_digits::<2>(out, date.day().into());
}

pub(crate) fn put_time(out: &mut Text, time: Time) {
    put_digits::<2>(out, time.hour().into());
    out.push(b':');
    put_digits::<2>(out, time.minute().into());
    out.push(b':');
    put_digits::<2>(out, time.second().into());
    put_fraction(out, time.microsecond());
    if let Some(offset) = time.offset() {
        put_offset(out, offset);
    }
}

pub(crate) fn put_date_time(out: &mut Text, value: DateTime) {
    put_date(out, value.date);
    out.push(b'T');
    put_time(out, value.time);
}

#[allow(clippy::cast_possible_truncation, reason = "an offset is less than 86,400 seconds")]
fn put_offset(out: &mut Text, offset: UtcOffset) {
    if offset == UtcOffset::UTC {
        out.push(b'Z');
        return;
    }
    out.push(if offset.microseconds() < 0 { b'-' } else { b'+' });
    let micros = offset.microseconds().unsigned_abs();
    let (seconds, micros) =
        ((micros / u64::from(MICROS_PER_SECOND)) as u32, (micros % u64::from(MICROS_PER_SECOND)) as u32);
    put_digits::<2>(out, seconds / 3600);
    out.push(b':');
    put_digits::<2>(out, seconds / 60 % 60);
    if !offset.is_whole_minutes() {
        out.push(b':');
        put_digits::<2>(out, seconds % 60);
        put_fraction(out, micros);
    }
}

/// What is left of a text. Each method takes its part off the front, or says `None`.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn number<const N: usize>(&mut self) -> Option<u32> {
        let (digits, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
    }

    fn two(&mut self) -> Option<u8> {
        u8::try_from(self.number::<2>()?).ok()
    }

    fn literal(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == byte).then_some(())
    }

    fn fraction(&mut self) -> Option<u32> {
        if self.0.first() != Some(&b'.') {
            return Some(0);
        }
        self.literal(b'.')?;
        self.number::<6>()
    }

    fn date(&mut self) -> Option<Date> {
        let year = u16::try_from(self.number::<4>()?).ok()?;
        self.literal(b'-')?;
        let month = self.two()?;
        self.literal(b'-')?;
        Date::new(year, month, self.two()?)
    }

    fn time(&mut self) -> Option<Time> {
        let hour = self.two()?;
        self.literal(b':')?;
        let minute = self.two()?;
        self.literal(b':')?;
        let second = self.two()?;
        let time = Time::new(hour, minute, second, self.fraction()?)?;
        let offset = match self.0.first() {
            None => None,
            Some(_) => Some(self.offset()?),
        };
        Some(time.with_offset(offset))
    }

    fn offset(&mut self) -> Option<UtcOffset> {
        let (sign, rest) = self.0.split_first()?;
        self.0 = rest;
        let sign = match sign {
            b'Z' => return Some(UtcOffset::UTC),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = self.number::<2>()?;
        self.literal(b':')?;
        let minutes = self.number::<2>().filter(|&minutes| minutes < 60)?;
        let (mut seconds, mut micros) = (0, 0);
        if !self.0.is_empty() {
            self.literal(b':')?;
            seconds = self.number::<2>().filter(|&seconds| seconds < 60)?;
            micros = self.fraction()?;
        }
        let seconds = i64::from((hours * 60 + minutes) * 60 + seconds);
        UtcOffset::from_microseconds(sign * (seconds * i64::from(MICROS_PER_SECOND) + i64::from(micros)))
    }

    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

pub(crate) fn parse_date(text: &[u8]) -> Option<Date> {
    let mut rest = Rest(text);
    let date = rest.date()?;
    rest.end(date)
}

pub(crate) fn parse_time(text: &[u8]) -> Option<Time> {
    let mut rest = Rest(text);
    let time = rest.time()?;
    rest.end(time)
}

pub(crate) fn parse_date_time(text: &[u8]) -> Option<DateTime> {
    let mut rest = Rest(text);
    let date = rest.date()?;
    rest.literal(b'T')?;
    let time = rest.time()?;
    rest.end(DateTime { date, time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_parsed() {
        for text in [
            "0001-01-01T00:00:00",
            "9999-12-31T23:59:59.999999Z",
            "2024-02-29T12:30:00.000001+05:45",
            "2024-02-29T12:30:00-23:59:59.999999",
            "2024-02-29T12:30:00+00:00:00.000001",
        ] {
            let parsed = parse_date_time(text.as_bytes());
            let mut again = Text::new();
            if let Some(value) = parsed {
                put_date_time(&mut again, value);
            }
            assert_eq!(std::str::from_utf8(&again), Ok(text));
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "2024-02-29", "2023-02-29T00:00:00", "2024-02-29T24:00:00", "2024-02-29T00:00:00+24:00"] {
            assert_eq!(parse_date_time(text.as_bytes()), None);
        }
        for text in ["2024-02-29 ", "2024-2-29", "+024-02-29", "２024-02-29"] {
            assert_eq!(parse_date(text.as_bytes()), None);
        }
        assert_eq!(parse_time(b"12:00:00.5"), None);
        assert_eq!(parse_time(b"12:00:00ZZ"), None);
    }
}
