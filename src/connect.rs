//! From a url or a configuration to a storage.

use std::path::PathBuf;
use std::time::Duration;

use crate::answer::Answer;
use crate::clock::Clock;
use crate::engine::in_memory::{InMemoryEngine, InMemoryLimits};
use crate::engine::sqlite::{SqliteConfig, SqliteEngine, SqlitePath, Synchronous};
use crate::error::{Error, Result};
use crate::storage::Storage;

/// A storage in this process's memory.
pub type InMemoryStorage = Storage<InMemoryEngine>;

/// A storage in a database: a SQLite file.
pub type DatabaseStorage = Storage<SqliteEngine>;

/// The most entries of an [`InMemoryStorage`] unless told otherwise.
pub const DEFAULT_MAX_KEYS: u64 = 100_000;
/// The most bytes of an [`InMemoryStorage`] unless told otherwise.
pub const DEFAULT_MAX_MEMORY_BYTES: u64 = 1_000_000_000;

impl InMemoryStorage {
    /// A storage with the default limits, on the system's clock.
    pub fn new() -> Self {
        let limits = InMemoryLimits {
            max_keys: Some(DEFAULT_MAX_KEYS),
            max_memory_bytes: Some(DEFAULT_MAX_MEMORY_BYTES),
            ..InMemoryLimits::default()
        };
        Self::with_limits(limits, Clock::System)
    }

    /// A storage with these limits.
    pub fn with_limits(limits: InMemoryLimits, clock: Clock) -> Self {
        Self::over(InMemoryEngine::new(limits, clock.clone()), clock)
    }
}

impl Default for InMemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

/// What a [`DatabaseStorage`] needs to know.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `sqlite:PATH` or `sqlite::memory:`.
    pub connection_string: String,
    /// How many connections read at the same time. One more writes.
    pub max_connections: usize,
    /// How long to wait for another writer, or for the file to open.
    pub connection_timeout: Duration,
    /// The table's name: letters, digits and underscores.
    pub table: String,
    /// What an acknowledged write survives.
    pub synchronous: Synchronous,
    /// The source of times.
    pub clock: Clock,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            connection_string: "sqlite:rrag_storage.db".to_owned(),
            max_connections: 4,
            connection_timeout: Duration::from_secs(30),
            table: "rrag_storage".to_owned(),
            synchronous: Synchronous::Full,
            clock: Clock::System,
        }
    }
}

impl DatabaseStorage {
    /// A storage that opens at its first operation.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a url or an option that can't be used.
    pub fn lazy(config: DatabaseConfig) -> Result<Self> {
        let path = sqlite_path(&config.connection_string)?;
        let clock = config.clock.clone();
        let sqlite = SqliteConfig {
            path,
            table: config.table,
            max_connections: config.max_connections,
            connection_timeout: config.connection_timeout,
            synchronous: config.synchronous,
        };
        sqlite.validate()?;
        Ok(Self::over(SqliteEngine::new(sqlite, clock.clone()), clock))
    }

    /// A storage that is open: what can't be opened fails here.
    pub fn with_config(config: DatabaseConfig) -> Answer<Result<Self>> {
        match Self::lazy(config) {
            Ok(storage) => storage.open().map_ok(|()| storage),
            Err(error) => Answer::ready(Err(error)),
        }
    }
}

/// The kinds of urls, by their scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// `memory://`
    Memory,
    /// `sqlite:`
    Sqlite,
}

/// What `url` leads to.
///
/// # Errors
///
/// [`Error::Configuration`] for a url of no scheme that is built in. The url is not repeated in it: it may hold a
/// password.
pub(crate) fn scheme_of(url: &str) -> Result<Scheme> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme.to_ascii_lowercase().as_str() {
        "memory" => match url.get("memory:".len()..) {
            Some("" | "//") => Ok(Scheme::Memory),
            _ => {
                Err(Error::Configuration("a memory:// url takes nothing behind it; limits are keyword options".into()))
            }
        },
        "sqlite" => Ok(Scheme::Sqlite),
        "" => Err(Error::Configuration(
            "the url has no scheme; write memory://, sqlite:PATH or sqlite::memory:".to_owned(),
        )),
        other if other.len() <= 32 && other.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
            Err(Error::Configuration(format!(
                "no backend for {other}: urls in this version; use memory://, sqlite:PATH or sqlite::memory:"
            )))
        }
        _ => Err(Error::Configuration("the url has no known scheme; use memory:// or sqlite:PATH".to_owned())),
    }
}

/// The file that a `sqlite:` url names: what follows the scheme, taken literally.
fn sqlite_path(url: &str) -> Result<SqlitePath> {
    if scheme_of(url)? != Scheme::Sqlite {
        return Err(Error::Configuration(
            "a database url starts with sqlite: in this version; memory:// is for InMemoryStorage".to_owned(),
        ));
    }
    let rest = &url["sqlite:".len()..];
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path == ":memory:" {
        return Ok(SqlitePath::Memory);
    }
    if path.is_empty() {
        return Err(Error::Configuration(
            "a sqlite: url needs a path: sqlite:memory.db, sqlite:///var/lib/app.db".into(),
        ));
    }
    if path.contains('\0') {
        return Err(Error::Configuration("the path of a sqlite: url holds a NUL".to_owned()));
    }
    if let Some((_, query)) = path.rsplit_once('?')
        && query.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    {
        return Err(Error::Configuration(
            "a sqlite: url takes no ?options; pass them as keyword arguments, as synchronous=\"normal\"".to_owned(),
        ));
    }
    Ok(SqlitePath::File(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_files_literally() {
        let file = |url| match sqlite_path(url) {
            Ok(SqlitePath::File(path)) => path.to_string_lossy().into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(file("sqlite:memory.db"), "memory.db");
        assert_eq!(file("sqlite:/abs/x.db"), "/abs/x.db");
        assert_eq!(file("sqlite:///abs/x.db"), "/abs/x.db");
        assert_eq!(file("sqlite://rel.db"), "rel.db");
        assert_eq!(file("SQLITE:a%20b.db"), "a%20b.db");
        assert_eq!(file("sqlite:what?.db"), "what?.db");
        assert!(matches!(sqlite_path("sqlite::memory:"), Ok(SqlitePath::Memory)));
        assert!(matches!(sqlite_path("sqlite://:memory:"), Ok(SqlitePath::Memory)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for url in ["", "x.db", "sqlite:", "sqlite://", "sqlite:a.db?mode=ro", "memory://x", "postgres://u:secret@h/d"]
        {
            match sqlite_path(url) {
                Err(Error::Configuration(message)) => assert!(!message.contains("secret"), "{message}"),
                other => panic!("{url}: {other:?}"),
            }
        }
    }
}
