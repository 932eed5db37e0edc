//! Pages of a range: of one tag, or merged over the tags of a cluster.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Value, cmd};

use super::errors::unexpected;
use super::layout::{Names, bounds, decode, decode_head, first_segment, segment_range, sortable};
use super::request::Work;
use super::scripts;
use super::store::Store;
use crate::engine::{Cursor, KeyRange, Page, Row, Scan};
use crate::error::Result;
use crate::key::Key;
use crate::memory::SortOrder;

/// So many members at most are looked at in one step of the server.
const STEP: usize = 2_048;
/// The records of one page take no more than this, in bytes, or are a single one.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// So many first namespaces are asked at the same time: for rows, and for figures.
const FAN: usize = 32;
pub(super) const WIDE: usize = 256;
/// So many names are read from a cluster's list of first namespaces at a time.
const TAGS: usize = 10_000;
/// So many records are read at a time for rows that were merged.
const READ: usize = 64;

impl Store {
    pub(super) async fn scan(self: Arc<Self>, scan: Scan) -> Result<Page> {
        let limit = scan.limit.max(1);
        let tags = self.tags(&scan.range).await?;
        if let [names] = tags.as_slice()
            && (scan.order.is_by_key() || is_whole(names, &scan.range))
        {
            return self.walk(names, &scan, limit, scan.records).await;
        }
        let (mut rows, more) = self.merge(&tags, &scan, limit).await?;
        if !scan.records {
            return Ok(Page { rows, more });
        }
        // The keys are chosen: now their records, as many as one page takes.
        let (mut page, mut bytes) = (Page { rows: Vec::new(), more }, 0);
        while !rows.is_empty() {
            if bytes >= PAGE_BYTES && !page.rows.is_empty() {
                page.more = true;
                break;
            }
            let some: Vec<Row> = rows.drain(..READ.min(rows.len())).collect();
            let records = self.read(some.iter().map(|row| row.key.clone()).collect()).await?;
            for (mut row, record) in some.into_iter().zip(records) {
                if let Some(record) = record {
                    bytes += record.body.len();
                    row.record = Some(record);
                    page.rows.push(row);
                }
            }
        }
        page.more &= !page.rows.is_empty();
        Ok(page)
    }

    /// The first `limit` rows of all `tags`, without records.
    async fn merge(&self, tags: &[Arc<Names>], scan: &Scan, limit: usize) -> Result<(Vec<Row>, bool)> {
        let (root, mut segments): (Vec<_>, Vec<_>) = tags.iter().partition(|names| names.segment.is_none());
        if scan.order == SortOrder::KeyDesc {
            segments.reverse();
        }
        let in_order: Vec<&Arc<Names>> = root.into_iter().chain(segments).collect();
        let mut rows: Vec<Row> = Vec::new();
        let (mut more, mut behind, mut asked, mut fan) = (false, 0, 0, 2);
        // The keys of a first namespace come behind those of all the ones before it: enough of them is enough.
        while asked < in_order.len() && !(scan.order.is_by_key() && behind >= limit) {
            let some: &[_] = in_order.get(asked..in_order.len().min(asked + fan)).unwrap_or_default();
            asked += some.len();
            fan = if scan.order.is_by_key() { FAN.min(fan * 2) } else { FAN };
            for (page, names) in
                join_all(some.iter().map(|names| self.first_rows(names, scan, limit))).await.into_iter().zip(some)
            {
                let page = page?;
                more |= page.more;
                behind += if names.segment.is_some() { page.rows.len() } else { 0 };
                rows.extend(page.rows);
            }
            rows.sort_unstable_by(|one, two| compare(scan.order, one, two));
            more |= rows.len() > limit;
            rows.truncate(limit);
        }
        Ok((rows, more || asked < in_order.len()))
    }

    /// The first rows of one tag in any order, without records.
    async fn first_rows(&self, names: &Names, scan: &Scan, limit: usize) -> Result<Page> {
        if scan.order.is_by_key() || is_whole(names, &scan.range) {
            return self.walk(names, scan, limit, false).await;
        }
        // A part of a tag by creation: every key of it is looked at, and the first ones are kept.
        let keys = Scan { order: SortOrder::KeyAsc, after: None, ..scan.clone() };
        let mut kept: Vec<Row> = Vec::new();
        let mut more = false;
        let mut after = None;
        loop {
            let page = self.walk(names, &Scan { after, ..keys.clone() }, STEP, false).await?;
            after = page.rows.last().map(Row::cursor);
            kept.extend(
                page.rows
                    .into_iter()
                    .filter(|row| scan.after.as_ref().is_none_or(|cursor| follows(scan.order, row, cursor))),
            );
            if kept.len() > limit {
                kept.sort_unstable_by(|one, two| compare(scan.order, one, two));
                kept.truncate(limit);
                more = true;
            }
            if !page.more {
                break;
            }
        }
        kept.sort_unstable_by(|one, two| compare(scan.order, one, two));
        Ok(Page { rows: kept, more })
    }

    /// The first rows of one tag by an index: that of keys, or for a whole tag that of creation.
    async fn walk(&self, names: &Names, scan: &Scan, limit: usize, records: bool) -> Result<Page> {
        let descending = scan.order.is_descending();
        let (mut low, mut high) = ends(scan);
        let mut page = Page::default();
        let mut bytes = 0;
        loop {
            let step = STEP.min(limit - page.rows.len());
            let rest = vec![
                if scan.order.is_by_key() { b"k".to_vec() } else { b"c".to_vec() },
                if descending { b"d".to_vec() } else { b"a".to_vec() },
                low.clone(),
                high.clone(),
                step.to_string().into_bytes(),
                if records { b"r".to_vec() } else { b"h".to_vec() },
                (PAGE_BYTES - bytes).to_string().into_bytes(),
            ];
            let Value::Array(found) = self.list(&scripts::SCAN, names, rest).await? else {
                return Err(unexpected("a listing"));
            };
            let mut found = found.into_iter();
            let last = found.next();
            while let (Some(Value::BulkString(key)), Some(Value::BulkString(record))) = (found.next(), found.next()) {
                bytes += record.len();
                page.rows.push(row(&key, record, records)?);
            }
            let Some(Value::BulkString(last)) = last else {
                page.more = false;
                return Ok(page);
            };
            page.more = true;
            if page.rows.len() >= limit || (records && bytes >= PAGE_BYTES) {
                return Ok(page);
            }
            let end = [b"(", last.as_slice()].concat();
            if descending { high = end } else { low = end }
        }
    }

    /// The tags that may hold keys of a range, the keys in no namespace first, then in the order of their keys.
    pub(super) async fn tags(&self, range: &KeyRange) -> Result<Vec<Arc<Names>>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(names) = self.layout.tag_of(range) {
            return Ok(vec![names]);
        }
        let mut segments = BTreeSet::new();
        let mut add = |segment: &[u8]| segments.insert([segment, b"::"].concat());
        // First namespaces that sort before the range hold keys of it only where the range starts with their name.
        for end in 0..range.start.len() {
            let segment = range.start.get(..end).unwrap_or_default();
            let inside = segment_range(segment);
            if first_segment(&inside.start) == Some(segment) && !inside.intersect(range.clone()).is_empty() {
                add(segment);
            }
        }
        let (mut low, high) = bounds(range);
        loop {
            let mut command = cmd("ZRANGEBYLEX");
            command.arg(self.layout.tags()).arg(low.as_slice()).arg(high.as_slice()).arg("LIMIT").arg(0).arg(TAGS);
            let Value::Array(found) = self.ask(Work::Command(command), false, true).await? else {
                return Err(unexpected("a list of namespaces"));
            };
            let count = found.len();
            for name in found {
                let Value::BulkString(name) = name else { return Err(unexpected("a list of namespaces")) };
                low = [b"(", name.as_slice()].concat();
                if !segment_range(&name).intersect(range.clone()).is_empty() {
                    add(&name);
                }
            }
            if count < TAGS {
                break;
            }
        }
        let within = segments.iter().filter_map(|start| start.strip_suffix(b"::"));
        Ok(std::iter::once(self.layout.root())
            .chain(within.map(|segment| self.layout.names_of_segment(segment)))
            .collect())
    }
}

/// Whether the range holds everything that the tag may hold.
fn is_whole(names: &Names, range: &KeyRange) -> bool {
    match &names.segment {
        None => range.is_all(),
        Some(segment) => {
            let all = segment_range(segment);
            range.start <= all.start && range.end.as_ref().is_none_or(|end| Some(end) >= all.end.as_ref())
        }
    }
}

/// The ends of what a scan reads of an index, as `ZRANGEBYLEX` spells them.
fn ends(scan: &Scan) -> (Vec<u8>, Vec<u8>) {
    let mut range = scan.range.clone();
    let descending = scan.order.is_descending();
    if scan.order.is_by_key() {
        match &scan.after {
            Some(after) if descending => {
                let end = after.key.as_bytes().to_vec();
                range.end = Some(range.end.map_or_else(|| end.clone(), |old| old.min(end.clone())));
            }
            Some(after) => range = range.after(&after.key),
            None => {}
        }
        return bounds(&range);
    }
    let after =
        scan.after.as_ref().map(|after| [&b"("[..], &sortable(after.created_at), after.key.as_bytes()].concat());
    match after {
        Some(after) if descending => (b"-".to_vec(), after),
        Some(after) => (after, b"+".to_vec()),
        None => (b"-".to_vec(), b"+".to_vec()),
    }
}

fn row(key: &[u8], bytes: Vec<u8>, whole: bool) -> Result<Row> {
    let (created_at, record) = if whole {
        let record = decode(key, bytes)?;
        (record.meta.created_at, Some(record))
    } else {
        (decode_head(key, &bytes)?.created_at, None)
    };
    Ok(Row { key: Key::from_stored(key)?, created_at, record })
}

fn compare(order: SortOrder, one: &Row, two: &Row) -> Ordering {
    let ascending = if order.is_by_key() {
        one.key.cmp(&two.key)
    } else {
        (one.created_at, &one.key).cmp(&(two.created_at, &two.key))
    };
    if order.is_descending() { ascending.reverse() } else { ascending }
}

fn follows(order: SortOrder, row: &Row, cursor: &Cursor) -> bool {
    let place = (row.created_at, &row.key);
    let after = (cursor.created_at, &cursor.key);
    if order.is_descending() { place < after } else { place > after }
}
