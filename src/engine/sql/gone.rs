//! When keys were last deleted: what tells a write that never happened from one that others have undone since.
//!
//! # What holds
//!
//! 1. A transaction that deletes rows stamps their buckets, by the server's clock, while it holds the rows' locks. There
//!    are 1,024 buckets of keys, and one for whole ranges. Each engine has stamps of its own.
//! 2. A put whose answer was lost, and which finds nothing under its keys, did not happen where their buckets bear no
//!    stamp of another engine that is younger than it: an engine's own writes of a key happen one after the other. Ranges
//!    are not among those. A deletion did not happen where its bucket bears no younger stamp at all.
//! 3. Stamps are rows of the table of counters in a slot of their own, taken after all counters and in the order of the
//!    buckets. Old ones are removed when the counters are tidied.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;
use std::time::Duration;

use tokio::time::Instant;

use super::config::COUNTS_TABLE;
use super::connection::{Arg, Connection};
use super::dialect::{Dialect, Statement, Table};
use super::errors::Outcome;
use crate::key::Key;

/// The slot of the stamps: past all counters.
pub(super) const GONE: i64 = 1_001;
const BUCKETS: u64 = 1_024;
/// The bucket of deletions of whole ranges.
const RANGES: Bucket = [u8::MAX; 2];
/// Stamps that one statement sets at most.
const MOST: usize = 256;
/// Clocks may differ in their pace by one part in so many.
const PACE: u32 = 1_000;
/// How much longer a stamp is kept than any write may wait for its answer.
const KEPT: Duration = Duration::from_mins(15);

pub(super) type Bucket = [u8; 2];
/// A bucket and the engine whose stamp it is.
pub(super) type Place = [u8; 10];
/// Who stamps.
pub(super) type Owner = [u8; 8];

/// The bucket of a key: its FNV-1a hash.
pub(super) fn bucket(key: &[u8]) -> Bucket {
    let hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let number = (hash ^ (hash >> 32)) % BUCKETS;
    [(number >> 8) as u8, (number & 0xff) as u8]
}

/// Where an engine stamps a key's deletion.
pub(super) fn place(bucket: Bucket, owner: Owner) -> Place {
    let mut place = [0; 10];
    place[..2].copy_from_slice(&bucket);
    place[2..].copy_from_slice(&owner);
    place
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
    pub(super) fn statements(&self, table: &Table, owner: Owner) -> Vec<String> {
        let places: Vec<Place> = self.0.iter().map(|&bucket| place(bucket, owner)).collect();
        places.chunks(MOST).map(|some| stamp(table, some)).collect()
    }
}

fn stamp(table: &Table, places: &[Place]) -> String {
    let (alias, end) = match table.dialect {
        Dialect::Postgres => {
            (" AS c", r#" ON CONFLICT ("name", "slot", "space") DO UPDATE SET "n" = GREATEST(c."n", excluded."n");"#)
        }
        Dialect::Mysql => ("", r#" ON DUPLICATE KEY UPDATE "n" = GREATEST("n", VALUES("n"));"#),
    };
    let mut text = format!(r#"INSERT INTO "{COUNTS_TABLE}"{alias} ("name", "space", "slot", "n") VALUES "#);
    for (at, place) in places.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let (literal, now) = (table.dialect.literal(place), now(table.dialect));
        // Writing to a String can't fail.
        let _ = write!(text, "{comma}('{}',{literal},{GONE},{now})", table.name);
    }
    text + end
}

/// Removes the stamps that nobody waits for any more.
pub(super) fn forget(table: &Table, longest: Duration) -> Statement<'_> {
    let kept = i64::try_from((longest + KEPT).as_micros()).unwrap_or(i64::MAX);
    let now = now(table.dialect);
    let text = format!(r#"DELETE FROM "{COUNTS_TABLE}" WHERE "name" = ? AND "slot" = {GONE} AND {now} - "n" > ?"#);
    table.statement(&text, vec![Arg::Text(&table.name), Arg::Int(kept)])
}

/// The buckets in which something may have been deleted since a time.
pub(super) struct Deletions {
    by_any: HashSet<Bucket>,
    by_others: HashSet<Bucket>,
}

impl Deletions {
    /// Asks for those of `keys`, which the transaction of this `owner`'s holds.
    pub(super) async fn since(
        connection: &mut Connection,
        table: &Table,
        keys: impl Iterator<Item = &Key>,
        sent: Instant,
        owner: Owner,
    ) -> Outcome<Self> {
        let buckets: BTreeSet<Bucket> = keys.map(|key| bucket(key.as_bytes())).chain([RANGES]).collect();
        let mut list = String::new();
        for bucket in &buckets {
            let comma = if list.is_empty() { "" } else { "," };
            let _ = write!(list, "{comma}{}", table.dialect.literal(bucket));
        }
        let text = format!(
            r#"SELECT "space", {} - "n" FROM "{COUNTS_TABLE}"
               WHERE "name" = ? AND "slot" = {GONE} AND SUBSTR("space", 1, 2) IN ({list})"#,
            now(table.dialect)
        );
        let rows = connection.rows(table.statement(&text, vec![Arg::Text(&table.name)])).await?;
        let elapsed = sent.elapsed();
        let within = i64::try_from((elapsed + elapsed / PACE).as_micros()).unwrap_or(i64::MAX);
        let (mut by_any, mut by_others) = (HashSet::new(), HashSet::new());
        for row in &rows {
            let (bucket, whose) = row.bytes(0)?.split_at_checked(2).unwrap_or_default();
            let bucket = Bucket::try_from(bucket).unwrap_or(RANGES);
            if row.int(1)? <= within {
                by_any.insert(bucket);
                if whose != owner || bucket == RANGES {
                    by_others.insert(bucket);
                }
            }
        }
        Ok(Self { by_any, by_others })
    }

    /// Whether a key may be among what was deleted.
    pub(super) fn concern(&self, key: &Key) -> bool {
        [RANGES, bucket(key.as_bytes())].iter().any(|bucket| self.by_any.contains(bucket))
    }

    /// Whether a key may be among what others deleted, or a range.
    pub(super) fn by_others_concern(&self, key: &Key) -> bool {
        [RANGES, bucket(key.as_bytes())].iter().any(|bucket| self.by_others.contains(bucket))
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
