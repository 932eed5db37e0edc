//! Listings, page by page, and namespaces.

use super::connection::Arg;
use super::core::{Ask, Core};
use super::dialect::{Dialect, LIVE, META, Statement, Table};
use super::errors::Outcome;
use super::pool::Lease;
use super::ranges::within;
use super::rows;
use crate::engine::{KeyRange, Page, Record, Row, Scan};
use crate::key::Key;
use crate::memory::SortOrder;

/// The records of one page take no more than this, in bytes, or are a single one.
const PAGE_BYTES: i64 = 8 * 1024 * 1024;

/// One page of a range.
pub(super) struct ScanPage(pub(super) Scan);

impl Ask for ScanPage {
    type Answer = Page;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<Page> {
        let scan = &self.0;
        let found = lease.connection.rows(page(&core.pool.table, scan, core.clock.now_ms())).await?;
        let mut page = Page { more: found.len() >= scan.limit.max(1), rows: Vec::with_capacity(found.len()) };
        let mut bytes = 0;
        for found in &found {
            if scan.records {
                let (key, found) = rows::row(found, true)?;
                let Some(body) = found.body else { continue };
                bytes += body.len();
                let (created_at, record) = (found.meta.created_at, Some(Record { meta: found.meta, body }));
                page.rows.push(Row { key, created_at, record });
            } else {
                page.rows.push(Row {
                    key: Key::from_stored(found.bytes(0)?)?,
                    created_at: found.int(1)?,
                    record: None,
                });
            }
        }
        // A page that was cut for its size is at least that large.
        page.more |= i64::try_from(bytes).unwrap_or(i64::MAX) >= PAGE_BYTES;
        Ok(page)
    }
}

fn page<'a>(table: &Table, scan: &'a Scan, now_ms: i64) -> Statement<'a> {
    let t = table.quoted();
    let (condition, mut args) = within(&scan.range);
    let mut condition = format!("{condition} AND {LIVE}");
    args.push(Arg::Int(now_ms));
    if let Some(after) = &scan.after {
        let key = Arg::Bytes(after.key.as_bytes());
        let created = Arg::Int(after.created_at);
        let compare = if scan.order.is_descending() { "<" } else { ">" };
        if scan.order.is_by_key() {
            condition = format!(r#"{condition} AND "key" {compare} ?"#);
            args.push(key);
        } else {
            // The first half is what MySQL looks up in its index; it says no more than the second.
            condition = format!(
                r#"{condition} AND "created_at" {compare}= ? AND ("created_at" {compare} ? OR "key" {compare} ?)"#
            );
            args.extend([created.clone(), created, key]);
        }
    }
    let order = match scan.order {
        SortOrder::KeyAsc => r#""key""#,
        SortOrder::KeyDesc => r#""key" DESC"#,
        SortOrder::CreatedAsc => r#""created_at", "key""#,
        SortOrder::CreatedDesc => r#""created_at" DESC, "key" DESC"#,
    };
    let limit = scan.limit.max(1);
    if !scan.records {
        let text = format!(r#"SELECT "key", "created_at" FROM {t} WHERE {condition} ORDER BY {order} LIMIT {limit}"#);
        return table.statement(&text, args);
    }
    // Lengths first: bodies past the page's size are never read.
    let text = format!(
        r#"SELECT {META}, "body" FROM {t} WHERE "key" IN (
               SELECT "key" FROM (
                   SELECT "key", SUM("size") OVER (ORDER BY {order}) - "size" AS "before" FROM (
                       SELECT "key", "created_at", OCTET_LENGTH("body") AS "size" FROM {t}
                       WHERE {condition} ORDER BY {order} LIMIT {limit}
                   ) AS "listed"
               ) AS "summed" WHERE "before" < {PAGE_BYTES}
           ) ORDER BY {order}"#
    );
    table.statement(&text, args)
}

/// Some live keys of a range, in order.
pub(super) struct KeysFrom<'r> {
    pub(super) range: &'r KeyRange,
    pub(super) from: Vec<u8>,
    pub(super) limit: usize,
}

impl Ask for KeysFrom<'_> {
    type Answer = Vec<Vec<u8>>;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<Self::Answer> {
        let table = &core.pool.table;
        let (condition, mut args) = within(self.range);
        args.extend([Arg::Bytes(&self.from), Arg::Int(core.clock.now_ms())]);
        let (t, limit) = (table.quoted(), self.limit);
        let text = format!(
            r#"SELECT "key" FROM {t} WHERE {condition} AND "key" >= ? AND {LIVE} ORDER BY "key" LIMIT {limit}"#
        );
        let rows = lease.connection.rows(table.statement(&text, args)).await?;
        rows.iter().map(|row| row.bytes(0).map(<[u8]>::to_vec)).collect()
    }
}

/// The first live key of each namespace of the first level, and each key that is in none: the server jumps from one to
/// the next, however many keys stand between.
pub(super) struct Heads<'r> {
    pub(super) range: &'r KeyRange,
    pub(super) skip: usize,
}

impl Ask for Heads<'_> {
    type Answer = Vec<Vec<u8>>;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<Self::Answer> {
        let table = &core.pool.table;
        let t = table.quoted();
        let (condition, first) = within(self.range);
        let now = Arg::Int(core.clock.now_ms());
        let start = self.skip + 1;
        // Behind "a::b" comes "a:;", behind "a" comes "a\0".
        let next = match table.dialect {
            Dialect::Postgres => {
                let at = format!("NULLIF(position('\\x3a3a'::bytea IN substr(w.k, {start})), 0) + {}", self.skip);
                format!("COALESCE(substr(w.k, 1, {at}) || '\\x3b'::bytea, w.k || '\\x00'::bytea)")
            }
            Dialect::Mysql => {
                let at = format!("NULLIF(LOCATE(x'3a3a', w.k, {start}), 0)");
                format!("COALESCE(CONCAT(SUBSTRING(w.k, 1, {at}), x'3b'), CONCAT(w.k, x'00'))")
            }
        };
        let text = format!(
            r#"WITH RECURSIVE w(k) AS (
                   SELECT (SELECT "key" FROM {t} WHERE {condition} AND {LIVE} ORDER BY "key" LIMIT 1)
                   UNION ALL
                   SELECT (SELECT t."key" FROM {t} AS t WHERE {condition} AND t."key" >= {next} AND {LIVE}
                           ORDER BY t."key" LIMIT 1)
                   FROM w WHERE w.k IS NOT NULL
               ) SELECT k FROM w WHERE k IS NOT NULL"#
        );
        let mut args = first.clone();
        args.push(now.clone());
        args.extend(first);
        args.push(now);
        let rows = lease.connection.rows(table.statement(&text, args)).await?;
        rows.iter().map(|row| row.bytes(0).map(<[u8]>::to_vec)).collect()
    }
}
