//! How a storage in an object store is set up.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::url::Target;
use crate::error::{Error, Result};

/// How a storage in an object store is set up. Its `Debug` form shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ObjectConfig {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///folder`. What stands in it is
    /// taken literally: nothing is percent-decoded.
    pub url: String,
    /// Options by the names of the `object_store` crate: `aws_endpoint`, `region`, `google_service_account`,
    /// `azure_storage_account_name`. What they leave open comes from the environment: `AWS_ACCESS_KEY_ID` and so on.
    pub storage_options: Vec<(String, String)>,
    /// Whether requests may go over plain http, where everybody on the way reads and changes them.
    pub allow_http: bool,
    /// How many requests are under way at the same time; at least 1.
    pub max_connections: usize,
    /// How long an operation takes at most, with all its retries; a value of many MiB gets a second more for each.
    pub connection_timeout: Duration,
    /// A PEM file of certificates that sign the server's, besides the system's own.
    pub root_certificate: Option<PathBuf>,
}

impl fmt::Debug for ObjectConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.storage_options.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ObjectConfig")
            .field("url", &self.url.split_once(':').map_or("…", |(scheme, _)| scheme))
            .field("storage_options", &names)
            .field("allow_http", &self.allow_http)
            .field("max_connections", &self.max_connections)
            .field("connection_timeout", &self.connection_timeout)
            .field("root_certificate", &self.root_certificate)
            .finish()
    }
}

impl ObjectConfig {
    /// The defaults for what is at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            storage_options: Vec::new(),
            allow_http: false,
            max_connections: 64,
            connection_timeout: Duration::from_secs(30),
            root_certificate: None,
        }
    }

    /// Checks all of it that can be checked without asking anybody.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] that names the option and repeats no value of one.
    pub fn validate(&self) -> Result<()> {
        if self.max_connections == 0 {
            return Err(Error::Configuration("max_connections must be at least 1, not 0".into()));
        }
        if self.connection_timeout.is_zero() {
            return Err(Error::Configuration("connection_timeout must be positive".into()));
        }
        let target = Target::parse(&self.url)?;
        if target.is_folder() && !self.storage_options.is_empty() {
            return Err(Error::Configuration("a file:// url takes no storage_options".into()));
        }
        Ok(())
    }
}
