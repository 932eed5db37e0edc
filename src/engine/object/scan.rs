//! Listings. A store lists names and sizes, a thousand a request, in the order of keys. Where the size says that a
//! record may be dead, its head is read too: one request each, many at the same time.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::backing::{Listed, Next, Outcome};
use super::errors::damaged;
use super::names;
use super::record::{Head, is_immortal};
use super::store::Store;
use crate::engine::{EngineStats, KeyRange, Meta, Page, Record, Row, Scan};
use crate::key::{Key, prefix_end};
use crate::memory::SortOrder;

/// Names that are asked for at once.
const BATCH: usize = 1000;
/// A page with records ends where it has so many bytes.
const PAGE_BYTES: u64 = 16 * 1024 * 1024;

/// One object of ours in a listing.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) listed: Listed,
}

/// A listing under way.
pub(super) struct Walk {
    range: KeyRange,
    prefix: String,
    next: Option<Next>,
}

impl Walk {
    pub(super) fn new(range: KeyRange) -> Self {
        let prefix = names::start_of(text(common(&range)));
        let next = (!range.is_empty()).then(|| Next::After(after(&range.start)));
        Self { range, prefix, next }
    }

    pub(super) fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// Goes on with the first key that is not less than this one.
    pub(super) fn jump(&mut self, start: &[u8]) {
        self.next = Some(Next::After(after(start)));
    }

    /// The next objects, none where there were none of ours among them.
    pub(super) async fn batch(&mut self, store: &Store, limit: usize) -> Outcome<Vec<Entry>> {
        let Some(next) = self.next.take() else { return Ok(Vec::new()) };
        let batch = store.backing.list(&self.prefix, &next, limit.min(BATCH), store.deadline()).await?;
        self.next = batch.next;
        let mut entries = Vec::with_capacity(batch.listed.len());
        for listed in batch.listed {
            let Some(key) = names::key_of(&listed.name) else { continue };
            if self.range.end.as_ref().is_some_and(|end| key.as_bytes() >= end.as_slice()) {
                self.next = None;
                break;
            }
            if self.range.contains(key.as_bytes()) {
                entries.push(Entry { key: Key::from_stored(key.as_bytes())?, listed });
            }
        }
        Ok(entries)
    }

    /// All that is left.
    async fn rest(&mut self, store: &Store) -> Outcome<Vec<Entry>> {
        let mut all = Vec::new();
        while !self.is_done() {
            all.append(&mut self.batch(store, BATCH).await?);
        }
        Ok(all)
    }
}

/// The name after which all objects of keys from `start` on come.
fn after(start: &[u8]) -> String {
    // A name ends in a character that sorts before all codes: each follows its own start.
    names::start_of(text(start))
}

/// What all keys of a range start with.
fn common(range: &KeyRange) -> &[u8] {
    let Some(end) = &range.end else { return &[] };
    if let Some(prefix) = range.start.get(..end.len())
        && prefix_end(prefix).as_ref() == Some(end)
    {
        return prefix;
    }
    let same = range.start.iter().zip(end).take_while(|(one, two)| one == two).count();
    &range.start[..same]
}

/// The characters that are whole.
fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

impl Store {
    pub(super) async fn scan(&self, scan: Scan) -> Outcome<Page> {
        match scan.order {
            SortOrder::KeyAsc => self.scan_up(scan).await,
            SortOrder::KeyDesc => self.scan_down(scan).await,
            SortOrder::CreatedAsc | SortOrder::CreatedDesc => self.scan_created(scan).await,
        }
    }

    async fn scan_up(&self, scan: Scan) -> Outcome<Page> {
        let range = match &scan.after {
            Some(cursor) => scan.range.after(&cursor.key),
            None => scan.range,
        };
        let mut walk = Walk::new(range);
        let mut rows = Vec::new();
        while rows.len() < scan.limit && !walk.is_done() {
            let entries = walk.batch(self, scan.limit - rows.len()).await?;
            let (found, all) = self.rows(entries, scan.records, usize::MAX).await?;
            rows.extend(found);
            if !all || (scan.records && !rows.is_empty()) {
                return Ok(Page { more: !all || !walk.is_done(), rows });
            }
        }
        Ok(Page { more: !walk.is_done(), rows })
    }

    async fn scan_down(&self, scan: Scan) -> Outcome<Page> {
        let mut range = scan.range;
        if let Some(cursor) = &scan.after {
            range = range.intersect(KeyRange { start: Vec::new(), end: Some(cursor.key.as_bytes().to_vec()) });
        }
        let mut left = Walk::new(range).rest(self).await?;
        let mut rows = Vec::new();
        while rows.len() < scan.limit && !left.is_empty() {
            let wanted = scan.limit - rows.len();
            let mut entries = left.split_off(left.len().saturating_sub(wanted.min(BATCH)));
            entries.reverse();
            let (found, all) = self.rows(entries, scan.records, wanted).await?;
            rows.extend(found);
            if !all {
                return Ok(Page { rows, more: true });
            }
        }
        Ok(Page { more: !left.is_empty(), rows })
    }

    async fn scan_created(&self, scan: Scan) -> Outcome<Page> {
        let descending = scan.order.is_descending();
        let mut walk = Walk::new(scan.range);
        let mut all: Vec<(i64, Entry)> = Vec::new();
        while !walk.is_done() {
            let entries = walk.batch(self, BATCH).await?;
            let heads = self.heads(&entries, |_| true).await?;
            let live = entries.into_iter().zip(heads).filter_map(|(entry, head)| Some((head??.meta.created_at, entry)));
            match &scan.after {
                None => all.extend(live),
                Some(cursor) => {
                    let before = (cursor.created_at, &cursor.key);
                    all.extend(live.filter(|(created_at, entry)| {
                        let here = (*created_at, &entry.key);
                        if descending { here < before } else { here > before }
                    }));
                }
            }
        }
        all.sort_unstable_by(|(at, one), (other, two)| (at, &one.key).cmp(&(other, &two.key)));
        if descending {
            all.reverse();
        }
        let more = all.len() > scan.limit;
        all.truncate(scan.limit);
        if !scan.records {
            let row = |(created_at, entry): (i64, Entry)| Row { key: entry.key, created_at, record: None };
            return Ok(Page { rows: all.into_iter().map(row).collect(), more });
        }
        let (rows, whole) = self.rows(all.into_iter().map(|(_, entry)| entry).collect(), true, usize::MAX).await?;
        Ok(Page { rows, more: more || !whole })
    }

    /// The rows of `entries`, without those that are dead, and whether all were looked at.
    async fn rows(&self, mut entries: Vec<Entry>, records: bool, limit: usize) -> Outcome<(Vec<Row>, bool)> {
        if !records {
            let metas = self.heads(&entries, |size| !is_immortal(size)).await?;
            let row = |(entry, head): (Entry, Option<Option<Head>>)| {
                let created_at = match head {
                    None => 0,
                    Some(head) => head?.meta.created_at,
                };
                Some(Row { key: entry.key, created_at, record: None })
            };
            return Ok((entries.into_iter().zip(metas).filter_map(row).take(limit).collect(), true));
        }
        let mut bytes = 0;
        let fitting = entries.iter().take_while(|entry| {
            let first = bytes == 0;
            bytes += entry.listed.size.max(1);
            first || bytes <= PAGE_BYTES
        });
        let fitting = fitting.count();
        let mut rest = entries.split_off(fitting);
        let mut rows = self.loaded(entries).await?;
        // A page without rows would be the last.
        while rows.is_empty() && !rest.is_empty() {
            let later = rest.split_off(1);
            rows = self.loaded(rest).await?;
            rest = later;
        }
        Ok((rows, rest.is_empty()))
    }

    async fn loaded(&self, entries: Vec<Entry>) -> Outcome<Vec<Row>> {
        let rows = stream::iter(entries.into_iter().map(|entry| async move {
            let loaded = self.backing.load(&entry.listed.name, self.deadline()).await?;
            let record: Option<Record> = loaded.and_then(|loaded| self.live(loaded));
            Ok(record.map(|record| Row { key: entry.key, created_at: record.meta.created_at, record: Some(record) }))
        }))
        .buffered(self.width);
        rows.try_filter_map(|row| async move { Ok(row) }).try_collect().await
    }

    /// The heads of those of `entries` whose sizes are to be looked at: `Some(None)` for what is dead by now.
    pub(super) async fn heads(
        &self,
        entries: &[Entry],
        wanted: impl Fn(u64) -> bool + Copy + Send,
    ) -> Outcome<Vec<Option<Option<Head>>>> {
        let names = entries.iter().map(|entry| wanted(entry.listed.size).then(|| entry.listed.name.clone()));
        stream::iter(names.collect::<Vec<_>>().into_iter().map(|name| async move {
            let Some(name) = name else { return Ok(None) };
            let found = self.backing.head(&name, self.deadline()).await?;
            Ok(Some(found.map(|found| found.head).filter(|head| head.is_live(self.clock.now_ms()))))
        }))
        .buffered(self.width)
        .try_collect()
        .await
    }

    /// Version and times of the record under `key`.
    pub(super) async fn meta(&self, key: &Key) -> Outcome<Option<Meta>> {
        let found = self.backing.head(&self.name(key)?, self.deadline()).await?;
        Ok(found.filter(|found| found.head.is_live(self.clock.now_ms())).map(|found| found.head.meta))
    }

    pub(super) async fn stats(&self, range: KeyRange) -> Outcome<EngineStats> {
        let mut walk = Walk::new(range);
        let mut stats = EngineStats::default();
        while !walk.is_done() {
            let entries = walk.batch(self, BATCH).await?;
            let heads = self.heads(&entries, |size| !is_immortal(size)).await?;
            for (entry, head) in entries.iter().zip(heads) {
                if !matches!(head, Some(None)) {
                    stats.keys += 1;
                    stats.bytes += entry.listed.size;
                }
            }
        }
        Ok(stats)
    }

    /// Deletes all of a range, each object by itself; how many live records went.
    pub(super) async fn remove_range(&self, range: KeyRange) -> Outcome<u64> {
        let mut walk = Walk::new(range);
        let mut gone = 0;
        while !walk.is_done() {
            let entries = walk.batch(self, BATCH).await?;
            let heads = self.heads(&entries, |size| !is_immortal(size)).await?;
            gone += heads.iter().filter(|head| !matches!(head, Some(None))).count() as u64;
            let names: Vec<String> = entries.into_iter().map(|entry| entry.listed.name).collect();
            if !names.is_empty() {
                self.backing.delete_all(names, self.deadline()).await?;
            }
        }
        Ok(gone)
    }

    /// The distinct namespaces of a range; see [`crate::engine::Engine::namespaces`].
    pub(super) async fn namespaces(
        &self,
        range: KeyRange,
        skip: usize,
        max_depth: Option<usize>,
    ) -> Outcome<Vec<String>> {
        let mut found = std::collections::BTreeSet::new();
        if max_depth == Some(0) {
            return Ok(Vec::new());
        }
        let mut walk = Walk::new(range);
        while !walk.is_done() {
            let mut entries = walk.batch(self, BATCH).await?;
            let last = entries.last().map(|entry| entry.key.clone());
            let spaces = |key: &Key| -> Vec<(usize, String)> {
                let ends = crate::engine::namespaces::separator_ends(key.as_bytes(), skip);
                let ends = ends.take(max_depth.unwrap_or(usize::MAX));
                ends.filter_map(|end| Some((end, key.get(skip..end - 2)?.to_owned()))).collect()
            };
            // Those that are sure to live first: they save looking at others.
            entries.sort_by_key(|entry| !is_immortal(entry.listed.size));
            let sure = entries.partition_point(|entry| is_immortal(entry.listed.size));
            let doubtful = entries.split_off(sure);
            found.extend(entries.iter().flat_map(|entry| spaces(&entry.key)).map(|(_, space)| space));
            for some in doubtful.chunks(self.width.max(1)) {
                let news: Vec<Entry> = some
                    .iter()
                    .filter(|entry| spaces(&entry.key).iter().any(|(_, space)| !found.contains(space)))
                    .cloned()
                    .collect();
                let heads = self.heads(&news, |_| true).await?;
                let live = news.iter().zip(heads).filter(|(_, head)| matches!(head, Some(Some(_))));
                found.extend(live.flat_map(|(entry, _)| spaces(&entry.key)).map(|(_, space)| space));
            }
            // The rest of a namespace at the greatest depth says nothing new.
            if let (Some(last), Some(depth), false) = (last, max_depth, walk.is_done()) {
                let spaces = spaces(&last);
                if let Some((end, space)) = spaces.get(depth - 1)
                    && found.contains(space)
                {
                    let mut start = last.as_bytes().get(..end - 1).ok_or_else(|| damaged(&last, "its key"))?.to_vec();
                    start.push(b':' + 1);
                    walk.jump(&start);
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}
