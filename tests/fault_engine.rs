//! Every operation, through all layers, with a failure at the first call of an engine, the second, the third, until it
//! meets none: what failed has happened whole or not at all, what succeeded is there, and nothing is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod fault_support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fault_support::{Fault, Faulty, Plan};
use pollster::block_on;
use rrag_storage::engine::Engine;
use rrag_storage::engine::in_memory::InMemoryEngine;
use rrag_storage::engine::sqlite::{SqliteConfig, SqliteEngine, SqlitePath};
use rrag_storage::layers::{Compression, EncryptionKey, KeyRing, Layered, Layers};
use rrag_storage::{Clock, InMemoryLimits, Memory, MemoryQuery, MemoryValue, Result, Storage};

type Held = BTreeMap<String, MemoryValue>;

/// An operation, and what it does to what is held.
struct Step {
    name: &'static str,
    run: fn(&Storage) -> Result<()>,
    effect: fn(&mut Held),
}

fn small(number: i64) -> MemoryValue {
    MemoryValue::from(number)
}

/// A value that is offloaded.
fn large(number: usize) -> MemoryValue {
    let bytes: Vec<u8> =
        (0..9_000_usize).map(|at| u8::try_from((at * 31 + at / 7 + number * 13) % 251).unwrap()).collect();
    MemoryValue::from(bytes)
}

fn set(held: &mut Held, key: &str, value: MemoryValue) {
    held.insert(key.to_owned(), value);
}

fn pairs() -> Vec<(String, MemoryValue)> {
    let pair = |key: &str, value| (key.to_owned(), value);
    vec![pair("a::1", small(1)), pair("a::2", large(2)), pair("b::1", large(3)), pair("plain", small(4))]
}

/// All operations, on what those before have left.
const STEPS: &[Step] = &[
    Step { name: "set", run: |s| block_on(s.set("one", small(1))), effect: |held| set(held, "one", small(1)) },
    Step { name: "set large", run: |s| block_on(s.set("big", large(1))), effect: |held| set(held, "big", large(1)) },
    Step { name: "mset", run: |s| block_on(s.mset(pairs())), effect: |held| held.extend(pairs()) },
    Step {
        name: "overwrite large",
        run: |s| block_on(s.set("big", large(4))),
        effect: |held| set(held, "big", large(4)),
    },
    Step {
        name: "large to small",
        run: |s| block_on(s.set("b::1", small(9))),
        effect: |held| set(held, "b::1", small(9)),
    },
    Step {
        name: "increment",
        run: |s| block_on(s.increment("one", 41)).map(drop),
        effect: |held| set(held, "one", small(42)),
    },
    Step {
        name: "increment of none",
        run: |s| block_on(s.increment("count", 1)).map(drop),
        effect: |held| set(held, "count", small(1)),
    },
    Step {
        name: "set if absent",
        run: |s| block_on(s.set_if_absent("new", large(5))).map(drop),
        effect: |held| set(held, "new", large(5)),
    },
    Step {
        name: "compare and set",
        run: |s| {
            let version = block_on(s.get_entry("new"))?.map_or(1, |entry| entry.version);
            block_on(s.compare_and_set("new", large(6), version)).map(drop)
        },
        effect: |held| set(held, "new", large(6)),
    },
    Step {
        name: "transaction",
        run: |s| {
            let tx = s.transaction()?;
            block_on(tx.read(vec![s.key("one")?]))?;
            block_on(tx.write(s.key("one")?, small(7).encode()?, None))?;
            block_on(tx.write(s.key("tx")?, large(7).encode()?, None))?;
            block_on(tx.remove(vec![s.key("plain")?]))?;
            block_on(tx.commit())
        },
        effect: |held| {
            set(held, "one", small(7));
            set(held, "tx", large(7));
            held.remove("plain");
        },
    },
    Step {
        name: "expire and persist",
        run: |s| {
            block_on(s.expire("tx", Duration::from_hours(1)))?;
            block_on(s.persist("tx")).map(drop)
        },
        effect: |_| {},
    },
    Step { name: "get", run: |s| block_on(s.get("tx")).map(drop), effect: |_| {} },
    Step { name: "list", run: |s| block_on(s.entries(MemoryQuery::new())).map(drop), effect: |_| {} },
    Step { name: "rotate", run: |s| block_on(s.rotate(None, 100)).map(drop), effect: |_| {} },
    Step {
        name: "pop",
        run: |s| block_on(s.pop("new")).map(drop),
        effect: |held| {
            held.remove("new");
        },
    },
    Step {
        name: "mdelete",
        run: |s| block_on(s.mdelete(&["big", "count", "none"])).map(drop),
        effect: |held| held.retain(|key, _| key != "big" && key != "count"),
    },
    Step {
        name: "clear a namespace",
        run: |s| block_on(Memory::clear(s, Some("a"))).map(drop),
        effect: |held| held.retain(|key, _| !key.starts_with("a::")),
    },
];

/// A storage with all layers; what fails is its engine and that of its object store.
struct Place {
    storage: Storage,
    objects: Storage,
}

fn place<E: Engine>(engine: Arc<E>, plan: &Arc<Plan>) -> Place {
    let store = InMemoryEngine::new(InMemoryLimits::default(), Clock::System);
    let objects = Storage::over(Layered::plain(Arc::clone(&store)), Clock::System).into_dyn();
    let failing = Storage::over(Layered::plain(Faulty::new(store, plan)), Clock::System).into_dyn();
    let key = EncryptionKey::new(&[7; 32]).unwrap();
    let layers = Layers {
        compression: Some(Compression::Zstd { level: 1 }),
        compression_threshold: Some(100),
        keys: Some(Arc::new(KeyRing::of(&key))),
        large_values: Some(failing),
        large_value_threshold: Some(200),
        ..Layers::default()
    };
    let layered = Layered::new(Faulty::new(engine, plan), layers).unwrap();
    Place { storage: Storage::over(layered, Clock::System).into_dyn(), objects }
}

fn held_by(storage: &Storage) -> Held {
    let entries = block_on(storage.entries(MemoryQuery::new())).unwrap();
    entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

/// Runs all steps, with one failure; whether it was met, and in which step.
fn run(place: &Place, plan: &Plan, fault: Fault, at: i64) -> Option<&'static str> {
    let (storage, mut held, mut met) = (&place.storage, Held::new(), None);
    for step in STEPS {
        let before = held.clone();
        let done = (step.run)(storage);
        (step.effect)(&mut held);
        if let Err(error) = done {
            assert_eq!(met, None, "{}: a second failure: {error}", step.name);
            assert_ne!(fault, Fault::Delayed, "{}: {error}", step.name);
            assert!(error.to_string().contains("the engine under test"), "{}: {error}", step.name);
            met = Some(step.name);
            let found = plan.aside(|| held_by(storage));
            let name = step.name;
            assert!(found == before || found == held, "{name} by halves, {fault:?} at {at}: {:?}", found.keys());
            held = found;
            // What is repeated succeeds, and is then done.
            if held == before {
                (step.run)(storage).unwrap();
                (step.effect)(&mut held);
            }
        }
        assert_eq!(plan.aside(|| held_by(storage)), held, "{}, {fault:?} at {at}", step.name);
    }
    let failed = plan.end();
    assert_eq!(block_on(Memory::count(storage, None)).unwrap(), held.len() as u64);
    // A failure may leave a payload that nothing points to, and the garbage collection takes it.
    block_on(storage.collect_garbage(Duration::ZERO)).unwrap();
    let offloaded = held.values().filter(|value| value.as_bytes().is_some()).count();
    assert_eq!(block_on(Memory::count(&place.objects, None)).unwrap(), offloaded as u64, "{fault:?} at {at}");
    assert_eq!(held_by(storage), held);
    block_on(Memory::clear(storage, None)).unwrap();
    block_on(storage.collect_garbage(Duration::ZERO)).unwrap();
    assert_eq!(block_on(Memory::count(&place.objects, None)).unwrap(), 0, "{fault:?} at {at}");
    if failed { Some(met.unwrap_or("none: it was made up for")) } else { None }
}

/// Fails at call 1, 2, 3 ... until nothing has failed; how many failures there were, by step.
fn at_every_call<E: Engine>(fault: Fault, engine: impl Fn() -> Arc<E>) -> BTreeMap<&'static str, u32> {
    let mut met = BTreeMap::new();
    for at in 0.. {
        let plan = Plan::new(fault, at);
        let place = place(engine(), &plan);
        match run(&place, &plan, fault, at) {
            Some(step) => *met.entry(step).or_default() += 1,
            None => break,
        }
        // Reads that were only delayed need no more than some starts.
        if fault == Fault::Delayed && at == 5 {
            break;
        }
    }
    met
}

fn in_memory() -> Arc<InMemoryEngine> {
    InMemoryEngine::new(InMemoryLimits::default(), Clock::System)
}

fn sqlite() -> Arc<SqliteEngine> {
    SqliteEngine::new(SqliteConfig::new(SqlitePath::Memory), Clock::System)
}

fn assert_all_steps_failed(met: &BTreeMap<&'static str, u32>) {
    println!("{} failures: {met:?}", met.values().sum::<u32>());
    for step in STEPS {
        assert!(met.contains_key(step.name), "{} never failed: {met:?}", step.name);
    }
}

#[test]
fn what_is_refused_changes_nothing_in_memory() {
    assert_all_steps_failed(&at_every_call(Fault::Refused, in_memory));
}

#[test]
fn what_is_refused_changes_nothing_on_sqlite() {
    assert_all_steps_failed(&at_every_call(Fault::Refused, sqlite));
}

#[test]
fn lost_answers_leave_everything_whole_in_memory() {
    assert_all_steps_failed(&at_every_call(Fault::AnswerLost, in_memory));
}

#[test]
fn lost_answers_leave_everything_whole_on_sqlite() {
    assert_all_steps_failed(&at_every_call(Fault::AnswerLost, sqlite));
}

#[test]
fn late_answers_change_nothing() {
    assert_eq!(at_every_call(Fault::Delayed, in_memory).len(), 1);
    assert_eq!(at_every_call(Fault::Delayed, sqlite).len(), 1);
}
