//! The statements of one table, and what runs on one connection inside a transaction that is open already.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row as SqlRow};

use super::errors::{Outcome, backend};
use super::scan::ScanSql;
use crate::engine::{Batch, Body, Change, ChangeFn, Check, Commit, KeyRange, Meta, NewRecord, Record, Updated, Write};
use crate::key::Key;

/// Bodies up to this size are read in the calling thread, in bytes.
pub(super) const INLINE_BODY: usize = 64 * 1024;

/// The statements of one table, written once.
pub(super) struct Sql {
    pub(super) read: String,
    pub(super) read_small: String,
    find: String,
    version: String,
    insert: String,
    replace_body: String,
    replace: String,
    delete: String,
    delete_range: String,
    delete_due: String,
    next_due: String,
    due_in_range: String,
    pub(super) attributes: String,
    pub(super) scan: ScanSql,
}

impl Sql {
    pub(super) fn new(table: &str) -> Self {
        let t = format!("\"{table}\"");
        let by_key = format!("{t} INDEXED BY \"{table}:key\"");
        Self {
            attributes: format!("{table}:attributes"),
            read: format!("SELECT version, created_at, updated_at, expires_at, body FROM {t} WHERE key = ?1"),
            read_small: format!(
                "SELECT version, created_at, updated_at, expires_at, CASE WHEN length(body) <= {INLINE_BODY} THEN body END \
                 FROM {t} WHERE key = ?1"
            ),
            find: format!("SELECT id, created_at, expires_at FROM {by_key} WHERE key = ?1"),
            version: format!("SELECT version, expires_at FROM {t} WHERE key = ?1"),
            insert: format!(
                "INSERT INTO {t} (key, version, created_at, updated_at, expires_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
            ),
            replace_body: format!("UPDATE {t} SET version = ?2, updated_at = ?3, body = ?4 WHERE id = ?1"),
            replace: format!(
                "UPDATE {t} SET version = ?2, created_at = ?3, updated_at = ?4, expires_at = ?5, body = ?6 WHERE id = ?1"
            ),
            delete: format!("DELETE FROM {t} WHERE id = ?1"),
            delete_range: format!("DELETE FROM {t} WHERE key >= ?1 AND key < ?2"),
            delete_due: format!(
                "DELETE FROM {t} WHERE id IN (SELECT id FROM {t} WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)"
            ),
            next_due: format!("SELECT min(expires_at) FROM {t} WHERE expires_at IS NOT NULL"),
            due_in_range: format!("SELECT count(*) FROM {by_key} WHERE key >= ?1 AND key < ?2 AND expires_at <= ?3"),
            scan: ScanSql::new(table),
        }
    }
}

/// The token as SQLite holds it: the same 64 bits.
fn stored(version: u64) -> i64 {
    version.cast_signed()
}

/// Version and times of a row of `version, created_at, updated_at, expires_at`, from column `at` on.
pub(super) fn meta(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Meta> {
    Ok(Meta {
        version: row.get::<_, i64>(at)?.cast_unsigned(),
        created_at: row.get(at + 1)?,
        updated_at: row.get(at + 2)?,
        expires_at: row.get(at + 3)?,
    })
}

/// The body in column `at`.
pub(super) fn body(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Body> {
    let bytes = row
        .get_ref(at)?
        .as_blob()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Blob, Box::new(error)))?;
    Ok(Body::from(bytes))
}

/// The live record under `key`.
pub(super) fn read(connection: &Connection, sql: &Sql, key: &Key, now_ms: i64) -> Outcome<Option<Record>> {
    let mut statement = connection.prepare_cached(&sql.read)?;
    let mut rows = statement.query([key.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let meta = meta(row, 0)?;
    if meta.is_expired(now_ms) {
        return Ok(None);
    }
    Ok(Some(Record { meta, body: body(row, 4)? }))
}

/// What [`read_small`] found.
pub(super) enum Small {
    Record(Record),
    /// Too large for the calling thread: what is known without its body.
    Large(Meta),
}

/// The live record under `key`, where its body is small; a large one is not even loaded.
pub(super) fn read_small(connection: &Connection, sql: &Sql, key: &Key, now_ms: i64) -> Outcome<Option<Small>> {
    let mut statement = connection.prepare_cached(&sql.read_small)?;
    let mut rows = statement.query([key.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let meta = meta(row, 0)?;
    if meta.is_expired(now_ms) {
        return Ok(None);
    }
    if row.get_ref(4)? == rusqlite::types::ValueRef::Null {
        return Ok(Some(Small::Large(meta)));
    }
    Ok(Some(Small::Record(Record { meta, body: body(row, 4)? })))
}

struct Place {
    id: i64,
    created_at: i64,
    expires_at: Option<i64>,
    live: bool,
}

fn find(connection: &Connection, sql: &Sql, key: &Key, now_ms: i64) -> Outcome<Option<Place>> {
    let mut statement = connection.prepare_cached(&sql.find)?;
    let mut rows = statement.query([key.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let expires_at: Option<i64> = row.get(2)?;
    let live = expires_at.is_none_or(|at| at > now_ms);
    Ok(Some(Place { id: row.get(0)?, created_at: row.get(1)?, expires_at, live }))
}

fn holds(connection: &Connection, sql: &Sql, key: &Key, check: Check, now_ms: i64) -> Outcome<bool> {
    match check {
        Check::Absent => Ok(!find(connection, sql, key, now_ms)?.is_some_and(|place| place.live)),
        Check::Version(wanted) => {
            let found: Option<(i64, Option<i64>)> = connection
                .prepare_cached(&sql.version)?
                .query_row([key.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            Ok(found.is_some_and(|(version, expires_at)| {
                version == stored(wanted) && expires_at.is_none_or(|at| at > now_ms)
            }))
        }
    }
}

/// Writes a record; whether the key held a live one, and when the record now counts as created.
fn put(connection: &Connection, sql: &Sql, key: &Key, record: &NewRecord, now_ms: i64) -> Outcome<(bool, i64)> {
    let Meta { version, created_at, updated_at, expires_at } = record.meta;
    let body = record.body.as_slice();
    let Some(place) = find(connection, sql, key, now_ms)? else {
        connection.prepare_cached(&sql.insert)?.execute((
            key.as_bytes(),
            stored(version),
            created_at,
            updated_at,
            expires_at,
            body,
        ))?;
        return Ok((false, created_at));
    };
    let created = if place.live && !record.force_created { place.created_at } else { created_at };
    if created == place.created_at && expires_at == place.expires_at {
        // Names no indexed column, so that SQLite touches no index.
        connection.prepare_cached(&sql.replace_body)?.execute((place.id, stored(version), updated_at, body))?;
    } else {
        connection.prepare_cached(&sql.replace)?.execute((
            place.id,
            stored(version),
            created,
            updated_at,
            expires_at,
            body,
        ))?;
    }
    Ok((place.live, created))
}

fn delete(connection: &Connection, sql: &Sql, key: &Key, now_ms: i64) -> Outcome<bool> {
    let Some(place) = find(connection, sql, key, now_ms)? else { return Ok(false) };
    connection.prepare_cached(&sql.delete)?.execute([place.id])?;
    Ok(place.live)
}

/// Runs a batch. A conflict leaves the transaction as it was; a fault leaves it half changed, to be rolled back. With it
/// comes when each of the records written now counts as created.
pub(super) fn commit(connection: &Connection, sql: &Sql, batch: &Batch, now_ms: i64) -> Outcome<(Commit, Created)> {
    let mut created = Created::new();
    for (key, check) in &batch.checks {
        if !holds(connection, sql, key, *check, now_ms)? {
            return Ok((Commit::Conflict(key.clone()), created));
        }
    }
    let mut done = smallvec::SmallVec::with_capacity(batch.writes.len());
    for (key, write) in &batch.writes {
        let (lived, at) = match write {
            Write::Put(record) => put(connection, sql, key, record, now_ms)?,
            Write::Delete => (delete(connection, sql, key, now_ms)?, 0),
        };
        done.push(lived);
        created.push(at);
    }
    Ok((Commit::Done(done), created))
}

/// A creation time for each write of a batch.
pub(super) type Created = smallvec::SmallVec<[i64; 4]>;

/// Reads and changes `keys`. All changes are asked for before the first is written, so that an error of `change`
/// leaves the transaction as it was; a key named twice sees its earlier change.
pub(super) fn update(
    connection: &Connection,
    sql: &Sql,
    keys: &[Key],
    change: &ChangeFn,
    now_ms: i64,
) -> Outcome<Vec<Updated>> {
    let mut latest: HashMap<&Key, usize> = HashMap::new();
    let mut changes = Vec::with_capacity(keys.len());
    let mut updated: Vec<Updated> = Vec::with_capacity(keys.len());
    for key in keys {
        let before = match latest.get(key) {
            Some(&at) => updated.get(at).and_then(|earlier| earlier.after.clone()),
            None => read(connection, sql, key, now_ms)?,
        };
        // A panic of the caller's must not take the writer, and with it everyone else's writes, along.
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| change(key, before.as_ref())));
        let change = asked.map_err(|_| backend("the change of a record panicked; nothing was written"))??;
        let after = match &change {
            Change::Keep => before.clone(),
            Change::Delete => None,
            Change::Put(record) => {
                let mut meta = record.meta;
                if let (Some(before), false) = (&before, record.force_created) {
                    meta.created_at = before.meta.created_at;
                }
                Some(Record { meta, body: Body::from(record.body.as_slice()) })
            }
        };
        if keys.len() > 1 {
            latest.insert(key, updated.len());
        }
        updated.push(Updated { before, after });
        changes.push(change);
    }
    for (key, change) in keys.iter().zip(&changes) {
        match change {
            Change::Keep => {}
            Change::Put(record) => {
                put(connection, sql, key, record, now_ms)?;
            }
            Change::Delete => {
                delete(connection, sql, key, now_ms)?;
            }
        }
    }
    Ok(updated)
}

/// The end of a range as a bound: past every key where it has none, since no UTF-8 holds the byte 255.
pub(super) fn end_of(range: &KeyRange) -> &[u8] {
    range.end.as_deref().unwrap_or(&[u8::MAX])
}

/// Deletes a range; how many live records went.
pub(super) fn remove_range(connection: &Connection, sql: &Sql, range: &KeyRange, now_ms: i64) -> Outcome<u64> {
    let (start, end) = (range.start.as_slice(), end_of(range));
    let due: i64 = connection.prepare_cached(&sql.due_in_range)?.query_row((start, end, now_ms), |row| row.get(0))?;
    let all = connection.prepare_cached(&sql.delete_range)?.execute((start, end))?;
    Ok((all as u64).saturating_sub(due.unsigned_abs()))
}

/// Deletes at most `limit` records that have expired; how many, and when the next one does, in milliseconds since the Unix
/// epoch.
pub(super) fn purge(connection: &Connection, sql: &Sql, limit: i64, now_ms: i64) -> Outcome<(u64, Option<i64>)> {
    let freed = connection.prepare_cached(&sql.delete_due)?.execute((now_ms, limit))?;
    let next = connection.prepare_cached(&sql.next_due)?.query_row([], |row| row.get(0))?;
    Ok((freed as u64, next))
}
