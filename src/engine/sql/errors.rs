//! What a server or its driver says, sorted by what may have happened, and in the house's words.

use std::io;

use super::dialect::Dialect;
use crate::error::Error;

/// A failure inside the engine, before it is put into words.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// No connection could be made; nothing was asked. `passing`: another try may do better.
    Unreachable { reason: String, passing: bool },
    /// The connection broke: what was asked last may have happened or not.
    Lost(String),
    /// A commit was sent and its answer did not come: it happened or it did not.
    Unknown(String),
    /// The server undid the transaction in favour of another: asked again it may pass.
    Undone(String),
    /// The server refused; nothing happened.
    Refused(Error),
    /// The server takes no writes, perhaps since another took its place; nothing happened.
    ReadOnly(Error),
    /// The time was up; what was asked last may have happened or not.
    Late,
}

pub(super) type Outcome<T> = Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// Sorts a failure of a statement.
    pub(super) fn of(error: sqlx::Error, dialect: Dialect) -> Self {
        match error {
            sqlx::Error::Database(said) => of_server(said.as_ref(), dialect),
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidInput => Self::Refused(refused(
                dialect,
                format!(
                    "the request is too large for one message; keep large values in an object store (large_values): {error}"
                ),
            )),
            sqlx::Error::Io(error) => Self::Lost(error.to_string()),
            sqlx::Error::Protocol(words) => Self::Lost(format!("the server's answer makes no sense: {words}")),
            sqlx::Error::Tls(error) => Self::Lost(error.to_string()),
            sqlx::Error::WorkerCrashed => Self::Lost("the driver gave up".into()),
            sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => Self::Refused(refused(
                dialect,
                "the request is too large for one message; keep large values in an object store (large_values)".into(),
            )),
            // Not a word of it: it may quote what is stored.
            _ => Self::Refused(Error::Corrupted {
                key: String::new(),
                reason: "the table holds a row of another shape".into(),
            }),
        }
    }

    /// Sorts a failure to connect.
    pub(super) fn of_connecting(error: sqlx::Error, dialect: Dialect) -> Self {
        let (reason, passing) = match error {
            sqlx::Error::Database(said) => {
                let code = said.code().unwrap_or_default().into_owned();
                let number = number(said.as_ref());
                let words = one_line(said.message());
                match (dialect, code.as_str(), number) {
                    (Dialect::Postgres, "28P01" | "28000", _) | (Dialect::Mysql, _, 1045 | 1698) => {
                        (format!("the user or the password was refused: {words}"), false)
                    }
                    (Dialect::Postgres, "3D000", _) | (Dialect::Mysql, _, 1049) => {
                        (format!("the database does not exist: {words}"), false)
                    }
                    (Dialect::Postgres, "42501", _) | (Dialect::Mysql, _, 1044 | 1142) => {
                        (format!("the user may not use the database: {words}"), false)
                    }
                    (Dialect::Postgres, "53300" | "57P03" | "57P01" | "57P02", _)
                    | (Dialect::Mysql, _, 1040 | 1053 | 1203 | 1226) => (words, true),
                    _ => (words, false),
                }
            }
            sqlx::Error::Io(error) if error.to_string().contains("lookup") => {
                (format!("the host name does not resolve: {error}"), true)
            }
            sqlx::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => (format!("nothing listens there: {error}"), true),
                io::ErrorKind::InvalidData => {
                    (format!("the TLS handshake failed; check the certificate: {error}"), false)
                }
                _ => (error.to_string(), true),
            },
            sqlx::Error::Tls(error) => {
                (format!("TLS failed; check sslmode and the server's certificate: {error}"), false)
            }
            sqlx::Error::Protocol(words) => {
                // Perhaps one that broke off: the driver takes what is missing for zeros.
                (format!("the server's answer makes no sense: {}", one_line(&words)), true)
            }
            // Its words quote what they refuse of the password.
            sqlx::Error::Configuration(error) if error.to_string().contains("saslprep") => (
                "the password holds a character that PostgreSQL's SCRAM does not take, as a control character or an emoji"
                    .into(),
                false,
            ),
            other => (one_line(&other.to_string()), false),
        };
        Self::Unreachable { reason, passing }
    }

    /// The failure in words, about the server at `place`. `unknown`: whether what was asked may have happened.
    pub(super) fn into_error(self, place: &str, seconds: f64, unknown: bool) -> Error {
        match self {
            Self::Refused(error) | Self::ReadOnly(error) => error,
            Self::Unreachable { reason, .. } => Error::Unavailable { what: place.to_owned(), reason },
            Self::Unknown(reason) => Error::Unavailable { what: place.to_owned(), reason: uncertain(&reason) },
            Self::Lost(reason) if unknown => Error::Unavailable { what: place.to_owned(), reason: uncertain(&reason) },
            Self::Lost(reason) => {
                Error::Unavailable { what: place.to_owned(), reason: format!("the connection was lost: {reason}") }
            }
            Self::Undone(reason) => Error::Unavailable {
                what: place.to_owned(),
                reason: format!("others held the same keys for too long: {reason}"),
            },
            Self::Late if unknown => {
                Error::Timeout { what: format!("{place}: an operation whose outcome is unknown"), seconds }
            }
            Self::Late => Error::Timeout { what: format!("{place}: an operation"), seconds },
        }
    }
}

/// The words for what may have happened or not.
pub(super) fn uncertain(reason: &str) -> String {
    format!("the connection was lost and the outcome is unknown; read before you write again: {reason}")
}

/// An answer that nobody will give any more: its task or its process is gone.
pub(super) fn gone(dialect: Dialect) -> Error {
    refused(
        dialect,
        "the operation was given up before it was answered, because the storage was dropped or the process forked"
            .into(),
    )
}

pub(super) fn refused(dialect: Dialect, message: String) -> Error {
    Error::Backend { backend: dialect.name(), message }
}

fn number(said: &dyn sqlx::error::DatabaseError) -> u16 {
    said.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map_or(0, sqlx::mysql::MySqlDatabaseError::number)
}

fn of_server(said: &dyn sqlx::error::DatabaseError, dialect: Dialect) -> Fault {
    let code = said.code().unwrap_or_default().into_owned();
    let words = one_line(said.message());
    let shown = |code: &str| format!("{words} ({} code {code})", dialect.name());
    match dialect {
        Dialect::Postgres => match code.as_str() {
            "40001" | "40P01" | "55P03" => Fault::Undone(shown(&code)),
            // Sent before the statement ran, or with the statement undone: it did not happen.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => {
                Fault::Unreachable { reason: shown(&code), passing: true }
            }
            "25006" => Fault::ReadOnly(refused(dialect, shown(&code))),
            "54000" | "53200" | "22001" => Fault::Refused(too_large(dialect, &shown(&code))),
            _ => Fault::Refused(refused(dialect, shown(&code))),
        },
        Dialect::Mysql => {
            let number = number(said);
            let shown = shown(&number.to_string());
            match number {
                // A duplicate: another was first with the same new key.
                1205 | 1213 | 1020 | 1062 => Fault::Undone(shown),
                1053 | 1317 | 1927 | 3169 | 4031 => Fault::Unreachable { reason: shown, passing: true },
                1290 | 1792 | 1836 => Fault::ReadOnly(refused(dialect, shown)),
                1153 | 1301 => Fault::Refused(too_large(dialect, &shown)),
                _ => Fault::Refused(refused(dialect, shown)),
            }
        }
    }
}

/// A value that the server does not take.
pub(super) fn too_large(dialect: Dialect, shown: &str) -> Error {
    let limit = match dialect {
        Dialect::Postgres => "PostgreSQL takes (1 GB)",
        Dialect::Mysql => "the server's max_allowed_packet, which can be raised to 1 GB",
    };
    refused(
        dialect,
        format!("a value is larger than {limit}; keep large values in an object store (large_values): {shown}"),
    )
}

/// Server's words may quote what was sent: their first line, shortened.
fn one_line(words: &str) -> String {
    let line = words.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}
