//! How many rows each namespace of the first level holds.
//!
//! # What holds
//!
//! 1. A namespace is written with its separator, `users::`; what is in none is in the empty one.
//! 2. Of each table and namespace the counters' sum is the number of rows, expired ones too: the transaction that adds
//!    or deletes rows changes it. A namespace without rows has none, or such whose sum is zero.
//! 3. Counters are a transaction's last locks, taken in the order of their namespaces: who holds one waits for no row.
//! 4. Writers change loose counters, one for each namespace and slot, so that they don't wait for each other. From time
//!    to time those are moved into settled ones, one for each namespace, which nobody else changes. So the namespaces
//!    are the settled counters above zero, but for the few that have loose ones.

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
/// The slot of the settled counters.
const SETTLED: i64 = -1;
/// More loose counters are worth settling at once.
const UNTIDY: i64 = 64;
/// So many are settled in one transaction.
const TIDIED: usize = 256;

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

/// What [`figures`] finds.
pub(super) struct Figures {
    pub(super) keys: u64,
    pub(super) spaces: u64,
    pub(super) bytes: u64,
    /// Whether there are so many loose counters that they had better be settled.
    pub(super) untidy: bool,
}

/// How many live records a table holds, in how many namespaces, and the bytes that it takes by `size`, an expression.
pub(super) async fn figures(connection: &mut Connection, table: &Table, size: &str, now_ms: i64) -> Outcome<Figures> {
    let (t, int, name) = (table.quoted(), int(table.dialect), Arg::Text(&table.name));
    let text = format!(
        r#"SELECT CAST(COALESCE(SUM("n"), 0) AS {int}),
               CAST(COUNT(CASE WHEN "slot" = {SETTLED} AND "n" > 0 AND "space" > '' THEN 1 END) AS {int}),
               CAST(COUNT(CASE WHEN "slot" <> {SETTLED} AND "space" > '' THEN 1 END) AS {int}),
               (SELECT CAST(COUNT(*) AS {int}) FROM {t} WHERE "expires_at" <= ?), (SELECT CAST({size} AS {int}))
           FROM "{COUNTS_TABLE}" WHERE "name" = ?"#
    );
    let row = connection.row(table.statement(&text, vec![Arg::Int(now_ms), name.clone()])).await?;
    let (rows, mut spaces, loose, expired) = (row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?);
    if expired > 0 || loose > spaces {
        // What has expired may be all that a namespace has.
        let text = live(&format!("SELECT CAST(COUNT(*) AS {int})"), table);
        spaces = connection.row(table.statement(&text, vec![name, Arg::Int(now_ms)])).await?.int(0)?;
    } else if loose > 0 {
        let text = format!(
            r#"SELECT CAST((SELECT COUNT(*) FROM "{COUNTS_TABLE}"
                            WHERE "name" = ? AND "slot" = {SETTLED} AND "n" > 0 AND "space" > '')
                   + COALESCE(SUM(CASE WHEN g.n > 0 THEN 1 ELSE 0 END), 0)
                   - COALESCE(SUM(CASE WHEN g.settled > 0 THEN 1 ELSE 0 END), 0) AS {int})
               FROM (SELECT SUM("n") AS n, SUM(CASE WHEN "slot" = {SETTLED} THEN "n" ELSE 0 END) AS settled
                     FROM "{COUNTS_TABLE}" WHERE "name" = ? AND "space" IN (
                         SELECT "space" FROM "{COUNTS_TABLE}" WHERE "name" = ? AND "slot" <> {SETTLED} AND "space" > '')
                     GROUP BY "space") AS g"#
        );
        spaces = connection.row(table.statement(&text, vec![name.clone(), name.clone(), name])).await?.int(0)?;
    }
    let [keys, spaces, bytes] = [rows - expired, spaces, row.int(4)?].map(|figure| u64::try_from(figure).unwrap_or(0));
    Ok(Figures { keys, spaces, bytes, untidy: loose > UNTIDY })
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

/// Settles some loose counters, and removes the counters of namespaces without rows; whether there are more.
pub(super) struct Tidy;

impl Ask for Tidy {
    type Answer = bool;
    const WRITES: bool = true;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<bool> {
        let (table, connection) = (&core.pool.table, &mut lease.connection);
        // In the order in which writers take them.
        let skip = if table.dialect == Dialect::Postgres { "SKIP LOCKED" } else { "" };
        let text = format!(
            r#"SELECT "space", "slot", "n" FROM "{COUNTS_TABLE}" WHERE "name" = ? AND "slot" <> {SETTLED}
               ORDER BY "space", "slot" LIMIT {TIDIED} FOR UPDATE {skip}"#
        );
        connection.simple("BEGIN").await?;
        let rows = connection.rows(table.statement(&text, vec![Arg::Text(&table.name)])).await?;
        let (mut sums, mut slots) = (BTreeMap::new(), BTreeMap::<i64, Vec<String>>::new());
        for row in &rows {
            let space = row.bytes(0)?;
            *sums.entry(space.to_vec()).or_insert(0) += row.int(2)?;
            slots.entry(row.int(1)?).or_default().push(table.dialect.literal(space));
        }
        let mut last = String::new();
        if !sums.is_empty() {
            connection.simple(&add(table, SETTLED, &sums.iter().collect::<Vec<_>>())).await?;
            for (slot, spaces) in slots {
                last.push_str(&remove(table, &format!(r#""slot" = {slot}"#), &spaces));
            }
            let spaces: Vec<String> = sums.keys().map(|space| table.dialect.literal(space)).collect();
            last.push_str(&remove(table, &format!(r#""slot" = {SETTLED} AND "n" = 0"#), &spaces));
        }
        commit(connection, &last).await?;
        Ok(rows.len() >= TIDIED)
    }
}

fn remove(table: &Table, which: &str, spaces: &[String]) -> String {
    let (name, spaces) = (&table.name, spaces.join(","));
    format!(r#"DELETE FROM "{COUNTS_TABLE}" WHERE "name" = '{name}' AND {which} AND "space" IN ({spaces});"#)
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
