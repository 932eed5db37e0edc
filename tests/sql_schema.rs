//! How tables are made: by many at once, beside each other, and never over what is another's.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod sql_support;

use std::sync::Arc;

use rrag_storage::engine::sql::{SqlConfig, SqlEngine};
use rrag_storage::engine::{Batch, Engine, KeyRange, Write};
use rrag_storage::{Clock, Error, ManualClock};
use sql_support::{Kind, Server, get, key, put, record, shared, until, wait};

fn opened(config: SqlConfig) -> Arc<SqlEngine> {
    SqlEngine::new(config, Clock::System).unwrap()
}

/// Where a new database is.
fn database(server: &Server, name: &str) -> String {
    match server.kind {
        Kind::Postgres => {
            server.sql(&format!("CREATE DATABASE {name}"));
            server.url().replace("/postgres", &format!("/{name}"))
        }
        Kind::Mysql => {
            server.as_root(&format!("CREATE DATABASE {name}; GRANT ALL ON {name}.* TO 'ada'@'%'"));
            server.url().replace("/app", &format!("/{name}"))
        }
    }
}

fn eight_open_an_empty_database_at_once(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    for round in 0..5 {
        let url = database(server, &format!("raced{round}"));
        std::thread::scope(|scope| {
            for opener in 0..8 {
                let url = url.clone();
                scope.spawn(move || {
                    // Two tables are made at the same time too.
                    let table = format!("t{}", opener % 2);
                    let engine = opened(SqlConfig { table, ..SqlConfig::new(url) });
                    put(&engine, &format!("k{opener}"), b"v").unwrap();
                });
            }
        });
        for table in ["t0", "t1"] {
            let engine = opened(SqlConfig { table: table.into(), ..SqlConfig::new(url.clone()) });
            assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 4);
        }
    }
}

fn two_tables_know_nothing_of_each_other(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let (one, two) = (server.open("first_of_two"), server.open("second_of_two"));
    for i in 0..10 {
        put(&one, &format!("a::k{i}"), b"1").unwrap();
    }
    put(&two, "b::k0", b"2").unwrap();
    assert_eq!(get(&two, "a::k0").unwrap(), None);
    assert_eq!(wait(two.remove_range(KeyRange::all())).unwrap(), 1);
    let (stats, namespaces) = wait(one.census(KeyRange::all(), 0)).unwrap();
    assert_eq!((stats.keys, namespaces), (10, 1));
    let (stats, namespaces) = wait(two.census(KeyRange::all(), 0)).unwrap();
    assert_eq!((stats.keys, namespaces), (0, 0));
}

fn a_newer_schema_is_refused(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    put(&server.open("newer"), "k", b"v").unwrap();
    let set = |version: i64| {
        let schema = if kind == Kind::Mysql { "rrag_storage_schema" } else { "\"rrag_storage_schema\"" };
        server.sql(&format!("UPDATE {schema} SET version = {version} WHERE name = 'newer'"));
    };
    set(2);
    match get(&server.open("newer"), "k") {
        Err(Error::Unavailable { reason, .. }) => assert!(reason.contains("schema version 2"), "{reason}"),
        other => panic!("{other:?}"),
    }
    set(1);
    assert_eq!(get(&server.open("newer"), "k").unwrap(), Some(b"v".to_vec()));
}

fn a_table_of_anothers_is_left_alone(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    put(&server.open("ours"), "k", b"v").unwrap();
    for columns in ["id INT", "version BIGINT, body INT"] {
        server.sql(&format!(
            "CREATE TABLE anothers ({columns}); INSERT INTO anothers (SELECT 7 {})",
            if columns.contains(',') { ", 8" } else { "" }
        ));
        for _ in 0..2 {
            match put(&server.open("anothers"), "k", b"v") {
                Err(Error::Unavailable { reason, .. }) => assert!(reason.contains("left alone"), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        assert!(server.sql("SELECT * FROM anothers").starts_with('7'));
        server.sql("DROP TABLE anothers");
    }
    // Once it is gone the name is free.
    put(&server.open("anothers"), "k", b"v").unwrap();
}

fn a_table_dropped_by_hand_is_made_anew(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    put(&server.open("dropped"), "k", b"v").unwrap();
    server.sql("DROP TABLE dropped");
    let engine = server.open("dropped");
    assert_eq!(get(&engine, "k").unwrap(), None);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 0);
}

fn counters_of_what_is_gone_go_too(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let start = 1_700_000_000_000_000_000;
    let clock = ManualClock::at(start);
    let engine = SqlEngine::new(server.config("tidied"), Clock::Manual(clock.clone())).unwrap();
    // Many write and delete in the same namespaces.
    let others: Vec<_> = (0..12).map(|_| server.open("tidied")).collect();
    for (at, other) in others.iter().enumerate() {
        for space in 0..5 {
            put(other, &format!("gone{space}::k{at}"), b"v").unwrap();
            put(other, &format!("kept{space}::k{at}"), b"v").unwrap();
        }
    }
    for space in 0..5 {
        for at in 0..12 {
            let writes = [(key(&format!("gone{space}::k{at}")), Write::Delete)].into_iter().collect();
            wait(others[(at + 5) % 12].commit(Batch { writes, ..Batch::default() })).unwrap();
        }
    }
    let census = || {
        let (stats, namespaces) = wait(engine.census(KeyRange::all(), 0)).unwrap();
        let listed = wait(engine.namespaces(KeyRange::all(), 0, Some(1))).unwrap();
        assert_eq!(listed, (0..5).map(|space| format!("kept{space}")).collect::<Vec<_>>());
        (stats.keys, namespaces)
    };
    // Behind slot 1000 are the stamps of deletions, which stay for a while.
    let text = "SELECT COUNT(*) FROM rrag_storage_counts WHERE name = 'tidied' AND slot <= 1000";
    let counters = || -> usize { server.sql(text).parse().unwrap() };
    assert!(counters() > 10);
    assert_eq!(census(), (60, 5));
    clock.advance(3_600_000_000_000);
    // Something that expires wakes who tidies.
    let due = start / 1_000_000 + 3_600_000 + 1;
    let writes = [(key("kept0::due"), Write::Put(record(1, start, Some(due), b"v")))].into_iter().collect();
    wait(engine.commit(Batch { writes, ..Batch::default() })).unwrap();
    clock.advance(1_000_000_000);
    // Two hold the sums; what expired may have left one of its own.
    // Two hold the sums; what came and expired may have left two that cancel each other.
    until("counters are put together", || counters() <= 9);
    assert_eq!(census(), (60, 5));
    // Over settled counters: one namespace goes, one comes, and one comes of which nothing lives any more.
    assert_eq!(wait(others[0].remove_range(KeyRange::prefix("kept0::"))).unwrap(), 12);
    put(&others[1], "new::k", b"v").unwrap();
    let due = start / 1_000_000 + 3_600_000 + 2_000;
    let writes = ["brief::k", "kept1::k"].map(|name| (key(name), Write::Put(record(1, start, Some(due), b"v"))));
    wait(engine.commit(Batch { writes: writes.into_iter().collect(), ..Batch::default() })).unwrap();
    let (stats, namespaces) = wait(engine.census(KeyRange::all(), 0)).unwrap();
    assert_eq!((stats.keys, namespaces), (51, 6));
    clock.advance(2_000_000_000);
    let (stats, namespaces) = wait(engine.census(KeyRange::all(), 0)).unwrap();
    assert_eq!((stats.keys, namespaces), (49, 5));
    let listed = wait(engine.namespaces(KeyRange::all(), 0, Some(1))).unwrap();
    assert_eq!(listed, ["kept1", "kept2", "kept3", "kept4", "new"]);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 49);
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
    eight_open_an_empty_database_at_once
    two_tables_know_nothing_of_each_other
    a_newer_schema_is_refused
    a_table_of_anothers_is_left_alone
    a_table_dropped_by_hand_is_made_anew
    counters_of_what_is_gone_go_too
}
