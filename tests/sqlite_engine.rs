//! The engine's contract on SQLite: against a model, among threads, in groups, after a fork of time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_wrap)]

mod sqlite_support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rrag_storage::engine::sqlite::{SqliteConfig, SqliteEngine, SqlitePath};
use rrag_storage::engine::{Batch, Change, Check, Commit, Cursor, Engine, KeyRange, Scan, Write};
use rrag_storage::{Clock, Error, ManualClock, SortOrder};
use sqlite_support::{config, get, increment, key, open, put, puts, record, wait};

const START_NS: i64 = 1_700_000_000_000_000_000;

#[derive(Debug, Clone)]
struct Kept {
    version: u64,
    created_at: i64,
    expires_at: Option<i64>,
    body: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Step {
    Put { key: usize, body: Vec<u8>, ttl_ms: Option<i64>, check: u8 },
    Delete { keys: Vec<usize> },
    Update { key: usize, delete: bool },
    RemovePrefix(usize),
    Advance(i64),
    Look(usize, usize),
}

const KEYS: [&str; 9] = ["a", "a::b", "a::b::c", "a:::d", "::x", "z%_*", "é", "e\u{301}", "\0"];
const PREFIXES: [&str; 6] = ["", "a", "a::", "a::b", "z%", "none"];

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    prop_oneof![
        4 => (key.clone(), prop::collection::vec(any::<u8>(), 0..40), prop::option::of(1i64..50), 0u8..4)
            .prop_map(|(key, body, ttl_ms, check)| Step::Put { key, body, ttl_ms, check }),
        1 => prop::collection::btree_set(key.clone(), 1..4)
            .prop_map(|keys| Step::Delete { keys: keys.into_iter().collect() }),
        1 => (key, any::<bool>()).prop_map(|(key, delete)| Step::Update { key, delete }),
        1 => (0..PREFIXES.len()).prop_map(Step::RemovePrefix),
        2 => (1i64..30).prop_map(Step::Advance),
        2 => (0..PREFIXES.len(), 1usize..4).prop_map(|(prefix, limit)| Step::Look(prefix, limit)),
    ]
}

struct Model {
    clock: ManualClock,
    now_ns: i64,
    stamp: i64,
    rows: BTreeMap<&'static str, Kept>,
}

impl Model {
    fn expire(&mut self) {
        let now = self.now_ns / 1_000_000;
        self.rows.retain(|_, kept| kept.expires_at.is_none_or(|at| at > now));
    }

    fn run(&mut self, engine: &SqliteEngine, step: Step) {
        self.expire();
        self.stamp += 1;
        let version = self.stamp.cast_unsigned() | 1 << 63;
        match step {
            Step::Put { key: at, body, ttl_ms, check } => {
                let name = KEYS[at];
                let old = self.rows.get(name).cloned();
                let (check, holds) = match check {
                    0 => (Some(Check::Absent), old.is_none()),
                    1 => (Some(Check::Version(3)), false),
                    2 => old.as_ref().map_or((None, true), |old| (Some(Check::Version(old.version)), true)),
                    _ => (None, true),
                };
                let expires_at = ttl_ms.map(|ttl| self.now_ns / 1_000_000 + ttl);
                let new = record(version, self.stamp, expires_at, &body);
                let batch = Batch {
                    checks: check.map(|check| (key(name), check)).into_iter().collect(),
                    writes: [(key(name), Write::Put(new))].into_iter().collect(),
                };
                let done = wait(engine.commit(batch)).unwrap();
                if holds {
                    assert_eq!(done, Commit::Done([old.is_some()].into_iter().collect()));
                    let created_at = old.map_or(self.stamp, |old| old.created_at);
                    self.rows.insert(name, Kept { version, created_at, expires_at, body });
                } else {
                    assert_eq!(done, Commit::Conflict(key(name)));
                }
            }
            Step::Delete { keys } => {
                let writes = keys.iter().map(|&at| (key(KEYS[at]), Write::Delete)).collect();
                let done = wait(engine.commit(Batch { writes, ..Batch::default() })).unwrap();
                let was = keys.iter().map(|&at| self.rows.remove(KEYS[at]).is_some()).collect();
                assert_eq!(done, Commit::Done(was));
            }
            Step::Update { key: at, delete } => {
                let name = KEYS[at];
                let new = record(version, self.stamp, None, b"updated");
                let change = if delete { Change::Delete } else { Change::Put(new) };
                let updated = wait(engine.update(vec![key(name)], Arc::new(move |_, _| Ok(change.clone())))).unwrap();
                let old = self.rows.remove(name);
                assert_eq!(updated[0].before.as_ref().map(|r| r.body.to_vec()), old.as_ref().map(|o| o.body.clone()));
                assert_eq!(updated[0].after.is_none(), delete);
                if !delete {
                    let created_at = old.map_or(self.stamp, |old| old.created_at);
                    assert_eq!(updated[0].after.as_ref().unwrap().meta.created_at, created_at);
                    let kept = Kept { version, created_at, expires_at: None, body: b"updated".to_vec() };
                    self.rows.insert(name, kept);
                }
            }
            Step::RemovePrefix(at) => {
                let gone = wait(engine.remove_range(KeyRange::prefix(PREFIXES[at]))).unwrap();
                let before = self.rows.len();
                self.rows.retain(|name, _| !name.starts_with(PREFIXES[at]));
                assert_eq!(gone, (before - self.rows.len()) as u64);
            }
            Step::Advance(ms) => {
                self.now_ns += ms * 1_000_000;
                self.clock.advance(ms * 1_000_000);
            }
            Step::Look(prefix, limit) => self.look(engine, PREFIXES[prefix], limit),
        }
    }

    fn look(&self, engine: &SqliteEngine, prefix: &str, limit: usize) {
        let range = KeyRange::prefix(prefix);
        let inside = |name: &&&str| name.starts_with(prefix);
        let by_key: Vec<&str> = self.rows.keys().filter(inside).copied().collect();
        assert_eq!(wait(engine.count(range.clone())).unwrap(), by_key.len() as u64);
        let mut by_created = by_key.clone();
        by_created.sort_by_key(|name| (self.rows[name].created_at, *name));
        for order in [SortOrder::KeyAsc, SortOrder::KeyDesc, SortOrder::CreatedAsc, SortOrder::CreatedDesc] {
            let mut wanted = if order.is_by_key() { by_key.clone() } else { by_created.clone() };
            if order.is_descending() {
                wanted.reverse();
            }
            for records in [false, true] {
                let mut found = Vec::new();
                let mut after: Option<Cursor> = None;
                loop {
                    let scan = Scan { range: range.clone(), order, after, limit, records };
                    let page = wait(engine.scan(scan)).unwrap();
                    for row in &page.rows {
                        let kept = &self.rows[row.key.as_str()];
                        assert_eq!(row.created_at, kept.created_at);
                        assert_eq!(row.record.is_some(), records);
                        if let Some(record) = &row.record {
                            assert_eq!(&record.body[..], kept.body);
                            assert_eq!(record.meta.version, kept.version);
                            assert_eq!(record.meta.expires_at, kept.expires_at);
                        }
                        found.push(row.key.as_str().to_owned());
                    }
                    after = page.rows.last().map(rrag_storage::engine::Row::cursor);
                    if !page.more || page.rows.is_empty() {
                        break;
                    }
                }
                assert_eq!(found, wanted, "{order:?} {prefix:?}");
            }
        }
        let read = wait(engine.read(KEYS.iter().map(|name| key(name)).collect())).unwrap();
        for (name, found) in KEYS.iter().zip(read) {
            assert_eq!(found.map(|r| r.body.to_vec()), self.rows.get(name).map(|kept| kept.body.clone()));
        }
        for depth in [None, Some(1), Some(2)] {
            let mut wanted = std::collections::BTreeSet::new();
            for name in &by_key {
                let parts: Vec<&str> = name.split("::").collect();
                wanted
                    .extend((1..parts.len()).filter(|i| depth.is_none_or(|d| *i <= d)).map(|i| parts[..i].join("::")));
            }
            let found = wait(engine.namespaces(range.clone(), 0, depth)).unwrap();
            assert_eq!(found, wanted.into_iter().collect::<Vec<_>>());
        }
    }
}

fn against_model(steps: Vec<Step>, path: SqlitePath) {
    let clock = ManualClock::at(START_NS);
    let engine = SqliteEngine::new(SqliteConfig { ..SqliteConfig::new(path) }, Clock::Manual(clock.clone()));
    let mut model = Model { clock, now_ns: START_NS, stamp: START_NS, rows: BTreeMap::new() };
    for step in steps {
        model.run(&engine, step);
    }
    model.expire();
    model.look(&engine, "", 3);
    wait(engine.close()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_as_a_sorted_map(steps in prop::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        against_model(steps, SqlitePath::File(folder.path().join("m.db")));
    }

    #[test]
    fn memory_is_as_a_sorted_map(steps in prop::collection::vec(step(), 1..40)) {
        against_model(steps, SqlitePath::Memory);
    }
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
