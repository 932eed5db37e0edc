//! The threads on which engines over asynchronous drivers work.
//!
//! One runtime serves every engine of the process. A forked child gets one of its own: its parent's is left as it is,
//! neither used nor dropped, because its threads do not exist in the child and its sockets are shared with the parent.

use std::mem;
use std::sync::Mutex;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{Error, Result};
use crate::fork::{self, Generation};
use crate::sync::lock;

/// One: an answer then wakes no thread between the socket and who waits for it. With two, a lone call took half as long
/// again.
const THREADS: usize = 1;

static RUNTIME: Mutex<Option<(Generation, Runtime)>> = Mutex::new(None);

/// The runtime of this process, started by the first who asks. To be called inside the fork gate, so that no fork
/// copies the lock while it is held.
pub(crate) fn handle() -> Result<Handle> {
    let here = fork::generation();
    let mut slot = lock(&RUNTIME);
    if let Some((generation, runtime)) = slot.as_ref()
        && *generation == here
    {
        return Ok(runtime.handle().clone());
    }
    let runtime =
        Builder::new_multi_thread().worker_threads(THREADS).thread_name("rrag-io").enable_all().build().map_err(
            |error| Error::Unavailable {
                what: "the threads that talk to servers".into(),
                reason: format!("they can't be started: {error}"),
            },
        )?;
    let handle = runtime.handle().clone();
    mem::forget(slot.replace((here, runtime)));
    Ok(handle)
}
