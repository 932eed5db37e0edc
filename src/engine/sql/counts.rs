//! How many rows each namespace of the first level holds.
//!
//! # What holds
//!
//! 1. A namespace is written with its separator, `users::`; what is in none is in the empty one.
//! 2. Of each table and namespace the counters' sum is the number of rows, expired ones too: the transaction that adds
//!    or deletes rows changes it. A namespace without rows has none, or such whose sum is zero.
//! 3. Counters are a transaction's last locks, taken in the order of their namespaces: who holds one waits for no row.
//! 4. Writers change loose counters, one for each namespace and slot, so that they don't wait for each other. From time
//!    to time one process moves those into settled ones, one for each namespace, which nobody else changes.
//! 5. Two more counters hold the sum of the settled ones, and how many of them are above zero. So what is counted costs
//!    as much as there are loose counters, however many namespaces there are.
//! 6. The same table holds the stamps of what was deleted: see `gone`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::config::COUNTS_TABLE;
use super::connection::{Arg, Connection};
use super::core::{Ask, Core, commit};
use super::dialect::{Dialect, Table};
use super::errors::{Fault, Outcome};
use super::gone::{self, Stamps};
use super::pool::Lease;
use super::ranges::int;
use crate::error::Error;
use crate::key::SEPARATOR;

/// Counters that one statement changes at most.
const MOST: usize = 256;
/// Statements of more bytes are not sent together with others.
const LONG: usize = 16 * 1024;
/// The slot of the counter of how many settled ones are above zero, the empty namespace's not among them.
const SPACES: i64 = -2;
/// The slot of the settled counters' sum. Loose ones follow, from 0 on.
const ROWS: i64 = -1;
/// The slot of the settled counters: past all others.
const SETTLED: i64 = 1_000;
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

/// What a transaction adds to the numbers of rows, and what it stamps.
#[derive(Default)]
pub(super) struct Changes {
    by_space: BTreeMap<Vec<u8>, i64>,
    gone: Stamps,
}

impl Changes {
    /// Adds to the namespace of a key.
    pub(super) fn add(&mut self, key: &[u8], by: i64) {
        self.add_to(space(key), by);
    }

    pub(super) fn add_to(&mut self, space: &[u8], by: i64) {
        if let Some(n) = self.by_space.get_mut(space) {
            *n += by;
        } else {
            self.by_space.insert(space.to_vec(), by);
        }
    }

    /// A row that a caller deletes, under a key.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.add(key, -1);
        self.gone.add(key);
    }

    /// Stamps the deletion of a range, whose rows are counted apart.
    pub(super) fn remove_range(&mut self) {
        self.gone.add_range();
    }

    /// Makes the changes and commits, in one go where they are not very many.
    pub(super) async fn commit(self, lease: &mut Lease, core: &Core) -> Outcome<()> {
        let (slot, table) = (lease.slot(), &core.pool.table);
        let connection = &mut lease.connection;
        let changes: Vec<(&Vec<u8>, &i64)> = self.by_space.iter().filter(|(_, by)| **by != 0).collect();
        let mut last = String::new();
        let counted = changes.chunks(MOST).map(|changes| add(table, slot, changes));
        for text in counted.chain(self.gone.statements(table, core.owner)) {
            if last.len() > LONG {
                connection.simple(&last).await?;
                last.clear();
            }
            last += &text;
        }
        commit(connection, &last).await
    }

    /// The changes as a statement that ends, for where they are few and none is zero.
    pub(super) fn statement(&self, table: &Table, slot: i64) -> String {
        add(table, slot, &self.by_space.iter().collect::<Vec<_>>())
    }
}

fn add(table: &Table, slot: i64, changes: &[(&Vec<u8>, &i64)]) -> String {
    let (alias, end) = match table.dialect {
        Dialect::Postgres => {
            (" AS c", r#" ON CONFLICT ("name", "slot", "space") DO UPDATE SET "n" = c."n" + excluded."n";"#)
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
        r#"SELECT CAST(COALESCE((SELECT SUM("n") FROM "{COUNTS_TABLE}"
                                 WHERE "name" = ? AND "slot" >= {ROWS} AND "slot" < {SETTLED}), 0)
               - (SELECT COUNT(*) FROM {t} WHERE "expires_at" <= ?) AS {int})"#
    );
    let statement = table.statement(&text, vec![Arg::Text(&table.name), Arg::Int(now_ms)]);
    Ok(u64::try_from(connection.row(statement).await?.int(0)?).unwrap_or(0))
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
    let sum_of = |which: &str| format!(r#"CAST(COALESCE(SUM(CASE WHEN {which} THEN "n" END), 0) AS {int})"#);
    let (rows, spaces) = (sum_of(&format!(r#""slot" >= {ROWS}"#)), sum_of(&format!(r#""slot" = {SPACES}"#)));
    let text = format!(
        r#"SELECT {rows}, {spaces}, CAST(COUNT(CASE WHEN "slot" >= 0 AND "space" > '' THEN 1 END) AS {int}),
               (SELECT CAST(COUNT(*) AS {int}) FROM {t} WHERE "expires_at" <= ?), (SELECT CAST({size} AS {int}))
           FROM "{COUNTS_TABLE}" WHERE "name" = ? AND "slot" < {SETTLED}"#
    );
    let row = connection.row(table.statement(&text, vec![Arg::Int(now_ms), name.clone()])).await?;
    let (rows, mut spaces, loose, expired) = (row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?);
    if loose > 0 || expired > 0 {
        // The namespaces that have loose counters, or rows that expired, are looked at: do they hold anything, and did
        // they when they were settled?
        let space = space_of(r#""key""#, table.dialect);
        let text = format!(
            r#"SELECT CAST((SELECT COALESCE(SUM("n"), 0) FROM "{COUNTS_TABLE}" WHERE "name" = ? AND "slot" = {SPACES})
                   + COALESCE(SUM(CASE WHEN g.n + g.settled > 0 THEN 1 ELSE 0 END), 0)
                   - COALESCE(SUM(CASE WHEN g.settled > 0 THEN 1 ELSE 0 END), 0) AS {int})
               FROM (SELECT h.n, COALESCE({settled}, 0) AS settled FROM (
                         SELECT l."space", SUM(l."n") AS n FROM (
                             SELECT "space", "n" FROM "{COUNTS_TABLE}"
                             WHERE "name" = ? AND "slot" >= 0 AND "slot" < {SETTLED} AND "space" > ''
                             UNION ALL SELECT {space}, -1 FROM {t} WHERE "expires_at" <= ?
                         ) AS l WHERE l."space" > '' GROUP BY l."space"
                     ) AS h) AS g"#,
            settled = settled("h")
        );
        let args = vec![name.clone(), name.clone(), name, Arg::Int(now_ms)];
        spaces = connection.row(table.statement(&text, args)).await?.int(0)?;
    }
    let [keys, spaces, bytes] = [rows - expired, spaces, row.int(4)?].map(|figure| u64::try_from(figure).unwrap_or(0));
    Ok(Figures { keys, spaces, bytes, untidy: loose > UNTIDY })
}

/// The settled counter of a row's namespace, as an expression; takes the table's name. No join: its cost is known, one
/// look into the index, whatever the server thinks of its tables.
fn settled(of: &str) -> String {
    format!(
        r#"(SELECT s."n" FROM "{COUNTS_TABLE}" AS s WHERE s."name" = ? AND s."slot" = {SETTLED} AND s."space" = {of}."space")"#
    )
}

/// The namespaces of the first level, sorted.
pub(super) struct SpaceNames;

impl Ask for SpaceNames {
    type Answer = Vec<String>;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<Vec<String>> {
        let table = &core.pool.table;
        let (t, space) = (table.quoted(), space_of(r#""key""#, table.dialect));
        let text = format!(
            r#"SELECT "space", "n" FROM "{COUNTS_TABLE}" WHERE "name" = ? AND "slot" >= 0 AND "slot" <= {SETTLED} AND "space" > ''
               UNION ALL SELECT {space}, -1 FROM {t} WHERE "expires_at" <= ?"#
        );
        let args = vec![Arg::Text(&table.name), Arg::Int(core.clock.now_ms())];
        let rows = lease.connection.rows(table.statement(&text, args)).await?;
        let mut sums = BTreeMap::new();
        for row in &rows {
            *sums.entry(row.bytes(0)?).or_insert(0) += row.int(1)?;
        }
        let live = sums.into_iter().filter(|(space, n)| *n > 0 && !space.is_empty());
        let name = |(space, _): (&[u8], i64)| {
            let name = space.strip_suffix(SEPARATOR.as_bytes()).unwrap_or(space).to_vec();
            String::from_utf8(name).map_err(|_| {
                Fault::from(Error::Corrupted { key: String::new(), reason: "a namespace is not UTF-8".into() })
            })
        };
        let mut names = live.map(name).collect::<Outcome<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }
}

/// Settles some loose counters, and removes those of namespaces without rows, and old stamps; whether there are more.
pub(super) struct Tidy;

impl Ask for Tidy {
    type Answer = bool;
    const WRITES: bool = true;

    async fn ask(&self, core: &Core, lease: &mut Lease) -> Outcome<bool> {
        let (table, connection) = (&core.pool.table, &mut lease.connection);
        // The sum is locked first: one process settles at a time. The loose ones are taken in the writers' order.
        let lock = add(table, ROWS, &[(&Vec::new(), &0)]);
        connection.simple(&format!("BEGIN;{lock}")).await?;
        let skip = if table.dialect == Dialect::Postgres { "SKIP LOCKED" } else { "" };
        let text = format!(
            r#"SELECT l."space", l."slot", l."n", {} FROM "{COUNTS_TABLE}" AS l
               WHERE l."name" = ? AND l."slot" >= 0 AND l."slot" < {SETTLED}
               ORDER BY l."slot", l."space" LIMIT {TIDIED} FOR UPDATE {skip}"#,
            settled("l")
        );
        let name = Arg::Text(&table.name);
        let rows = connection.rows(table.statement(&text, vec![name.clone(), name])).await?;
        let (mut before, mut sums) = (BTreeMap::new(), BTreeMap::new());
        let mut slots = BTreeMap::<i64, Vec<String>>::new();
        for row in &rows {
            let space = row.bytes(0)?;
            before.insert(space.to_vec(), row.maybe(3)?.unwrap_or(0));
            *sums.entry(space.to_vec()).or_insert(0) += row.int(2)?;
            slots.entry(row.int(1)?).or_default().push(table.dialect.literal(space));
        }
        let mut last = String::new();
        if !sums.is_empty() {
            let mut spaces = 0;
            for (space, before) in before.iter().filter(|(space, _)| !space.is_empty()) {
                let after = before + sums.get(space).copied().unwrap_or(0);
                spaces += i64::from(after > 0) - i64::from(*before > 0);
            }
            last += &add(table, SPACES, &[(&Vec::new(), &spaces)]);
            last += &add(table, ROWS, &[(&Vec::new(), &sums.values().sum())]);
            connection.simple(&add(table, SETTLED, &sums.iter().collect::<Vec<_>>())).await?;
            for (slot, spaces) in slots {
                last += &remove(table, &format!(r#""slot" = {slot}"#), &spaces);
            }
            let spaces: Vec<String> = sums.keys().map(|space| table.dialect.literal(space)).collect();
            last += &remove(table, &format!(r#""slot" = {SETTLED} AND "n" = 0"#), &spaces);
        }
        commit(connection, &last).await?;
        connection.run(gone::forget(table, core.pool.config.connection_timeout)).await?;
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
