//! The model's side of `src/sync.rs`.

use std::sync::PoisonError;

pub(crate) use loom::sync::atomic;
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// A clock that stands still until a thread of the model moves it.
pub(crate) mod time {
    use std::future::{Future, poll_fn};
    use std::ops::Add;
    use std::pin::pin;
    use std::task::{Poll, Waker};
    use std::time::Duration;

    use super::{Mutex, lock};

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant(Duration);

    struct Clock {
        now: Duration,
        sleepers: Vec<Waker>,
    }

    loom::lazy_static! {
        static ref CLOCK: Mutex<Clock> = Mutex::new(Clock { now: Duration::ZERO, sleepers: Vec::new() });
    }

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(lock(&CLOCK).now)
        }
    }

    impl Add<Duration> for Instant {
        type Output = Self;

        fn add(self, later: Duration) -> Self {
            Self(self.0 + later)
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(by: Duration) {
        let sleepers = {
            let mut clock = lock(&CLOCK);
            clock.now += by;
            std::mem::take(&mut clock.sleepers)
        };
        sleepers.into_iter().for_each(Waker::wake);
    }

    pub(crate) async fn timeout_at<F: Future>(until: Instant, future: F) -> Result<F::Output, ()> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            let mut clock = lock(&CLOCK);
            if clock.now >= until.0 {
                return Poll::Ready(Err(()));
            }
            clock.sleepers.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
