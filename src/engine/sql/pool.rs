//! Connections, lent one at a time.
//!
//! # What holds
//!
//! 1. A connection goes back only after a statement was answered in full; one whose answer is still to come is dropped
//!    with the task that waited for it. So nobody reads another's answer.
//! 2. Lending and giving back ask the server nothing, unless a connection lay idle for long.
//! 3. At most `max_connections` are open; who finds all lent waits, in turn, until its time is up.
//! 4. One task at a time sets up the tables, before the first connection is lent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::config::SqlConfig;
use super::connection::Connection;
use super::dialect::Table;
use super::errors::{Fault, Outcome};
use super::schema;
use super::url::Target;
use crate::sync::lock;

/// What lay idle for longer is asked whether it is still there: a firewall may have forgotten it without a word.
const TRUSTED_IDLE: Duration = Duration::from_secs(15);
/// How long that answer may take.
const ALIVE_WITHIN: Duration = Duration::from_secs(3);

pub(super) struct Pool {
    pub(super) target: Target,
    pub(super) config: SqlConfig,
    pub(super) table: Table,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<(Connection, Instant)>>,
    ready: OnceCell<()>,
    /// Whether a connection was ever made: then a server that can't be reached is one that will come back.
    reached: AtomicBool,
}

/// A connection on loan. Dropped without [`Lease::keep`], it is closed.
pub(super) struct Lease {
    pub(super) connection: Connection,
    permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(target: Target, config: SqlConfig) -> Self {
        let table = Table { dialect: target.dialect, name: config.table.clone() };
        let permits = Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS)));
        Self {
            target,
            config,
            table,
            permits,
            idle: Mutex::default(),
            ready: OnceCell::new(),
            reached: AtomicBool::new(false),
        }
    }

    /// Whether a server was ever reached.
    pub(super) fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// Lends a connection.
    pub(super) async fn lend(&self) -> Outcome<Lease> {
        self.ready.get_or_try_init(|| self.set_up()).await?;
        let permit = self.permit().await?;
        while let Some((mut connection, since)) = self.pop() {
            if since.elapsed() < TRUSTED_IDLE {
                return Ok(Lease { connection, permit });
            }
            if let Ok(Ok(())) = timeout(ALIVE_WITHIN, connection.simple("SELECT 1")).await {
                return Ok(Lease { connection, permit });
            }
        }
        Ok(Lease { connection: self.connect().await?, permit })
    }

    fn pop(&self) -> Option<(Connection, Instant)> {
        lock(&self.idle).pop()
    }

    async fn permit(&self) -> Outcome<OwnedSemaphorePermit> {
        let gone = |_| Fault::Unreachable { reason: "the storage is being closed".into(), passing: false };
        Arc::clone(&self.permits).acquire_owned().await.map_err(gone)
    }

    async fn connect(&self) -> Outcome<Connection> {
        let connection = Connection::open(&self.target, &self.config).await?;
        self.reached.store(true, Ordering::Relaxed);
        Ok(connection)
    }

    async fn set_up(&self) -> Outcome<()> {
        let permit = self.permit().await?;
        let mut connection = self.connect().await?;
        schema::ensure(&mut connection, &self.table, &self.target.place(), self.config.connection_timeout).await?;
        self.keep(Lease { connection, permit });
        Ok(())
    }

    /// Takes a connection back whose last statement was answered in full, with no transaction open.
    pub(super) fn keep(&self, lease: Lease) {
        let Lease { connection, permit } = lease;
        lock(&self.idle).push((connection, Instant::now()));
        drop(permit);
    }

    /// Drops every idle connection: the server they lead to went away.
    pub(super) fn forget_idle(&self) {
        let idle = std::mem::take(&mut *lock(&self.idle));
        drop(idle);
    }

    /// Closes every idle connection with a goodbye.
    pub(super) async fn close(&self, patience: Duration) {
        let idle = std::mem::take(&mut *lock(&self.idle));
        for (connection, _) in idle {
            connection.close(patience).await;
        }
    }
}
