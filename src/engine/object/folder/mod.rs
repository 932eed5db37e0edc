//! Objects as files of a folder, shared by any number of processes of one machine.
//!
//! # What holds
//!
//! 1. A file is written elsewhere, brought to the disk and then renamed: nobody sees half of it, and what was
//!    acknowledged survives a power cut.
//! 2. Whoever replaces or deletes a file holds the lock of its name, one of [`SHARDS`] files in `.rrag`, so conditions
//!    hold across processes. The system lets go of a lock whose process dies. On a network file system this is as good
//!    as its `flock`.
//! 3. Folders have mode 0700 and files 0600. Symbolic links are not followed below the folder.

mod lock;
mod walk;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object_store::UpdateVersion;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use self::lock::Lock;
use super::backing::{Batch, Condition, Found, Listed, Loaded, Next, Outcome, Tag};
use super::errors::{Fault, backend, damaged, gone};
use super::names;
use super::record::{HEAD, Head, Packed};
use crate::error::Error;

/// Where the locks are, and files that are being written.
const OWN: &str = ".rrag";
/// How many names share a lock.
const SHARDS: u64 = 64;
/// A file that is being written is left over from a crash when it is so old.
const LEFT_OVER: Duration = Duration::from_hours(1);

/// A folder.
pub(super) struct Folder {
    inner: Arc<Inner>,
    jobs: Arc<Semaphore>,
}

struct Inner {
    root: PathBuf,
    place: String,
    within: Duration,
}

impl Folder {
    pub(super) fn new(root: PathBuf, place: String, jobs: usize, within: Duration) -> Self {
        let jobs = Arc::new(Semaphore::new(jobs.min(Semaphore::MAX_PERMITS)));
        Self { inner: Arc::new(Inner { root, place, within }), jobs }
    }

    /// Does `work` on a thread that may wait.
    async fn run<T: Send + 'static>(
        &self,
        until: Instant,
        work: impl FnOnce(&Inner) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let jobs = Arc::clone(&self.jobs);
        let permit = timeout_at(until, jobs.acquire_owned()).await.map_err(|_| Fault::Late(None))?;
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&inner)
        });
        done.await.unwrap_or_else(|_| Err(Fault::Final(gone())))
    }

    pub(super) async fn open(&self, until: Instant) -> Outcome<()> {
        self.run(until, |inner| inner.prepare().map_err(|error| inner.fault(&error))).await
    }

    pub(super) async fn head(&self, name: &str, until: Instant) -> Outcome<Option<Found>> {
        let name = name.to_owned();
        self.run(until, move |inner| inner.head(&name)).await
    }

    pub(super) async fn load(&self, name: &str, until: Instant) -> Outcome<Option<Loaded>> {
        let name = name.to_owned();
        self.run(until, move |inner| inner.load(&name)).await
    }

    pub(super) async fn put(
        &self,
        name: &str,
        packed: &Packed,
        condition: &Condition,
        until: Instant,
    ) -> Outcome<bool> {
        let (name, packed, condition) = (name.to_owned(), packed.clone(), condition.clone());
        self.run(until, move |inner| inner.put(&name, &packed, &condition, until.into_std())).await
    }

    pub(super) async fn delete(&self, name: &str, tag: Option<&Tag>, until: Instant) -> Outcome<bool> {
        let (name, tag) = (name.to_owned(), tag.cloned());
        self.run(until, move |inner| inner.delete(&name, tag.as_ref(), until.into_std())).await
    }

    pub(super) async fn list(&self, prefix: &str, next: &Next, limit: usize, until: Instant) -> Outcome<Batch> {
        let after = match next {
            Next::After(name) | Next::Token(name) => name.clone(),
        };
        let prefix = prefix.to_owned();
        self.run(until, move |inner| {
            let mut listed = Vec::new();
            walk::walk(&inner.root, &prefix, &after, limit.max(1), &mut listed).map_err(|error| inner.fault(&error))?;
            let next =
                listed.last().filter(|_| listed.len() >= limit).map(|last: &Listed| Next::After(last.name.clone()));
            Ok(Batch { listed, next })
        })
        .await
    }

    /// Removes what crashes have left behind.
    pub(super) async fn tidy(&self, until: Instant) {
        let tidied = self.run(until, |inner| {
            inner.tidy();
            Ok(())
        });
        // What is not removed now is later.
        let _ = tidied.await;
    }
}

impl Inner {
    /// The system's words for what went wrong.
    fn fault(&self, error: &io::Error) -> Fault {
        Fault::Final(match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::NotFound => {
                Error::Unavailable { what: self.place.clone(), reason: error.to_string() }
            }
            _ => backend(format!("{}: {error}", self.place)),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        // A name holds no `.` or `..` part and doesn't start with a slash; see `names`.
        self.root.join(name)
    }

    fn prepare(&self) -> io::Result<()> {
        make_folders(&self.root, None)?;
        make_folders(&self.root.join(OWN), Some(&self.root))?;
        fs::read_dir(&self.root).map(drop)
    }

    fn file(&self, name: &str) -> Outcome<Option<(File, u64)>> {
        let opened = File::open(self.path(name)).and_then(|file| {
            let size = file.metadata()?.len();
            Ok((file, size))
        });
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.fault(&error)),
        }
    }

    fn head(&self, name: &str) -> Outcome<Option<Found>> {
        let Some((file, size)) = self.file(name)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(HEAD);
        file.take(HEAD as u64).read_to_end(&mut bytes).map_err(|error| self.fault(&error))?;
        found(name, &bytes, size).map(Some)
    }

    fn load(&self, name: &str) -> Outcome<Option<Loaded>> {
        let Some((mut file, size)) = self.file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let room = usize::try_from(size).ok().and_then(|size| bytes.try_reserve_exact(size).ok());
        if room.is_none() {
            return Err(Fault::Final(backend("an object is larger than memory".into())));
        }
        file.read_to_end(&mut bytes).map_err(|error| self.fault(&error))?;
        let found = found(name, &bytes, bytes.len() as u64)?;
        Ok(Some(Loaded { found, bytes }))
    }

    fn put(&self, name: &str, packed: &Packed, condition: &Condition, until: std::time::Instant) -> Outcome<bool> {
        let staged = self.stage(packed).map_err(|error| self.fault(&error))?;
        let done = self.publish(name, &staged, condition, until);
        if !matches!(done, Ok(true)) {
            let _ = fs::remove_file(&staged);
        }
        done
    }

    /// Writes a file that nobody looks at, and brings it to the disk.
    fn stage(&self, packed: &Packed) -> io::Result<PathBuf> {
        let path = self.root.join(OWN).join(format!("new-{}-{:016x}", std::process::id(), fastrand::u64(..)));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = match options.open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.prepare()?;
                options.open(&path)?
            }
            opened => opened?,
        };
        let written = packed.parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
        if let Err(error) = written {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(path)
    }

    fn publish(&self, name: &str, staged: &Path, condition: &Condition, until: std::time::Instant) -> Outcome<bool> {
        let _lock = self.lock(name, until)?;
        let now = self.head(name);
        let holds = match (condition, now?) {
            (Condition::Absent, None) => true,
            (Condition::Same(tag), Some(found)) => *tag == found.tag,
            _ => false,
        };
        if !holds {
            return Ok(false);
        }
        let path = self.path(name);
        let parent = path.parent().unwrap_or(&self.root);
        loop {
            match fs::rename(staged, &path) {
                Ok(()) => break,
                // Its folder is not there yet, or somebody has just removed it because it was empty.
                Err(error) if error.kind() == ErrorKind::NotFound && std::time::Instant::now() < until => {
                    if !staged.exists() {
                        return Err(self.fault(&error));
                    }
                    make_folders(parent, Some(&self.root)).map_err(|error| self.fault(&error))?;
                }
                Err(error) => return Err(self.fault(&error)),
            }
        }
        // Renamed, but a crash may undo it: that it is there is not to be promised.
        sync_folder(parent).map_err(|error| Fault::Lost(error.to_string()))?;
        Ok(true)
    }

    fn delete(&self, name: &str, tag: Option<&Tag>, until: std::time::Instant) -> Outcome<bool> {
        let _lock = self.lock(name, until)?;
        if let Some(tag) = tag
            && self.head(name)?.is_none_or(|found| found.tag != *tag)
        {
            return Ok(false);
        }
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(tag.is_none()),
            Err(error) => return Err(self.fault(&error)),
        }
        let mut folder = path.parent();
        while let Some(parent) = folder.filter(|parent| *parent != self.root && parent.starts_with(&self.root)) {
            // Most often it is not empty.
            if fs::remove_dir(parent).is_err() {
                break;
            }
            folder = parent.parent();
        }
        if let Some(parent) = folder {
            match sync_folder(parent) {
                Ok(()) => {}
                // Somebody else has removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Fault::Lost(error.to_string())),
            }
        }
        Ok(true)
    }

    fn lock(&self, name: &str, until: std::time::Instant) -> Outcome<Lock> {
        // FNV-1a: the same in every process.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let path = self.root.join(OWN).join(format!("lock-{:02x}", hash % SHARDS));
        let taken = match Lock::take(&path, until) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.prepare().and_then(|()| Lock::take(&path, until)),
            taken => taken,
        };
        match taken {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => Err(Fault::Final(Error::Timeout {
                what: format!("{}: waiting for another process's write", self.place),
                seconds: self.within.as_secs_f64(),
            })),
            Err(error) if error.kind() == ErrorKind::Unsupported => Err(Fault::Final(Error::Unsupported {
                backend: super::errors::BACKEND,
                operation: "file:// urls",
                reason: "the file system has no locks of whole files".into(),
            })),
            Err(error) => Err(self.fault(&error)),
        }
    }

    fn tidy(&self) {
        let Ok(entries) = fs::read_dir(self.root.join(OWN)) else { return };
        let now = SystemTime::now();
        for entry in entries.flatten() {
            let old = entry.metadata().and_then(|meta| meta.modified()).ok();
            let old = old.and_then(|at| now.duration_since(at).ok()).is_some_and(|age| age > LEFT_OVER);
            if old && entry.file_name().to_string_lossy().starts_with("new-") {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn found(name: &str, bytes: &[u8], size: u64) -> Outcome<Found> {
    let head = Head::parse(bytes, size)
        .map_err(|reason| Fault::Final(damaged(&names::key_of(name).unwrap_or_default(), reason)))?;
    let tag = Tag(UpdateVersion { e_tag: Some(format!("{:016x}", head.meta.version)), version: None });
    Ok(Found { head, tag })
}

/// Makes a folder and those above it, down from `root` where that is given, and brings their names to the disk.
fn make_folders(path: &Path, root: Option<&Path>) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above
        && root.is_none_or(|root| above.starts_with(root))
    {
        make_folders(above, root)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        // Removed by somebody who found it empty: whoever asked asks again.
        Err(error) if error.kind() == ErrorKind::NotFound && root.is_some_and(Path::is_dir) => return Ok(()),
        Err(error) => return Err(error),
    }
    above.map_or(Ok(()), |above| match sync_folder(above) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        synced => synced,
    })
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
