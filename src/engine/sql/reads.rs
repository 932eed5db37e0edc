//! Point reads: all that wait travel in one statement, which shows one moment.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::core::{Ask, Core};
use super::errors::Outcome;
use super::pool::Lease;
use super::queue::Job;
use super::rows::{self, Found};
use crate::engine::{Meta, Record};
use crate::error::Result;
use crate::key::Key;

/// What is asked about keys.
pub(super) struct Read {
    pub(super) keys: Vec<Key>,
    /// Whether the bodies are wanted.
    pub(super) body: bool,
}

/// What was found under the keys of a [`Read`], in their order.
pub(super) type Reading = Vec<Option<Found>>;

impl Job for Read {
    type Done = Reading;
    const WRITES: bool = false;

    fn weight(&self) -> usize {
        // A guess: what comes back is not known. So many keys of a kilobyte travel together.
        self.keys.len() * 4096
    }

    fn keys(&self, visit: &mut dyn FnMut(&Key)) {
        self.keys.iter().for_each(visit);
    }

    async fn run(core: &Core, jobs: Vec<Self>, until: Instant) -> Vec<Result<Reading>> {
        let found = core.ask(&Group(&jobs), until).await;
        let answer = |job: Self| match &found {
            Ok(found) => Ok(job.keys.iter().map(|key| found.get(key).cloned()).collect()),
            Err(error) => Err(error.clone()),
        };
        jobs.into_iter().map(answer).collect()
    }
}

struct Group<'j>(&'j [Read]);

impl Ask for Group<'_> {
    type Answer = HashMap<Key, Found>;
    const QUICK: bool = true;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<Self::Answer> {
        let connection = &mut lease.connection;
        let now_ms = core.clock.now_ms();
        let mut found = HashMap::new();
        let table = &core.pool.table;
        let with: HashSet<&Key> = self.0.iter().filter(|job| job.body).flat_map(|job| &job.keys).collect();
        let without: HashSet<&Key> = self.0.iter().filter(|job| !job.body).flat_map(|job| &job.keys).collect();
        let mut parts = Vec::new();
        for (keys, body) in [(without, false), (with, true)] {
            let keys: Vec<&[u8]> = keys.into_iter().map(Key::as_bytes).collect();
            if !keys.is_empty() {
                parts.extend(table.read(&keys, now_ms, body).into_iter().map(|statement| (statement, body)));
            }
        }
        let several = parts.len() > 1;
        if several {
            connection.simple(table.dialect.snapshot()).await?;
        }
        for (statement, body) in parts {
            rows::collect(connection, vec![statement], body, &mut found).await?;
        }
        if several {
            connection.simple("COMMIT").await?;
        }
        Ok(found)
    }
}

/// The record in what was found with its body.
pub(super) fn record(found: Found) -> Option<Record> {
    found.body.map(|body| Record { meta: found.meta, body })
}

/// Version and times in what was found.
pub(super) fn meta(found: &Found) -> Meta {
    found.meta
}
