//! Listings, counts and figures: what reads a range in one snapshot.

use rusqlite::{Connection, Row as SqlRow};

use super::errors::{Outcome, gone};
use super::statements::{Sql, body, end_of};
use crate::engine::namespaces::distinct;
use crate::engine::{EngineStats, KeyRange, Meta, Page, Record, Row, Scan};
use crate::key::Key;
use crate::memory::SortOrder;

/// The records of one page take no more than this, in bytes, or are a single one.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The statements of listings, for one table.
pub(super) struct ScanSql {
    key_asc: String,
    key_desc: String,
    /// Created orders, ascending and descending: by the index of creation for the whole table, and by sorting the
    /// rows of a narrower range.
    created: [[String; 2]; 2],
    record: String,
    first: String,
    count: String,
    bytes: String,
}

impl ScanSql {
    pub(super) fn new(table: &str) -> Self {
        let by_key = format!("\"{table}\" INDEXED BY \"{table}:key\"");
        let by_created = format!("\"{table}\" INDEXED BY \"{table}:created\"");
        let within = "key >= ?1 AND key < ?2 AND (expires_at IS NULL OR expires_at > ?3)";
        let row = "SELECT id, key, created_at, expires_at FROM";
        let created = |from: &str| {
            [
                format!(
                    "{row} {from} WHERE {within} AND (created_at, key) > (?5, ?6) ORDER BY created_at, key LIMIT ?4"
                ),
                format!(
                    "{row} {from} WHERE {within} AND (created_at, key) < (?5, ?6) ORDER BY created_at DESC, key DESC LIMIT ?4"
                ),
            ]
        };
        Self {
            key_asc: format!("{row} {by_key} WHERE {within} ORDER BY key LIMIT ?4"),
            key_desc: format!("{row} {by_key} WHERE {within} ORDER BY key DESC LIMIT ?4"),
            created: [created(&by_created), created(&by_key)],
            record: format!("SELECT version, updated_at, body FROM \"{table}\" WHERE id = ?1"),
            first: format!("SELECT key FROM {by_key} WHERE {within} ORDER BY key LIMIT 1"),
            count: format!("SELECT count(*) FROM {by_key} WHERE {within}"),
            bytes: format!("SELECT total(length(key) + length(body)) FROM {by_key} WHERE {within}"),
        }
    }
}

struct Listed {
    id: i64,
    expires_at: Option<i64>,
    row: Row,
}

fn listed(row: &SqlRow<'_>) -> Outcome<Listed> {
    let key = row
        .get_ref(1)?
        .as_blob()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error)))?;
    let row = Listed {
        id: row.get(0)?,
        expires_at: row.get(3)?,
        row: Row { key: Key::from_stored(key)?, created_at: row.get(2)?, record: None },
    };
    Ok(row)
}

/// One page of a range.
pub(super) fn scan(connection: &Connection, sql: &Sql, scan: &Scan, now_ms: i64) -> Outcome<Page> {
    let limit = i64::try_from(scan.limit.max(1)).unwrap_or(i64::MAX);
    let mut range = scan.range.clone();
    let mut rows = Vec::new();
    if scan.order.is_by_key() {
        match &scan.after {
            Some(after) if scan.order == SortOrder::KeyAsc => range = range.after(&after.key),
            Some(after) => {
                let end = after.key.as_bytes().to_vec();
                range.end = Some(range.end.map_or_else(|| end.clone(), |old| old.min(end.clone())));
            }
            None => {}
        }
        let text = if scan.order == SortOrder::KeyAsc { &sql.scan.key_asc } else { &sql.scan.key_desc };
        let mut statement = connection.prepare_cached(text)?;
        let mut found = statement.query((range.start.as_slice(), end_of(&range), now_ms, limit))?;
        while let Some(row) = found.next()? {
            rows.push(listed(row)?);
        }
    } else {
        let descending = scan.order.is_descending();
        let text = &sql.scan.created[usize::from(!range.is_all())][usize::from(descending)];
        let (created, key) = match &scan.after {
            Some(after) => (after.created_at, after.key.as_bytes()),
            None if descending => (i64::MAX, &[u8::MAX][..]),
            None => (i64::MIN, &[][..]),
        };
        let mut statement = connection.prepare_cached(text)?;
        let mut found = statement.query((range.start.as_slice(), end_of(&range), now_ms, limit, created, key))?;
        while let Some(row) = found.next()? {
            rows.push(listed(row)?);
        }
    }
    let mut page = Page { more: rows.len() >= scan.limit.max(1), rows: Vec::with_capacity(rows.len()) };
    let mut bytes = 0;
    for mut listed in rows {
        if scan.records {
            if bytes >= PAGE_BYTES {
                page.more = true;
                break;
            }
            let record = record(connection, sql, &listed)?;
            bytes += record.body.len();
            listed.row.record = Some(record);
        }
        page.rows.push(listed.row);
    }
    Ok(page)
}

fn record(connection: &Connection, sql: &Sql, listed: &Listed) -> Outcome<Record> {
    let mut statement = connection.prepare_cached(&sql.scan.record)?;
    let record = statement.query_row([listed.id], |row| {
        let meta = Meta {
            version: row.get::<_, i64>(0)?.cast_unsigned(),
            created_at: listed.row.created_at,
            updated_at: row.get(1)?,
            expires_at: listed.expires_at,
        };
        Ok(Record { meta, body: body(row, 2)? })
    })?;
    Ok(record)
}

/// How many live records a range holds.
pub(super) fn count(connection: &Connection, sql: &Sql, range: &KeyRange, now_ms: i64) -> Outcome<u64> {
    let mut statement = connection.prepare_cached(&sql.scan.count)?;
    let count: i64 = statement.query_row((range.start.as_slice(), end_of(range), now_ms), |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// The namespaces of a range: a seek for each, however many keys stand under them.
pub(super) fn namespaces(
    connection: &Connection,
    sql: &Sql,
    range: &KeyRange,
    skip: usize,
    max_depth: Option<usize>,
    now_ms: i64,
) -> Outcome<Vec<String>> {
    let mut statement = connection.prepare_cached(&sql.scan.first)?;
    let mut failed = None;
    let mut seek = |from: &[u8]| -> Outcome<Option<Vec<u8>>> {
        let mut rows = statement.query((from, end_of(range), now_ms))?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
    };
    let names = distinct(range, skip, max_depth, |from| {
        seek(from).map_err(|fault| {
            // Kept as it is, so that one that passes is tried again.
            failed = Some(fault);
            gone()
        })
    });
    match failed {
        Some(fault) => Err(fault),
        None => Ok(names?),
    }
}

/// Figures on a range; `bytes` of everything is what is in use of the file, free pages not counted.
pub(super) fn stats(connection: &Connection, sql: &Sql, range: &KeyRange, now_ms: i64) -> Outcome<EngineStats> {
    let keys = count(connection, sql, range, now_ms)?;
    let (pages, free, size): (i64, i64, i64) = connection
        .prepare_cached("SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let bytes = if range.is_all() {
        (pages - free).saturating_mul(size).unsigned_abs()
    } else {
        let mut statement = connection.prepare_cached(&sql.scan.bytes)?;
        let total: f64 = statement.query_row((range.start.as_slice(), end_of(range), now_ms), |row| row.get(0))?;
        float_to_bytes(total)
    };
    let extra = vec![("page_size", to_float(size)), ("pages", to_float(pages)), ("free_pages", to_float(free))];
    Ok(EngineStats { keys, bytes, extra })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn to_float(figure: i64) -> f64 {
    figure as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of lengths, far below 2^53")]
fn float_to_bytes(total: f64) -> u64 {
    total as u64
}
