//! Connections, lent one at a time.
//!
//! # What holds
//!
//! 1. A connection goes back only after a statement was answered in full; one whose answer is still to come is dropped
//!    with the task that waited for it. So nobody reads another's answer.
//! 2. Lending and giving back ask the server nothing, unless a connection lay idle for long.
//! 3. At most `max_connections` are open; who finds all lent waits, in turn, until its time is up.
//! 4. Connections on loan have different numbers: by them writers keep off each other's counters.
//! 5. One task at a time sets up the tables, before the first connection is lent.

use std::collections::BTreeSet;
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
/// An attempt to connect may take this part of the timeout: a server that says nothing is asked anew.
const CONNECT_SHARE: u32 = 3;
/// Counters of a namespace: so many writers change its number of rows without waiting for each other.
const SLOTS: usize = 16;

pub(super) struct Pool {
    pub(super) target: Target,
    pub(super) config: SqlConfig,
    pub(super) table: Table,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<(Connection, Instant)>>,
    seats: Arc<Seats>,
    ready: OnceCell<()>,
    /// Whether a connection was ever made: then a server that can't be reached is one that will come back.
    reached: AtomicBool,
}

/// A connection on loan. Dropped without [`Lease::keep`], it is closed.
pub(super) struct Lease {
    pub(super) connection: Connection,
    permit: OwnedSemaphorePermit,
    seat: Seat,
}

impl Lease {
    /// The counters that this connection's transactions change.
    pub(super) fn slot(&self) -> i64 {
        i64::try_from((self.seat.seats.first + self.seat.number) % SLOTS).unwrap_or(0)
    }
}

/// The numbers of the connections on loan, from `first` on, which differs from one process to the next.
struct Seats {
    first: usize,
    taken: Mutex<BTreeSet<usize>>,
}

/// A number on loan: the lowest that was free.
struct Seat {
    number: usize,
    seats: Arc<Seats>,
}

impl Seat {
    fn take(seats: &Arc<Seats>) -> Self {
        let mut taken = lock(&seats.taken);
        let number = (0..).zip(taken.iter()).find(|(free, taken)| free != *taken).map_or(taken.len(), |(free, _)| free);
        taken.insert(number);
        Self { number, seats: Arc::clone(seats) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.seats.taken).remove(&self.number);
    }
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
            seats: Arc::new(Seats { first: fastrand::usize(0..SLOTS), taken: Mutex::default() }),
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
                return Ok(self.lease(connection, permit));
            }
            if let Ok(Ok(())) = timeout(ALIVE_WITHIN, connection.simple("SELECT 1")).await {
                return Ok(self.lease(connection, permit));
            }
        }
        let connection = self.connect().await?;
        Ok(self.lease(connection, permit))
    }

    fn lease(&self, connection: Connection, permit: OwnedSemaphorePermit) -> Lease {
        Lease { connection, permit, seat: Seat::take(&self.seats) }
    }

    fn pop(&self) -> Option<(Connection, Instant)> {
        lock(&self.idle).pop()
    }

    async fn permit(&self) -> Outcome<OwnedSemaphorePermit> {
        let gone = |_| Fault::Unreachable { reason: "the storage is being closed".into(), passing: false };
        Arc::clone(&self.permits).acquire_owned().await.map_err(gone)
    }

    async fn connect(&self) -> Outcome<Connection> {
        let patience = self.config.connection_timeout / CONNECT_SHARE;
        let opened = timeout(patience, Connection::open(&self.target, &self.config)).await;
        let connection = opened.map_err(|_| Fault::Unreachable {
            reason: format!("an attempt to connect got no answer within {:.1} s", patience.as_secs_f64()),
            passing: true,
        })??;
        self.reached.store(true, Ordering::Relaxed);
        Ok(connection)
    }

    async fn set_up(&self) -> Outcome<()> {
        let permit = self.permit().await?;
        let mut connection = self.connect().await?;
        schema::ensure(&mut connection, &self.table, &self.target.place(), self.config.connection_timeout).await?;
        self.keep(self.lease(connection, permit));
        Ok(())
    }

    /// Takes a connection back whose last statement was answered in full, with no transaction open.
    pub(super) fn keep(&self, lease: Lease) {
        let Lease { connection, permit, seat } = lease;
        lock(&self.idle).push((connection, Instant::now()));
        drop((seat, permit));
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
