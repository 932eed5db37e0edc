//! Moments as aware UTC datetimes, and the clock that tests move.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyDelta, PyTzInfo};

use super::args;
use crate::clock::{Clock, ManualClock, NANOS_PER_MILLI};

const MICROS_PER_DAY: i64 = 86_400_000_000;

fn epoch(py: Python<'_>) -> PyResult<&Bound<'_, PyDateTime>> {
    static EPOCH: PyOnceLock<Py<PyDateTime>> = PyOnceLock::new();
    let epoch = EPOCH.get_or_try_init(py, || {
        let utc = PyTzInfo::utc(py)?;
        PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc)).map(Bound::unbind)
    })?;
    Ok(epoch.bind(py))
}

/// Makes the epoch, when the module is imported.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    epoch(py).map(drop)
}

fn from_micros(py: Python<'_>, micros: i64) -> PyResult<Bound<'_, PyAny>> {
    let (days, rest) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    // Within a day: both fit. Days of an i64 of microseconds fit an i32.
    #[allow(clippy::cast_possible_truncation)]
    let delta = PyDelta::new(py, days as i32, (rest / 1_000_000) as i32, (rest % 1_000_000) as i32, false)?;
    epoch(py)?.add(delta)
}

/// The moment `nanos` nanoseconds after the Unix epoch, to the microsecond.
pub(super) fn from_nanos(py: Python<'_>, nanos: i64) -> PyResult<Bound<'_, PyAny>> {
    from_micros(py, nanos.div_euclid(1_000))
}

/// The moment `millis` milliseconds after the Unix epoch.
pub(super) fn from_millis(py: Python<'_>, millis: i64) -> PyResult<Bound<'_, PyAny>> {
    from_micros(py, millis.saturating_mul(1_000))
}

/// A clock for tests: it stands still until `advance` moves it, and so does the expiry of every storage made with it.
#[pyclass(frozen, name = "ManualClock", module = "rrag_storage")]
pub(super) struct PyManualClock(ManualClock);

impl PyManualClock {
    pub(super) fn clock(&self) -> Clock {
        Clock::Manual(self.0.clone())
    }
}

#[pymethods]
impl PyManualClock {
    #[new]
    #[pyo3(signature = (start=None))]
    fn new(start: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let nanos = match start {
            Some(start) => {
                let py = start.py();
                let since = start.cast::<PyDateTime>()?.sub(epoch(py)?)?;
                args::nanos("start", &since)?
            }
            // Whole milliseconds, so that what is told to the millisecond is told exactly.
            None => Clock::System.now_ms() * NANOS_PER_MILLI,
        };
        Ok(Self(ManualClock::at(nanos)))
    }

    /// Moves the clock by seconds (int, float) or a timedelta.
    fn advance(&self, by: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.advance(args::nanos("by", by)?);
        Ok(())
    }

    /// What the clock shows, as an aware UTC datetime.
    fn now<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        from_nanos(py, self.clock().now_ns())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("ManualClock({})", self.now(py)?.repr()?))
    }
}
