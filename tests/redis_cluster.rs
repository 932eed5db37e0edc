//! A Redis cluster whose nodes die, are replaced, and hand slots to each other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod redis_support;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis_support::{Cluster, adding, config, get, installed, key, number, open, put, puts, record, wait, words};
use rrag_storage::engine::redis::{RedisConfig, RedisEngine};
use rrag_storage::engine::{Change, Commit, Engine, KeyRange, Record};
use rrag_storage::{Clock, Error, Key};

fn slots_of(cluster: &Cluster, node: usize) -> String {
    redis::cmd("CLUSTER").arg("MYID").query(&mut cluster.nodes[node].raw()).unwrap()
}

/// Which node holds a key of ours.
fn node_of(cluster: &Cluster, segment: &str) -> usize {
    (0..cluster.nodes.len())
        .find(|&node| {
            let name = format!("rrag{{+{segment}}}:{segment}::k");
            redis::cmd("SET").arg(&name).arg("probe").query::<redis::Value>(&mut cluster.nodes[node].raw()).is_ok() && {
                let _: redis::Value = redis::cmd("DEL").arg(&name).query(&mut cluster.nodes[node].raw()).unwrap();
                true
            }
        })
        .unwrap()
}

#[test]
fn deletions_and_updates_span_namespaces_and_commits_do_not() {
    if !installed() {
        return;
    }
    let cluster = Cluster::start();
    let engine = open(&cluster.url());
    for name in ["a::1", "b::1", "plain", "c{}::1"] {
        put(&engine, name, name.as_bytes()).unwrap();
    }
    let names = ["plain", "b::1", "none::1", "c{}::1", "a::1"];
    let keys: Vec<Key> = names.iter().map(|name| key(name)).collect();
    let change = |_: &Key, before: Option<&Record>| {
        Ok(before.map_or(Change::Keep, |_| Change::Put(record(2, 1, None, b"touched"))))
    };
    let updated = wait(engine.update(keys.clone(), Arc::new(change))).unwrap();
    let before: Vec<_> = updated.iter().map(|one| one.before.as_ref().map(|record| record.body.to_vec())).collect();
    let wanted: Vec<_> = names.iter().map(|name| (*name != "none::1").then(|| name.as_bytes().to_vec())).collect();
    assert_eq!(before, wanted);
    assert!(matches!(wait(engine.commit(puts(&[("a::1", b"x"), ("plain", b"x")]))), Err(Error::Unsupported { .. })));
    assert_eq!(get(&engine, "a::1").unwrap().unwrap(), b"touched");
    assert_eq!(wait(engine.delete(keys)).unwrap(), 4);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 0);
}

#[test]
fn a_node_that_dies_takes_only_its_own_keys_along() {
    if !installed() {
        return;
    }
    let mut cluster = Cluster::start();
    let engine = open(&cluster.url());
    let segments: Vec<String> = (0..12).map(|at| format!("n{at}")).collect();
    let dead = segments.iter().map(|segment| node_of(&cluster, segment)).find(|&node| node != 0).unwrap();
    let (lost, left): (Vec<_>, Vec<_>) = segments.iter().partition(|segment| node_of(&cluster, segment) == dead);
    for segment in &segments {
        put(&engine, &format!("{segment}::k"), segment.as_bytes()).unwrap();
    }
    // Without this a cluster refuses everything once a part of it is gone.
    for node in &cluster.nodes {
        let _: redis::Value =
            redis::cmd("CONFIG").arg(&["SET", "cluster-require-full-coverage", "no"]).query(&mut node.raw()).unwrap();
    }
    let short = RedisConfig { connection_timeout: Duration::from_secs(3), ..config(&cluster.url()) };
    let short = RedisEngine::new(short, Clock::System).unwrap();
    wait(short.open()).unwrap();
    cluster.nodes[dead].kill();
    for segment in &left {
        assert_eq!(get(&short, &format!("{segment}::k")).unwrap().unwrap(), segment.as_bytes(), "{segment}");
    }
    let began = Instant::now();
    let said = words(get(&short, &format!("{}::k", lost[0])).map(drop));
    assert!(began.elapsed() < Duration::from_secs(20), "{said}: {:?}", began.elapsed());
    cluster.nodes[dead].restart();
    put(&engine, &format!("{}::k", lost[0]), b"again").unwrap();
    assert_eq!(get(&engine, &format!("{}::k", lost[0])).unwrap().unwrap(), b"again");
}

#[test]
fn a_failover_is_gone_through() {
    if !installed() {
        return;
    }
    let mut cluster = Cluster::with_replicas(1);
    // The election takes the nodes a few seconds, and more on a busy machine.
    let patient = RedisConfig { connection_timeout: Duration::from_mins(1), ..config(&cluster.url()) };
    let engine = RedisEngine::new(patient, Clock::System).unwrap();
    for at in 0..30 {
        put(&engine, &format!("n{at}::k"), b"before").unwrap();
    }
    let dead = (0..cluster.nodes.len())
        .rfind(|&node| {
            let role: redis::Value = redis::cmd("ROLE").query(&mut cluster.nodes[node].raw()).unwrap();
            matches!(role, redis::Value::Array(parts) if parts[0] == redis::Value::BulkString(b"master".to_vec()))
        })
        .unwrap();
    // What was acknowledged has to be on the replicas, which a failover goes on with.
    let copies: i64 = redis::cmd("WAIT").arg(1).arg(30_000).query(&mut cluster.nodes[dead].raw()).unwrap();
    assert_eq!(copies, 1);
    cluster.nodes[dead].kill();
    for at in 0..30 {
        let name = format!("n{at}::k");
        assert_eq!(get(&engine, &name).unwrap().unwrap(), b"before");
        put(&engine, &name, b"after").unwrap();
        assert_eq!(number(&wait(adding(&engine, &format!("n{at}::sum"))).unwrap()), 1);
    }
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 60);
}

#[test]
fn slots_move_under_load() {
    if !installed() {
        return;
    }
    let cluster = Cluster::start();
    let engine = open(&cluster.url());
    let (over, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    for at in 0..20 {
        put(&engine, &format!("m{at}::k"), b"there").unwrap();
    }
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let round = rounds.fetch_add(1, Ordering::Relaxed) + 1;
                let space = round % 20;
                put(&engine, &format!("m{space}::{round}"), b"x").unwrap();
                assert!(get(&engine, &format!("m{space}::{round}")).unwrap().is_some());
                assert_eq!(get(&engine, &format!("m{}::k", round % 20)).unwrap().unwrap(), b"there");
                assert_eq!(number(&wait(adding(&engine, "sum::all")).unwrap()), round);
            }
        });
        let host = format!("127.0.0.1:{}", cluster.nodes[0].port);
        let moved = Command::new("redis-cli")
            .args(["--cluster", "reshard", &host, "--cluster-from", &slots_of(&cluster, 1), "--cluster-to"])
            .args([&slots_of(&cluster, 2), "--cluster-slots", "3000", "--cluster-yes"])
            .stdout(Stdio::null())
            .status();
        over.store(true, Ordering::Relaxed);
        load.join().unwrap();
        assert!(moved.unwrap().success());
    });
    let rounds = rounds.into_inner();
    assert!(rounds > 0);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), rounds + 21);
    assert!(matches!(wait(engine.commit(puts(&[("m1::k", b"x")]))).unwrap(), Commit::Done(_)));
}
