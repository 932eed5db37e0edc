//! From a path to a connection: the file made where it is missing, looked at before anything is written, set up.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::config::{SqliteConfig, Synchronous};
use super::errors::{BACKEND, Outcome, lost};
use super::guard::Guard;
use super::patience::Patience;
use super::schema::{self, Found};
use super::slot::{self, Slot};
use crate::error::Error;
use crate::fork;
use crate::sync::lock;

/// The page cache of a connection, in KiB.
const CACHE_KIB: i64 = 32 * 1024;
/// What a log keeps of its size after all of it was written back, in bytes.
const LOG_KEPT: i64 = 16 * 1024 * 1024;
/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS_KEPT: usize = 48;

/// Held while a file is made: closing the handle that made it would let go of SQLite's locks on it, had another
/// storage of this process opened it meanwhile.
static MAKING: Mutex<()> = Mutex::new(());

/// Which file a path led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64, u64);

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(metadata.dev(), metadata.ino())
    }

    #[cfg(not(unix))]
    fn of(_: &fs::Metadata) -> Self {
        // An open file can be neither deleted nor replaced there.
        Self(0, 0)
    }

    /// Fails where `path` leads to another file now, or to none.
    pub(super) fn check(self, path: &Path, place: &str) -> Result<(), Error> {
        match fs::metadata(path) {
            Ok(metadata) if Self::of(&metadata) == self => Ok(()),
            _ => Err(lost(place)),
        }
    }
}

/// A file that was found or made.
pub(super) struct Target {
    /// Absolute: whole whatever the working directory becomes, and never read as a `file:` url or as `:memory:`.
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
}

impl Target {
    /// The size of the log, in bytes.
    pub(super) fn log_bytes(&self) -> u64 {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        fs::metadata(path).map_or(0, |metadata| metadata.len())
    }

    /// The size of the file, in bytes.
    pub(super) fn file_bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }
}

/// A file that is open, with its first connection.
pub(super) struct Opened {
    pub(super) target: Target,
    pub(super) writer: Arc<Slot>,
    pub(super) guard: Guard,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
}

/// Opens the first connection: makes the file and the table where they are missing.
pub(super) fn first(config: &SqliteConfig, path: &Path, patience: &mut Patience) -> Outcome<Opened> {
    let place = config.place();
    loop {
        let attempt = {
            let _gate = fork::enter();
            slot::discard_inherited();
            prepare(config, path, &place)
        };
        match attempt {
            Ok(opened) => return Ok(opened),
            Err(fault) => patience.bear(fault, &place)?,
        }
    }
}

/// Opens a further connection to a file that is open already.
pub(super) fn further(config: &SqliteConfig, target: &Target, patience: &mut Patience) -> Outcome<Arc<Slot>> {
    let place = config.place();
    loop {
        let attempt = {
            let _gate = fork::enter();
            target
                .identity
                .check(&target.path, &place)
                .map_err(Into::into)
                .and_then(|()| connect(&target.path))
                .and_then(|connection| set_up(&connection, config, Role::Reader).map(|()| slot::register(connection)))
        };
        match attempt {
            Ok(slot) => return Ok(slot),
            Err(fault) => patience.bear(fault, &place)?,
        }
    }
}

/// Opens a database in memory.
pub(super) fn memory(config: &SqliteConfig) -> Outcome<Slot> {
    let mut connection = Connection::open_in_memory_with_flags(
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    schema::create(&mut connection, &config.table, &config.place())?;
    Ok(Slot::private(connection))
}

fn prepare(config: &SqliteConfig, path: &Path, place: &str) -> Outcome<Opened> {
    let identity = make(path, place)?;
    let target = Target { path: path.to_owned(), identity };
    // Declared before the connection: it goes after it.
    let guard = Guard::share(path, identity);
    let mut connection = connect(path)?;
    // Until the file is known to be ours nothing of it may change, not even by writing another's log back.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let found = schema::inspect(&connection, &config.table, place)?;
    if connection.is_readonly("main")? {
        return Err(unavailable(place, "can't be written; check its permissions and its file system").into());
    }
    identity.check(path, place)?;
    check_whole(&connection, &target, place)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    if found == Found::Nothing {
        // Holds only for a file that is still empty; free pages can then be given back to the file system.
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(
            unavailable(place, "its file system can't hold a write-ahead log; name a file on a local disk").into()
        );
    }
    set_up(&connection, config, Role::Writer)?;
    if found != Found::Table {
        schema::create(&mut connection, &config.table, place)?;
    }
    guard.hold();
    Ok(Opened { target, writer: slot::register(connection), guard })
}

/// Refuses a file that ends within a page: SQLite would read what is missing as zeros. Beside a log it may be one whose
/// write-back was interrupted, which the log makes good.
fn check_whole(connection: &Connection, target: &Target, place: &str) -> Outcome<()> {
    let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    if target.log_bytes() == 0 && page > 0 && !target.file_bytes().is_multiple_of(u64::from(page)) {
        return Err(unavailable(place, "is cut short: it ends within a page; restore it from a copy").into());
    }
    Ok(())
}

fn connect(path: &Path) -> Outcome<Connection> {
    // No url, no creation (the file's mode is ours to choose), no mutex (a slot's lock guards each connection).
    let mut connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_handler(None::<fn(i32) -> bool>)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

fn set_up(connection: &Connection, config: &SqliteConfig, role: Role) -> Outcome<()> {
    let synchronous = match config.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    // The writer writes the log back by itself, after it has answered: see `writer`.
    // No memory map: a file that another program cuts short would be a signal then, not an error.
    connection.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous};
         PRAGMA cache_size = -{CACHE_KIB};
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA journal_size_limit = {LOG_KEPT};
         PRAGMA wal_autocheckpoint = 0;"
    ))?;
    if role == Role::Reader {
        connection.execute_batch("PRAGMA query_only = ON")?;
    }
    Ok(())
}

/// Makes the file where it is missing, readable by its owner only; SQLite gives its side files the same mode.
fn make(path: &Path, place: &str) -> Outcome<Identity> {
    let _making = lock(&MAKING);
    match fs::metadata(path) {
        Ok(metadata) => return regular(&metadata, place),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(unavailable(place, &format!("can't be reached: {error}")).into()),
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    match options.open(path) {
        Ok(file) => Ok(Identity::of(&file.metadata().map_err(|error| unavailable(place, &error.to_string()))?)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match fs::metadata(path) {
            Ok(metadata) => regular(&metadata, place),
            Err(error) => Err(unavailable(place, &format!("is a link that leads nowhere: {error}")).into()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(unavailable(place, &format!("its directory does not exist; make it first: {error}")).into())
        }
        Err(error) => Err(unavailable(place, &format!("can't be made: {error}")).into()),
    }
}

fn regular(metadata: &fs::Metadata, place: &str) -> Outcome<Identity> {
    if metadata.is_dir() {
        return Err(unavailable(place, "is a directory; name a file in it").into());
    }
    if !metadata.is_file() {
        return Err(unavailable(place, "is not a regular file; name another").into());
    }
    Ok(Identity::of(metadata))
}

fn unavailable(place: &str, reason: &str) -> Error {
    Error::Unavailable { what: format!("{BACKEND}:{place}"), reason: reason.to_owned() }
}
