//! What every operation returns: a result that is there already, or a future of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A boxed future that owns all it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// The result of an operation: ready at once, or later.
///
/// The work starts when the method is called, not at the first poll. An engine that has the answer at hand hands it
/// over with no allocation and no trip through an executor; one that has to wait hands over a future. An `Answer` is a
/// future itself, so callers that don't care simply `.await` it. Dropping one that is not ready gives up the answer,
/// never half of the work.
#[must_use = "the answer carries the operation's error"]
pub enum Answer<T> {
    /// The result. `None` once it was taken by a poll.
    Ready(Option<T>),
    /// A future of the result.
    Later(BoxFuture<T>),
}

// The value in `Ready` is never pinned: it is moved out by the first poll.
impl<T> Unpin for Answer<T> {}

impl<T: Send + 'static> Answer<T> {
    /// An answer that is there already.
    pub fn ready(value: T) -> Self {
        Self::Ready(Some(value))
    }

    /// An answer that `future` will give.
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }

    /// Applies `f` to the result: at once where it is there, else when it comes, in the task that polls.
    pub fn map<U: Send + 'static>(self, f: impl FnOnce(T) -> U + Send + 'static) -> Answer<U> {
        match self {
            Self::Ready(Some(value)) => Answer::ready(f(value)),
            Self::Ready(None) => Answer::Ready(None),
            Self::Later(future) => Answer::later(async move { f(future.await) }),
        }
    }
}

impl<T: Send + 'static, E: Send + 'static> Answer<Result<T, E>> {
    /// Applies `f` to a success, as [`Answer::map`] does.
    pub fn map_ok<U: Send + 'static>(self, f: impl FnOnce(T) -> U + Send + 'static) -> Answer<Result<U, E>> {
        self.map(|result| result.map(f))
    }

    /// Applies `f`, which may fail, to a success.
    pub fn and_then<U: Send + 'static>(
        self,
        f: impl FnOnce(T) -> Result<U, E> + Send + 'static,
    ) -> Answer<Result<U, E>> {
        self.map(|result| result.and_then(f))
    }
}

impl<T> Future for Answer<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match self.get_mut() {
            Self::Ready(value) => match value.take() {
                Some(value) => Poll::Ready(value),
                // Polled again after it was ready, which the contract of `Future` leaves open: stay silent.
                None => Poll::Pending,
            },
            Self::Later(future) => future.as_mut().poll(context),
        }
    }
}

/// Unwraps a success; answers with the error at once.
macro_rules! attempt {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return $crate::answer::Answer::ready(Err(error)),
        }
    };
}

pub(crate) use attempt;
