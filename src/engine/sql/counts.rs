//! How many rows each namespace of the first level holds.
//!
//! # What holds
//!
//! 1. A namespace is written with its separator, `users::`; what is in none is in the empty one.
//! 2. Of each table and namespace the counters' sum is the number of rows, expired ones too: the transaction that adds
//!    or deletes rows changes it. A namespace without rows has no counters, or such whose sum is zero.
//! 3. Counters are a transaction's last locks, taken in the order of their namespaces: who holds one waits for no row.
//! 4. A namespace has a counter for each slot from which its rows were written, so that writers don't wait for each
//!    other; they are put together from time to time.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::config::COUNTS_TABLE;
use super::connection::{Arg, Connection};
use super::core::{Ask, Core, commit};
use super::dialect::{Dialect, Table};
use super::errors::{Fault, Outcome};
use super::pool::Lease;
use super::ranges::int;
use crate::error::Error;
use crate::key::SEPARATOR;

/// Counters that one statement changes at most.
const MOST: usize = 256;
/// A namespace of more counters has them put together.
const SPREAD: i64 = 4;
/// Namespaces that are tidied at a time.
const TIDIED: usize = 64;

/// The namespace of a key, as an expression over an expression of the key.
pub(super) fn space_of(key: &str, dialect: Dialect) -> String {
    let at = match dialect {
        Dialect::Postgres => format!(r"position('\x3a3a'::bytea IN {key})"),
        Dialect::Mysql => format!("LOCATE(x'3a3a', {key})"),
    };
    format!("SUBSTR({key}, 1, CASE {at} WHEN 0 THEN 0 ELSE {at} + 1 END)")
}

fn space(key: &[u8]) -> &[u8] {
    let at = key.windows(SEPARATOR.len()).position(|two| two == SEPARATOR.as_bytes());
    at.and_then(|at| key.get(..at + SEPARATOR.len())).unwrap_or_default()
}

/// What a transaction adds to the numbers of rows.
#[derive(Default)]
pub(super) struct Changes(BTreeMap<Vec<u8>, i64>);

impl Changes {
    /// Adds to the namespace of a key.
    pub(super) fn add(&mut self, key: &[u8], by: i64) {
        self.add_to(space(key), by);
    }

    pub(super) fn add_to(&mut self, space: &[u8], by: i64) {
        if let Some(n) = self.0.get_mut(space) {
            *n += by;
        } else {
            self.0.insert(space.to_vec(), by);
        }
    }

    /// Makes the changes and commits, in one go where they are not very many.
    pub(super) async fn commit(self, connection: &mut Connection, table: &Table, slot: i64) -> Outcome<()> {
        let changes: Vec<(&Vec<u8>, &i64)> = self.0.iter().filter(|(_, by)| **by != 0).collect();
        let mut last = String::new();
        for changes in changes.chunks(MOST) {
            if !last.is_empty() {
                connection.simple(&last).await?;
            }
            last = add(table, slot, changes);
        }
        commit(connection, &last).await
    }

    /// The changes as a statement that ends, for where they are few and none is zero.
    pub(super) fn statement(&self, table: &Table, slot: i64) -> String {
        add(table, slot, &self.0.iter().collect::<Vec<_>>())
    }
}

fn add(table: &Table, slot: i64, changes: &[(&Vec<u8>, &i64)]) -> String {
    let (alias, end) = match table.dialect {
        Dialect::Postgres => {
            (" AS c", r#" ON CONFLICT ("name", "space", "slot") DO UPDATE SET "n" = c."n" + excluded."n";"#)
        }
        Dialect::Mysql => ("", r#" ON DUPLICATE KEY UPDATE "n" = "n" + VALUES("n");"#),
    };
    let mut text = format!(r#"INSERT INTO "{COUNTS_TABLE}"{alias} ("name", "space", "slot", "n") VALUES "#);
    for (at, (space, by)) in changes.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        // Writing to a String can't fail.
        let _ = write!(text, "{comma}('{}',{},{slot},{by})", table.name, table.dialect.literal(space));
    }
    text + end
}

/// How many live records a table holds: its rows less those that have expired and are not deleted yet, in one moment.
pub(super) async fn total(connection: &mut Connection, table: &Table, now_ms: i64) -> Outcome<u64> {
    let (t, int) = (table.quoted(), int(table.dialect));
    let text = format!(
        r#"SELECT CAST(COALESCE((SELECT SUM("n") FROM "{COUNTS_TABLE}" WHERE "name" = ?), 0)
               - (SELECT COUNT(*) FROM {t} WHERE "expires_at" <= ?) AS {int})"#
    );
    let statement = table.statement(&text, vec![Arg::Text(&table.name), Arg::Int(now_ms)]);
    Ok(u64::try_from(connection.row(statement).await?.int(0)?).unwrap_or(0))
}

/// The namespaces that hold live records, as a query over whose result `start` selects.
fn live(start: &str, table: &Table) -> String {
    let (t, space) = (table.quoted(), space_of(r#""key""#, table.dialect));
    format!(
        r#"{start} FROM (
               SELECT u.s FROM (
                   SELECT "space" AS s, "n" FROM "{COUNTS_TABLE}" WHERE "name" = ? AND "space" > ''
                   UNION ALL SELECT {space}, -1 FROM {t} WHERE "expires_at" <= ?
               ) AS u WHERE u.s > '' GROUP BY u.s HAVING SUM(u."n") > 0
           ) AS g"#
    )
}

/// How many live records a table holds, in how many namespaces, and the bytes that it takes by `size`, an expression
/// over the table's name.
pub(super) async fn figures(connection: &mut Connection, table: &Table, size: &str, now_ms: i64) -> Outcome<[u64; 3]> {
    let (t, int, name) = (table.quoted(), int(table.dialect), Arg::Text(&table.name));
    // What each is quick at: PostgreSQL at telling namespaces apart, MySQL at adding up their counters in key order.
    let (spaces, least, from, end) = match table.dialect {
        Dialect::Postgres => (
            r#"COUNT(DISTINCT CASE WHEN g."n" > 0 AND g."space" > '' THEN g."space" END)"#,
            r#"MIN(g."n")"#,
            format!(r#""{COUNTS_TABLE}" AS g WHERE "name" = ?"#),
            "",
        ),
        Dialect::Mysql => (
            r#"COUNT(CASE WHEN g."n" > 0 AND g.inside > 0 THEN 1 END)"#,
            "0",
            format!(
                r#"(SELECT SUM("n") AS "n", MAX(OCTET_LENGTH("space")) AS inside FROM "{COUNTS_TABLE}" WHERE "name" = ?"#
            ),
            r#" GROUP BY "space") AS g"#,
        ),
    };
    let text = format!(
        r#"SELECT CAST(COALESCE(SUM(g."n"), 0) AS {int}), CAST({spaces} AS {int}), CAST(COALESCE({least}, 0) AS {int}),
               (SELECT CAST(COUNT(*) AS {int}) FROM {t} WHERE "expires_at" <= ?), (SELECT CAST({size} AS {int}))
           FROM {from}{end}"#
    );
    let row = connection.row(table.statement(&text, vec![Arg::Int(now_ms), name.clone()])).await?;
    let (rows, mut spaces, least, expired) = (row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?);
    if expired > 0 || least < 0 {
        // Seldom: what one counter has more another may have less, or what has expired may be all that a namespace has.
        let text = live(&format!("SELECT CAST(COUNT(*) AS {int})"), table);
        spaces = connection.row(table.statement(&text, vec![name, Arg::Int(now_ms)])).await?.int(0)?;
    }
    Ok([rows - expired, spaces, row.int(4)?].map(|figure| u64::try_from(figure).unwrap_or(0)))
}

/// The namespaces of the first level, sorted.
pub(super) struct SpaceNames;

impl Ask for SpaceNames {
    type Answer = Vec<String>;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<Vec<String>> {
        let table = &core.pool.table;
        let args = vec![Arg::Text(&table.name), Arg::Int(core.clock.now_ms())];
        let rows = lease.connection.rows(table.statement(&live("SELECT g.s", table), args)).await?;
        let name = |space: &[u8]| {
            let name = space.strip_suffix(SEPARATOR.as_bytes()).unwrap_or(space).to_vec();
            String::from_utf8(name).map_err(|_| {
                Fault::from(Error::Corrupted { key: String::new(), reason: "a namespace is not UTF-8".into() })
            })
        };
        let mut names = rows.iter().map(|row| row.bytes(0).and_then(name)).collect::<Outcome<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }
}

/// Puts the counters of some namespaces together and removes those of namespaces without rows; whether there is more.
pub(super) struct Tidy;

impl Ask for Tidy {
    type Answer = bool;
    const WRITES: bool = true;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<bool> {
        let (table, connection) = (&core.pool.table, &mut lease.connection);
        let text = format!(
            r#"SELECT "space" FROM "{COUNTS_TABLE}" WHERE "name" = ?
               GROUP BY "space" HAVING SUM("n") = 0 OR COUNT(*) > {SPREAD} LIMIT {TIDIED}"#
        );
        let spaces = connection.rows(table.statement(&text, vec![Arg::Text(&table.name)])).await?;
        for space in &spaces {
            let space = space.bytes(0)?;
            connection.simple("BEGIN").await?;
            let text = format!(
                r#"SELECT "slot", "n" FROM "{COUNTS_TABLE}" WHERE "name" = ? AND "space" = ? ORDER BY "slot" FOR UPDATE"#
            );
            let rows = connection.rows(table.statement(&text, vec![Arg::Text(&table.name), Arg::Bytes(space)])).await?;
            let mut slots = rows.iter().map(|row| row.int(0)).collect::<Outcome<Vec<i64>>>()?;
            let sum = rows.iter().map(|row| row.int(1)).sum::<Outcome<i64>>()?;
            let these = format!(r#""name" = '{}' AND "space" = {}"#, table.name, table.dialect.literal(space));
            let mut text = String::new();
            if sum != 0 && !slots.is_empty() {
                let kept = slots.remove(0);
                let _ = write!(text, r#"UPDATE "{COUNTS_TABLE}" SET "n" = {sum} WHERE {these} AND "slot" = {kept};"#);
            }
            if !slots.is_empty() {
                let slots: Vec<String> = slots.iter().map(i64::to_string).collect();
                let _ =
                    write!(text, r#"DELETE FROM "{COUNTS_TABLE}" WHERE {these} AND "slot" IN ({});"#, slots.join(","));
            }
            commit(connection, &text).await?;
        }
        Ok(spaces.len() >= TIDIED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_ends_with_the_first_separator() {
        let cases: [(&[u8], &[u8]); 5] =
            [(b"a::b::c", b"a::"), (b"a", b""), (b"::x", b"::"), (b"a:::d", b"a::"), (b":", b"")];
        for (key, wanted) in cases {
            assert_eq!(space(key), wanted);
        }
    }
}
