//! Servers that are killed, restarted, frozen and cut off, and what the engine makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod sql_support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rrag_storage::engine::sql::{SqlConfig, SqlEngine};
use rrag_storage::engine::{Engine, KeyRange};
use rrag_storage::{Clock, Error};
use sql_support::{Kind, Server, get, incrementing, put, shared, wait};

/// Has the threads of a test end, however the one that started them does.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Four threads write keys of their own, count, and read back, while the server is killed and started again.
fn killed_under_load(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let engine = server.open("load");
    wait(engine.open()).unwrap();
    let over = AtomicBool::new(false);
    let (counted, unknown) = (AtomicU64::new(0), AtomicU64::new(0));
    let acked: Vec<HashMap<String, Vec<u8>>> = std::thread::scope(|scope| {
        let ending = Ending(&over);
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (engine, over, counted, unknown) = (&engine, &over, &counted, &unknown);
                scope.spawn(move || {
                    let mut mine = HashMap::new();
                    let mut round = 0u32;
                    while !over.load(Ordering::Relaxed) {
                        let name = format!("t{thread}-{}", round % 40);
                        let body = [round.to_le_bytes(), [thread; 4]].concat();
                        let began = Instant::now();
                        match put(engine, &name, &body) {
                            Ok(_) => drop(mine.insert(name.clone(), body)),
                            // It may have happened: what is there now is what counts.
                            Err(_) => drop(mine.remove(&name)),
                        }
                        if let (Ok(found), Some(body)) = (get(engine, &name), mine.get(&name)) {
                            assert_eq!(found.as_ref(), Some(body));
                        }
                        match wait(incrementing(engine, "n")) {
                            Ok(_) => drop(counted.fetch_add(1, Ordering::Relaxed)),
                            Err(_) => drop(unknown.fetch_add(1, Ordering::Relaxed)),
                        }
                        assert!(began.elapsed() < Duration::from_secs(90), "{:?}", began.elapsed());
                        round += 1;
                    }
                    mine
                })
            })
            .collect();
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(700));
            server.kill();
            std::thread::sleep(Duration::from_millis(100));
            server.restart();
        }
        std::thread::sleep(Duration::from_millis(500));
        drop(ending);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (name, body) in acked.into_iter().flatten() {
        assert_eq!(get(&engine, &name).unwrap(), Some(body), "{name}");
    }
    let (counted, unknown) = (counted.into_inner(), unknown.into_inner());
    let found = wait(incrementing(&engine, "n")).unwrap() - 1;
    assert!(counted <= found && found <= counted + unknown, "{counted} counted, {unknown} unknown, {found} found");
    // The counters agree with the rows.
    let rows = wait(engine.count(KeyRange::prefix("t"))).unwrap() + wait(engine.count(KeyRange::prefix("n"))).unwrap();
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), rows);
}

/// A server that accepts and never answers.
fn frozen(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let config = SqlConfig { connection_timeout: Duration::from_secs(2), ..server.config("frozen") };
    let engine = SqlEngine::new(config.clone(), Clock::System).unwrap();
    put(&engine, "k", b"v").unwrap();
    freeze(&server, "-STOP");
    let began = Instant::now();
    let asked: Vec<_> = (0..50).map(|_| engine.read_one(&sql_support::key("k"))).collect();
    let write = engine.commit(sql_support::puts(&[("k", b"w")]));
    for answer in asked {
        assert!(matches!(wait(answer), Err(Error::Timeout { .. } | Error::Unavailable { .. })));
    }
    assert!(wait(write).is_err());
    assert!(wait(engine.ping()).is_err());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let fresh = SqlEngine::new(config, Clock::System).unwrap();
    let began = Instant::now();
    assert!(get(&fresh, "k").is_err());
    assert!(began.elapsed() < Duration::from_secs(15));
    freeze(&server, "-CONT");
    put(&engine, "k", b"x").unwrap();
    assert_eq!(get(&engine, "k").unwrap(), Some(b"x".to_vec()));
    assert_eq!(get(&fresh, "k").unwrap(), Some(b"x".to_vec()));
}

fn freeze(server: &Server, signal: &str) {
    server.signal_all(signal);
    // A signal takes its time to reach every thread.
    std::thread::sleep(Duration::from_millis(100));
}

/// Every connection is cut by the server while it is idle.
fn connections_killed(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let engine = server.open("cut");
    for round in 0u8..5 {
        put(&engine, "k", &[round]).unwrap();
        wait(incrementing(&engine, "n")).unwrap();
        server.cut_connections();
        assert_eq!(get(&engine, "k").unwrap(), Some(vec![round]));
        server.cut_connections();
        put(&engine, "k", &[round, round]).unwrap();
        server.cut_connections();
        assert_eq!(wait(incrementing(&engine, "n")).unwrap(), u64::from(round) * 2 + 2);
    }
}

#[test]
fn postgres_killed_under_load() {
    killed_under_load(Kind::Postgres);
}

#[test]
fn mysql_killed_under_load() {
    killed_under_load(Kind::Mysql);
}

#[test]
fn postgres_frozen() {
    frozen(Kind::Postgres);
}

#[test]
fn mysql_frozen() {
    frozen(Kind::Mysql);
}

#[test]
fn postgres_connections_killed() {
    connections_killed(Kind::Postgres);
}

#[test]
fn mysql_connections_killed() {
    connections_killed(Kind::Mysql);
}
