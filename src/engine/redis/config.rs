//! How a Redis storage is set up.

use std::fmt;
use std::time::Duration;

use super::url::{Target, parse, refuse};
use crate::error::Result;

const MAX_PREFIX_BYTES: usize = 256;
const MAX_CONNECTIONS: usize = 1_024;

/// How a Redis storage is set up.
///
/// Its `Debug` shows no password.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user[:password]@]host[:port][/database]`, `rediss://` for TLS, `redis+cluster://host:port[,host:port]`
    /// and `rediss+cluster://` for a cluster, `unix:///path/to/socket[?db=1]` for a socket of this machine (with
    /// `user` and `pass` there too). Parts are percent-decoded. `#insecure` at the end of a TLS url accepts any
    /// certificate; without it certificates and names are checked against the system's roots (`SSL_CERT_FILE` names
    /// others).
    pub url: String,
    /// What every name of this storage on the server starts with: 1 to 256 bytes without braces. Storages with
    /// different prefixes share nothing.
    pub key_prefix: String,
    /// How long an operation may take, reconnecting and repeating included.
    pub connection_timeout: Duration,
    /// How many connections it keeps at most (to each node of a cluster): one for small operations, which travel
    /// together, the others for large ones.
    pub max_connections: usize,
    /// Certificates in PEM that are trusted instead of the system's.
    pub ca_certificates: Option<Vec<u8>>,
}

impl RedisConfig {
    /// The defaults for the server at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key_prefix: "rrag".to_owned(),
            connection_timeout: Duration::from_secs(30),
            max_connections: 4,
            ca_certificates: None,
        }
    }

    /// Checks every option; connects to nothing.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Configuration`] that names the option and holds no secret.
    pub fn validate(&self) -> Result<()> {
        self.target().map(drop)
    }

    /// Where it leads.
    pub(super) fn target(&self) -> Result<Target> {
        let prefix = self.key_prefix.as_str();
        if prefix.is_empty() || prefix.len() > MAX_PREFIX_BYTES || prefix.contains(['{', '}']) {
            return refuse(format!("key_prefix must have 1 to {MAX_PREFIX_BYTES} bytes and no braces, not {prefix:?}"));
        }
        if self.max_connections == 0 || self.max_connections > MAX_CONNECTIONS {
            return refuse(format!("max_connections must be 1 to {MAX_CONNECTIONS}, not {}", self.max_connections));
        }
        if self.connection_timeout.is_zero() {
            return refuse("connection_timeout must be more than 0".to_owned());
        }
        parse(&self.url)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &self.target().map_or_else(|_| "?".to_owned(), |target| target.location()))
            .field("key_prefix", &self.key_prefix)
            .field("connection_timeout", &self.connection_timeout)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
