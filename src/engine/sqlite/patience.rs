//! How long to try again while others hold the file.

use std::time::{Duration, Instant};

use super::errors::{Fault, Outcome, Passing};
use crate::error::Error;

const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(5);
/// A race settles itself within moments; what lasts longer is a refusal.
const RACE_TRIES: u32 = 8;

/// Short sleeps that grow, up to a deadline.
///
/// The caller holds no lock, no connection and not the fork gate while it sleeps here: SQLite's own busy handler would
/// sleep inside a statement, and so keep a fork waiting, or leave the child with a statement that nobody can end.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    deadline: Instant,
    timeout: Duration,
    tries: u32,
}

impl Patience {
    pub(super) fn new(timeout: Duration) -> Self {
        let now = Instant::now();
        // A timeout past what the clock can express never comes.
        let deadline = now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(u64::from(u32::MAX)));
        Self { deadline, timeout, tries: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Sleeps, where `fault` may pass by itself and there is time left; else gives it back as what to tell.
    pub(super) fn bear(&mut self, fault: Fault, place: &str) -> Outcome<()> {
        match fault.passing() {
            Passing::Never => return Err(fault),
            Passing::Race if self.tries >= RACE_TRIES => return Err(fault),
            Passing::Busy if self.is_over() => return Err(self.over(place).into()),
            Passing::Race | Passing::Busy => {}
        }
        self.sleep();
        Ok(())
    }

    pub(super) fn sleep(&mut self) {
        let longest = SHORTEST.saturating_mul(1 << self.tries.min(10)).min(LONGEST);
        self.tries += 1;
        std::thread::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0));
    }

    pub(super) fn over(&self, place: &str) -> Error {
        Error::Timeout {
            what: format!("waiting for another writer of sqlite:{place}"),
            seconds: self.timeout.as_secs_f64(),
        }
    }
}
