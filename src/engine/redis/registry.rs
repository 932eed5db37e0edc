//! A cluster's list of first namespaces.
//!
//! 1. A first namespace is entered before its first record is written, and again by each process that goes on writing
//!    to it, once a minute. So one that holds records is in the list.
//! 2. One that was found empty is taken out where nobody has entered it for an hour: longer than a write may be under
//!    way after it was entered. It is looked at once more afterwards, and entered again where it is not empty.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Value, cmd};

use super::errors::unexpected;
use super::layout::Names;
use super::request::Work;
use super::scripts;
use super::store::Store;
use crate::error::Result;
use crate::sync::lock;

/// How long a first namespace is taken to be in the list.
const ENTERED_FOR: Duration = Duration::from_mins(1);
/// So many first namespaces are remembered to be in the list.
const REMEMBERED: usize = 100_000;
/// So many seconds an empty one stays in the list.
const KEPT: u64 = 3_600;
/// So many are taken out at a time.
const FORGOTTEN: usize = 1_000;

impl Store {
    /// Whether a first namespace was entered into the list of late.
    pub(super) fn is_registered(&self, segment: &[u8]) -> bool {
        lock(&self.registered).get(segment).is_some_and(|at| at.elapsed() < ENTERED_FOR)
    }

    /// Enters a first namespace, before its first record is written.
    pub(super) async fn register(&self, names: &Names) -> Result<()> {
        let Some(segment) = &names.segment else { return Ok(()) };
        let now = Instant::now();
        self.list_of_tags(&scripts::REGISTER, vec![segment.clone()], true).await?;
        let mut registered = lock(&self.registered);
        if registered.len() >= REMEMBERED {
            registered.clear();
        }
        registered.insert(segment.clone(), now);
        Ok(())
    }

    /// The first namespaces that this process has written to of late.
    pub(super) fn written(&self) -> Vec<Vec<u8>> {
        lock(&self.registered).keys().cloned().collect()
    }

    /// Takes first namespaces that were found empty out of the list, in the background.
    pub(super) fn forget(self: &Arc<Self>, empty: Vec<Arc<Names>>) {
        if empty.is_empty() {
            return;
        }
        let store = Arc::clone(self);
        self.runtime.spawn(async move {
            for some in empty.chunks(FORGOTTEN) {
                // A failure leaves them to the next who finds them empty.
                let _ = store.forget_some(some).await;
            }
        });
    }

    async fn forget_some(&self, empty: &[Arc<Names>]) -> Result<()> {
        let mut rest = vec![KEPT.to_string().into_bytes()];
        rest.extend(empty.iter().filter_map(|names| names.segment.clone()));
        let Value::Array(gone) = self.list_of_tags(&scripts::FORGET, rest, true).await? else {
            return Err(unexpected("a list of namespaces"));
        };
        for segment in gone {
            let Value::BulkString(segment) = segment else { return Err(unexpected("a list of namespaces")) };
            let names = self.layout.names_of_segment(&segment);
            let exists = cmd("EXISTS").arg(names.keys.as_slice()).clone();
            if self.ask(Work::Command(exists), false, false).await? != Value::Int(0) {
                self.register(&names).await?;
            }
        }
        Ok(())
    }

    async fn list_of_tags(&self, script: &'static scripts::Script, rest: Vec<Vec<u8>>, writes: bool) -> Result<Value> {
        let mut args = vec![self.clock.now_ms().to_string().into_bytes(), self.layout.root().records.clone()];
        args.extend(rest);
        let work = Work::Script { script, names: self.layout.tags_heading(), args, fenced: false };
        self.ask(work, writes, false).await
    }
}
