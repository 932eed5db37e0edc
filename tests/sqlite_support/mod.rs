//! What the tests of the SQLite engine share.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rrag_storage::engine::sqlite::{SqliteConfig, SqliteEngine, SqlitePath, Synchronous};
use rrag_storage::engine::{Batch, Change, Commit, Engine, Meta, NewRecord, Record, Updated, Write};
use rrag_storage::{Answer, Clock, Error, Key, Result};

pub fn wait<T>(answer: Answer<T>) -> T
where
    T: Send + 'static,
{
    pollster::block_on(answer)
}

pub fn config(path: &Path) -> SqliteConfig {
    SqliteConfig {
        synchronous: Synchronous::Normal,
        connection_timeout: Duration::from_secs(20),
        ..SqliteConfig::new(SqlitePath::File(path.to_owned()))
    }
}

pub fn open(path: &Path) -> Arc<SqliteEngine> {
    SqliteEngine::new(config(path), Clock::System)
}

pub fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub fn record(version: u64, created_at: i64, expires_at: Option<i64>, body: &[u8]) -> NewRecord {
    let meta = Meta { version, created_at, updated_at: created_at, expires_at };
    NewRecord { meta, body: body.to_vec(), force_created: false }
}

pub fn puts(pairs: &[(&str, &[u8])]) -> Batch {
    let put = |(name, body): &(&str, &[u8])| (key(name), Write::Put(record(1, Clock::System.stamp(), None, body)));
    Batch { writes: pairs.iter().map(put).collect(), ..Batch::default() }
}

pub fn put(engine: &SqliteEngine, name: &str, body: &[u8]) -> Result<Commit> {
    wait(engine.commit(puts(&[(name, body)])))
}

pub fn get(engine: &SqliteEngine, name: &str) -> Result<Option<Vec<u8>>> {
    wait(engine.read_one(&key(name))).map(|found| found.map(|record| record.body.to_vec()))
}

/// Adds one to the number under `name`.
pub fn increment(engine: &SqliteEngine, name: &str) -> Result<u64> {
    let change = |_: &Key, before: Option<&Record>| {
        let number = before.map_or(0, |record| u64::from_le_bytes(record.body[..8].try_into().unwrap()));
        Ok(Change::Put(record(number + 2, 7, None, &(number + 1).to_le_bytes())))
    };
    let updated: Vec<Updated> = wait(engine.update(vec![key(name)], Arc::new(change)))?;
    let after = updated[0].after.as_ref().unwrap();
    Ok(u64::from_le_bytes(after.body[..8].try_into().unwrap()))
}

pub fn words<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(error @ (Error::Unavailable { .. } | Error::Corrupted { .. } | Error::Backend { .. })) => error.to_string(),
        other => panic!("no refusal: {other:?}"),
    }
}
