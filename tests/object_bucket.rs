//! The object store engine over a bucket: conditions, lost answers, restarts, large values, what it costs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod object_support;

use std::sync::Arc;
use std::time::Duration;

use object_support::{
    Server, delete, eventually, fresh, get, increment, installed, key, pop, put, record, wait, write,
};
use rrag_storage::engine::object::{ObjectConfig, ObjectEngine};
use rrag_storage::engine::{Batch, Check, Commit, Engine, KeyRange, Scan, Write};
use rrag_storage::{Clock, Error, ManualClock, SortOrder};

const MIB: usize = 1024 * 1024;

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + at / 251) % 256).unwrap()).collect()
}

fn scan(prefix: &str, limit: usize) -> Scan {
    Scan { range: KeyRange::prefix(prefix), order: SortOrder::KeyAsc, after: None, limit, records: false }
}

#[test]
fn engines_that_race_are_exact() {
    if !installed() {
        return;
    }
    let server = Server::start();
    // Each its own engine: turns within a process don't help.
    let engines: Vec<Arc<ObjectEngine>> = (0..8).map(|_| server.engine("p")).collect();
    put(&engines[0], "one", b"x").unwrap();
    let taken: usize = std::thread::scope(|scope| {
        let each: Vec<_> = engines
            .iter()
            .map(|engine| {
                scope.spawn(|| {
                    (0..15).for_each(|_| assert!(increment(engine, "n").unwrap() > 0));
                    usize::from(pop(engine, "one").unwrap().is_some())
                })
            })
            .collect();
        each.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(increment(&engines[0], "n").unwrap(), 121);
    assert_eq!(taken, 1);
    let won: usize = std::thread::scope(|scope| {
        let claim = |engine: &ObjectEngine| {
            let batch = write("lock", Some(Check::Absent), record(fresh(), 1, None, b"x"));
            usize::from(matches!(wait(engine.commit(batch)).unwrap(), Commit::Done(_)))
        };
        let each: Vec<_> = engines.iter().map(|engine| scope.spawn(move || claim(engine))).collect();
        each.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
}

#[test]
fn what_was_taken_out_comes_back_when_it_is_set() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let engine = server.engine("");
    put(&engine, "k", b"1").unwrap();
    assert_eq!(pop(&engine, "k").unwrap(), Some(b"1".to_vec()));
    assert_eq!(get(&engine, "k").unwrap(), None);
    assert_eq!(pop(&engine, "k").unwrap(), None);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 0);
    assert_eq!(delete(&engine, &["k"]).unwrap(), Commit::Done([false].into_iter().collect()));
    let absent = write("k", Some(Check::Absent), record(5, 2, None, b"2"));
    assert_eq!(wait(engine.commit(absent)).unwrap(), Commit::Done([false].into_iter().collect()));
    let found = wait(engine.read_one(&key("k"))).unwrap().unwrap();
    assert_eq!((found.meta.version, found.meta.created_at, &found.body[..]), (5, 2, &b"2"[..]));
    let stale = write("k", Some(Check::Version(4)), record(6, 3, None, b"3"));
    assert_eq!(wait(engine.commit(stale)).unwrap(), Commit::Conflict(key("k")));
    let next = write("k", Some(Check::Version(5)), record(6, 3, None, b"3"));
    assert!(matches!(wait(engine.commit(next)).unwrap(), Commit::Done(_)));
    assert_eq!(wait(engine.meta(&key("k"))).unwrap().unwrap().created_at, 2);
}

#[test]
fn lost_answers_are_looked_up_and_nothing_happens_twice() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let engine = server.engine("p");
    wait(engine.ping()).unwrap();
    for (at, fault) in ["lost", "drop", "slow"].into_iter().enumerate() {
        let before = at as u64 * 4;
        server.faults(&[("PUT", "/n!", fault)]);
        assert_eq!(increment(&engine, "n").unwrap(), before + 1);
        server.faults(&[("PUT", "/n!", fault), ("PUT", "/n!", "lost")]);
        assert_eq!(increment(&engine, "n").unwrap(), before + 2);
        server.faults(&[("GET", "/n!", fault), ("PUT", "/n!", fault), ("GET", "/n!", fault)]);
        assert_eq!(increment(&engine, "n").unwrap(), before + 3);
        server.faults(&[("PUT", "/fresh", fault)]);
        let name = format!("fresh{at}");
        let absent = || write(&name, Some(Check::Absent), record(fresh(), 2, None, b"2"));
        assert!(matches!(wait(engine.commit(absent())).unwrap(), Commit::Done(_)));
        assert!(matches!(wait(engine.commit(absent())).unwrap(), Commit::Conflict(_)));
        server.faults(&[("POST", "?delete", fault)]);
        assert_eq!(delete(&engine, &[&name]).unwrap(), Commit::Done([true].into_iter().collect()));
        assert_eq!(increment(&engine, "n").unwrap(), before + 4);
    }
}

#[test]
fn a_server_that_comes_back_is_found() {
    if !installed() {
        return;
    }
    let mut server = Server::start();
    let engine = server.engine("p");
    put(&engine, "k", b"1").unwrap();
    server.kill();
    let read = engine.read_one(&key("k"));
    let write = engine.commit(write("late", None, record(1, 1, None, b"2")));
    server.start_again();
    assert_eq!(wait(read).unwrap().unwrap().body[..], *b"1");
    wait(write).unwrap();
    assert_eq!(get(&engine, "late").unwrap(), Some(b"2".to_vec()));
    server.kill();
    let short = ObjectConfig { connection_timeout: Duration::from_millis(300), ..server.config("p") };
    let unreached = ObjectEngine::new(short, Clock::System).unwrap();
    for outcome in [put(&unreached, "k", b"1").map(drop), wait(unreached.ping()), get(&unreached, "k").map(drop)] {
        let Err(Error::Unavailable { what, reason }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(what, format!("s3://bucket/p at 127.0.0.1:{}", server.port));
        assert!(!reason.contains("http") && reason.contains("refused"), "{reason}");
    }
}

#[test]
fn a_silent_server_is_given_up_in_time() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let config = ObjectConfig { connection_timeout: Duration::from_secs(1), ..server.config("p") };
    let engine = ObjectEngine::new(config, Clock::System).unwrap();
    wait(engine.ping()).unwrap();
    // Half of the time is left for another try.
    server.faults(&[("GET", "/k!", "hang")]);
    assert_eq!(get(&engine, "k").unwrap(), None);
    server.faults(&[("GET", "/k!", "hang"); 4]);
    let outcome = get(&engine, "k");
    assert!(matches!(outcome, Err(Error::Unavailable { .. } | Error::Timeout { .. })), "{outcome:?}");
    server.faults(&[("PUT", "/k!", "hang"); 4]);
    let error = put(&engine, "k", b"1").unwrap_err().to_string();
    assert!(error.contains("unknown"), "{error}");
    server.faults(&[]);
    put(&engine, "k", b"2").unwrap();
    assert_eq!(get(&engine, "k").unwrap(), Some(b"2".to_vec()));
}

#[test]
fn large_values_travel_in_parts() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let engine = server.engine("p");
    server.requests();
    for length in [8 * MIB - 48, 8 * MIB - 47, 16 * MIB, 20 * MIB + 1] {
        let body = noise(length);
        put(&engine, "big", &body).unwrap();
        assert!(get(&engine, "big").unwrap() == Some(body));
    }
    let requests = server.requests();
    assert_eq!((requests.get("put"), requests.get("complete"), requests.get("part")), (Some(&2), Some(&2), Some(&6)));
    // With a condition, in one request.
    let body = noise(20 * MIB);
    let batch = write("new", Some(Check::Absent), record(1, 1, None, &body));
    assert!(matches!(wait(engine.commit(batch)).unwrap(), Commit::Done(_)));
    assert!(get(&engine, "new").unwrap() == Some(body.clone()));
    server.faults(&[
        ("PUT", "partNumber=2", "lost"),
        ("PUT", "partNumber=3", "slow"),
        ("POST", "uploadId", "lost"),
        ("GET", "/big!", "drop"),
    ]);
    put(&engine, "big", &body).unwrap();
    assert!(get(&engine, "big").unwrap() == Some(body.clone()));
    // Over what was taken out.
    pop(&engine, "big").unwrap();
    put(&engine, "big", &body).unwrap();
    assert!(get(&engine, "big").unwrap() == Some(body));
}

#[test]
fn requests_are_few() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let engine = server.engine("p");
    let writes = |names: std::ops::Range<usize>| {
        let put = |at| (key(&format!("n{}::k{at:05}", at % 3)), Write::Put(record(fresh(), 1, None, b"x")));
        Batch { writes: names.map(put).collect(), ..Batch::default() }
    };
    wait(engine.commit(writes(0..2_500))).unwrap();
    let count = |work: &dyn Fn()| {
        server.requests();
        work();
        server.requests().values().sum::<u64>()
    };
    assert_eq!(count(&|| drop(put(&engine, "n0::k00000", b"1"))), 2);
    assert_eq!(count(&|| drop(get(&engine, "n0::k00000"))), 1);
    assert_eq!(count(&|| assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 2_500)), 3);
    assert_eq!(count(&|| assert_eq!(wait(engine.scan(scan("", 100))).unwrap().rows.len(), 100)), 1);
    assert_eq!(count(&|| assert_eq!(wait(engine.scan(scan("n2::k0001", 100))).unwrap().rows.len(), 3)), 1);
    assert_eq!(count(&|| assert_eq!(wait(engine.namespaces(KeyRange::all(), 0, Some(1))).unwrap().len(), 3)), 2);
    assert_eq!(count(&|| assert_eq!(wait(engine.remove_range(KeyRange::all())).unwrap(), 2_500)), 6);
    assert_eq!(count(&|| assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 0)), 1);
}

#[test]
fn dead_objects_are_removed_without_anyone_calling() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let clock = ManualClock::at(1_700_000_000_000_000_000);
    let config = ObjectConfig { connection_timeout: Duration::from_millis(700), ..server.config("p") };
    let engine = ObjectEngine::new(config, Clock::Manual(clock.clone())).unwrap();
    let dies = |at| (key(&format!("k{at}")), Write::Put(record(fresh(), 1, Some(1_700_000_000_010), b"x")));
    wait(engine.commit(Batch { writes: (0..30).map(dies).collect(), ..Batch::default() })).unwrap();
    put(&engine, "stays", b"x").unwrap();
    put(&engine, "popped", b"x").unwrap();
    pop(&engine, "popped").unwrap();
    clock.advance(20_000_000);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 1);
    put(&engine, "k3", b"again").unwrap();
    eventually(|| server.objects() == 2);
    assert_eq!(get(&engine, "k3").unwrap(), Some(b"again".to_vec()));
    assert_eq!(get(&engine, "stays").unwrap(), Some(b"x".to_vec()));
}

#[test]
fn a_write_while_a_dead_object_is_removed_is_kept() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let config = ObjectConfig { connection_timeout: Duration::from_millis(400), ..server.config("p") };
    let digger = ObjectEngine::new(config, Clock::System).unwrap();
    let (other, third) = (server.engine("p"), server.engine("p"));
    for large in [false, true] {
        put(&digger, "k", b"x").unwrap();
        assert!(pop(&digger, "k").unwrap().is_some());
        server.faults(&[("POST", "?delete", "late")]);
        server.requests();
        // The removal has been sent, and will be done in half a second.
        eventually(|| server.requests().contains_key("delete_many"));
        assert_eq!(get(&other, "k").unwrap(), None);
        let body = if large { noise(17 * MIB) } else { b"new".to_vec() };
        assert_eq!(
            wait(third.commit(write("k", Some(Check::Version(1)), record(2, 1, None, b"")))).unwrap(),
            Commit::Conflict(key("k"))
        );
        put(&other, "k", &body).unwrap();
        // Longer than the removal takes: that nothing happens can't be waited for.
        std::thread::sleep(Duration::from_millis(600));
        assert!(get(&other, "k").unwrap() == Some(body));
    }
    // What is set anew before it is removed is not removed.
    pop(&digger, "k").unwrap();
    assert_eq!(increment(&other, "k").unwrap(), 1);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(increment(&other, "k").unwrap(), 2);
}

#[test]
fn several_keys_say_what_was_written() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let config = ObjectConfig { connection_timeout: Duration::from_secs(1), max_connections: 2, ..server.config("p") };
    let engine = ObjectEngine::new(config, Clock::System).unwrap();
    wait(engine.ping()).unwrap();
    server.faults(&[("PUT", "/k5!", "drop"); 40]);
    let put = |at| (key(&format!("k{at}")), Write::Put(record(fresh(), 1, None, b"x")));
    let outcome = wait(engine.commit(Batch { writes: (0..10).map(put).collect(), ..Batch::default() }));
    let Err(Error::PartialWrite { written, total: 10, error }) = outcome else { panic!("{outcome:?}") };
    assert!(matches!(*error, Error::Unavailable { .. } | Error::Timeout { .. }), "{error}");
    assert!(!written.contains(&"k5".to_owned()) && written.contains(&"k0".to_owned()));
    server.faults(&[]);
    let there = wait(engine.scan(scan("", 100))).unwrap().rows;
    assert_eq!(there.iter().map(|row| row.key.as_str().to_owned()).collect::<Vec<_>>(), written);
    let both = Batch {
        checks: [(key("a"), Check::Absent), (key("b"), Check::Absent)].into_iter().collect(),
        ..Batch::default()
    };
    assert!(matches!(wait(engine.commit(both)), Err(Error::Unsupported { .. })));
    assert!(matches!(engine.transactions(), Err(Error::Unsupported { .. })));
}

#[test]
fn no_secret_is_shown_and_no_plain_http_is_used_unasked() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let plain = ObjectConfig { allow_http: false, ..server.config("p") };
    let shown = format!("{plain:?}");
    assert!(!shown.contains("not-to-be-shown") && shown.contains("aws_secret_access_key"), "{shown}");
    let refused = |config| match ObjectEngine::new(config, Clock::System) {
        Err(Error::Configuration(words)) => words,
        other => panic!("{:?}", other.map(|engine| engine.location())),
    };
    assert!(refused(plain.clone()).contains("allow_http"));
    for (name, value) in [
        ("aws_secret_acess_key", "not-to-be-shown"),
        ("allow_http", "true"),
        ("bucket", "other"),
        ("s3_express", "true"),
    ] {
        let mut config = server.config("p");
        config.storage_options.push((name.into(), value.into()));
        assert!(!refused(config).contains("not-to-be-shown"));
    }
    let missing = ObjectConfig { url: "s3://nobody/p".into(), ..server.config("p") };
    let engine = ObjectEngine::new(missing, Clock::System).unwrap();
    for outcome in [get(&engine, "k").map(drop), put(&engine, "k", b"").map(drop), wait(engine.ping())] {
        let error = outcome.unwrap_err();
        assert!(matches!(&error, Error::Unavailable { reason, .. } if reason.contains("does not exist")), "{error}");
    }
}

#[test]
fn long_keys_say_the_limit() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let engine = server.engine("some/prefix");
    let fits = "k".repeat(1_024 - "some/prefix/".len() - 1 - 5);
    put(&engine, &fits, b"x").unwrap();
    assert_eq!(get(&engine, &fits).unwrap(), Some(b"x".to_vec()));
    for long in [format!("{fits}k"), "é".repeat(210)] {
        for outcome in
            [put(&engine, &long, b"x").map(drop), get(&engine, &long).map(drop), pop(&engine, &long).map(drop)]
        {
            let error = outcome.unwrap_err();
            assert!(matches!(error, Error::InvalidKey(_)) && error.to_string().contains("1024"), "{error}");
        }
    }
    put(&engine, &"é".repeat(190), b"x").unwrap();
}

#[test]
fn dropped_answers_leave_the_work_whole() {
    if !installed() {
        return;
    }
    let server = Server::start();
    let engine = server.engine("p");
    for round in 0..20 {
        drop(engine.commit(write(&format!("k{round}"), None, record(1, 1, None, b"x"))));
    }
    wait(engine.close()).unwrap();
    wait(engine.close()).unwrap();
    assert!(matches!(get(&engine, "k1"), Err(Error::Closed { backend: "object" })));
    let after = server.engine("p");
    assert_eq!(wait(after.count(KeyRange::all())).unwrap(), 20);
}

#[test]
fn objects_of_others_are_left_alone() {
    if !installed() {
        return;
    }
    let server = Server::start();
    server.object("p/README.md", "hello");
    server.object("p/a::/b", "hello");
    server.object("p/damaged!", "hello");
    let engine = server.engine("p");
    put(&engine, "k", b"x").unwrap();
    assert!(matches!(get(&engine, "damaged"), Err(Error::Corrupted { key, .. }) if key == "damaged"));
    delete(&engine, &["k"]).unwrap();
    assert_eq!(server.objects(), 3);
}
