//! The byte figure of the in-memory engine against what the process grew by. One test: what another one allocates
//! meanwhile would count too.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use rrag_storage::engine::in_memory::{InMemoryEngine, InMemoryLimits};
use rrag_storage::engine::{Batch, Engine, KeyRange, Meta, NewRecord, Write};
use rrag_storage::{Clock, Key};

const PAGE: u64 = 4096;

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * PAGE
}

fn write(engine: &InMemoryEngine, key: u64, time: i64, size: Option<usize>, expires_at: Option<i64>) {
    let write = size.map_or(Write::Delete, |size| {
        let meta = Meta { version: key + 1, created_at: time, updated_at: time, expires_at };
        Write::Put(NewRecord { meta, body: vec![7; size], force_created: false })
    });
    // In no order, and each key once.
    let key = Key::new(&format!("k{:09}", key * 7_919 % 1_000_003)).unwrap();
    pollster::block_on(engine.commit(Batch { writes: [(key, write)].into_iter().collect(), ..Batch::default() }))
        .unwrap();
}

fn close_to(engine: &InMemoryEngine, grown: u64, what: &str) {
    let stats = pollster::block_on(engine.stats(KeyRange::all())).unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let ratio = stats.bytes as f64 / grown as f64;
    eprintln!("{what}: {} keys, {} bytes, grown by {grown}: {ratio:.3}", stats.keys, stats.bytes);
    assert!((0.8..=1.2).contains(&ratio), "{what}: {ratio}");
}

#[test]
fn the_byte_figure_is_the_growth_of_the_process() {
    // Kept to the end: memory that is given back would be taken again without growth.
    let mut engines: Vec<Arc<InMemoryEngine>> = Vec::new();
    // Whatever is set up once.
    let warm = InMemoryEngine::new(InMemoryLimits::default(), Clock::System);
    (0..2_000).for_each(|key| write(&warm, key, 1, Some(40), None));
    engines.push(warm);

    for (count, size) in [(10_000, 36), (10_000, 210), (10_000, 6_200), (20_000, 36), (100_000, 40)] {
        let before = resident();
        let engine = InMemoryEngine::new(InMemoryLimits::default(), Clock::System);
        (0..count).for_each(|key| write(&engine, key, 1, Some(size), None));
        close_to(&engine, resident() - before, &format!("{count} of {size} bytes"));
        (0..count).for_each(|key| write(&engine, key, 1, Some(size), None));
        close_to(&engine, resident() - before, "the same, overwritten");
        (0..count / 2).for_each(|key| write(&engine, key, 1, None, None));
        (0..count / 2).for_each(|key| write(&engine, key + count, 1, Some(size), None));
        close_to(&engine, resident() - before, "the same, half of it deleted and written under other keys");
        engines.push(engine);
    }

    let before = resident();
    let engine = InMemoryEngine::new(InMemoryLimits::default(), Clock::System);
    for key in 0..50_000 {
        write(&engine, key, 1, Some(36), Some(i64::MAX - i64::try_from(key * 7_919 % 50_021).unwrap()));
    }
    close_to(&engine, resident() - before, "50,000 that expire");
}
