//! How a storage on a SQL server is set up.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::super::options::check_table;
use crate::error::{Error, Result};

/// The table that names every table of ours in a database, with its schema's version.
pub(super) const SCHEMA_TABLE: &str = "rrag_storage_schema";
/// The table of what tables hold beside their records.
pub(super) const ATTRIBUTES_TABLE: &str = "rrag_storage_attributes";
/// The table that counts the rows of every table of ours, by their first-level namespace.
pub(super) const COUNTS_TABLE: &str = "rrag_storage_counts";

/// How a storage on a SQL server is set up. Its `Debug` form shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlConfig {
    /// `postgres://`, `postgresql://`, `mysql://` or `mariadb://`, then `user:password@host:port/database?options`.
    pub url: String,
    /// The table that holds the records: 1 to 63 of `A-Z a-z 0-9 _`, not starting with a digit.
    pub table: String,
    /// How many connections are open at the same time; at least 1.
    pub max_connections: usize,
    /// How long an operation takes at most: connecting, waiting for a connection, the server's answer, and retries.
    pub connection_timeout: Duration,
    /// A PEM file of certificates that sign the server's; the system's own where it is `None`.
    pub root_certificate: Option<PathBuf>,
}

impl fmt::Debug for SqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlConfig")
            .field("url", &self.url.split_once(':').map_or("…", |(scheme, _)| scheme))
            .field("table", &self.table)
            .field("max_connections", &self.max_connections)
            .field("connection_timeout", &self.connection_timeout)
            .field("root_certificate", &self.root_certificate)
            .finish()
    }
}

impl SqlConfig {
    /// The defaults for a server at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            table: "rrag_storage".into(),
            max_connections: 4,
            connection_timeout: Duration::from_secs(30),
            root_certificate: None,
        }
    }

    /// Checks every option but the url; asks no server.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] that names the option.
    pub(super) fn validate(&self) -> Result<()> {
        check_table(&self.table, |name| {
            [SCHEMA_TABLE, COUNTS_TABLE, ATTRIBUTES_TABLE].contains(&name) || name.starts_with("pg_")
        })?;
        if self.max_connections == 0 {
            return Err(Error::Configuration("max_connections must be at least 1, not 0".into()));
        }
        if self.connection_timeout.is_zero() {
            return Err(Error::Configuration("connection_timeout must be positive".into()));
        }
        Ok(())
    }
}
