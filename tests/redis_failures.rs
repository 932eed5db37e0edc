//! What a network, an impostor, a server's own state and its access lists do to the Redis engine.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod redis_support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis_support::proxy::{Mode, Proxy};
use redis_support::{Server, adding, get, installed, key, number, open, put, puts, record, wait, words};
use rrag_storage::engine::redis::{RedisConfig, RedisEngine};
use rrag_storage::engine::{Batch, Check, Commit, Engine, KeyRange, Scan, Write};
use rrag_storage::{Clock, Error, SortOrder};

fn patient(url: &str, ms: u64) -> Arc<RedisEngine> {
    let config = RedisConfig { connection_timeout: Duration::from_millis(ms), ..RedisConfig::new(url) };
    RedisEngine::new(config, Clock::System).unwrap()
}

/// The memory that this process holds, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<usize>().ok()).unwrap_or(0) * 1024
}

#[test]
fn whatever_a_network_does_is_an_error_in_time_and_passes() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let proxy = Proxy::start(server.port);
    let engine = patient(&proxy.url(), 1_500);
    put(&engine, "k", b"v").unwrap();
    put(&engine, "other", b"another's").unwrap();
    assert_eq!(number(&wait(adding(&engine, "n")).unwrap()), 1);
    let mut known = 1;
    for mode in [Mode::Swallow, Mode::Garbage, Mode::Cut, Mode::Refuse, Mode::Endless] {
        let fresh = patient(&proxy.url(), 1_500);
        proxy.set(mode);
        let began = Instant::now();
        let added = wait(adding(&engine, "n"));
        let read = wait(engine.read_one(&key("k")));
        let opened = wait(fresh.open());
        for said in [words(added.map(drop)), words(read.map(drop)), words(opened)] {
            assert!(said.contains(&format!("127.0.0.1:{}", proxy.port)), "{mode:?}: {said}");
        }
        // Three waits of 1.5 s, and what a busy machine takes for an answer of 1 GiB.
        assert!(began.elapsed() < Duration::from_secs(20), "{mode:?}: {:?}", began.elapsed());
        proxy.set(Mode::Pass);
        assert_eq!(get(&engine, "k").unwrap().unwrap(), b"v", "{mode:?}");
        assert_eq!(get(&engine, "other").unwrap().unwrap(), b"another's", "{mode:?}");
        wait(fresh.open()).unwrap();
        // The addition that failed has happened once or not at all.
        let found = number(&wait(adding(&engine, "n")).unwrap());
        assert!(found == known + 1 || found == known + 2, "{mode:?}: {found} after {known}");
        known = found;
    }
    assert!(resident() < 2_500_000_000, "{}", resident());
}

#[test]
fn a_connection_that_breaks_now_and_then_loses_and_doubles_nothing() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let proxy = Proxy::start(server.port);
    let engine = open(&proxy.url());
    std::thread::scope(|scope| {
        // Held by the load, so that its end, also by a panic, ends the other thread.
        let load = Arc::new(());
        let loaded = Arc::downgrade(&load);
        let proxy = &proxy;
        scope.spawn(move || {
            while loaded.strong_count() > 0 {
                for mode in [Mode::Cut, Mode::Pass, Mode::Refuse, Mode::Pass] {
                    proxy.set(mode);
                    std::thread::sleep(Duration::from_millis(if mode == Mode::Pass { 30 } else { 5 }));
                }
            }
            proxy.set(Mode::Pass);
        });
        for round in 1..=300 {
            let name = format!("k{round}");
            put(&engine, &name, name.as_bytes()).unwrap();
            assert_eq!(number(&wait(adding(&engine, "n")).unwrap()), round);
            let fresh = Batch {
                checks: [(key(&format!("once{round}")), Check::Absent)].into_iter().collect(),
                ..puts(&[(&format!("once{round}"), b"x")])
            };
            assert!(matches!(wait(engine.commit(fresh)).unwrap(), Commit::Done(_)));
            let gone = Batch {
                writes: [(key(&format!("once{round}")), Write::Delete)].into_iter().collect(),
                ..Batch::default()
            };
            assert_eq!(wait(engine.commit(gone)).unwrap(), Commit::Done([true].into_iter().collect()));
            assert_eq!(get(&engine, &name).unwrap().unwrap(), name.as_bytes());
        }
        drop(load);
    });
}

#[test]
fn what_a_user_may_not_do_is_said_at_once() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let mut raw = server.raw();
    let mut acl =
        |rules: &[&str]| -> redis::Value { redis::cmd("ACL").arg("SETUSER").arg(rules).query(&mut raw).unwrap() };
    acl(&["reader", "on", ">s3cret", "~*", "+get", "+ping", "+client|id"]);
    acl(&["scripter", "on", ">s3cret", "~*", "+get", "+ping", "+evalsha", "+script|load"]);
    acl(&["elsewhere", "on", ">s3cret", "~other*", "+@all"]);
    put(&open(&server.url()), "k", b"v").unwrap();
    for (user, may_read) in [("reader", true), ("scripter", true), ("elsewhere", false)] {
        let engine = patient(&format!("redis://{user}:s3cret@127.0.0.1:{}", server.port), 10_000);
        let began = Instant::now();
        let said = words(put(&engine, "k", b"w"));
        assert!(said.contains("permission") && !said.contains("s3cret"), "{user}: {said}");
        assert_eq!(get(&engine, "k").is_ok(), may_read, "{user}");
        assert!(began.elapsed() < Duration::from_secs(9), "{user}");
    }
    assert_eq!(get(&open(&server.url()), "k").unwrap().unwrap(), b"v");
}

#[test]
fn the_documented_permissions_are_enough() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let source = include_str!("../src/engine/redis/mod.rs");
    let documented: Vec<String> = source
        .lines()
        .skip_while(|line| !line.contains("needs these commands"))
        .take_while(|line| line.starts_with("//!"))
        .flat_map(|line| line.split([' ', '`', ',', '.', ';']))
        .filter(|word| word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase() || c == '|'))
        .map(|word| format!("+{}", word.to_lowercase()))
        .collect();
    assert!(documented.len() > 30, "{documented:?}");
    let mut rules = redis::cmd("ACL");
    rules.arg(&["SETUSER", "app", "on", ">s3cret", "~rrag{*", "-@all"]).arg(&documented);
    let _: redis::Value = rules.query(&mut server.raw()).unwrap();
    let engine = open(&format!("redis://app:s3cret@127.0.0.1:{}", server.port));
    let soon = Clock::System.now_ms() + 60_000;
    let put_until = |at: i64, expires: Option<i64>| {
        let new = record(1, at, expires, b"x");
        let writes = [(key(&format!("n::{at}")), Write::Put(new))].into_iter().collect();
        wait(engine.commit(Batch { writes, ..Batch::default() })).unwrap();
    };
    for at in 0..20 {
        put_until(at, (at % 2 == 0).then_some(soon));
    }
    put_until(2, None);
    put_until(3, Some(soon - 59_990));
    assert_eq!(number(&wait(adding(&engine, "sum")).unwrap()), 1);
    let began = Instant::now();
    while wait(engine.count(KeyRange::prefix("n::"))).unwrap() > 19 {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(wait(engine.stats(KeyRange::all())).unwrap().keys, 20);
    assert_eq!(wait(engine.namespaces(KeyRange::all(), 0, None)).unwrap(), ["n"]);
    assert_eq!(wait(engine.census(KeyRange::all(), 0)).unwrap().1, 1);
    for order in [SortOrder::KeyAsc, SortOrder::KeyDesc, SortOrder::CreatedAsc, SortOrder::CreatedDesc] {
        let scan = Scan { range: KeyRange::all(), order, after: None, limit: 99, records: true };
        assert_eq!(wait(engine.scan(scan)).unwrap().rows.len(), 20);
    }
    assert!(wait(engine.meta(&key("n::1"))).unwrap().is_some());
    assert_eq!(wait(engine.read(vec![key("n::1"), key("no")])).unwrap().iter().flatten().count(), 1);
    assert_eq!(wait(engine.delete(vec![key("n::1"), key("no")])).unwrap(), 1);
    // What was evicted is looked for and taken out.
    let _: i64 = redis::cmd("DEL").arg("rrag{*}:n::5").query(&mut server.raw()).unwrap();
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 18);
    assert_eq!(wait(engine.remove_range(KeyRange::all())).unwrap(), 18);
}

#[test]
fn a_server_that_is_busy_or_lacks_replicas_says_so() {
    if !installed() {
        return;
    }
    let server = Server::start(&["--busy-reply-threshold", "50"]);
    let engine = open(&server.url());
    put(&engine, "k", b"v").unwrap();
    let mut other = server.raw();
    let hog = std::thread::spawn(move || {
        redis::cmd("EVAL").arg("while true do end").arg(0).query::<redis::Value>(&mut other).unwrap_err();
    });
    let mut killer = server.raw();
    let busy = loop {
        match redis::cmd("GET").arg("x").query::<redis::Value>(&mut killer) {
            Err(error) => break error,
            Ok(_) => std::thread::yield_now(),
        }
    };
    assert_eq!(busy.code(), Some("BUSY"));
    let short = patient(&server.url(), 1_500);
    assert!(words(get(&short, "k").map(drop)).contains("BUSY"));
    let waiting = engine.commit(puts(&[("k", b"w")]));
    let _: redis::Value = redis::cmd("SCRIPT").arg("KILL").query(&mut killer).unwrap();
    hog.join().unwrap();
    wait(waiting).unwrap();
    assert_eq!(get(&short, "k").unwrap().unwrap(), b"w");

    let mut set = |name: &str, value: &str| -> redis::Value {
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query(&mut killer).unwrap()
    };
    set("min-replicas-to-write", "1");
    assert!(words(put(&engine, "k", b"x")).contains("NOREPLICAS"));
    set("min-replicas-to-write", "0");
    set("maxclients", "1");
    let said = words(wait(patient(&server.url(), 1_500).open()));
    // The server says so and closes at once: what we had sent by then may make that a reset, before its words are read.
    let closed = said.contains("reset") || said.contains("closed the connection");
    assert!(said.contains("max number of clients") || closed, "{said}");
    assert_eq!(get(&engine, "k").unwrap().unwrap(), b"w");
}

#[test]
fn a_dropped_engine_closes_its_connections() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let mut raw = server.raw();
    for way in ["drop", "close"] {
        let engine = open(&server.url());
        put(&engine, "k", b"v").unwrap();
        if way == "close" {
            wait(engine.close()).unwrap();
            assert!(matches!(get(&engine, "k"), Err(Error::Closed { .. })));
        }
        drop(engine);
        let began = Instant::now();
        loop {
            let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut raw).unwrap();
            if clients.lines().count() == 1 {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{way}: {clients}");
            std::thread::yield_now();
        }
    }
}
