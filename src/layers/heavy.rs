//! Work on many bytes, which would hold up an event loop in whose thread it ran: it is done on a thread for such.

use crate::answer::{Answer, attempt};
use crate::engine::runtime;
use crate::error::{Error, Result};
use crate::fork;

/// From here on, in bytes: compressing less, or taking a seal off it, takes less than half a millisecond.
const MANY_BYTES: usize = 128 * 1024;

/// Runs `work`, which goes over so many bytes: here where they are few.
pub(super) fn over<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Answer<Result<T>> {
    if bytes < MANY_BYTES {
        return Answer::ready(work());
    }
    let task = {
        let _gate = fork::enter();
        attempt!(runtime::wide_handle()).spawn_blocking(work)
    };
    Answer::later(async move {
        task.await.unwrap_or_else(|error| {
            Err(Error::Backend {
                backend: "layers",
                message: format!("a value could not be packed or unpacked: {error}"),
            })
        })
    })
}
