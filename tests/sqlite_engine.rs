//! The engine's contract on SQLite: against a model, among threads, in groups, after a fork of time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_wrap)]

mod sqlite_support;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rrag_storage::engine::sqlite::{SqliteConfig, SqliteEngine, SqlitePath};
use rrag_storage::engine::{Batch, Check, Commit, Engine, KeyRange, Scan, Write};
use rrag_storage::{Clock, Error, ManualClock, SortOrder};
use sqlite_support::model::{START_NS, Spans, as_a_sorted_map};
use sqlite_support::{config, get, increment, key, open, put, puts, record, wait};

#[test]
fn a_file_is_as_a_sorted_map() {
    let folder = tempfile::tempdir().unwrap();
    let round = Cell::new(0);
    as_a_sorted_map(40, 40, Spans::Everything, |clock| {
        round.set(round.get() + 1);
        let path = folder.path().join(format!("{}.db", round.get()));
        SqliteEngine::new(SqliteConfig::new(SqlitePath::File(path)), clock)
    });
}

#[test]
fn memory_is_as_a_sorted_map() {
    as_a_sorted_map(40, 40, Spans::Everything, |clock| SqliteEngine::new(SqliteConfig::new(SqlitePath::Memory), clock));
}

#[test]
fn threads_increment_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&folder.path().join("a.db"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..200).for_each(|_| assert!(increment(&engine, "n").unwrap() > 0)));
        }
    });
    assert_eq!(increment(&engine, "n").unwrap(), 1_601);
}

#[test]
fn what_was_asked_while_opening_happens_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&folder.path().join("a.db"));
    let answers: Vec<_> = (0u8..50).map(|body| engine.commit(puts(&[("k", &[body])]))).collect();
    let read = engine.read_one(&key("k"));
    for answer in answers {
        wait(answer).unwrap();
    }
    wait(read).unwrap();
    assert_eq!(get(&engine, "k").unwrap(), Some(vec![49]));
}

#[test]
fn one_failing_batch_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&folder.path().join("a.db"));
    wait(engine.open()).unwrap();
    let body = vec![1; 64];
    let good: Vec<_> = (0..50).map(|i| engine.commit(puts(&[(&format!("k{i}"), &body)]))).collect();
    let mut both = puts(&[("left", b"1"), ("huge", b"")]);
    if let Write::Put(record) = &mut both.writes[1].1 {
        record.body = vec![0; 1_000_000_001];
    }
    let bad = engine.commit(both);
    let refused = engine.update(vec![key("k1")], Arc::new(|_, _| Err(Error::InvalidArgument("no".into()))));
    let panicking = engine.update(vec![key("k1")], Arc::new(|_, _| panic!("on purpose")));
    let late: Vec<_> = (50..99).map(|i| engine.commit(puts(&[(&format!("k{i}"), &body)]))).collect();
    let absent = Batch { checks: [(key("k2"), Check::Absent)].into_iter().collect(), ..puts(&[("never", b"1")]) };
    assert!(matches!(wait(engine.commit(absent)).unwrap(), Commit::Conflict(_)));
    assert!(sqlite_support::words(wait(bad)).contains("SQLITE_LIMIT_LENGTH"));
    assert!(matches!(wait(refused), Err(Error::InvalidArgument(_))));
    assert!(matches!(wait(panicking), Err(Error::Backend { .. })));
    good.into_iter().chain(late).for_each(|answer| drop(wait(answer).unwrap()));
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 99);
    assert_eq!(get(&engine, "left").unwrap(), None);
}

#[test]
fn large_bodies_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&folder.path().join("a.db"));
    for size in [0, 65_536, 65_537, 5_000_000] {
        let body: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
        put(&engine, "big", &body).unwrap();
        assert!(get(&engine, "big").unwrap() == Some(body.clone()));
        put(&engine, "other", b"x").unwrap();
        let scan = Scan { range: KeyRange::all(), order: SortOrder::KeyAsc, after: None, limit: 9, records: true };
        let page = wait(engine.scan(scan)).unwrap();
        assert!(page.rows[0].record.as_ref().unwrap().body[..] == body[..]);
    }
}

#[test]
fn expired_rows_are_deleted_without_anyone_calling() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let clock = ManualClock::at(START_NS);
    let engine = SqliteEngine::new(config(&path), Clock::Manual(clock.clone()));
    let writes = (0..1_200)
        .map(|i| (key(&format!("k{i}")), Write::Put(record(1, START_NS, Some(START_NS / 1_000_000 + 10), b"x"))))
        .collect();
    wait(engine.commit(Batch { writes, ..Batch::default() })).unwrap();
    put(&engine, "stays", b"x").unwrap();
    clock.advance(20_000_000);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 1);
    let rows = || -> i64 {
        let other = rusqlite::Connection::open(&path).unwrap();
        other.query_row("SELECT count(*) FROM rrag_storage", [], |row| row.get(0)).unwrap()
    };
    let began = Instant::now();
    // Another SQLite handle of this very copy of the library: its close lets go of no lock of the engine's.
    while rows() > 1 {
        assert!(began.elapsed() < Duration::from_secs(20), "{} rows left", rows());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn closing_is_idempotent_and_final() {
    let folder = tempfile::tempdir().unwrap();
    for path in [SqlitePath::File(folder.path().join("a.db")), SqlitePath::Memory] {
        let engine = SqliteEngine::new(SqliteConfig::new(path.clone()), Clock::System);
        let write = engine.commit(puts(&[("k", b"v")]));
        let (one, two) = (engine.close(), engine.close());
        wait(write).unwrap();
        wait(one).unwrap();
        wait(two).unwrap();
        wait(engine.close()).unwrap();
        assert!(matches!(put(&engine, "k", b"v"), Err(Error::Closed { backend: "sqlite" })));
        assert!(matches!(get(&engine, "k"), Err(Error::Closed { .. })));
        assert!(matches!(wait(engine.open()), Err(Error::Closed { .. })));
        let unopened = SqliteEngine::new(SqliteConfig::new(path), Clock::System);
        wait(unopened.close()).unwrap();
        assert!(matches!(wait(unopened.ping()), Err(Error::Closed { .. })));
    }
    assert!(!folder.path().join("a.db-wal").exists());
}

#[test]
fn dropped_without_closing_keeps_what_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    for round in 0u8..20 {
        let engine = open(&path);
        put(&engine, "k", &[round]).unwrap();
        drop(engine);
        assert_eq!(get(&open(&path), "k").unwrap(), Some(vec![round]));
    }
}
