//! The in-memory engine against a model: a sorted map, a list of who was used when, and a clock that is moved.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use rrag_storage::engine::in_memory::{Eviction, InMemoryEngine, InMemoryLimits};
use rrag_storage::engine::{
    Batch, Change, Check, Commit, Cursor, Engine, KeyRange, Meta, NewRecord, Record, Row, Scan, Write,
};
use rrag_storage::{Answer, Clock, Error, Key, ManualClock, SortOrder};

const START_NS: i64 = 1_700_000_000_000_000_000;
const ORDERS: [SortOrder; 4] = [SortOrder::KeyAsc, SortOrder::KeyDesc, SortOrder::CreatedAsc, SortOrder::CreatedDesc];

fn done<T: Send + 'static>(answer: Answer<T>) -> T {
    pollster::block_on(answer)
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// A record whose version, like a random one, is never used twice.
fn record(version: u64, created_at: i64, expires_at: Option<i64>, size: usize) -> NewRecord {
    let meta = Meta { version, created_at, updated_at: created_at, expires_at };
    let body = version.to_le_bytes().into_iter().cycle().take(size).collect();
    NewRecord { meta, body, force_created: version.is_multiple_of(7) }
}

#[derive(Debug, Clone)]
enum Step {
    /// Writes (a ttl in milliseconds and a size, or a deletion), after checks (hold or not) on keys.
    Commit(BTreeMap<String, Option<(Option<i64>, usize)>>, BTreeMap<String, bool>),
    /// Keys, and whether each is kept, put or deleted by its parity; an error where the last flag says so.
    Update(Vec<String>, bool),
    Read(Vec<String>),
    Advance(i64),
    RemoveRange(String),
}

fn keys() -> impl Strategy<Value = String> {
    "[ab:é]{1,4}"
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = prop::option::weighted(0.8, (prop::option::weighted(0.3, 1..2_000i64), 0..300usize));
    let writes = prop::collection::btree_map(keys(), write, 1..4);
    let checks = prop_oneof![
        3 => Just(BTreeMap::new()),
        1 => prop::collection::btree_map(keys(), prop::bool::weighted(0.8), 0..3)
    ];
    let step = prop_oneof![
        8 => (writes, checks).prop_map(|(writes, checks)| Step::Commit(writes, checks)),
        2 => (prop::collection::vec(keys(), 1..4), prop::bool::weighted(0.2)).prop_map(|(k, fail)| Step::Update(k, fail)),
        2 => prop::collection::vec(keys(), 1..4).prop_map(Step::Read),
        2 => (1..1_000i64).prop_map(Step::Advance),
        1 => "[ab:é]{1,2}".prop_map(Step::RemoveRange),
    ];
    prop::collection::vec(step, 1..60)
}

type Stored = (Meta, Vec<u8>);

struct Model {
    engine: Arc<InMemoryEngine>,
    limits: InMemoryLimits,
    clock: ManualClock,
    now_ns: i64,
    versions: u64,
    live: BTreeMap<String, Stored>,
    /// The least recently used first.
    used: Vec<String>,
}

impl Model {
    fn new(limits: InMemoryLimits) -> Self {
        let clock = ManualClock::at(START_NS);
        let engine = InMemoryEngine::new(limits, Clock::Manual(clock.clone()));
        Self { engine, limits, clock, now_ns: START_NS, versions: 0, live: BTreeMap::new(), used: Vec::new() }
    }

    fn touch(&mut self, key: &str) {
        self.used.retain(|other| other != key);
        if self.live.contains_key(key) {
            self.used.push(key.to_owned());
        }
    }

    fn new_record(&mut self, ttl: Option<i64>, size: usize) -> NewRecord {
        self.versions += 1;
        let version = self.versions;
        // Several records share a creation time.
        let created = self.now_ns + i64::try_from(version / 3).unwrap();
        record(version, created, ttl.map(|ttl| self.now_ns.div_euclid(1_000_000) + ttl), size)
    }

    fn apply(&mut self, key: &str, write: &Write) {
        match write {
            Write::Put(new) => {
                let mut meta = new.meta;
                if let (Some((old, _)), false) = (self.live.get(key), new.force_created) {
                    meta.created_at = old.created_at;
                }
                self.live.insert(key.to_owned(), (meta, new.body.clone()));
            }
            Write::Delete => {
                self.live.remove(key);
            }
        }
        self.touch(key);
    }

    /// What the engine lists.
    fn listed(&self) -> BTreeSet<String> {
        let rows = pages(&*self.engine, &KeyRange::all(), SortOrder::KeyAsc, 1_000);
        rows.into_iter().map(|row| row.key.as_str().to_owned()).collect()
    }

    /// After writes to `written`: whatever else is gone was the least recently used, and no more than had to go.
    fn accept_evictions(&mut self, written: &[&str]) {
        let listed = self.listed();
        let gone: BTreeSet<_> = self.live.keys().filter(|key| !listed.contains(*key)).cloned().collect();
        if self.limits.eviction == Eviction::None {
            assert!(gone.is_empty());
        }
        let others = self.used.iter().filter(|key| !written.contains(&key.as_str()));
        assert_eq!(gone, others.take(gone.len()).cloned().collect());
        if let (Some(most), None) = (self.limits.max_keys, self.limits.max_memory_bytes) {
            assert_eq!(gone.len() as u64, (self.live.len() as u64).saturating_sub(most));
        }
        for key in gone {
            self.live.remove(&key);
            self.touch(&key);
        }
    }

    /// Whether a refusal was due: exactly where keys alone are limited, plausibly where bytes are.
    fn check_refusal(&self, writes: &[(Key, Write)], error: &Error) {
        assert!(matches!(error, Error::LimitExceeded { .. }), "{error}");
        if let (Some(most), None) = (self.limits.max_keys, self.limits.max_memory_bytes) {
            assert!(self.keys_after(writes) as u64 > most);
        }
    }

    fn keys_after(&self, writes: &[(Key, Write)]) -> usize {
        let puts = writes.iter().filter(|(_, write)| matches!(write, Write::Put(_)));
        let mut after: BTreeSet<&str> = puts.map(|(key, _)| key.as_str()).collect();
        if self.limits.eviction == Eviction::None {
            let kept = self.live.keys().filter(|key| writes.iter().all(|(other, _)| other.as_str() != *key));
            after.extend(kept.map(String::as_str));
        }
        after.len()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Commit(writes, checks) => self.commit(writes, &checks),
            Step::Update(keys, fail) => self.update(&keys, fail),
            Step::Read(keys) => {
                let found = done(self.engine.read(keys.iter().map(|text| key(text)).collect())).unwrap();
                for (key, found) in keys.iter().zip(found) {
                    assert_same(found.as_ref(), self.live.get(key));
                    self.touch(key);
                }
                let one = done(self.engine.read_one(&key(&keys[0]))).unwrap();
                assert_same(one.as_ref(), self.live.get(&keys[0]));
                self.touch(&keys[0]);
            }
            Step::Advance(millis) => {
                self.clock.advance(millis * 1_000_000);
                self.now_ns += millis * 1_000_000;
                let now = self.now_ns.div_euclid(1_000_000);
                self.live.retain(|_, (meta, _)| !meta.is_expired(now));
                self.used.retain(|key| self.live.contains_key(key));
            }
            Step::RemoveRange(prefix) => {
                let before = self.live.len();
                self.live.retain(|key, _| !key.starts_with(&prefix));
                self.used.retain(|key| !key.starts_with(&prefix));
                let gone = done(self.engine.remove_range(KeyRange::prefix(&prefix))).unwrap();
                assert_eq!(gone, (before - self.live.len()) as u64);
            }
        }
    }

    fn commit(&mut self, writes: BTreeMap<String, Option<(Option<i64>, usize)>>, checks: &BTreeMap<String, bool>) {
        let mut batch = Batch::default();
        let mut conflict = None;
        for (text, holds) in checks {
            let check = match (self.live.get(text), holds) {
                (Some((meta, _)), true) => Check::Version(meta.version),
                (None, true) | (Some(_), false) => Check::Absent,
                (None, false) => Check::Version(1),
            };
            batch.checks.push((key(text), check));
            if !*holds && conflict.is_none() {
                conflict = Some(key(text));
            }
        }
        for (text, write) in writes {
            let write = write.map_or(Write::Delete, |(ttl, size)| Write::Put(self.new_record(ttl, size)));
            batch.writes.push((key(&text), write));
        }
        match done(self.engine.commit(batch.clone())) {
            Ok(Commit::Conflict(key)) => assert_eq!(Some(key), conflict),
            Ok(Commit::Done(flags)) => {
                assert_eq!(conflict, None);
                for ((key, write), was_there) in batch.writes.iter().zip(flags) {
                    assert_eq!(was_there, self.live.contains_key(key.as_str()));
                    self.apply(key, write);
                }
                self.accept_evictions(&batch.writes.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>());
            }
            Err(error) => self.check_refusal(&batch.writes, &error),
        }
    }

    fn update(&mut self, keys: &[String], fail: bool) {
        let mut writes = Vec::new();
        for (at, text) in keys.iter().enumerate() {
            if keys[..at].contains(text) {
                continue;
            }
            match self.versions % 3 {
                0 => writes.push((key(text), Write::Delete)),
                1 => writes.push((key(text), Write::Put(self.new_record(None, 40)))),
                _ => {}
            }
            self.versions += 1;
        }
        let last = key(keys.last().unwrap());
        let changes = writes.clone();
        let change = move |key: &Key, _: Option<&Record>| {
            if fail && *key == last {
                return Err(Error::InvalidArgument("no".into()));
            }
            Ok(match changes.iter().find(|(other, _)| other == key) {
                None => Change::Keep,
                Some((_, Write::Put(record))) => Change::Put(record.clone()),
                Some((_, Write::Delete)) => Change::Delete,
            })
        };
        let before = self.live.clone();
        let updated = done(self.engine.update(keys.iter().map(|text| key(text)).collect(), Arc::new(change)));
        // Read, whatever became of it.
        for key in keys {
            self.touch(key);
        }
        match updated {
            Ok(updated) => {
                assert!(!fail);
                for (key, write) in &writes {
                    self.apply(key, write);
                }
                self.accept_evictions(&keys.iter().map(String::as_str).collect::<Vec<_>>());
                for (key, updated) in keys.iter().zip(updated) {
                    assert_same(updated.before.as_ref(), before.get(key));
                    assert_same(updated.after.as_ref(), self.live.get(key));
                }
                for key in keys {
                    self.touch(key);
                }
            }
            Err(Error::InvalidArgument(_)) => assert!(fail),
            Err(error) => self.check_refusal(&writes, &error),
        }
    }

    /// Everything that the engine can be asked about a range, against the model.
    fn check(&self, prefix: &str, page: usize) {
        let range = KeyRange::prefix(prefix);
        let mut expected: Vec<_> = self.live.iter().filter(|(key, _)| key.starts_with(prefix)).collect();
        let stats = done(self.engine.stats(range.clone())).unwrap();
        assert_eq!(stats.keys, expected.len() as u64);
        assert_eq!(done(self.engine.count(range.clone())).unwrap(), expected.len() as u64);
        for order in ORDERS {
            expected.sort_by_key(|(key, (meta, _))| (if order.is_by_key() { 0 } else { meta.created_at }, *key));
            if order.is_descending() {
                expected.reverse();
            }
            let rows = pages(&*self.engine, &range, order, page);
            assert!(
                rows.iter().map(|row| row.key.as_str()).eq(expected.iter().map(|(key, _)| key.as_str())),
                "{order:?}"
            );
            for (row, (_, stored)) in rows.iter().zip(&expected) {
                assert_eq!(row.created_at, stored.0.created_at);
                assert_same(row.record.as_ref(), Some(stored));
            }
        }
        let namespaces: BTreeSet<_> = expected
            .iter()
            .flat_map(|(key, _)| key[prefix.len()..].match_indices("::").map(|(at, _)| &key[prefix.len()..][..at]))
            .collect();
        let found = done(self.engine.namespaces(range, prefix.len(), None)).unwrap();
        assert!(found.iter().map(String::as_str).eq(namespaces));
        if let Some(most) = self.limits.max_memory_bytes {
            assert!(done(self.engine.stats(KeyRange::all())).unwrap().bytes <= most);
        }
    }
}

fn assert_same(found: Option<&Record>, stored: Option<&Stored>) {
    let found = found.map(|record| (record.meta, record.body.to_vec()));
    assert_eq!(found.as_ref(), stored);
}

/// All rows of a range, a page at a time; `more` tells exactly whether there is more.
fn pages(engine: &dyn Engine, range: &KeyRange, order: SortOrder, limit: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after: Option<Cursor> = rows.last().map(Row::cursor);
        let scan = Scan { range: range.clone(), order, after, limit, records: true };
        let page = done(engine.scan(scan)).unwrap();
        assert!(page.rows.len() <= limit && (!page.more || !page.rows.is_empty()));
        rows.extend(page.rows);
        if !page.more {
            return rows;
        }
    }
}

fn limits() -> impl Strategy<Value = InMemoryLimits> {
    let keys = prop::option::of(0..6u64);
    let bytes = prop::option::weighted(0.3, 0..6_000u64);
    let eviction = prop_oneof![Just(Eviction::None), Just(Eviction::Lru)];
    let some = (keys, bytes, eviction).prop_map(|(max_keys, max_memory_bytes, eviction)| InMemoryLimits {
        max_keys,
        max_memory_bytes,
        eviction,
    });
    prop_oneof![1 => Just(InMemoryLimits::default()), 3 => some]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does(
        limits in limits(),
        steps in steps(),
        prefix in "[ab:é]{0,2}",
        page in 1..5usize,
    ) {
        let mut model = Model::new(limits);
        for step in steps {
            model.step(step);
            model.check(&prefix, page);
        }
        model.check("", page);
    }
}

fn put(engine: &dyn Engine, text: &str, record: NewRecord) -> Result<Commit, Error> {
    done(engine.commit(Batch { writes: [(key(text), Write::Put(record))].into_iter().collect(), ..Batch::default() }))
}

#[test]
fn a_batch_is_seen_whole_or_not_at_all() {
    let engine = InMemoryEngine::new(InMemoryLimits::default(), Clock::System);
    let keys: Vec<Key> = (0..24).map(|n| key(&format!("k{n}"))).collect();
    std::thread::scope(|scope| {
        for writer in 0..2u64 {
            let (engine, keys) = (&engine, &keys);
            scope.spawn(move || {
                for round in 0..400 {
                    let version = 1 + writer + 2 * round;
                    let put = |key: &Key| (key.clone(), Write::Put(record(version, 0, None, 8)));
                    let batch = Batch { writes: keys.iter().map(put).collect(), ..Batch::default() };
                    assert!(matches!(done(engine.commit(batch)), Ok(Commit::Done(_))));
                    if round % 5 == 0 {
                        done(engine.remove_range(KeyRange::all())).unwrap();
                    }
                }
            });
        }
        for reader in 0..2 {
            let (engine, keys) = (&engine, &keys);
            scope.spawn(move || {
                for _ in 0..800 {
                    let versions: BTreeSet<_> = if reader == 0 {
                        let found = done(engine.read(keys.clone())).unwrap();
                        found.iter().map(|record| record.as_ref().map(|record| record.meta.version)).collect()
                    } else {
                        let rows = pages(&**engine, &KeyRange::all(), SortOrder::KeyDesc, 100);
                        assert!(rows.is_empty() || rows.len() == keys.len());
                        rows.iter().map(|row| row.record.as_ref().map(|record| record.meta.version)).collect()
                    };
                    assert!(versions.len() <= 1, "{versions:?}");
                }
            });
        }
    });
}

#[test]
fn updates_of_one_key_follow_each_other() {
    let engine = InMemoryEngine::new(InMemoryLimits::default(), Clock::System);
    let change = Arc::new(|_: &Key, old: Option<&Record>| {
        Ok(Change::Put(record(old.map_or(0, |old| old.meta.version) + 1, 0, None, 8)))
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    done(engine.update(vec![key("n"), key("m")], change.clone())).unwrap();
                }
            });
        }
    });
    assert_eq!(done(engine.read_one(&key("n"))).unwrap().unwrap().meta.version, 2_000);
}

#[test]
fn writers_together_keep_the_limits() {
    let limits = InMemoryLimits { max_keys: Some(100), max_memory_bytes: Some(40_000), eviction: Eviction::None };
    let engine = InMemoryEngine::new(limits, Clock::System);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let engine = &engine;
            scope.spawn(move || {
                for n in 0..500 {
                    let _ = put(&**engine, &format!("{writer}-{n}"), record(1, 0, None, 150));
                    let stats = done(engine.stats(KeyRange::all())).unwrap();
                    assert!(stats.keys <= 100 && stats.bytes <= 40_000, "{stats:?}");
                }
            });
        }
    });
    let error = put(&*engine, "one more", record(1, 0, None, 40_000)).unwrap_err();
    assert!(matches!(error, Error::LimitExceeded { limit: "max_keys" | "max_memory_bytes", .. }));
    assert!(done(engine.count(KeyRange::all())).unwrap() > 50);
}

#[test]
fn a_large_value_takes_the_place_of_many_small_ones() {
    let limits = InMemoryLimits { max_keys: None, max_memory_bytes: Some(1_000_000), eviction: Eviction::Lru };
    let engine = InMemoryEngine::new(limits, Clock::System);
    for n in 0..20_000 {
        put(&*engine, &format!("k{n}"), record(1, 0, None, 20)).unwrap();
    }
    let before = done(engine.stats(KeyRange::all())).unwrap();
    assert!(before.keys > 6_000 && before.bytes <= 1_000_000, "{before:?}");
    assert!(put(&*engine, "huge", record(1, 0, None, 1_000_000)).is_err());
    assert_eq!(done(engine.count(KeyRange::all())).unwrap(), before.keys);
    put(&*engine, "large", record(1, 0, None, 990_000)).unwrap();
    let after = done(engine.stats(KeyRange::all())).unwrap();
    assert!(after.keys == 1 && after.bytes <= 1_000_000, "{after:?}");
}

#[test]
fn a_closed_engine_says_so() {
    let engine = InMemoryEngine::new(InMemoryLimits::default(), Clock::System);
    put(&*engine, "k", record(1, 0, None, 1)).unwrap();
    done(engine.close()).unwrap();
    done(engine.close()).unwrap();
    let closed = |error: Error| matches!(error, Error::Closed { backend: "in_memory" });
    assert!(closed(put(&*engine, "k", record(1, 0, None, 1)).unwrap_err()));
    assert!(closed(done(engine.read_one(&key("k"))).unwrap_err()));
    assert!(closed(done(engine.read(vec![key("k")])).unwrap_err()));
    assert!(closed(done(engine.count(KeyRange::all())).unwrap_err()));
    assert!(closed(done(engine.open()).unwrap_err()));
    assert!(closed(done(engine.ping()).unwrap_err()));
}
