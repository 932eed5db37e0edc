//! Payloads that nothing points to: what a process left behind that was killed between storing one and committing its
//! pointer, or between a commit and the removal of the payload before.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::future::join_all;

use super::large::{hex, owner};
use super::layered::Layered;
use crate::engine::{Engine, KeyRange, Scan};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::memory::{MemoryQuery, SortOrder};

/// How many keys are looked at, and how many payloads removed, at a time.
const PAGE: usize = 1000;

impl<E: Engine + ?Sized> Layered<E> {
    /// Removes payloads that were stored longer than `older_than` ago and that no record points to; how many.
    pub(super) async fn collect(&self, older_than: Duration) -> Result<u64> {
        let Some(store) = &self.state.layers.large_values else {
            return Err(Error::InvalidArgument(
                "collect_garbage() needs large_values: there is no garbage else".to_owned(),
            ));
        };
        self.state.prepare(&*self.engine).await?;
        let id = *self.state.id()?;
        let until = store.clock().now_ns().saturating_sub(i64::try_from(older_than.as_nanos()).unwrap_or(i64::MAX));
        let mut suspects: HashMap<String, HashSet<String>> = HashMap::new();
        let query = MemoryQuery { namespace: Some(hex(&id)), ..MemoryQuery::default() };
        let mut listing = store.list(&query, false)?;
        while !listing.is_done() {
            for row in listing.next().await? {
                let name = store.local(&row.key);
                if let Some((owner, _)) = name.rsplit_once(crate::key::SEPARATOR) {
                    suspects.entry(owner.to_owned()).or_default().insert(name.to_owned());
                }
            }
        }
        self.acquit(&mut suspects, &id).await?;
        let suspects = suspects.into_values().flatten().map(|name| store.key(&name)).collect::<Result<Vec<_>>>()?;
        let mut removed = 0;
        for some in suspects.chunks(PAGE) {
            let metas = join_all(some.iter().map(|name| store.meta(name))).await;
            let mut garbage = Vec::with_capacity(some.len());
            for (name, meta) in some.iter().zip(metas) {
                // A younger one may be on its way to be pointed to.
                if meta?.is_some_and(|meta| meta.created_at <= until) {
                    garbage.push(name.clone());
                }
            }
            removed += store.remove(garbage).await?;
        }
        Ok(removed)
    }

    /// Takes the payloads that a record points to off the list.
    async fn acquit(&self, suspects: &mut HashMap<String, HashSet<String>>, id: &[u8; 16]) -> Result<()> {
        let range = KeyRange::all();
        let mut scan = Scan { range, order: SortOrder::KeyAsc, after: None, limit: PAGE, records: false };
        while !suspects.is_empty() {
            let page = self.engine.scan(scan.clone()).await?;
            let keys = page.rows.iter().map(|row| &row.key);
            let owners: Vec<Key> = keys.filter(|key| suspects.contains_key(&owner(id, key))).cloned().collect();
            if !owners.is_empty() {
                let records = self.engine.read(owners.clone()).await?;
                for (key, record) in owners.iter().zip(records) {
                    let Some(record) = record else { continue };
                    let pointer = self.state.pointer_or_error(key, &record)?;
                    if let (Some(names), Some(pointer)) = (suspects.get_mut(&owner(id, key)), pointer) {
                        names.remove(&pointer.name(id, key));
                    }
                }
            }
            match page.rows.last() {
                Some(last) if page.more => scan.after = Some(last.cursor()),
                _ => break,
            }
        }
        Ok(())
    }
}
