//! How a worker's thread wakes an event loop.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use super::{bridge, tickets};
use crate::fork::{Generation, generation};
use crate::sync::lock;

/// A signal that one loop waits for.
pub(super) enum Signal {
    /// A descriptor that the loop watches with `add_reader`.
    #[cfg(unix)]
    Descriptor(descriptor::Descriptor),
    /// `call_soon_threadsafe`, from a thread that serves all loops without `add_reader`.
    Threadsafe(LoopReference),
}

/// A loop, for threads that don't hold the interpreter's lock: they count the `Arc`, never the Python object.
type LoopReference = Arc<Py<PyWeakrefReference>>;

impl Signal {
    /// A signal by a descriptor, and the descriptor's number; `None` where the system has none to offer.
    #[cfg(unix)]
    pub(super) fn descriptor() -> PyResult<Option<(Self, i32)>> {
        let descriptor = descriptor::Descriptor::new()?;
        let number = descriptor.number();
        Ok(Some((Self::Descriptor(descriptor), number)))
    }

    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps)] // The signature of the other systems.
    pub(super) fn descriptor() -> PyResult<Option<(Self, i32)>> {
        Ok(None)
    }

    /// A signal by `call_soon_threadsafe` on the loop that `event_loop` refers to.
    pub(super) fn threadsafe(event_loop: Py<PyWeakrefReference>) -> Self {
        Self::Threadsafe(Arc::new(event_loop))
    }
}

impl tickets::Signal for Signal {
    /// From any thread, without the interpreter's lock.
    fn raise(&self) {
        match self {
            #[cfg(unix)]
            Self::Descriptor(descriptor) => descriptor.raise(),
            Self::Threadsafe(event_loop) => notify(Arc::clone(event_loop)),
        }
    }

    fn clear(&self) {
        match self {
            #[cfg(unix)]
            Self::Descriptor(descriptor) => descriptor.clear(),
            Self::Threadsafe(_) => {}
        }
    }
}

fn notify(event_loop: LoopReference) {
    static NOTIFIER: Mutex<Option<(Generation, Sender<LoopReference>)>> = Mutex::new(None);
    let mut notifier = lock(&NOTIFIER);
    if notifier.as_ref().is_none_or(|(of, _)| *of != generation()) {
        let (sender, receiver) = channel::<LoopReference>();
        let serve = move || {
            for event_loop in receiver {
                // `None` while the interpreter ends: no loop is left to be woken.
                Python::try_attach(|py| {
                    if let Some(event_loop) = event_loop.bind(py).upgrade() {
                        // A loop that was closed meanwhile refuses; nobody waits on it any more.
                        let _ = bridge::schedule_drain(&event_loop);
                    }
                });
            }
        };
        // A process that can start no thread is past helping an event loop.
        let _ = std::thread::Builder::new().name("rrag-notifier".into()).spawn(serve);
        *notifier = Some((generation(), sender));
    }
    if let Some((_, sender)) = &*notifier {
        let _ = sender.send(event_loop);
    }
}

#[cfg(target_os = "linux")]
mod descriptor {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};

    use rustix::event::{EventfdFlags, eventfd};

    /// An eventfd.
    pub(in crate::python) struct Descriptor(OwnedFd);

    impl Descriptor {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }

        pub(super) fn number(&self) -> i32 {
            self.0.as_raw_fd()
        }

        pub(super) fn raise(&self) {
            // It fails only where the counter is full: the signal is up then.
            let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
        }

        pub(super) fn clear(&self) {
            // It fails only where the signal is down.
            let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
        }
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod descriptor {
    use std::io::{self, Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// A pair of connected sockets.
    pub(in crate::python) struct Descriptor {
        reader: UnixStream,
        writer: UnixStream,
    }

    impl Descriptor {
        pub(super) fn new() -> io::Result<Self> {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            Ok(Self { reader, writer })
        }

        pub(super) fn number(&self) -> i32 {
            self.reader.as_raw_fd()
        }

        pub(super) fn raise(&self) {
            // It fails only where the buffer is full: the signal is up then.
            let _ = (&self.writer).write(&[1]);
        }

        pub(super) fn clear(&self) {
            let mut buffer = [0; 64];
            while (&self.reader).read(&mut buffer).is_ok_and(|read| read == buffer.len()) {}
        }
    }
}
