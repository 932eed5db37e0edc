//! What a read and a write of 200 bytes cost an engine, in Rust: `cargo bench --bench engine`.
#![allow(missing_docs, reason = "the macros make functions")]
#![expect(clippy::expect_used, reason = "an engine that fails ends the benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use pollster::block_on;
use rrag_storage::engine::in_memory::InMemoryEngine;
use rrag_storage::engine::sqlite::{SqliteConfig, SqliteEngine, SqlitePath};
use rrag_storage::engine::{Batch, Engine, Meta, NewRecord, Write};
use rrag_storage::{Clock, InMemoryLimits, Key, Synchronous};

const ENTRIES: u32 = 10_000;
const BODY: usize = 200;

fn key(number: u32) -> Key {
    Key::new(&format!("namespace-{}::key-{number:08}", number % 100)).expect("a key")
}

fn put(number: u32, version: u64) -> (Key, Write) {
    let meta = Meta { version, created_at: 1, updated_at: 1, expires_at: None };
    (key(number), Write::Put(NewRecord { meta, body: vec![7; BODY], force_created: false }))
}

fn commit(engine: &dyn Engine, writes: impl IntoIterator<Item = (Key, Write)>) {
    let batch = Batch { writes: writes.into_iter().collect(), ..Batch::default() };
    block_on(engine.commit(batch)).expect("there is room");
}

/// Keys in an order that no cache foresees.
fn keys() -> impl Iterator<Item = u32> {
    (0_u32..).map(|number| number.wrapping_mul(2_654_435_761) % ENTRIES)
}

fn measure(criterion: &mut Criterion, name: &str, engine: &dyn Engine) {
    for first in (0..ENTRIES).step_by(1000) {
        commit(engine, (first..first + 1000).map(|number| put(number, 1)));
    }
    let mut group = criterion.benchmark_group(name);
    let all: Vec<Key> = (0..ENTRIES).map(key).collect();
    let mut numbers = keys();
    let mut next = || &all[numbers.next().unwrap_or(0) as usize];
    group.bench_function("read", |bench| bench.iter(|| block_on(engine.read_one(black_box(next())))));
    let (mut numbers, mut version) = (keys(), 1);
    group.bench_function("write", |bench| {
        bench.iter(|| {
            version += 1;
            commit(engine, [put(numbers.next().unwrap_or(0), version)]);
        });
    });
    group.finish();
}

fn engines(criterion: &mut Criterion) {
    let limits = InMemoryLimits { max_keys: None, max_memory_bytes: None, ..InMemoryLimits::default() };
    let in_memory: Arc<InMemoryEngine> = InMemoryEngine::new(limits, Clock::System);
    measure(criterion, "in memory", &*in_memory);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let mut config = SqliteConfig::new(SqlitePath::File(folder.path().join("memory.db")));
    config.synchronous = Synchronous::Normal;
    let sqlite = SqliteEngine::new(config, Clock::System);
    measure(criterion, "SQLite, WAL NORMAL", &*sqlite);
    block_on(sqlite.close()).expect("it closes");
}

criterion_group!(benches, engines);
criterion_main!(benches);
