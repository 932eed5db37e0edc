//! Freeing what has expired, without anyone calling anything.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::SqlEngine;
use super::connection::Arg;
use super::core::{Ask, Core};
use super::counts::{Changes, Tidy};
use super::dialect::Dialect;
use super::errors::Outcome;
use super::pool::Lease;
use super::rows::run_all;
use crate::fork;
use crate::janitor::{self, Purge};
use crate::sync::lock;

/// How often other processes' expiring records are looked for.
pub(super) const PURGE_EVERY: Duration = Duration::from_mins(1);
/// Expired records that one transaction deletes at most.
const PURGE_ROWS: usize = 500;

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

    /// Has the counters tidied soon, where they weren't a moment ago.
    pub(super) fn untidy(&self) {
        let _gate = fork::enter();
        if let Ok(core) = self.core()
            && core.wants_tidying()
        {
            janitor::watch(&self.purger(), Duration::ZERO);
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
                    break;
                }
            }
            if theirs.tidies() {
                while let Ok(true) = theirs.ask(&Tidy, theirs.deadline()).await {}
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

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<Self::Answer> {
        let (table, t) = (&core.pool.table, core.pool.table.quoted());
        let (connection, now) = (&mut lease.connection, core.clock.now_ms());
        // Locked as they are looked at: none of them is written anew before it goes.
        let skip = if table.dialect == Dialect::Postgres { "SKIP LOCKED" } else { "" };
        let text = format!(
            r#"SELECT "key" FROM {t} WHERE "expires_at" <= ? ORDER BY "expires_at" LIMIT {PURGE_ROWS} FOR UPDATE {skip}"#
        );
        connection.simple("BEGIN").await?;
        let rows = connection.rows(table.statement(&text, vec![Arg::Int(now)])).await?;
        let keys = rows.iter().map(|row| row.bytes(0)).collect::<Outcome<Vec<&[u8]>>>()?;
        let mut changes = Changes::default();
        for key in &keys {
            changes.add(key, -1);
        }
        if !keys.is_empty() {
            run_all(connection, table.remove(&keys)).await?;
        }
        changes.commit(lease, core).await?;
        core.activity.freed(keys.len() as u64);
        let text = format!(r#"SELECT MIN("expires_at") FROM {t} WHERE "expires_at" > ?"#);
        let next = lease.connection.row(table.statement(&text, vec![Arg::Int(now)])).await?.maybe(0)?;
        Ok((keys.len() >= PURGE_ROWS, next))
    }
}
