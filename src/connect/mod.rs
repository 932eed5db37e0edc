//! From a url or a configuration to a storage.

mod url;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::answer::Answer;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::in_memory::{InMemoryEngine, InMemoryLimits};
use crate::engine::object::{ObjectConfig, ObjectEngine};
use crate::engine::redis::{RedisConfig, RedisEngine};
use crate::engine::sql::{SqlConfig, SqlEngine};
use crate::engine::sqlite::{SqliteConfig, SqliteEngine, Synchronous};
use crate::error::{Error, Result};
use crate::layers::{Layered, Layers};
use crate::storage::Storage;

pub(crate) use url::{Scheme, masked, scheme_of};

/// A storage in this process's memory.
pub type InMemoryStorage = Storage<Layered<InMemoryEngine>>;

/// A storage in a database: a SQLite file, PostgreSQL, MySQL or MariaDB.
pub type DatabaseStorage = Storage<dyn Engine>;

/// A storage in an object store, or in a directory.
pub type ObjectStorage = Storage<Layered<ObjectEngine>>;

/// A storage in Redis or Valkey, or in a cluster of them.
pub type RedisStorage = Storage<Layered<RedisEngine>>;

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
        Self::over(Layered::plain(InMemoryEngine::new(limits, clock.clone())), clock)
    }

    /// A storage with these limits and layers.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for layers that can't be used together.
    pub fn with_layers(limits: InMemoryLimits, layers: Layers, clock: Clock) -> Result<Self> {
        Ok(Self::over(Layered::new(InMemoryEngine::new(limits, clock.clone()), layers)?, clock))
    }
}

impl Default for InMemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

/// What a [`DatabaseStorage`] needs to know. Its `Debug` form shows no password.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// `sqlite:PATH`, `sqlite::memory:`, or `postgres://` (`postgresql://`), `mysql://` (`mariadb://`) and
    /// `user:password@host:port/database?sslmode=verify-full`.
    pub connection_string: String,
    /// SQLite: how many connections read at the same time; one more writes. Servers: how many connections are open.
    pub max_connections: usize,
    /// How long an operation takes at most: waiting for another writer or a connection, the answer, and retries.
    pub connection_timeout: Duration,
    /// The table's name: letters, digits and underscores.
    pub table: String,
    /// What an acknowledged write to SQLite survives. A server's own settings say it there, and [`Synchronous::Normal`]
    /// is refused.
    pub synchronous: Synchronous,
    /// A PEM file of the certificates that sign the server's, instead of the system's. Not for SQLite.
    pub root_certificate: Option<PathBuf>,
    /// What is done to values before they are stored.
    pub layers: Layers,
    /// The source of times.
    pub clock: Clock,
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("connection_string", &masked(&self.connection_string))
            .field("max_connections", &self.max_connections)
            .field("connection_timeout", &self.connection_timeout)
            .field("table", &self.table)
            .field("synchronous", &self.synchronous)
            .field("root_certificate", &self.root_certificate)
            .field("layers", &self.layers)
            .field("clock", &self.clock)
            .finish()
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            connection_string: "sqlite:rrag_storage.db".to_owned(),
            max_connections: 4,
            connection_timeout: Duration::from_secs(30),
            table: "rrag_storage".to_owned(),
            synchronous: Synchronous::Full,
            root_certificate: None,
            layers: Layers::default(),
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
        let refused = |message: &str| Err(Error::Configuration(message.to_owned()));
        match scheme_of(&config.connection_string)? {
            Scheme::Sqlite if config.root_certificate.is_some() => {
                refused("root_certificate is for servers; a sqlite: url takes none")
            }
            Scheme::Sqlite => {
                let sqlite = SqliteConfig {
                    path: url::sqlite_path(&config.connection_string)?,
                    table: config.table,
                    max_connections: config.max_connections,
                    connection_timeout: config.connection_timeout,
                    synchronous: config.synchronous,
                };
                sqlite.validate()?;
                let engine = SqliteEngine::new(sqlite, config.clock.clone());
                Ok(Storage::over(Layered::new(engine, config.layers)?, config.clock).into_dyn())
            }
            Scheme::Sql if config.synchronous != Synchronous::Full => refused(
                "synchronous=\"normal\" is for SQLite; a server's own settings say what a commit survives there",
            ),
            Scheme::Sql => {
                let sql = SqlConfig {
                    url: config.connection_string,
                    table: config.table,
                    max_connections: config.max_connections,
                    connection_timeout: config.connection_timeout,
                    root_certificate: config.root_certificate,
                };
                let engine = SqlEngine::new(sql, config.clock.clone())?;
                Ok(Storage::over(Layered::new(engine, config.layers)?, config.clock).into_dyn())
            }
            Scheme::Memory => {
                refused("memory:// is for InMemoryStorage; a database url starts with sqlite:, postgres:// or mysql://")
            }
            Scheme::Redis => {
                refused("a Redis url is for RedisStorage; a database url starts with sqlite:, postgres:// or mysql://")
            }
            Scheme::Object => refused(
                "an object store's url is for ObjectStorage; a database url starts with sqlite:, postgres:// or mysql://",
            ),
        }
    }

    /// A storage that is open: what can't be opened fails here.
    pub fn with_config(config: DatabaseConfig) -> Answer<Result<Self>> {
        opened(Self::lazy(config))
    }
}

impl ObjectStorage {
    /// A storage that opens at its first operation.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a url or an option that can't be used.
    pub fn lazy(config: ObjectConfig, layers: Layers, clock: Clock) -> Result<Self> {
        if scheme_of(&config.url)? != Scheme::Object {
            return Err(Error::Configuration(
                "an object store's url starts with s3://, gs://, az:// or file:///".into(),
            ));
        }
        Ok(Self::over(Layered::new(ObjectEngine::new(config, clock.clone())?, layers)?, clock))
    }

    /// A storage that is open: a store that can't be reached fails here.
    pub fn with_config(config: ObjectConfig, layers: Layers, clock: Clock) -> Answer<Result<Self>> {
        opened(Self::lazy(config, layers, clock))
    }
}

impl RedisStorage {
    /// A storage that opens at its first operation.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a url or an option that can't be used.
    pub fn lazy(config: RedisConfig, layers: Layers, clock: Clock) -> Result<Self> {
        if scheme_of(&config.url)? != Scheme::Redis {
            return Err(Error::Configuration(
                "a Redis url starts with redis://, rediss://, redis+cluster://, rediss+cluster:// or unix://".into(),
            ));
        }
        Ok(Self::over(Layered::new(RedisEngine::new(config, clock.clone())?, layers)?, clock))
    }

    /// A storage that is open: a server that can't be reached fails here.
    pub fn with_config(config: RedisConfig, layers: Layers, clock: Clock) -> Answer<Result<Self>> {
        opened(Self::lazy(config, layers, clock))
    }
}

fn opened<E: Engine + ?Sized>(storage: Result<Storage<E>>) -> Answer<Result<Storage<E>>> {
    match storage {
        Ok(storage) => storage.open().map_ok(|()| storage),
        Err(error) => Answer::ready(Err(error)),
    }
}
