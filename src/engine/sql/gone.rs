//! When keys were last deleted: what tells a write that never happened from one that others have undone since.
//!
//! # What holds
//!
//! 1. A transaction that deletes rows stamps their buckets, by the server's clock, while it holds the rows' locks. There
//!    are 1,024 buckets of keys, and one for whole ranges.
//! 2. A write whose answer was lost, and which finds nothing under its keys, did not happen where their buckets bear no
//!    stamp that is younger than it.
//! 3. Stamps are rows of the table of counters in a slot of their own, taken after all counters and in the order of the
//!    buckets.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;
use std::time::Duration;

use tokio::time::Instant;

use super::config::COUNTS_TABLE;
use super::connection::{Arg, Connection};
use super::dialect::{Dialect, Table};
use super::errors::Outcome;
use crate::key::Key;

/// The slot of the stamps: past all counters.
pub(super) const GONE: i64 = 1_001;
const BUCKETS: u64 = 1_024;
/// The bucket of deletions of whole ranges.
const RANGES: Bucket = [u8::MAX; 2];
/// Stamps that one statement sets at most.
const MOST: usize = 256;
/// How much the clocks may differ in their pace while an answer is waited for.
const SLACK: Duration = Duration::from_millis(10);

pub(super) type Bucket = [u8; 2];

/// The bucket of a key: its FNV-1a hash.
pub(super) fn bucket(key: &[u8]) -> Bucket {
    let hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let number = (hash ^ (hash >> 32)) % BUCKETS;
    [(number >> 8) as u8, (number & 0xff) as u8]
}

/// The server's time in microseconds since the Unix epoch, as an expression.
pub(super) fn now(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::int8",
        Dialect::Mysql => "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
    }
}

/// What a transaction deletes.
#[derive(Default)]
pub(super) struct Stamps(BTreeSet<Bucket>);

impl Stamps {
    pub(super) fn add(&mut self, key: &[u8]) {
        self.0.insert(bucket(key));
    }

    pub(super) fn add_range(&mut self) {
        self.0.insert(RANGES);
    }

    /// The statements, which each end.
    pub(super) fn statements(&self, table: &Table) -> Vec<String> {
        let buckets: Vec<&Bucket> = self.0.iter().collect();
        buckets.chunks(MOST).map(|some| stamp(table, some)).collect()
    }
}

fn stamp(table: &Table, buckets: &[&Bucket]) -> String {
    let (alias, end) = match table.dialect {
        Dialect::Postgres => {
            (" AS c", r#" ON CONFLICT ("name", "slot", "space") DO UPDATE SET "n" = GREATEST(c."n", excluded."n");"#)
        }
        Dialect::Mysql => ("", r#" ON DUPLICATE KEY UPDATE "n" = GREATEST("n", VALUES("n"));"#),
    };
    let mut text = format!(r#"INSERT INTO "{COUNTS_TABLE}"{alias} ("name", "space", "slot", "n") VALUES "#);
    for (at, bucket) in buckets.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let (literal, now) = (table.dialect.literal(*bucket), now(table.dialect));
        // Writing to a String can't fail.
        let _ = write!(text, "{comma}('{}',{literal},{GONE},{now})", table.name);
    }
    text + end
}

/// The buckets in which something may have been deleted since a time.
#[derive(Debug, Default)]
pub(super) struct Deletions(HashSet<Bucket>);

impl Deletions {
    /// Asks for those of `keys`, which the transaction holds.
    pub(super) async fn since(
        connection: &mut Connection,
        table: &Table,
        keys: impl Iterator<Item = &Key>,
        sent: Instant,
    ) -> Outcome<Self> {
        let buckets: BTreeSet<Bucket> = keys.map(|key| bucket(key.as_bytes())).chain([RANGES]).collect();
        let mut list = String::new();
        for bucket in &buckets {
            let comma = if list.is_empty() { "" } else { "," };
            let _ = write!(list, "{comma}{}", table.dialect.literal(bucket));
        }
        let text = format!(
            r#"SELECT "space", {} - "n" FROM "{COUNTS_TABLE}" WHERE "name" = ? AND "slot" = {GONE} AND "space" IN ({list})"#,
            now(table.dialect)
        );
        let rows = connection.rows(table.statement(&text, vec![Arg::Text(&table.name)])).await?;
        let within = i64::try_from((sent.elapsed() + SLACK).as_micros()).unwrap_or(i64::MAX);
        let mut found = HashSet::new();
        for row in &rows {
            let bucket = <Bucket>::try_from(row.bytes(0)?).unwrap_or(RANGES);
            if row.int(1)? <= within {
                found.insert(bucket);
            }
        }
        Ok(Self(found))
    }

    /// Whether a key may be among what was deleted.
    pub(super) fn concern(&self, key: &Key) -> bool {
        self.0.contains(&RANGES) || self.0.contains(&bucket(key.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_over_the_buckets() {
        let buckets: HashSet<Bucket> = (0..100_000).map(|number| bucket(format!("n::{number}").as_bytes())).collect();
        assert_eq!(buckets.len() as u64, BUCKETS);
        assert!(!buckets.contains(&RANGES));
    }
}
