//! The engine's contract on PostgreSQL and MariaDB: against a model, among threads and engines, in groups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_wrap)]

mod sql_support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rrag_storage::engine::sql::{SqlConfig, SqlEngine};
use rrag_storage::engine::{Batch, Check, Commit, Engine, KeyRange, Scan, Write};
use rrag_storage::{Clock, Error, ManualClock, SortOrder};
use sql_support::model::{START_NS, Spans, as_a_sorted_map};
use sql_support::{Kind, get, incrementing, key, put, puts, record, shared, wait};

fn is_as_a_sorted_map(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    as_a_sorted_map(24, 40, Spans::Everything, |clock| {
        let engine = SqlEngine::new(server.config("model"), clock).unwrap();
        wait(engine.remove_range(KeyRange::all())).unwrap();
        engine
    });
}

fn threads_and_engines_increment_exactly(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let engines: Vec<_> = (0..4).map(|_| server.open("counted")).collect();
    std::thread::scope(|scope| {
        for engine in &engines {
            for _ in 0..2 {
                scope.spawn(move || {
                    for _ in 0..100 {
                        wait(incrementing(engine, "n")).unwrap();
                    }
                });
            }
        }
    });
    assert_eq!(wait(incrementing(&engines[0], "n")).unwrap(), 801);
}

fn money_moves_and_stays(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let engines: Vec<_> = (0..4).map(|_| server.open("bank")).collect();
    let names: Vec<String> = (0..5).map(|i| format!("account{i}")).collect();
    for name in &names {
        put(&engines[0], name, &100i64.to_le_bytes()).unwrap();
    }
    let number = |body: &[u8]| i64::from_le_bytes(body.try_into().unwrap());
    std::thread::scope(|scope| {
        for (seed, engine) in engines.iter().enumerate() {
            let names = &names;
            scope.spawn(move || {
                for i in 0..60usize {
                    let (from, to) = ((seed + i) % 5, (seed * 3 + i * 2 + 1) % 5);
                    if from == to {
                        continue;
                    }
                    // Read, then commit with checks, as a transaction does; again on a conflict.
                    loop {
                        let keys = vec![key(&names[from]), key(&names[to])];
                        let read = wait(engine.read(keys.clone())).unwrap();
                        let [one, two] = [0, 1].map(|at| read[at].clone().unwrap());
                        let versions = [one.meta.version, two.meta.version];
                        let bodies = [number(&one.body) - 1, number(&two.body) + 1];
                        let mut batch =
                            puts(&[(&names[from], &bodies[0].to_le_bytes()), (&names[to], &bodies[1].to_le_bytes())]);
                        batch.checks = keys.into_iter().zip(versions.map(Check::Version)).collect();
                        if matches!(wait(engine.commit(batch)).unwrap(), Commit::Done(_)) {
                            break;
                        }
                    }
                    let sum: i64 = wait(engine.read(names.iter().map(|name| key(name)).collect()))
                        .unwrap()
                        .iter()
                        .map(|record| number(&record.as_ref().unwrap().body))
                        .sum();
                    assert_eq!(sum, 500);
                }
            });
        }
    });
}

fn of_many_who_claim_a_key_one_gets_it(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let engines: Vec<_> = (0..4).map(|_| server.open("claimed")).collect();
    for round in 0..20 {
        let name = format!("k{round}");
        let claim = |engine: &Arc<SqlEngine>, i: usize| {
            let checks = [(key(&name), Check::Absent)].into_iter().collect();
            // Half of them write elsewhere too.
            let other = format!("{name}-{i}");
            let pairs: [(&str, &[u8]); 2] = [(&name, &[1]), (&other, &[2])];
            engine.commit(Batch { checks, ..puts(&pairs[..=i % 2]) })
        };
        let asked: Vec<_> = engines.iter().enumerate().map(|(i, engine)| claim(engine, i)).collect();
        let won = asked.into_iter().map(|a| wait(a).unwrap()).filter(|c| matches!(c, Commit::Done(_)));
        assert_eq!(won.count(), 1);
    }
}

fn one_failing_batch_fails_alone(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let engine = server.open("groups");
    wait(engine.open()).unwrap();
    let body = vec![1; 64];
    let good: Vec<_> = (0..50).map(|i| engine.commit(puts(&[(&format!("k{i}"), &body)]))).collect();
    let mut both = puts(&[("left", b"1"), ("huge", b"")]);
    if kind == Kind::Mysql
        && let Write::Put(record) = &mut both.writes[1].1
    {
        record.body = vec![0; 20_000_000];
    }
    let bad = engine.commit(both);
    let refused = engine.update(vec![key("k1")], Arc::new(|_, _| Err(Error::InvalidArgument("no".into()))));
    let panicking = engine.update(vec![key("k1")], Arc::new(|_, _| panic!("on purpose")));
    let late: Vec<_> = (50..99).map(|i| engine.commit(puts(&[(&format!("k{i}"), &body)]))).collect();
    let absent = Batch { checks: [(key("k2"), Check::Absent)].into_iter().collect(), ..puts(&[("never", b"1")]) };
    assert!(matches!(wait(engine.commit(absent)).unwrap(), Commit::Conflict(_)));
    let bad = wait(bad);
    assert!(matches!(wait(refused), Err(Error::InvalidArgument(_))));
    assert!(matches!(wait(panicking), Err(Error::Backend { .. })));
    good.into_iter().chain(late).for_each(|answer| drop(wait(answer).unwrap()));
    if kind == Kind::Mysql {
        let words = bad.unwrap_err().to_string();
        assert!(words.contains("max_allowed_packet") && words.contains("large_values"), "{words}");
        assert_eq!(get(&engine, "left").unwrap(), None);
        assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 99);
    } else {
        bad.unwrap();
        assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 101);
    }
}

fn nasty_keys_are_bytes(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let engine = server.open("nasty");
    let long = "\u{10ffff}".repeat(512);
    let names = [
        "a",
        "A",
        "a ",
        "a  ",
        " a",
        "\0",
        "a\0",
        "a\0b",
        "\u{e9}",
        "e\u{301}",
        "%",
        "_",
        "*",
        "[",
        "\\",
        "'",
        "\"",
        "../",
        "::",
        ":::",
        "?",
        "$1",
        "\u{df}",
        "ss",
        "SS",
        "\u{130}",
        "i",
        "I",
        "\u{fffd}",
        "\u{10ffff}",
        "\r\n",
        "--",
        ";",
        &long,
    ];
    for (at, name) in names.iter().enumerate() {
        assert_eq!(
            put(&engine, name, &at.to_le_bytes()).unwrap(),
            Commit::Done([false].into_iter().collect()),
            "{name:?}"
        );
    }
    for (at, name) in names.iter().enumerate() {
        assert_eq!(get(&engine, name).unwrap().unwrap(), at.to_le_bytes());
        let counted = wait(engine.count(KeyRange::prefix(name))).unwrap();
        assert_eq!(counted, names.iter().filter(|other| other.starts_with(name)).count() as u64, "{name:?}");
    }
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let scan = Scan { range: KeyRange::all(), order: SortOrder::KeyAsc, after: None, limit: 99, records: false };
    let page = wait(engine.scan(scan)).unwrap();
    assert_eq!(page.rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), sorted);
    let removals = names.iter().map(|name| (key(name), Write::Delete)).collect();
    let Commit::Done(was) = wait(engine.commit(Batch { writes: removals, ..Batch::default() })).unwrap() else {
        panic!()
    };
    assert!(was.len() == names.len() && was.iter().all(|was| *was));
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 0);
}

fn large_bodies_come_back_in_bounded_pages(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let engine = server.open("large");
    let body = |seed: u32, size: u32| -> Vec<u8> { (0..size).map(|i| ((i + seed) % 251) as u8).collect() };
    for seed in 0..6 {
        put(&engine, &format!("k{seed}"), &body(seed, 3_000_000)).unwrap();
    }
    let mut after = None;
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let scan = Scan { range: KeyRange::all(), order: SortOrder::KeyDesc, after, limit: 100, records: true };
        let page = wait(engine.scan(scan)).unwrap();
        pages += 1;
        assert!(page.rows.len() <= 3, "{}", page.rows.len());
        found.extend(page.rows.iter().map(|row| row.record.clone().unwrap().body.to_vec()));
        after = page.rows.last().map(rrag_storage::engine::Row::cursor);
        if !page.more || page.rows.is_empty() {
            break;
        }
    }
    assert!(pages >= 2);
    assert!(found == (0..6).rev().map(|seed| body(seed, 3_000_000)).collect::<Vec<_>>());
}

fn expired_rows_are_deleted_without_anyone_calling(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let clock = ManualClock::at(START_NS);
    let engine = SqlEngine::new(server.config("expiring"), Clock::Manual(clock.clone())).unwrap();
    let due = START_NS / 1_000_000 + 10;
    let writes =
        (0..1_200).map(|i| (key(&format!("k{i}")), Write::Put(record(1, START_NS, Some(due), b"x")))).collect();
    wait(engine.commit(Batch { writes, ..Batch::default() })).unwrap();
    put(&engine, "stays", b"x").unwrap();
    // One whose clock stands still sees what is stored.
    let other = SqlEngine::new(server.config("expiring"), Clock::Manual(ManualClock::at(START_NS))).unwrap();
    assert_eq!(wait(other.count(KeyRange::all())).unwrap(), 1_201);
    clock.advance(20_000_000);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 1);
    let began = Instant::now();
    while wait(other.count(KeyRange::all())).unwrap() > 1 {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(wait(other.count(KeyRange::prefix("k"))).unwrap(), 0);
}

/// Ten thousand calls of all kinds, given up at once, while they are under way, or after they came.
fn cancelled_answers_leave_the_next_right(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let engine = server.open("cancelled");
    for i in 0u32..50 {
        put(&engine, &format!("k{i}"), &i.to_le_bytes()).unwrap();
    }
    let mut under_way = std::collections::VecDeque::new();
    let mut increments = 0;
    for round in 0u32..10_000 {
        let name = format!("k{}", round % 50);
        match round % 16 {
            0 => {
                increments += 1;
                drop(incrementing(&engine, "n"));
            }
            1 => drop(engine.commit(puts(&[("other", &round.to_le_bytes())]))),
            2 => drop(engine.count(KeyRange::prefix("k1"))),
            _ => under_way.push_back(engine.read_one(&key(&name))),
        }
        // Given up after as many others as chance has it.
        while under_way.len() > (round as usize * 7) % 64 {
            under_way.pop_front();
        }
    }
    drop(under_way);
    for round in 0u32..10_000 {
        let i = round % 50;
        let asked = engine.read_one(&key(&format!("k{i}")));
        assert_eq!(wait(asked).unwrap().unwrap().body[..], i.to_le_bytes());
    }
    assert_eq!(wait(incrementing(&engine, "n")).unwrap(), increments + 1);
}

fn closing_is_idempotent_and_final(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let engine = server.open("closed");
    let write = engine.commit(puts(&[("k", b"v")]));
    let (one, two) = (engine.close(), engine.close());
    wait(write).unwrap();
    wait(one).unwrap();
    wait(two).unwrap();
    assert!(matches!(put(&engine, "k", b"v"), Err(Error::Closed { .. })));
    assert!(matches!(get(&engine, "k"), Err(Error::Closed { .. })));
    assert!(matches!(wait(engine.open()), Err(Error::Closed { .. })));
    assert_eq!(get(&server.open("closed"), "k").unwrap(), Some(b"v".to_vec()));
}

fn many_open_one_table_at_once(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    for round in 0..3 {
        let engines: Vec<_> = (0..8).map(|_| server.open(&format!("opened{round}"))).collect();
        let opened: Vec<_> = engines.iter().map(|engine| engine.open()).collect();
        for answer in opened {
            wait(answer).unwrap();
        }
    }
}

fn what_is_wrong_is_said_without_the_secret(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let secret = sql_support::PASSWORD;
    let (url, port) = (server.url(), server.port.to_string());
    let database = if kind == Kind::Postgres { "/postgres" } else { "/app" };
    let cases = [
        (url.replace(secret, "wr0ng-pass"), "password"),
        (url.replace(database, "/nowhere"), if kind == Kind::Postgres { "database" } else { "may not use" }),
        (url.replace(&port, &sql_support::free_port().to_string()), "nothing listens"),
        (url.replace("127.0.0.1", "no-such-host.invalid"), "resolve"),
        (format!("{url}?sslmode=verify-full"), "TLS"),
    ];
    for (url, said) in cases {
        let config = SqlConfig { connection_timeout: Duration::from_secs(10), ..SqlConfig::new(url.clone()) };
        let engine = SqlEngine::new(config, Clock::System).unwrap();
        let began = Instant::now();
        match get(&engine, "k") {
            Err(error @ Error::Unavailable { .. }) => {
                let words = error.to_string();
                assert!(words.contains(said), "{said}: {words}");
                assert!(!words.contains(secret) && !words.contains("wr0ng"), "{words}");
            }
            other => panic!("{said}: {other:?}"),
        }
        assert!(began.elapsed() < Duration::from_secs(11));
        assert!(!engine.location().contains(secret) && !format!("{:?}", engine.config()).contains(secret));
    }
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod postgres {
            $(#[test] fn $name() { super::$name(super::Kind::Postgres) })*
        }
        mod mysql {
            $(#[test] fn $name() { super::$name(super::Kind::Mysql) })*
        }
    };
}

on_both! {
    is_as_a_sorted_map
    threads_and_engines_increment_exactly
    money_moves_and_stays
    of_many_who_claim_a_key_one_gets_it
    one_failing_batch_fails_alone
    nasty_keys_are_bytes
    large_bodies_come_back_in_bounded_pages
    expired_rows_are_deleted_without_anyone_calling
    cancelled_answers_leave_the_next_right
    closing_is_idempotent_and_final
    many_open_one_table_at_once
    what_is_wrong_is_said_without_the_secret
}
