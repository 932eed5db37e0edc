//! What is asked of a range as a whole: counts, figures, namespaces, its removal and the purge of what has expired.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Value, cmd};

use super::errors::unexpected;
use super::layout::{Names, bounds};
use super::listing::WIDE;
use super::request::Work;
use super::scripts;
use super::store::Store;
use crate::engine::{EngineStats, KeyRange};
use crate::error::Result;
use crate::key::Key;

/// So many expired records at most are freed in one step.
const PURGE: usize = 1_000;
/// So many records at most are deleted in one step.
const REMOVE: usize = 50_000;
/// So many seeks at most are made in one step.
const SEEKS: usize = 2_000;
/// Of so many records each is looked for when they are counted: Redis may have evicted it.
const VERIFIED: usize = 2_000;
/// Of more, so many are looked for. Where one of them is gone, all are looked for.
const SAMPLES: usize = 64;
/// So many records of a range are measured for its size.
const MEASURED: usize = 256;
/// All these are spread over the tags of a cluster; but so many are looked at in each.
const LEAST_OF_EACH: usize = 2;

/// What a range takes in one tag.
struct Size {
    names: Arc<Names>,
    count: u64,
    measured: u64,
    /// Of those that were measured.
    bytes: u64,
}

impl Store {
    pub(super) async fn count(self: Arc<Self>, range: KeyRange) -> Result<u64> {
        Ok(self.sizes(&range, SAMPLES).await?.iter().map(|size| size.count).sum())
    }

    /// As [`Store::stats`], with the number of distinct first segments past `skip` bytes of the keys of a range.
    pub(super) async fn census(self: Arc<Self>, range: KeyRange, skip: usize) -> Result<(EngineStats, u64)> {
        if !range.is_all() || skip > 0 {
            let stats = Arc::clone(&self).stats(range.clone()).await?;
            return Ok((stats, self.namespaces(range, skip, Some(1)).await?.len() as u64));
        }
        let sizes = self.sizes(&range, MEASURED).await?;
        let stats = self.figures(&sizes).await?;
        if self.layout.is_clustered() {
            let held = sizes.iter().filter(|size| size.names.segment.is_some() && size.count > 0);
            return Ok((stats, held.count() as u64));
        }
        match self.list(&scripts::SPACES, &self.layout.root(), Vec::new()).await? {
            Value::Int(count) => Ok((stats, count.unsigned_abs())),
            _ => Err(unexpected("a count")),
        }
    }

    /// The size of a range in each of its tags. Those of a cluster that are empty are forgotten.
    async fn sizes(self: &Arc<Self>, range: &KeyRange, samples: usize) -> Result<Vec<Size>> {
        let tags = self.tags(range).await?;
        let of_each = |most: usize| (most / tags.len().max(1)).max(LEAST_OF_EACH);
        let (verified, samples) = (of_each(VERIFIED), of_each(samples));
        let mut sizes = Vec::with_capacity(tags.len());
        for some in tags.chunks(WIDE) {
            for one in join_all(some.iter().map(|names| self.size_of(names, range, verified, samples))).await {
                sizes.push(one?);
            }
        }
        if range.is_all() {
            let empty = sizes.iter().filter(|size| size.count == 0 && size.names.segment.is_some());
            self.forget(empty.map(|size| Arc::clone(&size.names)).collect());
        }
        Ok(sizes)
    }

    /// What has expired is freed first, and what was evicted is taken out of the index.
    async fn size_of(&self, names: &Arc<Names>, range: &KeyRange, verified: usize, samples: usize) -> Result<Size> {
        let (low, high) = bounds(range);
        loop {
            let rest = vec![
                low.clone(),
                high.clone(),
                PURGE.to_string().into_bytes(),
                verified.to_string().into_bytes(),
                samples.to_string().into_bytes(),
                fastrand::f64().to_string().into_bytes(),
            ];
            let Value::Array(figures) = self.list(&scripts::COUNT, names, rest).await? else {
                return Err(unexpected("a count"));
            };
            if let Some(Value::Int(freed)) = figures.get(1) {
                self.activity.freed(freed.unsigned_abs());
            }
            match figures.as_slice() {
                [Value::Int(1), _] => {}
                [Value::Int(2), _] => self.verify(names, range).await?,
                [Value::Int(0), _, Value::Int(count), Value::Int(measured), Value::Int(bytes)] => {
                    let (count, measured) = (count.unsigned_abs(), measured.unsigned_abs());
                    return Ok(Size { names: Arc::clone(names), count, measured, bytes: bytes.unsigned_abs() });
                }
                _ => return Err(unexpected("a count")),
            }
        }
    }

    /// Looks for every record of a range, in steps, and takes those that are gone out of the index.
    async fn verify(&self, names: &Names, range: &KeyRange) -> Result<()> {
        let (mut low, high) = bounds(range);
        loop {
            let rest = vec![low, high.clone(), VERIFIED.to_string().into_bytes()];
            match self.list(&scripts::VERIFY, names, rest).await? {
                Value::BulkString(next) => low = next,
                _ => return Ok(()),
            }
        }
    }

    /// One tag after the other, each in one step or in steps of a bounded size.
    pub(super) async fn remove_range(self: Arc<Self>, range: KeyRange) -> Result<u64> {
        let (low, high) = bounds(&range);
        let mut count = 0;
        for names in self.tags(&range).await? {
            loop {
                let rest = vec![low.clone(), high.clone(), REMOVE.to_string().into_bytes()];
                let work = self.script(&scripts::REMOVE, &names, rest, true);
                let Value::BulkString(said) = self.ask(work, true, true).await? else {
                    return Err(unexpected("a removal"));
                };
                let said = String::from_utf8_lossy(&said);
                let Some((removed, more)) = said.split_once(' ') else { return Err(unexpected("a removal")) };
                count += removed.parse::<u64>().map_err(|_| unexpected("a removal"))?;
                if more != "1" {
                    break;
                }
            }
        }
        Ok(count)
    }

    pub(super) async fn namespaces(
        self: Arc<Self>,
        range: KeyRange,
        skip: usize,
        max_depth: Option<usize>,
    ) -> Result<Vec<String>> {
        let mut all = Vec::new();
        if max_depth == Some(0) {
            return Ok(all);
        }
        for tags in self.tags(&range).await?.chunks(WIDE) {
            for found in join_all(tags.iter().map(|names| self.namespaces_of(names, &range, skip, max_depth))).await {
                all.extend(found?);
            }
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    async fn namespaces_of(
        &self,
        names: &Names,
        range: &KeyRange,
        skip: usize,
        max_depth: Option<usize>,
    ) -> Result<Vec<String>> {
        let (mut low, high) = bounds(range);
        let deepest = max_depth.map_or_else(|| "-1".to_owned(), |depth| depth.to_string()).into_bytes();
        let mut all = Vec::new();
        let mut before = Vec::new();
        // What has expired is skipped one by one: first it is freed.
        while let Value::Array(said) = self.list(&scripts::PURGE, names, vec![PURGE.to_string().into_bytes()]).await?
            && matches!(said.first(), Some(Value::Int(1)))
        {}
        loop {
            let rest = vec![
                low,
                high.clone(),
                skip.to_string().into_bytes(),
                deepest.clone(),
                SEEKS.to_string().into_bytes(),
                before,
            ];
            let Value::Array(found) = self.list(&scripts::NAMESPACES, names, rest).await? else {
                return Err(unexpected("a list of namespaces"));
            };
            let mut found = found.into_iter();
            let (next, last) = (found.next(), found.next());
            for name in found {
                let Value::BulkString(name) = name else { return Err(unexpected("a list of namespaces")) };
                all.push(match String::from_utf8(name) {
                    Ok(name) => name,
                    Err(error) => Key::from_stored(error.as_bytes())?.as_str().to_owned(),
                });
            }
            match (next, last) {
                (Some(Value::BulkString(next)), Some(Value::BulkString(last))) => (low, before) = (next, last),
                _ => return Ok(all),
            }
        }
    }

    /// Above a few hundred records the bytes are an estimate, from records evenly spread over the range.
    pub(super) async fn stats(self: Arc<Self>, range: KeyRange) -> Result<EngineStats> {
        let sizes = self.sizes(&range, MEASURED).await?;
        self.figures(&sizes).await
    }

    async fn figures(&self, sizes: &[Size]) -> Result<EngineStats> {
        let mut stats = EngineStats::default();
        let mut measured = 0;
        for size in sizes {
            stats.keys += size.count;
            measured += size.measured;
            let estimate = u128::from(size.bytes) * u128::from(size.count) / u128::from(size.measured.max(1));
            stats.bytes = stats.bytes.saturating_add(u64::try_from(estimate).unwrap_or(u64::MAX));
        }
        stats.extra.push(("measured_keys", to_float(measured)));
        if !self.layout.is_clustered()
            && let Value::BulkString(info) =
                self.ask(Work::Command(cmd("INFO").arg("memory").clone()), false, false).await?
        {
            let info = String::from_utf8_lossy(&info);
            for (line, name) in [("used_memory:", "server_used_memory"), ("maxmemory:", "server_maxmemory")] {
                let figure = info.lines().find_map(|one| one.strip_prefix(line)?.trim().parse::<u64>().ok());
                stats.extra.extend(figure.map(|figure| (name, to_float(figure))));
            }
        }
        Ok(stats)
    }

    /// Frees what has expired; on a cluster in the namespaces that this process has written to of late.
    pub(super) async fn purge(self: Arc<Self>) {
        let mut tags = vec![self.layout.root()];
        tags.extend(self.written().iter().map(|segment| self.layout.names_of_segment(segment)));
        for names in tags {
            // A failure is left to the next visit, or to a listing: what has expired is absent either way.
            while let Ok(Value::Array(said)) =
                self.list(&scripts::PURGE, &names, vec![PURGE.to_string().into_bytes()]).await
            {
                if let Some(Value::Int(freed)) = said.get(2) {
                    self.activity.freed(u64::try_from(*freed).unwrap_or(0));
                }
                if matches!(said.first(), Some(Value::Int(1))) {
                    continue;
                }
                if let Some(Value::BulkString(next)) = said.get(1) {
                    let next = String::from_utf8_lossy(next).parse::<i64>().ok();
                    self.expect(next);
                }
                break;
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn to_float(figure: u64) -> f64 {
    figure as f64
}
