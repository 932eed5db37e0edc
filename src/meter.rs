//! What a storage counts of its own calls, for `stats()`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::Instant;

use hdrhistogram::Histogram;

/// The names of a call's figures.
struct Names {
    call: &'static str,
    calls: &'static str,
    errors: &'static str,
    quantiles: [(f64, &'static str); 4],
}

macro_rules! calls {
    ($($call:ident = $name:literal),* $(,)?) => {
        /// A call that a storage counts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Call {
            $(#[doc = concat!("`", $name, "`")] $call,)*
        }

        const NAMES: &[Names] = &[$(Names {
            call: $name,
            calls: concat!($name, ".calls"),
            errors: concat!($name, ".errors"),
            quantiles: [
                (0.5, concat!($name, ".p50_seconds")),
                (0.9, concat!($name, ".p90_seconds")),
                (0.99, concat!($name, ".p99_seconds")),
                (1.0, concat!($name, ".max_seconds")),
            ],
        }),*];

        const COUNT: usize = NAMES.len();
    };
}

calls! {
    Begin = "begin",
    Clear = "clear",
    Close = "close",
    CollectGarbage = "collect_garbage",
    Commit = "commit",
    CompareAndSet = "compare_and_set",
    Connect = "connect",
    Copy = "copy",
    Count = "count",
    Delete = "delete",
    Exists = "exists",
    Expire = "expire",
    Get = "get",
    GetEntries = "get_entries",
    GetEntry = "get_entry",
    GetValue = "get_value",
    HealthCheck = "health_check",
    Increment = "increment",
    Items = "items",
    Keys = "keys",
    Mdelete = "mdelete",
    Mget = "mget",
    Mset = "mset",
    Namespaces = "namespaces",
    Open = "open",
    Persist = "persist",
    Pop = "pop",
    Rollback = "rollback",
    Rotate = "rotate",
    Set = "set",
    SetIfAbsent = "set_if_absent",
    Stats = "stats",
    Ttl = "ttl",
}

impl Call {
    /// Its name, as it is called.
    pub fn name(self) -> &'static str {
        NAMES.get(self as usize).map_or("", |names| names.call)
    }
}

#[derive(Default)]
struct Counted {
    begun: AtomicU64,
    failed: AtomicU64,
    /// Nanoseconds from the first step to the answer, to one significant digit.
    times: Mutex<Option<Histogram<u32>>>,
}

/// Counts of calls, of what was found, and of how long calls took; of one storage and all its views.
pub struct Meter {
    counted: [Counted; COUNT],
    hits: AtomicU64,
    misses: AtomicU64,
    /// A call whose number has none of these bits is timed.
    untimed: u64,
}

impl Meter {
    /// A meter that times each call, or one in sixteen where the calls take hardly longer than to read the clock.
    pub(crate) fn new(each: bool) -> Self {
        Self {
            counted: std::array::from_fn(|_| Counted::default()),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            untimed: if each { 0 } else { 15 },
        }
    }

    /// A call begins; when, if it is to be timed.
    pub fn begin(&self, call: Call) -> Option<Instant> {
        let counted = self.counted.get(call as usize)?;
        let number = counted.begun.fetch_add(1, Ordering::Relaxed);
        (number & self.untimed == 0).then(Instant::now)
    }

    /// A call ends that began then.
    pub fn end(&self, call: Call, begun: Option<Instant>, succeeded: bool) {
        let Some(counted) = self.counted.get(call as usize) else { return };
        if !succeeded {
            counted.failed.fetch_add(1, Ordering::Relaxed);
        }
        let Some(begun) = begun else { return };
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        // Never waited for: another thread's lock may have been copied by a fork, and one time more is worth no wait.
        let mut times = match counted.times.try_lock() {
            Ok(times) => times,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if times.is_none() {
            *times = Histogram::new_with_bounds(1, LONGEST, 1).ok();
        }
        if let Some(times) = times.as_mut() {
            times.saturating_record(nanos);
        }
    }

    /// Keys were looked up: of so many, so many were there.
    pub fn looked_up(&self, keys: usize, found: usize) {
        if found > 0 {
            self.hits.fetch_add(found as u64, Ordering::Relaxed);
        }
        if found < keys {
            self.misses.fetch_add((keys - found) as u64, Ordering::Relaxed);
        }
    }

    /// The figures by name; of the calls those that were made.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn figures(&self) -> Vec<(&'static str, f64)> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let mut figures = vec![("hits", count(&self.hits)), ("misses", count(&self.misses))];
        for (names, counted) in NAMES.iter().zip(&self.counted) {
            if counted.begun.load(Ordering::Relaxed) == 0 {
                continue;
            }
            figures.extend([(names.calls, count(&counted.begun)), (names.errors, count(&counted.failed))]);
            if let Ok(times) = counted.times.try_lock()
                && let Some(times) = times.as_ref()
            {
                let seconds = |quantile| times.value_at_quantile(quantile) as f64 / 1e9;
                figures.extend(names.quantiles.map(|(quantile, name)| (name, seconds(quantile))));
            }
        }
        figures
    }
}

/// An hour, in nanoseconds: what takes longer is counted as that.
const LONGEST: u64 = 3_600_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(meter: &Meter, name: &str) -> Option<f64> {
        meter.figures().into_iter().find(|(found, _)| *found == name).map(|(_, figure)| figure)
    }

    #[test]
    fn calls_are_counted_and_timed() {
        let meter = Meter::new(true);
        for n in 0..100 {
            let begun = meter.begin(Call::Get);
            assert!(begun.is_some());
            meter.end(Call::Get, begun, n % 10 != 0);
        }
        meter.looked_up(3, 2);
        assert_eq!(figure(&meter, "get.calls"), Some(100.0));
        assert_eq!(figure(&meter, "get.errors"), Some(10.0));
        assert_eq!((figure(&meter, "hits"), figure(&meter, "misses")), (Some(2.0), Some(1.0)));
        let at = |name| figure(&meter, name).unwrap_or(f64::NAN);
        assert!(0.0 < at("get.p50_seconds") && at("get.p50_seconds") <= at("get.max_seconds"));
        assert!(at("get.p90_seconds") <= at("get.p99_seconds"));
        assert_eq!(figure(&meter, "set.calls"), None);
    }

    #[test]
    fn one_in_sixteen_quick_calls_is_timed() {
        let meter = Meter::new(false);
        let timed = (0..160).filter(|_| meter.begin(Call::Set).is_some()).count();
        assert_eq!(timed, 10);
    }

    #[test]
    fn every_call_has_its_name() {
        assert_eq!((Call::Clear.name(), Call::Ttl.name()), ("clear", "ttl"));
    }
}
