//! What the tests of every engine share.

pub mod model;

use std::sync::Arc;

use rrag_storage::engine::{Batch, Change, ChangeFn, Meta, NewRecord, Record, Updated, Write};
use rrag_storage::{Answer, Clock, Key};

pub fn wait<T: Send + 'static>(answer: Answer<T>) -> T {
    pollster::block_on(answer)
}

pub fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub fn record(version: u64, created_at: i64, expires_at: Option<i64>, body: &[u8]) -> NewRecord {
    let meta = Meta { version, created_at, updated_at: created_at, expires_at };
    NewRecord { meta, body: body.to_vec(), force_created: false }
}

/// A version that nobody has.
pub fn fresh() -> u64 {
    fastrand::u64(1..)
}

pub fn puts(pairs: &[(&str, &[u8])]) -> Batch {
    let put =
        |(name, body): &(&str, &[u8])| (key(name), Write::Put(record(fresh(), Clock::System.stamp(), None, body)));
    Batch { writes: pairs.iter().map(put).collect(), ..Batch::default() }
}

/// Adds one to the number in a record.
pub fn plus_one() -> ChangeFn {
    Arc::new(|_: &Key, before: Option<&Record>| {
        let number = before.map_or(0, |record| u64::from_le_bytes(record.body[..8].try_into().unwrap()));
        Ok(Change::Put(record(fresh(), 7, None, &(number + 1).to_le_bytes())))
    })
}

/// The number that [`plus_one`] left.
pub fn number(updated: &[Updated]) -> u64 {
    u64::from_le_bytes(updated[0].after.as_ref().unwrap().body[..8].try_into().unwrap())
}
