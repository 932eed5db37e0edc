//! A sorted map as the model of an engine: the same steps on both, the same to be seen in both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rrag_storage::engine::{Batch, Change, Check, Commit, Cursor, Engine, KeyRange, Row, Scan, Write};
use rrag_storage::{Clock, Error, ManualClock, SortOrder};

use super::{key, record, wait};

/// When the model's clock begins.
pub const START_NS: i64 = 1_700_000_000_000_000_000;

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

const KEYS: [&str; 18] = [
    "a", "A", "a::b", "a::b::c", "a:::d", "a!::e", "a0::f", "ab::g", "::x", "a::", "z%_*", "é", "e\u{301}", "\0",
    "../x", ".", "a b ", "a b",
];
const PREFIXES: [&str; 8] = ["", "a", "a:", "a::", "a::b", "a0", "z%", "none"];

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
    spans: Spans,
    now_ns: i64,
    stamp: i64,
    rows: BTreeMap<&'static str, Kept>,
}

impl Model {
    fn expire(&mut self) {
        let now = self.now_ns / 1_000_000;
        self.rows.retain(|_, kept| kept.expires_at.is_none_or(|at| at > now));
    }

    fn run(&mut self, engine: &dyn Engine, step: Step) {
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
                let done = wait(engine.commit(Batch { writes, ..Batch::default() }));
                let first = |at: usize| KEYS[at].split_once("::").map(|(first, _)| first);
                if self.spans == Spans::OneNamespace && keys.iter().any(|&at| first(at) != first(keys[0])) {
                    assert!(matches!(done, Err(Error::Unsupported { .. })), "{done:?}");
                    return;
                }
                let was = keys.iter().map(|&at| self.rows.remove(KEYS[at]).is_some()).collect();
                assert_eq!(done.unwrap(), Commit::Done(was));
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

    fn look(&self, engine: &dyn Engine, prefix: &str, limit: usize) {
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
                        // What a listing of keys alone need not know.
                        if records || !order.is_by_key() {
                            assert_eq!(row.created_at, kept.created_at);
                        }
                        assert_eq!(row.record.is_some(), records);
                        if let Some(record) = &row.record {
                            assert_eq!(&record.body[..], kept.body);
                            assert_eq!(record.meta.version, kept.version);
                            assert_eq!(record.meta.expires_at, kept.expires_at);
                        }
                        found.push(row.key.as_str().to_owned());
                    }
                    after = page.rows.last().map(Row::cursor);
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
            let mut wanted = BTreeSet::new();
            for name in &by_key {
                let parts: Vec<&str> = name.split("::").collect();
                wanted
                    .extend((1..parts.len()).filter(|i| depth.is_none_or(|d| *i <= d)).map(|i| parts[..i].join("::")));
            }
            let found = wait(engine.namespaces(range.clone(), 0, depth)).unwrap();
            if depth == Some(1) {
                let (stats, namespaces) = wait(engine.census(range.clone(), 0)).unwrap();
                assert_eq!((stats.keys, namespaces), (by_key.len() as u64, wanted.len() as u64));
            }
            assert_eq!(found, wanted.into_iter().collect::<Vec<_>>());
        }
    }
}

/// What one batch may span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spans {
    Everything,
    /// The keys of one namespace of the first level.
    OneNamespace,
}

/// Runs random steps, `cases` times at most `most` of them, on what `make` makes: an empty engine, on the clock given.
pub fn as_a_sorted_map<E: Engine>(cases: u32, most: usize, spans: Spans, make: impl Fn(Clock) -> Arc<E>) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let ran = TestRunner::new(config).run(&prop::collection::vec(step(), 1..most), |steps| {
        let clock = ManualClock::at(START_NS);
        let engine = make(Clock::Manual(clock.clone()));
        let mut model = Model { clock, spans, now_ns: START_NS, stamp: START_NS, rows: BTreeMap::new() };
        for step in steps {
            model.run(&*engine, step);
        }
        model.expire();
        model.look(&*engine, "", 3);
        wait(engine.close()).unwrap();
        Ok(())
    });
    ran.unwrap();
}
