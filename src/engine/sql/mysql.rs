//! How MySQL and MariaDB spell what is done with many keys: lists, in few lengths, so that few statements are prepared.

use std::time::Duration;

use super::connection::Arg;
use super::counts;
use super::dialect::{Dialect, NewRow, Statement, Table};

/// The most rows of one statement: 65,535 arguments are the limit.
const MOST_ROWS: usize = 512;
/// The most keys of one list.
const MOST_KEYS: usize = 16_384;
/// Bodies of one statement take no more than this, in bytes, or are a single one: well under the smallest
/// `max_allowed_packet` that servers come with.
const STATEMENT_BYTES: usize = 2 * 1024 * 1024;

/// A body of more bytes is not written into a statement's text.
const LITERAL_BYTES: usize = 16 * 1024;

pub(super) fn session(timeout: Duration) -> String {
    let seconds = timeout.as_secs().clamp(1, 1_000_000);
    format!(
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ANSI_QUOTES', SESSION autocommit = 1, \
         SESSION innodb_lock_wait_timeout = {seconds}; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
    )
}

/// `count` as a sum of powers of two, the greatest first.
fn parts(count: usize) -> impl Iterator<Item = usize> {
    let mut rest = count;
    std::iter::from_fn(move || {
        let part = MOST_ROWS.min(1 << rest.checked_ilog2()?);
        rest -= part;
        Some(part)
    })
}

/// `start` and the rows under `keys`, those that live at a time where one is given. The last list repeats a key until
/// it is as long as a power of two.
pub(super) fn among<'a>(start: &str, keys: &[&'a [u8]], now_ms: Option<i64>) -> Vec<Statement<'a>> {
    let one = |keys: &[&'a [u8]]| {
        let length = keys.len().next_power_of_two();
        let mut text = format!(r#"{start} "key" IN (?"#);
        (1..length).for_each(|_| text.push_str(",?"));
        text.push(')');
        let last = keys.last().copied().unwrap_or_default();
        let mut args: Vec<Arg<'a>> =
            keys.iter().copied().chain(std::iter::repeat(last)).take(length).map(Arg::Bytes).collect();
        if let Some(now) = now_ms {
            text.push_str(r#" AND ("expires_at" IS NULL OR "expires_at" > ?)"#);
            args.push(Arg::Int(now));
        }
        Statement { text, args }
    };
    keys.chunks(MOST_KEYS).map(one).collect()
}

pub(super) fn put<'a>(table: &str, rows: &[NewRow<'a>]) -> Vec<Statement<'a>> {
    let mut statements = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take_while(|row| {
                bytes += row.body.len() + row.key.len();
                bytes <= STATEMENT_BYTES
            })
            .count();
        let Some(part) = parts(fitting.max(1)).next() else { break };
        let (these, after) = rest.split_at(part);
        rest = after;
        let mut text = format!(
            r#"INSERT INTO {table} ("key", "version", "created_at", "updated_at", "expires_at", "body") VALUES (?,?,?,?,?,?)"#
        );
        (1..part).for_each(|_| text.push_str(",(?,?,?,?,?,?)"));
        text.push_str(
            r#" ON DUPLICATE KEY UPDATE "version" = VALUES("version"), "created_at" = VALUES("created_at"),
                "updated_at" = VALUES("updated_at"), "expires_at" = VALUES("expires_at"), "body" = VALUES("body")"#,
        );
        let mut args = Vec::with_capacity(part * 6);
        for row in these {
            args.extend([
                Arg::Bytes(row.key),
                Arg::Int(row.meta.version.cast_signed()),
                Arg::Int(row.meta.created_at),
                Arg::Int(row.meta.updated_at),
                Arg::Maybe(row.meta.expires_at),
                Arg::Bytes(row.body),
            ]);
        }
        statements.push(Statement { text, args });
    }
    statements
}

/// Overwrites the one row under a key, where there is one, and tells by `LAST_INSERT_ID` what it met (2: a live row; 1:
/// an expired one). The assignments happen in their order: `expires_at` last of those that look at it.
pub(super) fn overwrite<'a>(table: &Table, row: &NewRow<'a>, now_ms: i64) -> Statement<'a> {
    let t = table.quoted();
    let text = format!(
        r#"UPDATE {t} SET
               "version" = CASE WHEN LAST_INSERT_ID(CASE WHEN "expires_at" <= ? THEN 1 ELSE 2 END) > 0 THEN ? END,
               "created_at" = CASE WHEN "expires_at" <= ? OR ? THEN ? ELSE "created_at" END,
               "updated_at" = ?, "expires_at" = ?, "body" = ?
           WHERE "key" = ?"#
    );
    let args = vec![
        Arg::Int(now_ms),
        Arg::Int(row.meta.version.cast_signed()),
        Arg::Int(now_ms),
        Arg::Flag(row.force_created),
        Arg::Int(row.meta.created_at),
        Arg::Int(row.meta.updated_at),
        Arg::Maybe(row.meta.expires_at),
        Arg::Bytes(row.body),
        Arg::Bytes(row.key),
    ];
    Statement { text, args }
}

/// A row with a small body under a key that has none, counted and committed: statements that each end.
pub(super) fn insert(table: &Table, row: &NewRow<'_>, slot: i64) -> Option<String> {
    if row.body.len() > LITERAL_BYTES {
        return None;
    }
    let (literal, meta) = (|bytes| Dialect::Mysql.literal(bytes), row.meta);
    let expires_at = meta.expires_at.map_or_else(|| "NULL".to_owned(), |at| at.to_string());
    let mut changes = counts::Changes::default();
    changes.add(row.key, 1);
    let count = changes.statement(table, slot);
    Some(format!(
        r#"BEGIN;INSERT INTO {} ("key", "version", "created_at", "updated_at", "expires_at", "body")
           VALUES ({},{},{},{},{expires_at},{});{count}"#,
        table.quoted(),
        literal(row.key),
        meta.version.cast_signed(),
        meta.created_at,
        meta.updated_at,
        literal(row.body)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_few_lengths() {
        assert_eq!(parts(100).collect::<Vec<_>>(), [64, 32, 4]);
        assert_eq!(parts(1_500).collect::<Vec<_>>(), [512, 512, 256, 128, 64, 16, 8, 4]);
        assert_eq!(parts(0).count(), 0);
    }
}
