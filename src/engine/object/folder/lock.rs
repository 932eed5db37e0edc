//! A lock between processes, and between threads.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How often a lock that is held is looked at, in the end.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// The lock of a file, held.
pub(super) struct Lock(File);

impl Lock {
    /// Takes the lock of the file at `path`, which is made where it isn't there; `None` where its time is up before.
    pub(super) fn take(path: &Path, until: Instant) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // Opened anew each time: a lock belongs to what was opened, not to the process.
        let file = options.open(path)?;
        let mut pause = Duration::from_micros(50);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not do: a process forked meanwhile has the file open too.
        let _ = self.0.unlock();
    }
}
