//! What needs a look inside: a full disk, which a limit on the writer's own connection stands for.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::engine::{Batch, Commit, Engine, KeyRange, Meta, NewRecord, Write};
use crate::key::Key;

fn put(engine: &SqliteEngine, key: &str, bytes: usize) -> Answer<Result<Commit>> {
    let meta = Meta { version: 1, created_at: 1, updated_at: 1, expires_at: None };
    let record = NewRecord { meta, body: vec![7; bytes], force_created: false };
    let writes = [(Key::new(key).unwrap(), Write::Put(record))].into_iter().collect();
    engine.commit(Batch { writes, ..Batch::default() })
}

fn limit_pages(engine: &SqliteEngine, pages: u32) {
    let state = engine.state();
    let Phase::Open(core) = &state.phase else { panic!("not open") };
    let guard = core.writer.lock();
    guard.as_ref().unwrap().execute_batch(&format!("PRAGMA max_page_count = {pages}")).unwrap();
}

#[test]
fn a_full_disk_fails_who_needs_room_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(SqlitePath::File(folder.path().join("a.db")));
    let engine = SqliteEngine::new(config, Clock::System);
    pollster::block_on(put(&engine, "small", 10)).unwrap();
    limit_pages(&engine, 40);
    let answers: Vec<_> =
        (0..20).map(|i| (i, put(&engine, &format!("k{i}"), if i == 10 { 1_000_000 } else { 100 }))).collect();
    for (i, answer) in answers {
        let done = pollster::block_on(answer);
        if i == 10 {
            let said = done.unwrap_err().to_string();
            assert!(said.contains("full") && said.contains("a.db"), "{said}");
        } else {
            assert!(matches!(done.unwrap(), Commit::Done(_)));
        }
    }
    let small = Key::new("small").unwrap();
    assert!(pollster::block_on(engine.read_one(&small)).unwrap().is_some());
    limit_pages(&engine, 1_000_000);
    pollster::block_on(put(&engine, "k10", 1_000_000)).unwrap();
    assert_eq!(pollster::block_on(engine.count(KeyRange::all())).unwrap(), 21);
}

#[test]
fn a_file_gives_back_what_a_large_deletion_freed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let engine = SqliteEngine::new(SqliteConfig::new(SqlitePath::File(path.clone())), Clock::System);
    for i in 0..20 {
        pollster::block_on(put(&engine, &format!("k{i}"), 1_000_000)).unwrap();
    }
    assert_eq!(pollster::block_on(engine.remove_range(KeyRange::all())).unwrap(), 20);
    pollster::block_on(engine.close()).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 3_000_000);
}

#[test]
fn a_second_read_comes_from_memory_until_somebody_else_commits() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SqliteEngine::new(SqliteConfig::new(SqlitePath::File(folder.path().join("a.db"))), Clock::System);
    let (engine, another) = (open(), open());
    let key = Key::new("key").unwrap();
    // Whether a read finds `key` without asking SQLite.
    let is_known = || {
        let core = match &engine.state().phase {
            Phase::Open(core) => Arc::clone(core),
            _ => panic!("not open"),
        };
        core.knows(&key)
    };
    let read = || pollster::block_on(engine.read_one(&key)).unwrap().map(|record| record.body.len());
    pollster::block_on(put(&engine, "key", 0)).unwrap();
    for size in 1..4 {
        assert!(!is_known());
        assert_eq!(read(), Some(size - 1));
        // What it writes itself is known.
        pollster::block_on(put(&engine, "other", size)).unwrap();
        assert!(is_known());
        pollster::block_on(put(&engine, "key", size)).unwrap();
        assert!(is_known());
        assert_eq!(read(), Some(size));
        pollster::block_on(put(&another, "other", 10 + size)).unwrap();
    }
    read();
    pollster::block_on(engine.delete(vec![key.clone()])).unwrap();
    assert!(!is_known());
    assert_eq!(read(), None);
}
