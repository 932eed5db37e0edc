//! What is asked of a range as a whole: counts, figures, namespaces, its removal and the purge of what has expired.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Value, cmd};

use super::errors::unexpected;
use super::layout::{Names, bounds};
use super::listing::FAN;
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
/// So many records of a range are measured for its size.
const SAMPLES: usize = 256;

impl Store {
    pub(super) async fn count(self: Arc<Self>, range: KeyRange) -> Result<u64> {
        let mut count = 0;
        for tags in self.tags(&range).await?.chunks(FAN) {
            for one in join_all(tags.iter().map(|names| self.count_of(names, &range))).await {
                count += one?;
            }
        }
        Ok(count)
    }

    async fn count_of(&self, names: &Names, range: &KeyRange) -> Result<u64> {
        let (low, high) = bounds(range);
        loop {
            let rest = vec![low.clone(), high.clone(), PURGE.to_string().into_bytes()];
            match self.list(&scripts::COUNT, names, rest).await? {
                Value::Int(-1) => {}
                Value::Int(count) => return Ok(count.unsigned_abs()),
                _ => return Err(unexpected("a count")),
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
        for tags in self.tags(&range).await?.chunks(FAN) {
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
        self.count_of(names, range).await?;
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
        let mut stats = EngineStats::default();
        let mut measured = 0;
        for tags in self.tags(&range).await?.chunks(FAN) {
            for one in join_all(tags.iter().map(|names| self.stats_of(names, &range))).await {
                let (keys, samples, bytes) = one?;
                stats.keys += keys;
                measured += samples;
                let estimate = u128::from(bytes) * u128::from(keys) / u128::from(samples.max(1));
                stats.bytes = stats.bytes.saturating_add(u64::try_from(estimate).unwrap_or(u64::MAX));
            }
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

    async fn stats_of(&self, names: &Names, range: &KeyRange) -> Result<(u64, u64, u64)> {
        self.count_of(names, range).await?;
        let (low, high) = bounds(range);
        let rest = vec![low, high, SAMPLES.to_string().into_bytes()];
        match self.list(&scripts::STATS, names, rest).await? {
            Value::Array(figures) => match figures.as_slice() {
                [Value::Int(keys), Value::Int(samples), Value::Int(bytes)] => {
                    Ok((keys.unsigned_abs(), samples.unsigned_abs(), bytes.unsigned_abs()))
                }
                _ => Err(unexpected("figures")),
            },
            _ => Err(unexpected("figures")),
        }
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
