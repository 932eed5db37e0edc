//! How PostgreSQL spells what is done with many keys: arrays, and statements within statements.

use std::time::Duration;

use super::config::COUNTS_TABLE;
use super::connection::Arg;
use super::counts::space_of;
use super::dialect::{Dialect, NewRow, Statement, Table};
use super::gone::{self, GONE, Place};

/// Bodies of one statement take no more than this, in bytes, or are a single one: a message holds 1 GB at most.
const STATEMENT_BYTES: usize = 64 * 1024 * 1024;

/// Every query of ours is meant to use an index, whatever the table's statistics say yet; the penalty that tells the
/// planner so would make it compile or call helpers, which costs more than the queries.
pub(super) fn session(timeout: Duration) -> String {
    let ms = timeout.as_millis().clamp(1, 2_000_000_000);
    format!(
        "SET enable_seqscan = off; SET jit = off; SET max_parallel_workers_per_gather = 0; SET lock_timeout = {ms}; SET idle_in_transaction_session_timeout = {ms}; SET bytea_output = 'hex'; \
         SET default_transaction_isolation = 'read committed'; \
         SET synchronous_commit = on; SET standard_conforming_strings = on"
    )
}

/// `start` and the rows under `keys`, those that live at a time where one is given.
pub(super) fn among<'a>(start: &str, keys: &[&'a [u8]], now_ms: Option<i64>) -> Statement<'a> {
    let (which, key) = match keys {
        [key] => (r#""key" = $1"#, Arg::Bytes(key)),
        keys => (r#""key" = ANY($1)"#, Arg::ManyBytes(keys.to_vec())),
    };
    match now_ms {
        Some(now) => Statement {
            text: format!(r#"{start} {which} AND ("expires_at" IS NULL OR "expires_at" > $2)"#),
            args: vec![key, Arg::Int(now)],
        },
        None => Statement { text: format!("{start} {which}"), args: vec![key] },
    }
}

fn row_args<'a>(rows: &[NewRow<'a>]) -> Vec<Arg<'a>> {
    vec![
        Arg::ManyBytes(rows.iter().map(|row| row.key).collect()),
        Arg::ManyInts(rows.iter().map(|row| row.meta.version.cast_signed()).collect()),
        Arg::ManyInts(rows.iter().map(|row| row.meta.created_at).collect()),
        Arg::ManyInts(rows.iter().map(|row| row.meta.updated_at).collect()),
        Arg::ManyMaybe(rows.iter().map(|row| row.meta.expires_at).collect()),
        Arg::ManyBytes(rows.iter().map(|row| row.body).collect()),
    ]
}

/// Cuts rows where a statement would become too large.
fn pieces<'r, 'a>(rows: &'r [NewRow<'a>]) -> Vec<&'r [NewRow<'a>]> {
    let mut pieces = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, row) in rows.iter().enumerate() {
        if at > from && bytes + row.body.len() > STATEMENT_BYTES {
            pieces.push(&rows[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += row.body.len();
    }
    pieces.push(&rows[from..]);
    pieces
}

pub(super) fn put<'a>(table: &str, rows: &[NewRow<'a>]) -> Vec<Statement<'a>> {
    let text = format!(
        r#"INSERT INTO {table} ("key", "version", "created_at", "updated_at", "expires_at", "body")
           SELECT * FROM unnest($1::bytea[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::bytea[])
           ON CONFLICT ("key") DO UPDATE SET "version" = excluded."version", "created_at" = excluded."created_at",
               "updated_at" = excluded."updated_at", "expires_at" = excluded."expires_at", "body" = excluded."body""#
    );
    pieces(rows).into_iter().map(|rows| Statement { text: text.clone(), args: row_args(rows) }).collect()
}

/// Writes rows, sorted by key, and counts the new ones, in one statement: of each, its key and what it met (2: a live
/// row; 1: an expired one; less: none). The column `met` carries the answer out, and on the way in whether the
/// creation time is forced.
pub(super) fn put_and_count<'a>(table: &'a Table, rows: &[NewRow<'a>], now_ms: i64, slot: i64) -> Statement<'a> {
    let (t, space) = (table.quoted(), space_of("k", Dialect::Postgres));
    let text = format!(
        r#"WITH put AS (
               INSERT INTO {t} AS t ("key", "version", "created_at", "updated_at", "expires_at", "body", "met")
               SELECT i.a, i.b, i.c, i.d, i.e, i.f, CASE WHEN i.g THEN -1 ELSE 0 END
               FROM unnest($1::bytea[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::bytea[], $7::bool[])
                   AS i(a, b, c, d, e, f, g)
               ON CONFLICT ("key") DO UPDATE SET
                   "met" = CASE WHEN t."expires_at" <= $8 THEN 1 ELSE 2 END,
                   "created_at" = CASE WHEN t."expires_at" <= $8 OR excluded."met" < 0
                       THEN excluded."created_at" ELSE t."created_at" END,
                   "version" = excluded."version", "updated_at" = excluded."updated_at",
                   "expires_at" = excluded."expires_at", "body" = excluded."body"
               RETURNING t."key" AS k, t."met"::int8 AS met
           ), counted AS (
               INSERT INTO "{COUNTS_TABLE}" AS c ("name", "space", "slot", "n")
               SELECT $9, {space}, $10, count(*) FROM put WHERE met < 1 GROUP BY 2 ORDER BY 2
               ON CONFLICT ("name", "slot", "space") DO UPDATE SET "n" = c."n" + excluded."n"
           )
           SELECT k, met FROM put"#
    );
    let mut args = row_args(rows);
    args.push(Arg::ManyFlags(rows.iter().map(|row| row.force_created).collect()));
    args.extend([Arg::Int(now_ms), Arg::Text(&table.name), Arg::Int(slot)]);
    Statement { text, args }
}

/// Deletes the rows under `keys`, which are sorted, counts them, and sets the `stamps` of those that were there, in
/// one statement: of each that was there, its key and whether it was live (2) or expired (1).
pub(super) fn remove_and_count<'a>(
    table: &'a Table,
    keys: &[&'a [u8]],
    stamps: &'a [Place],
    now_ms: i64,
    slot: i64,
) -> Statement<'a> {
    let (t, space, now) = (table.quoted(), space_of("k", Dialect::Postgres), gone::now(Dialect::Postgres));
    let text = format!(
        r#"WITH held AS (
               SELECT "key" AS k FROM {t} WHERE "key" = ANY($1) ORDER BY "key" FOR UPDATE
           ), gone AS (
               DELETE FROM {t} AS t USING held WHERE t."key" = held.k
               RETURNING t."key" AS k, CASE WHEN t."expires_at" <= $2 THEN 1::int8 ELSE 2::int8 END AS met
           ), counted AS (
               INSERT INTO "{COUNTS_TABLE}" AS c ("name", "space", "slot", "n")
               SELECT $3, l.space, l.slot, l.n FROM (
                   SELECT {space} AS space, $4::int8 AS slot, -count(*) AS n FROM gone GROUP BY 1
                   UNION ALL
                   SELECT i.b, {GONE}::int8, max({now}) FROM gone
                       JOIN unnest($1::bytea[], $5::bytea[]) AS i(a, b) ON i.a = gone.k GROUP BY 1
               ) AS l ORDER BY 2, 1
               ON CONFLICT ("name", "slot", "space") DO UPDATE SET
                   "n" = CASE WHEN c."slot" = {GONE} THEN GREATEST(c."n", excluded."n") ELSE c."n" + excluded."n" END
           )
           SELECT k, met FROM gone"#
    );
    let args = vec![
        Arg::ManyBytes(keys.to_vec()),
        Arg::Int(now_ms),
        Arg::Text(&table.name),
        Arg::Int(slot),
        Arg::ManyBytes(stamps.iter().map(Place::as_slice).collect()),
    ];
    Statement { text, args }
}
