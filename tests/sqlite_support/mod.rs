//! What the tests of the SQLite engine share.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

#[path = "../engine_support/mod.rs"]
mod engine_support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rrag_storage::engine::sqlite::{SqliteConfig, SqliteEngine, SqlitePath, Synchronous};
use rrag_storage::engine::{Commit, Engine};
use rrag_storage::{Clock, Error, Result};

pub use engine_support::*;

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

pub fn put(engine: &SqliteEngine, name: &str, body: &[u8]) -> Result<Commit> {
    wait(engine.commit(puts(&[(name, body)])))
}

pub fn get(engine: &SqliteEngine, name: &str) -> Result<Option<Vec<u8>>> {
    wait(engine.read_one(&key(name))).map(|found| found.map(|record| record.body.to_vec()))
}

pub fn words<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(error @ (Error::Unavailable { .. } | Error::Corrupted { .. } | Error::Backend { .. })) => error.to_string(),
        other => panic!("no refusal: {other:?}"),
    }
}

/// Adds one to the number under `name`.
pub fn increment(engine: &SqliteEngine, name: &str) -> Result<u64> {
    wait(engine.update(vec![key(name)], plus_one())).map(|updated| number(&updated))
}
