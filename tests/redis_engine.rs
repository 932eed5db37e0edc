//! The Redis engine among processes, and over everything that a server does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod redis_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis_support::{
    Cluster, Server, adding, config, get, installed, key, number, open, put, puts, record, wait, words,
};
use rrag_storage::engine::redis::{RedisConfig, RedisEngine};
use rrag_storage::engine::{Batch, Check, Commit, Engine, KeyRange, Scan, Write};
use rrag_storage::{Clock, Error, ManualClock, SortOrder};

/// Set in the processes that a test starts of itself: what they are to increment.
const CHILD: &str = "RRAG_TEST_REDIS_URL";

#[test]
fn processes_increment_exactly() {
    if let Ok(url) = std::env::var(CHILD) {
        let engine = open(&url);
        for at in 0..500 {
            // Half of them wait together.
            let one = adding(&engine, "n::all");
            if at % 2 == 0 {
                wait(adding(&engine, "n::all")).unwrap();
            } else {
                wait(adding(&engine, &format!("n::{}", at % 7))).unwrap();
            }
            wait(one).unwrap();
        }
        return;
    }
    if !installed() {
        return;
    }
    let (server, cluster) = (Server::plain(), Cluster::start());
    for url in [server.url(), cluster.url()] {
        let mut start = std::process::Command::new(std::env::current_exe().unwrap());
        start.args(["--exact", "processes_increment_exactly"]).env(CHILD, &url).stdout(std::process::Stdio::null());
        let children: Vec<_> = (0..8).map(|_| start.spawn().unwrap()).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let engine = open(&url);
        assert_eq!(number(&wait(adding(&engine, "n::all")).unwrap()), 8 * 750 + 1);
        assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 8);
    }
}

/// Sets, increments, deletes and reads from several threads while `upset` does something to the server. Every
/// acknowledged write must be there afterwards, and each increment count once.
fn under_load(url: &str, upset: impl FnOnce()) {
    let engine = open(url);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0u64..4)
            .map(|worker| {
                let (engine, over) = (&engine, &over);
                scope.spawn(move || {
                    let mut round = 0u64;
                    while !over.load(Ordering::Relaxed) || round < 50 {
                        round += 1;
                        let name = format!("w{worker}::{round}");
                        let body = round.to_le_bytes();
                        let added = adding(engine, "sum::all");
                        let mine = adding(engine, &format!("sum::{worker}"));
                        put(engine, &name, &body).unwrap();
                        assert_eq!(get(engine, &name).unwrap().unwrap(), body);
                        assert_eq!(number(&wait(mine).unwrap()), round);
                        wait(added).unwrap();
                        if round.is_multiple_of(3) {
                            let gone = Batch {
                                writes: [(key(&name), Write::Delete)].into_iter().collect(),
                                ..Batch::default()
                            };
                            assert_eq!(wait(engine.commit(gone)).unwrap(), Commit::Done([true].into_iter().collect()));
                        }
                        let fresh = Batch {
                            checks: [(key(&format!("once::{worker}-{round}")), Check::Absent)].into_iter().collect(),
                            ..puts(&[(&format!("once::{worker}-{round}"), b"x")])
                        };
                        assert!(matches!(wait(engine.commit(fresh)).unwrap(), Commit::Done(_)));
                    }
                    round
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(200));
        upset();
        std::thread::sleep(Duration::from_millis(300));
        over.store(true, Ordering::Relaxed);
        let rounds: Vec<u64> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        let sum: u64 = rounds.iter().sum();
        assert_eq!(number(&wait(adding(&engine, "sum::all")).unwrap()), sum + 1);
        for (worker, rounds) in rounds.iter().enumerate() {
            let count = wait(engine.count(KeyRange::prefix(&format!("w{worker}::")))).unwrap();
            assert_eq!(count, rounds - rounds / 3);
        }
        assert_eq!(wait(engine.count(KeyRange::prefix("once::"))).unwrap(), sum);
    });
    wait(engine.close()).unwrap();
}

#[test]
fn a_killed_server_loses_nothing() {
    if !installed() {
        return;
    }
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let url = server.url();
    under_load(&url, || {
        for _ in 0..3 {
            server.kill();
            std::thread::sleep(Duration::from_millis(100));
            server.restart();
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

#[test]
fn killed_connections_lose_nothing() {
    if !installed() {
        return;
    }
    let (server, cluster) = (Server::plain(), Cluster::start());
    let kill_all = |nodes: &[&Server]| {
        for _ in 0..10 {
            for node in nodes {
                let mut raw = node.raw();
                let _: redis::Value = redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).query(&mut raw).unwrap();
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    };
    under_load(&server.url(), || kill_all(&[&server]));
    under_load(&cluster.url(), || kill_all(&cluster.nodes.iter().collect::<Vec<_>>()));
}

#[test]
fn a_server_that_hangs_is_waited_for_and_no_longer() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    under_load(&server.url(), || {
        server.signal("-STOP");
        std::thread::sleep(Duration::from_secs(1));
        server.signal("-CONT");
    });
    let short = RedisConfig { connection_timeout: Duration::from_millis(1_500), ..config(&server.url()) };
    let engine = RedisEngine::new(short, Clock::System).unwrap();
    put(&engine, "k", b"v").unwrap();
    server.signal("-STOP");
    let began = Instant::now();
    let (write, read) = (engine.commit(puts(&[("k", b"w")])), engine.read_one(&key("k")));
    assert!(words(wait(write)).contains("outcome is unknown"));
    assert!(words(wait(read)).contains(&format!("127.0.0.1:{}", server.port)));
    assert!(began.elapsed() < Duration::from_secs(15));
    server.signal("-CONT");
    put(&engine, "k", b"x").unwrap();
    assert_eq!(get(&engine, "k").unwrap().unwrap(), b"x");
}

#[test]
fn cancelled_answers_leave_the_next_ones_right() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let engine = open(&server.url());
    let names: Vec<String> = (0..100).map(|at| format!("k{at}")).collect();
    for name in &names {
        put(&engine, name, name.as_bytes()).unwrap();
    }
    for round in 0..10_000usize {
        let name = &names[round % names.len()];
        let answers =
            (engine.read_one(&key(name)), engine.commit(puts(&[(name, name.as_bytes())])), adding(&engine, "n"));
        if round % 7 == 0 {
            std::thread::sleep(Duration::from_micros(fastrand::u64(0..200)));
        }
        drop(answers);
    }
    let answers: Vec<_> = (0..10_000).map(|at| engine.read_one(&key(&names[at % names.len()]))).collect();
    for (at, answer) in answers.into_iter().enumerate() {
        assert_eq!(&wait(answer).unwrap().unwrap().body[..], names[at % names.len()].as_bytes());
    }
    assert_eq!(number(&wait(adding(&engine, "n")).unwrap()), 10_001);
}

#[test]
fn large_and_nasty_things_come_back() {
    if !installed() {
        return;
    }
    let (server, cluster) = (Server::plain(), Cluster::start());
    let socket = format!("unix://{}", server.socket().display());
    let long = "x".repeat(2_048);
    let nasty = [
        "{",
        "}",
        "{}",
        "a{b}::c",
        "{a}::b",
        "}::{",
        "\0",
        "\0::\0",
        "a\r\nb",
        " ",
        "::",
        ":::",
        "a::",
        "é::e\u{301}",
        "*?[a]",
        "%s",
        &long,
    ];
    for url in [server.url(), socket, cluster.url()] {
        let engine = open(&url);
        for name in nasty {
            put(&engine, name, name.as_bytes()).unwrap();
        }
        let mut sorted = nasty.map(str::to_owned).to_vec();
        sorted.sort_unstable();
        let scan = Scan { range: KeyRange::all(), order: SortOrder::KeyAsc, after: None, limit: 99, records: true };
        let page = wait(engine.scan(scan)).unwrap();
        assert_eq!(page.rows.iter().map(|row| row.key.as_str().to_owned()).collect::<Vec<_>>(), sorted);
        for name in nasty {
            assert_eq!(get(&engine, name).unwrap().unwrap(), name.as_bytes());
        }
        let many: Vec<_> = nasty.iter().map(|name| key(name)).collect();
        assert!(
            wait(engine.read(many))
                .unwrap()
                .iter()
                .zip(nasty)
                .all(|(r, n)| &r.as_ref().unwrap().body[..] == n.as_bytes())
        );
        let body: Vec<u8> = (0..5_000_000u32).map(|i| (i % 251) as u8).collect();
        put(&engine, "big", &body).unwrap();
        assert!(get(&engine, "big").unwrap() == Some(body));
        assert_eq!(wait(engine.remove_range(KeyRange::all())).unwrap(), nasty.len() as u64 + 1);
        assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 0);
        wait(engine.close()).unwrap();
        assert!(matches!(wait(engine.ping()), Err(Error::Closed { .. })));
    }
    let engine = open(&server.url());
    let huge = engine.commit(puts(&[("huge", &vec![0; 512 * 1024 * 1024])]));
    let said = words(wait(huge));
    assert!(said.contains("536870912") && said.contains("large_values"), "{said}");
    // Nothing of ours is left but the notes of the writer and when keys were deleted, which end by themselves.
    let left: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut server.raw()).unwrap();
    assert!(left.iter().all(|name| name.contains(".notes.") || name.contains("}.gone")), "{left:?}");
    for name in &left {
        let ttl: i64 = redis::cmd("PTTL").arg(name).query(&mut server.raw()).unwrap();
        assert!((1..=900_000).contains(&ttl), "{name}: {ttl}");
    }
}

#[test]
fn what_expires_or_is_evicted_leaves_the_listings() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let engine = open(&server.url());
    let expiring = |ms: i64, names: &[&str]| {
        let at = Clock::System.now_ms() + ms;
        let write = |name: &&str| (key(name), Write::Put(record(1, Clock::System.stamp(), Some(at), b"x")));
        wait(engine.commit(Batch { writes: names.iter().map(write).collect(), ..Batch::default() })).unwrap();
    };
    put(&engine, "stays::a", b"x").unwrap();
    put(&engine, "evicted::a", b"x").unwrap();
    expiring(150, &["goes::a", "goes::b"]);
    expiring(60_000, &["later::a"]);
    let ttl: i64 = redis::cmd("PTTL").arg("rrag{*}:later::a").query(&mut server.raw()).unwrap();
    assert!((50_000..=60_000).contains(&ttl));
    let _: i64 = redis::cmd("DEL").arg("rrag{*}:evicted::a").query(&mut server.raw()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    for order in [SortOrder::CreatedDesc, SortOrder::KeyAsc] {
        let scan = Scan { range: KeyRange::all(), order, after: None, limit: 1, records: false };
        let page = wait(engine.scan(scan.clone())).unwrap();
        let rest = wait(engine.scan(Scan { after: Some(page.rows[0].cursor()), ..scan })).unwrap();
        let mut names = [page.rows[0].key.as_str(), rest.rows[0].key.as_str()];
        names.sort_unstable();
        assert_eq!(names, ["later::a", "stays::a"]);
    }
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 2);
    assert_eq!(wait(engine.namespaces(KeyRange::all(), 0, None)).unwrap(), ["later", "stays"]);
    let index: (i64, i64, i64) = redis::pipe()
        .cmd("ZCARD")
        .arg("rrag{*}.keys")
        .cmd("ZCARD")
        .arg("rrag{*}.made")
        .cmd("ZCARD")
        .arg("rrag{*}.ends")
        .query(&mut server.raw())
        .unwrap();
    assert_eq!(index, (2, 2, 1));
}

#[test]
fn what_is_evicted_is_in_no_count() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let engine = open(&server.url());
    for from in (0..6_000).step_by(1_000) {
        let write = |at| (key(&format!("n{}::{at}", at % 3)), Write::Put(record(1, at, None, b"x")));
        let writes = (from..from + 1_000).map(write).collect();
        wait(engine.commit(Batch { writes, ..Batch::default() })).unwrap();
    }
    assert_eq!(wait(engine.census(KeyRange::all(), 0)).unwrap().1, 3);
    // One of few, then all of a namespace and a third of many.
    let evict = |from: usize, every: usize| {
        let mut all = redis::pipe();
        for at in (from..6_000).step_by(every) {
            all.cmd("DEL").arg(format!("rrag{{*}}:n{}::{at}", at % 3)).ignore();
        }
        let _: () = all.query(&mut server.raw()).unwrap();
    };
    evict(5_999, 1);
    assert_eq!(wait(engine.count(KeyRange::prefix("n2::"))).unwrap(), 1_999);
    evict(0, 3);
    let stats = wait(engine.stats(KeyRange::all())).unwrap();
    assert_eq!(stats.keys, 3_999);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 3_999);
    assert_eq!(wait(engine.census(KeyRange::all(), 0)).unwrap().1, 2);
}

#[test]
fn a_cluster_forgets_namespaces_that_stay_empty() {
    if !installed() {
        return;
    }
    let cluster = Cluster::start();
    let engine = open(&cluster.url());
    put(&engine, "stays::k", b"x").unwrap();
    put(&engine, "goes::k", b"x").unwrap();
    put(&engine, "young::k", b"x").unwrap();
    for prefix in ["goes", "young"] {
        assert_eq!(wait(engine.remove_range(KeyRange::prefix(prefix))).unwrap(), 1);
    }
    let client = redis::cluster::ClusterClient::new(vec![cluster.url().replace("+cluster", "")]).unwrap();
    let mut raw = client.get_connection().unwrap();
    for old in ["stays", "goes"] {
        let _: i64 = redis::cmd("ZADD").arg("rrag{tags}.entered").arg(0).arg(old).query(&mut raw).unwrap();
    }
    let began = Instant::now();
    loop {
        assert_eq!(wait(engine.census(KeyRange::all(), 0)).unwrap().1, 1);
        let left: Vec<String> = redis::cmd("ZRANGE").arg("rrag{tags}").arg(0).arg(-1).query(&mut raw).unwrap();
        if left == ["stays", "young"] {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{left:?}");
    }
    assert_eq!(get(&engine, "stays::k").unwrap().unwrap(), b"x");
}

#[test]
fn expired_records_are_freed_without_anyone_calling() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let clock = ManualClock::at(1_000_000_000);
    let engine = RedisEngine::new(config(&server.url()), Clock::Manual(clock.clone())).unwrap();
    let writes = (0..2_500).map(|at| (key(&format!("k{at}")), Write::Put(record(1, at, Some(1_010), b"x")))).collect();
    wait(engine.commit(Batch { writes, ..Batch::default() })).unwrap();
    put(&engine, "stays", b"x").unwrap();
    // A clock of the past does not make Redis drop what is alive by it.
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 2_501);
    clock.advance(20_000_000);
    let began = Instant::now();
    let size = || -> i64 { redis::cmd("DBSIZE").query(&mut server.raw()).unwrap() };
    // The record that stays, and two indexes.
    while size() > 3 {
        assert!(began.elapsed() < Duration::from_secs(20), "{} left", size());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 1);
}

#[test]
fn a_cluster_commits_within_one_namespace() {
    if !installed() {
        return;
    }
    let cluster = Cluster::start();
    let engine = open(&cluster.url());
    let refused = wait(engine.commit(puts(&[("a::1", b"x"), ("b::1", b"x")])));
    assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 0);
    wait(engine.commit(puts(&[("a::1", b"x"), ("a::b::2", b"x")]))).unwrap();
    wait(engine.commit(puts(&[("plain", b"x"), ("plainer", b"x")]))).unwrap();
    for at in 0..200 {
        put(&engine, &format!("n{at:03}::k"), b"x").unwrap();
    }
    for (order, limit) in
        [(SortOrder::KeyAsc, 50), (SortOrder::KeyDesc, 7), (SortOrder::CreatedAsc, 30), (SortOrder::CreatedDesc, 204)]
    {
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let page = wait(engine.scan(Scan { range: KeyRange::all(), order, after, limit, records: true })).unwrap();
            found.extend(page.rows.iter().map(|row| row.key.as_str().to_owned()));
            after = page.rows.last().map(rrag_storage::engine::Row::cursor);
            if !page.more {
                break;
            }
        }
        assert_eq!(found.len(), 204, "{order:?}");
        if order.is_by_key() {
            let mut sorted = found.clone();
            sorted.sort_unstable();
            if order.is_descending() {
                sorted.reverse();
            }
            assert_eq!(found, sorted);
        }
    }
    assert_eq!(wait(engine.stats(KeyRange::all())).unwrap().keys, 204);
    assert_eq!(wait(engine.namespaces(KeyRange::all(), 0, Some(1))).unwrap().len(), 201);
    assert_eq!(wait(engine.remove_range(KeyRange::prefix("n"))).unwrap(), 200);
}

#[test]
fn refusals_say_what_the_server_said() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let set =
        |args: &[&str]| -> redis::Value { redis::cmd("CONFIG").arg("SET").arg(args).query(&mut server.raw()).unwrap() };
    let engine = open(&server.url());
    put(&engine, "k", b"v").unwrap();
    set(&["maxmemory", "1"]);
    let said = words(put(&engine, "k", b"w"));
    assert!(said.contains("maxmemory") && said.contains("OOM"), "{said}");
    assert_eq!(get(&engine, "k").unwrap().unwrap(), b"v");
    set(&["maxmemory", "0"]);
    put(&engine, "k", b"w").unwrap();
    let master = Server::plain();
    let mut raw = server.raw();
    let _: redis::Value = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(master.port).query(&mut raw).unwrap();
    let began = Instant::now();
    loop {
        let replication: String = redis::cmd("INFO").arg("replication").query(&mut raw).unwrap();
        if replication.contains("master_link_status:up") {
            break;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{replication}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let said = words(put(&engine, "k", b"x"));
    assert!(said.contains("READONLY") && said.contains("replica"), "{said}");
    let _: redis::Value = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query(&mut raw).unwrap();
    put(&engine, "k", b"y").unwrap();
    let _: redis::Value = redis::cmd("SCRIPT").arg("FLUSH").query(&mut raw).unwrap();
    put(&engine, "k", b"z").unwrap();

    set(&["requirepass", "hunter2"]);
    let within = |seconds, url: String| {
        let connection_timeout = Duration::from_secs(seconds);
        RedisEngine::new(RedisConfig { connection_timeout, ..RedisConfig::new(url) }, Clock::System).unwrap()
    };
    let quick = |url: String| within(2, url);
    let host = format!("127.0.0.1:{}", server.port);
    for url in [format!("redis://{host}"), format!("redis://:wr0ng@{host}"), format!("redis://ada:wr0ng@{host}")] {
        let began = Instant::now();
        let said = words(wait(within(60, url).open()));
        assert!(said.contains("password") && said.contains(&host) && !said.contains("wr0ng"), "{said}");
        // It is not asked again until the time is up.
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    let engine = quick(format!("redis://:hunter2@{host}/2"));
    put(&engine, "k", b"v").unwrap();
    assert!(!engine.location().contains("hunter2"));
    let said = words(wait(quick(format!("redis://:hunter2@{host}/99")).open()));
    assert!(said.contains("out of range"), "{said}");
    let said = words(wait(quick("redis://no.such.host.invalid".into()).open()));
    assert!(said.contains("no.such.host.invalid"), "{said}");
    let said = words(wait(quick("redis://127.0.0.1:1".into()).open()));
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn one_failing_request_fails_alone() {
    if !installed() {
        return;
    }
    let server = Server::plain();
    let engine = open(&server.url());
    let good: Vec<_> = (0..50).map(|i| engine.commit(puts(&[(&format!("k{i}"), b"x")]))).collect();
    let refused = engine.update(vec![key("k1")], Arc::new(|_, _| Err(Error::InvalidArgument("no".into()))));
    let panicking = engine.update(vec![key("k1")], Arc::new(|_, _| panic!("on purpose")));
    let late: Vec<_> = (50..99).map(|i| engine.commit(puts(&[(&format!("k{i}"), b"x")]))).collect();
    assert!(matches!(wait(refused), Err(Error::InvalidArgument(_))));
    assert!(matches!(wait(panicking), Err(Error::Backend { .. })));
    good.into_iter().chain(late).for_each(|answer| drop(wait(answer).unwrap()));
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 99);
    let _: redis::Value = redis::cmd("LPUSH").arg("rrag{*}:list").arg("x").query(&mut server.raw()).unwrap();
    let (odd, fine) = (engine.read_one(&key("list")), engine.read_one(&key("k1")));
    assert!(words(wait(odd)).contains("WRONGTYPE"));
    assert!(wait(fine).unwrap().is_some());
    let _: redis::Value = redis::cmd("SET").arg("rrag{*}:odd").arg("garbage").query(&mut server.raw()).unwrap();
    assert!(matches!(wait(engine.read_one(&key("odd"))), Err(Error::Corrupted { .. })));
}
