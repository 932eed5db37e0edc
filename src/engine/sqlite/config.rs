//! How a SQLite storage is set up.

use std::path::PathBuf;
use std::time::Duration;

use super::super::options::check_table;
use crate::error::{Error, Result};

/// The table that names every table of ours in a file, with its schema's version.
pub(super) const SCHEMA_TABLE: &str = "rrag_storage_schema";

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlitePath {
    /// A file, created where it is missing. Its directory must exist.
    File(PathBuf),
    /// This process's memory: gone with the storage.
    Memory,
}

/// What an acknowledged write has survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// The process's end and a power cut: each commit is flushed to the disk.
    #[default]
    Full,
    /// The process's end. A power cut may take the last moments, never the consistency.
    Normal,
}

/// How a SQLite storage is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteConfig {
    /// Where the database is.
    pub path: SqlitePath,
    /// The table that holds the records: 1 to 63 of `A-Z a-z 0-9 _`, not starting with a digit or `sqlite_`.
    pub table: String,
    /// How many connections read at the same time; at least 1.
    pub max_connections: usize,
    /// How long an operation waits for others who hold the file.
    pub connection_timeout: Duration,
    /// What an acknowledged write has survived.
    pub synchronous: Synchronous,
}

impl SqliteConfig {
    /// The defaults for a database at `path`.
    pub fn new(path: SqlitePath) -> Self {
        Self {
            path,
            table: "rrag_storage".into(),
            max_connections: 4,
            connection_timeout: Duration::from_secs(30),
            synchronous: Synchronous::Full,
        }
    }

    /// Checks every option; touches no file.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] that names the option.
    pub fn validate(&self) -> Result<()> {
        check_table(&self.table, |name| name == SCHEMA_TABLE || name.starts_with("sqlite_"))?;
        if self.max_connections == 0 {
            return Err(Error::Configuration("max_connections must be at least 1, not 0".into()));
        }
        if self.connection_timeout.is_zero() {
            return Err(Error::Configuration("connection_timeout must be positive".into()));
        }
        match &self.path {
            SqlitePath::File(path) if path.as_os_str().is_empty() => {
                Err(Error::Configuration("the path of a sqlite url must not be empty; write sqlite:FILE".into()))
            }
            SqlitePath::File(path) if path.as_os_str().as_encoded_bytes().contains(&0) => {
                Err(Error::Configuration("the path of a sqlite url must not hold a NUL".into()))
            }
            _ => Ok(()),
        }
    }

    /// The place as a user wrote it.
    pub(super) fn place(&self) -> String {
        match &self.path {
            SqlitePath::File(path) => path.display().to_string(),
            SqlitePath::Memory => ":memory:".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_options_are_named() {
        let with_table = |table: &str| SqliteConfig { table: table.into(), ..SqliteConfig::new(SqlitePath::Memory) };
        for bad in ["", "1a", "a-b", "a b", "sqlite_x", "SQLite_x", "é", "a\"b", "rrag_storage_schema", &"a".repeat(64)]
        {
            assert!(
                matches!(with_table(bad).validate(), Err(Error::Configuration(words)) if words.contains("table")),
                "{bad}"
            );
        }
        for good in ["a", "_", "rrag_storage", "select", &"a".repeat(63)] {
            assert!(with_table(good).validate().is_ok(), "{good}");
        }
        let none = SqliteConfig { max_connections: 0, ..SqliteConfig::new(SqlitePath::Memory) };
        assert!(matches!(none.validate(), Err(Error::Configuration(words)) if words.contains("max_connections")));
    }
}
