//! What SQLite says, in the house's words.

use rusqlite::ffi::{self, ErrorCode};

use crate::error::Error;

/// The backend's name as users see it.
pub(super) const BACKEND: &str = "sqlite";

/// A failure inside the engine, before it is put into words.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite's.
    Sqlite(rusqlite::Error),
    /// One that is in words already.
    Told(Error),
}

pub(super) type Outcome<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

/// How a failure passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passing {
    /// Someone else holds what is needed, and will let go of it.
    Busy,
    /// The side files were made or removed by someone else at this very moment: a second look settles it.
    Race,
    /// Not by waiting.
    Never,
}

impl Fault {
    pub(super) fn passing(&self) -> Passing {
        let Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) = self else { return Passing::Never };
        match error.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => Passing::Busy,
            ErrorCode::CannotOpen => Passing::Race,
            _ => match error.extended_code {
                ffi::SQLITE_IOERR_SHMOPEN
                | ffi::SQLITE_IOERR_SHMMAP
                | ffi::SQLITE_IOERR_DELETE_NOENT
                | ffi::SQLITE_READONLY_RECOVERY
                | ffi::SQLITE_READONLY_CANTINIT => Passing::Race,
                _ => Passing::Never,
            },
        }
    }

    /// The failure in words, about the database at `place`.
    pub(super) fn into_error(self, place: &str) -> Error {
        match self {
            Self::Told(error) => error,
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, words)) => from_code(error, words, place),
            // Not a word of the error itself: it may quote a stored value.
            Self::Sqlite(rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..)) => {
                Error::Corrupted { key: String::new(), reason: format!("{place} holds a row of another shape") }
            }
            Self::Sqlite(other) => Error::Backend { backend: BACKEND, message: format!("{place}: {other}") },
        }
    }
}

fn from_code(error: ffi::Error, words: Option<String>, place: &str) -> Error {
    let code = error.extended_code;
    let words = words.unwrap_or_else(|| ffi::code_to_str(code).to_owned());
    let said = format!("{words} (SQLite code {code})");
    let unavailable = |reason: String| Error::Unavailable { what: format!("sqlite:{place}"), reason };
    let refused = |message: String| Error::Backend { backend: BACKEND, message };
    match error.code {
        ErrorCode::NotADatabase => {
            unavailable(format!("not a SQLite database, or an encrypted one; name another file: {said}"))
        }
        ErrorCode::DatabaseCorrupt => Error::Corrupted {
            key: String::new(),
            reason: format!("the SQLite file {place} is damaged; restore it from a backup: {said}"),
        },
        ErrorCode::CannotOpen => {
            unavailable(format!("can't be opened; check that it and its directory can be written: {said}"))
        }
        ErrorCode::ReadOnly if code == ffi::SQLITE_READONLY_DBMOVED => lost(place),
        ErrorCode::ReadOnly => {
            unavailable(format!("can't be written; check its permissions and its file system: {said}"))
        }
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => unavailable(said),
        ErrorCode::DiskFull => refused(format!("no room left for {place}; free some and try again: {said}")),
        ErrorCode::TooBig => refused(format!(
            "a value is larger than SQLite's limit of 1000000000 bytes (SQLITE_LIMIT_LENGTH); keep it in an object store (large_values): {said}"
        )),
        _ => refused(format!("{place}: {said}")),
    }
}

/// The file at `place` is not the one that was opened.
pub(super) fn lost(place: &str) -> Error {
    Error::Unavailable {
        what: format!("sqlite:{place}"),
        reason: "the file was deleted or replaced while open; close this storage and open it again".into(),
    }
}

/// A failure that has no code of SQLite's.
pub(super) fn backend(message: impl Into<String>) -> Error {
    Error::Backend { backend: BACKEND, message: message.into() }
}

/// An answer that nobody will give any more: its thread or its process is gone.
pub(super) fn gone() -> Error {
    backend("the operation was given up before it was answered, because the storage was dropped or the process forked")
}
