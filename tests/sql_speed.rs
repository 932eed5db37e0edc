//! Figures, not promises: what operations take on servers of this machine. Run with
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo test --test sql_speed -- --ignored --nocapture NAME`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, missing_docs)]

mod sql_support;

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::Instant;

use rrag_storage::engine::sql::SqlEngine;
use rrag_storage::engine::{Batch, Commit, Engine, KeyRange, Scan, Write};
use rrag_storage::{Answer, Clock, Result, SortOrder};
use sql_support::{Kind, Server, incrementing, key, puts, record, wait};

const BODY: usize = 200;

fn body(seed: u32) -> Vec<u8> {
    let mut body = vec![7; BODY];
    body[..4].copy_from_slice(&seed.to_le_bytes());
    body
}

fn us(began: Instant, operations: u32) -> f64 {
    began.elapsed().as_secs_f64() * 1e6 / f64::from(operations)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn all<T: Send + 'static>(answers: Vec<Answer<Result<T>>>) {
    for answer in answers {
        drop(wait(answer).unwrap());
    }
}

/// One round of every operation, in microseconds an operation.
fn round(engine: &Arc<SqlEngine>, seed: u32) -> Vec<(&'static str, f64)> {
    let name = |i: u32| format!("users::k{i}");
    let set = |name: &str, seed: u32| engine.commit(puts(&[(name, &body(seed))]));
    let lone = |count: u32, ask: &dyn Fn(u32)| {
        let one = |i: u32| {
            let began = Instant::now();
            ask(i);
            us(began, 1)
        };
        median((0..count).map(one).collect())
    };
    let fresh = seed * 1_000_000;
    let mut figures = vec![
        ("get", lone(200, &|i| drop(wait(engine.read_one(&key(&name(i % 100)))).unwrap().unwrap()))),
        ("set over", lone(100, &|i| drop(wait(set(&name(i % 100), fresh + i)).unwrap()))),
        ("set new", lone(100, &|i| drop(wait(set(&format!("new::{}", fresh + i), i)).unwrap()))),
        ("increment", lone(50, &|_| wait(incrementing(engine, "number::n")).map(drop).unwrap())),
        (
            "delete",
            lone(50, &|i| {
                let writes = [(key(&format!("new::{}", fresh + i)), Write::Delete)].into_iter().collect();
                drop(wait(engine.commit(Batch { writes, ..Batch::default() })).unwrap());
            }),
        ),
    ];
    let together = |ask: &dyn Fn(u32, u32)| {
        median(
            (0..5)
                .map(|turn| (0, turn))
                .map(|(_, turn)| {
                    let began = Instant::now();
                    ask(turn, 100);
                    us(began, 100)
                })
                .collect(),
        )
    };
    figures.push(("100 gets", together(&|_, n| all((0..n).map(|i| engine.read_one(&key(&name(i)))).collect()))));
    figures.push((
        "100 sets over",
        together(&|turn, n| all((0..n).map(|i| set(&name(i), fresh + 1_000 * turn + i)).collect())),
    ));
    figures.push((
        "100 sets new",
        together(&|turn, n| all((0..n).map(|i| set(&format!("many::{}", fresh + turn * n + i), i)).collect())),
    ));
    figures
}

fn prepared(server: &Server) -> Arc<SqlEngine> {
    let engine = server.open("speed");
    for i in 0..100 {
        sql_support::put(&engine, &format!("users::k{i}"), &body(i)).unwrap();
    }
    engine
}

fn speed(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let engine = prepared(&server);
    let rounds: Vec<_> = (1..8).map(|seed| round(&engine, seed)).collect();
    for at in 0..rounds[0].len() {
        let name = rounds[0][at].0;
        println!("{kind:?} {name}: {:.1} µs", median(rounds.iter().map(|round| round[at].1).collect()));
    }
}

/// For a contender in another language: says where the server is, then answers each line with a round.
fn served(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let engine = prepared(&server);
    println!("URL {}", server.url());
    for (line, seed) in std::io::stdin().lock().lines().zip(1..) {
        drop(line.unwrap());
        let figures: Vec<String> = round(&engine, seed).iter().map(|(name, us)| format!("{name}={us:.1}")).collect();
        println!("ROUND {}", figures.join(";"));
        std::io::stdout().flush().unwrap();
    }
}

/// Loads entries of a thousand a namespace, or one namespace each hundred, with an expiry on every third.
fn load(engine: &Arc<SqlEngine>, from: u32, to: u32, per_namespace: u32) {
    for start in (from..to).step_by(5_000) {
        let put = |i: u32| {
            let expires_at = i.is_multiple_of(3).then(|| Clock::System.now_ms() + 86_400_000);
            let name = format!("n{:05}::k{i}", i / per_namespace);
            (key(&name), Write::Put(record(u64::from(i) + 1, Clock::System.stamp(), expires_at, &body(i)[..40])))
        };
        let writes = (start..to.min(start + 5_000)).map(put).collect();
        assert!(matches!(wait(engine.commit(Batch { writes, ..Batch::default() })), Ok(Commit::Done(_))));
    }
}

fn growth(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    for per_namespace in [1_000, 100] {
        let engine = server.open(&format!("growth{per_namespace}"));
        let mut before = 0;
        let mut first = Vec::new();
        for entries in [10_000, 1_000_000] {
            let began = Instant::now();
            load(&engine, before, entries, per_namespace);
            println!("{kind:?}: {entries} entries in {:.1} s", began.elapsed().as_secs_f64());
            before = entries;
            let scan = Scan {
                range: KeyRange::prefix("n00003::"),
                order: SortOrder::KeyAsc,
                after: None,
                limit: 100,
                records: false,
            };
            let time = |ask: &dyn Fn()| {
                let one = || {
                    let began = Instant::now();
                    ask();
                    us(began, 1)
                };
                median((0..21).map(|_| one()).collect())
            };
            // The first has the counters tidied, as a storage that is looked at now and then has.
            figures_of(&engine);
            std::thread::sleep(std::time::Duration::from_secs(1));
            let figures = [
                ("keys", time(&|| assert_eq!(wait(engine.scan(scan.clone())).unwrap().rows.len(), 100))),
                (
                    "count(namespace)",
                    time(&|| {
                        let count = wait(engine.count(KeyRange::prefix("n00003::"))).unwrap();
                        assert_eq!(count, u64::from(per_namespace));
                    }),
                ),
                (
                    "stats",
                    time(&|| {
                        let (stats, spaces) = figures_of(&engine);
                        assert_eq!((stats, spaces), (u64::from(entries), u64::from(entries / per_namespace)));
                    }),
                ),
                ("count", time(&|| assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), u64::from(entries)))),
                ("namespaces", time(&|| drop(wait(engine.namespaces(KeyRange::all(), 0, Some(1))).unwrap()))),
            ];
            for (at, (name, us)) in figures.iter().enumerate() {
                let ratio = first.get(at).map_or(1.0, |first: &f64| us / first);
                println!("{kind:?}, {per_namespace} a namespace, {entries}: {name} {us:.0} µs ({ratio:.1})");
            }
            first = figures.iter().map(|(_, us)| *us).collect();
        }
    }
}

fn figures_of(engine: &Arc<SqlEngine>) -> (u64, u64) {
    let storage = rrag_storage::Storage::over(Arc::clone(engine), Clock::System);
    let (stats, spaces) = wait(storage.figures()).unwrap();
    (stats.keys, spaces)
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod postgres {
            $(#[test] #[ignore = "measures"] fn $name() { super::$name(super::Kind::Postgres) })*
        }
        mod mysql {
            $(#[test] #[ignore = "measures"] fn $name() { super::$name(super::Kind::Mysql) })*
        }
    };
}

on_both! { speed served growth }
