//! The threads on which engines over asynchronous drivers work.
//!
//! One runtime serves every engine of the process, but for those that move large values, which share another. A forked
//! child gets one of its own: its parent's is left as it is, neither used nor dropped, because its threads do not exist in
//! the child and its sockets are shared with the parent.

use std::mem;
use std::sync::Mutex;

use tokio::runtime::{Builder, Handle, Runtime};

use super::tls;
use crate::error::{Error, Result};
use crate::fork::{self, Generation};
use crate::sync::lock;

/// One: an answer then wakes no thread between the socket and who waits for it. With two, a lone call took half as long
/// again.
const THREADS: usize = 1;
/// Where bytes are many the threads share the copying of them.
const WIDE_THREADS: usize = 2;

type Slot = Mutex<Option<(Generation, Runtime)>>;

static RUNTIME: Slot = Mutex::new(None);
static WIDE: Slot = Mutex::new(None);

/// The runtime of this process, started by the first who asks. To be called inside the fork gate, so that no fork
/// copies the lock while it is held.
pub(crate) fn handle() -> Result<Handle> {
    started(&RUNTIME, THREADS, "rrag-io")
}

/// As [`handle`], the runtime for large values.
pub(crate) fn wide_handle() -> Result<Handle> {
    started(&WIDE, WIDE_THREADS, "rrag-object")
}

fn started(slot: &Slot, threads: usize, name: &str) -> Result<Handle> {
    let here = fork::generation();
    let mut slot = lock(slot);
    if let Some((generation, runtime)) = slot.as_ref()
        && *generation == here
    {
        return Ok(runtime.handle().clone());
    }
    // Here, in the gate: a child that is forked while a thread is at it could never do it again.
    tls::install();
    let runtime = Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build().map_err(
        |error| Error::Unavailable {
            what: "the threads that talk to servers".into(),
            reason: format!("they can't be started: {error}"),
        },
    )?;
    let handle = runtime.handle().clone();
    mem::forget(slot.replace((here, runtime)));
    Ok(handle)
}
