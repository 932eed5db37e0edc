//! Freeing what has expired, without anyone calling anything.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::SqlEngine;
use super::connection::{Arg, Connection};
use super::core::{Ask, Core, commit};
use super::dialect::Dialect;
use super::errors::Outcome;
use super::rows::count_in;
use crate::fork;
use crate::janitor::{self, Purge};
use crate::sync::lock;

/// How often other processes' expiring records are looked for.
pub(super) const PURGE_EVERY: Duration = Duration::from_mins(1);
/// Expired records that one transaction deletes at most.
const PURGE_ROWS: i64 = 500;

impl SqlEngine {
    pub(super) fn purger(&self) -> Weak<dyn Purge> {
        self.me.clone()
    }

    /// Has what expires at `at` purged then.
    pub(super) fn expires(&self, core: &Core, at: i64) {
        if core.notes_expiry(at) {
            let wait = Duration::from_millis(u64::try_from(at.saturating_sub(self.clock.now_ms())).unwrap_or(0));
            janitor::watch(&self.purger(), wait);
        }
    }
}

impl Purge for SqlEngine {
    fn purge(&self) -> Option<Duration> {
        let state = lock(&self.state);
        let core = state.core.as_ref().filter(|_| !state.closed && state.generation == fork::generation())?;
        let (core, me) = (Arc::clone(core), self.me.clone());
        drop(state);
        core.forget_expiries();
        let theirs = Arc::clone(&core);
        core.spawn(async move {
            loop {
                let until = theirs.deadline();
                // A purge that fails is made up for by the next.
                let Ok((more, next)) = theirs.ask(&PurgeSome, until).await else { return };
                if !more {
                    if let (Some(at), Some(me)) = (next, me.upgrade()) {
                        me.expires(&theirs, at);
                    }
                    return;
                }
            }
        });
        Some(PURGE_EVERY)
    }
}

/// Deletes some of what has expired: whether there may be more, and when the next record expires.
struct PurgeSome;

impl Ask for PurgeSome {
    type Answer = (bool, Option<i64>);
    const WRITES: bool = true;

    async fn ask(&self, core: &Core, connection: &mut Connection) -> Outcome<Self::Answer> {
        let (table, t) = (&core.pool.table, core.pool.table.quoted());
        let now = core.clock.now_ms();
        let (text, args) = match table.dialect {
            // Looked at again when it is locked: it may have been written anew.
            Dialect::Postgres => (
                format!(
                    r#"DELETE FROM {t} WHERE "expires_at" <= ? AND "key" IN (SELECT "key" FROM {t}
                       WHERE "expires_at" <= ? ORDER BY "expires_at" LIMIT {PURGE_ROWS} FOR UPDATE SKIP LOCKED)"#
                ),
                vec![Arg::Int(now), Arg::Int(now)],
            ),
            Dialect::Mysql => (
                format!(r#"DELETE FROM {t} WHERE "expires_at" <= ? ORDER BY "expires_at" LIMIT {PURGE_ROWS}"#),
                vec![Arg::Int(now)],
            ),
        };
        connection.simple("BEGIN").await?;
        let gone = i64::try_from(connection.run(table.statement(&text, args)).await?.rows).unwrap_or(0);
        count_in(connection, table, Core::slot(), -gone).await?;
        commit(connection).await?;
        let text = format!(r#"SELECT MIN("expires_at") FROM {t} WHERE "expires_at" > ?"#);
        let next = connection.row(table.statement(&text, vec![Arg::Int(now)])).await?.maybe(0)?;
        Ok((gone >= PURGE_ROWS, next))
    }
}
