//! Dates, times and durations, both ways.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyTime, PyTimeAccess, PyTzInfo, PyTzInfoAccess,
};

use super::encode::{Encoder, Walked, unsupported};
use super::types::{Types, is_exactly};
use crate::value::{Date, DateTime, Time, TimeDelta, UtcOffset};

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

fn in_range<T>(value: Option<T>) -> PyResult<T> {
    value.ok_or_else(|| PyValueError::new_err("a date or time is out of its range"))
}

pub(super) fn date(value: &impl PyDateAccess) -> PyResult<Date> {
    in_range(u16::try_from(value.get_year()).ok().and_then(|year| Date::new(year, value.get_month(), value.get_day())))
}

fn naive_time(value: &impl PyTimeAccess) -> PyResult<Time> {
    let time = Time::new(value.get_hour(), value.get_minute(), value.get_second(), value.get_microsecond());
    Ok(in_range(time)?.with_fold(value.get_fold()))
}

pub(super) fn date_time(encoder: &Encoder, value: &Bound<'_, PyDateTime>, depth: u32) -> Walked<DateTime> {
    let time = naive_time(value)?;
    let offset = match value.get_tzinfo() {
        None => None,
        Some(tzinfo) => Some(offset(encoder, value, &tzinfo, depth)?),
    };
    Ok(DateTime { date: date(value)?, time: time.with_offset(offset) })
}

pub(super) fn time(encoder: &Encoder, value: &Bound<'_, PyTime>, depth: u32) -> Walked<Time> {
    let time = naive_time(value)?;
    let offset = match value.get_tzinfo() {
        None => None,
        Some(tzinfo) => Some(offset(encoder, value, &tzinfo, depth)?),
    };
    Ok(time.with_offset(offset))
}

fn offset(encoder: &Encoder, value: &Bound<'_, PyAny>, tzinfo: &Bound<'_, PyTzInfo>, depth: u32) -> Walked<UtcOffset> {
    let py = value.py();
    let types = Types::get(py)?;
    if tzinfo.is(&types.utc) {
        return Ok(UtcOffset::UTC);
    }
    if !is_exactly(tzinfo, &types.timezone) {
        encoder.before_other_code(depth)?;
    }
    let answer = value.call_method0(intern!(py, "utcoffset"))?;
    let Ok(delta) = answer.cast::<PyDelta>() else {
        return unsupported(format!("{} whose tzinfo gives no UTC offset", super::types::type_name(value)));
    };
    let delta = time_delta(delta)?;
    let micros = delta.seconds() * MICROS_PER_SECOND + i64::from(delta.microseconds());
    Ok(in_range(UtcOffset::from_microseconds(micros))?)
}

pub(super) fn time_delta(value: &Bound<'_, PyDelta>) -> PyResult<TimeDelta> {
    let seconds = i64::from(value.get_days()) * SECONDS_PER_DAY + i64::from(value.get_seconds());
    in_range(u32::try_from(value.get_microseconds()).ok().and_then(|micros| TimeDelta::new(seconds, micros)))
}

pub(super) fn to_date(py: Python<'_>, value: Date) -> PyResult<Bound<'_, PyAny>> {
    Ok(PyDate::new(py, value.year().into(), value.month(), value.day())?.into_any())
}

pub(super) fn to_date_time(py: Python<'_>, value: DateTime) -> PyResult<Bound<'_, PyAny>> {
    let DateTime { date, time } = value;
    let tzinfo = to_tzinfo(py, time.offset())?;
    let value = PyDateTime::new_with_fold(
        py,
        date.year().into(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond(),
        tzinfo.as_ref(),
        time.fold(),
    )?;
    Ok(value.into_any())
}

pub(super) fn to_time(py: Python<'_>, time: Time) -> PyResult<Bound<'_, PyAny>> {
    let tzinfo = to_tzinfo(py, time.offset())?;
    let value = PyTime::new_with_fold(
        py,
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond(),
        tzinfo.as_ref(),
        time.fold(),
    )?;
    Ok(value.into_any())
}

fn to_tzinfo(py: Python<'_>, offset: Option<UtcOffset>) -> PyResult<Option<Bound<'_, PyTzInfo>>> {
    let Some(offset) = offset else { return Ok(None) };
    if offset == UtcOffset::UTC {
        return Ok(Some(Types::get(py)?.utc.bind(py).clone()));
    }
    let micros = offset.microseconds();
    let delta = delta(py, micros.div_euclid(MICROS_PER_SECOND), micros.rem_euclid(MICROS_PER_SECOND))?;
    PyTzInfo::fixed_offset(py, delta).map(Some)
}

pub(super) fn to_time_delta(py: Python<'_>, value: TimeDelta) -> PyResult<Bound<'_, PyAny>> {
    Ok(delta(py, value.seconds(), value.microseconds().into())?.into_any())
}

fn delta(py: Python<'_>, seconds: i64, microseconds: i64) -> PyResult<Bound<'_, PyDelta>> {
    let days = i32::try_from(seconds.div_euclid(SECONDS_PER_DAY));
    let seconds = i32::try_from(seconds.rem_euclid(SECONDS_PER_DAY));
    match (days, seconds, i32::try_from(microseconds)) {
        (Ok(days), Ok(seconds), Ok(micros)) => PyDelta::new(py, days, seconds, micros, false),
        _ => in_range(None),
    }
}
