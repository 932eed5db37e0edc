//! What lies between the engine and its server: TLS, silence, half-open connections, and a pool that is exhausted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod sql_support;

use std::fs;
use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rrag_storage::engine::sql::{SqlConfig, SqlEngine};
use rrag_storage::engine::{Engine, KeyRange};
use rrag_storage::{Clock, Error, Result};
use sql_support::{Kind, PASSWORD, Server, get, incrementing, key, put, shared, until, wait};

fn opened(config: SqlConfig) -> Result<Arc<SqlEngine>> {
    let engine = SqlEngine::new(config, Clock::System)?;
    wait(engine.open()).map(|()| engine)
}

fn openssl(dir: &Path, command: &str) {
    let done = Command::new("openssl").args(command.split_whitespace()).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "openssl {command}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Two authorities, and a certificate for `localhost` by the first.
fn certificates(dir: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for name in ["ca", "other"] {
        openssl(dir, &format!("req -x509 {key} -keyout {name}.key -out {name}.pem -subj /CN={name} -days 2"));
    }
    openssl(dir, &format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
    fs::write(dir.join("extensions"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        dir,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem -extfile extensions",
    );
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|end| end == "key" || end == "pem") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            // The server's user, where this one is root; else it is this one's already.
            let _ = chown(&path, Some(65_534), Some(65_534));
        }
    }
}

fn tls_is_what_the_url_says(kind: Kind) {
    let mut folder = PathBuf::new();
    let started = Server::start_with(kind, |dir| {
        certificates(dir);
        dir.clone_into(&mut folder);
        let file = |name: &str| dir.join(name).display().to_string();
        let (cert, key) = (file("server.pem"), file("server.key"));
        match kind {
            Kind::Postgres => ["ssl=on".into(), format!("ssl_cert_file={cert}"), format!("ssl_key_file={key}")]
                .into_iter()
                .flat_map(|setting| ["-c".to_owned(), setting])
                .collect(),
            Kind::Mysql => vec![format!("--ssl-cert={cert}"), format!("--ssl-key={key}"), "--ssl-ca=".into()],
        }
    });
    let Some(server) = started else { return };
    let open = |host: &str, mode: &str, authority: Option<&str>| {
        let url = server.url().replace("127.0.0.1", host);
        let url = if mode.is_empty() { url } else { format!("{url}?sslmode={mode}") };
        let root_certificate = authority.map(|name| folder.join(format!("{name}.pem")));
        opened(SqlConfig { root_certificate, connection_timeout: Duration::from_secs(10), ..SqlConfig::new(url) })
    };
    let encrypted = || {
        match kind {
        Kind::Postgres => server.sql(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'rrag_storage'",
        ) == "t",
        Kind::Mysql => true,
    }
    };
    for (host, mode, authority) in [
        ("localhost", "verify-full", Some("ca")),
        ("localhost", "verify_identity", Some("ca")),
        ("127.0.0.1", "verify-ca", Some("ca")),
        ("127.0.0.1", "require", None),
        ("127.0.0.1", "prefer", None),
        ("127.0.0.1", "", None),
    ] {
        let engine = open(host, mode, authority).unwrap_or_else(|error| panic!("{host} {mode}: {error}"));
        put(&engine, "k", b"v").unwrap();
        assert!(encrypted(), "{host} {mode}");
        wait(engine.close()).unwrap();
    }
    let plain = open("127.0.0.1", "disable", None).unwrap();
    put(&plain, "k", b"v").unwrap();
    assert!(kind == Kind::Mysql || !encrypted());
    for (host, mode, authority) in [
        ("127.0.0.1", "verify-full", Some("ca")),
        ("localhost", "verify-full", Some("other")),
        ("localhost", "verify-full", None),
        ("localhost", "verify-ca", Some("other")),
        ("localhost", "verify-full", Some("missing")),
    ] {
        match open(host, mode, authority) {
            Err(Error::Unavailable { what, reason }) => {
                let words = format!("{what}: {reason}");
                assert!(words.contains("certificate") && !words.contains(PASSWORD), "{host} {mode}: {words}");
            }
            Err(other) => panic!("{host} {mode} {authority:?}: {other}"),
            Ok(_) => panic!("{host} {mode} {authority:?} was taken"),
        }
    }
}

fn scheme(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => "postgres",
        Kind::Mysql => "mysql",
    }
}

/// What accepts and never answers, and what answers with anything.
fn no_server_at_all(kind: Kind) {
    for says in [vec![], vec![b'x'; 100_000], vec![0xff; 100_000], vec![0; 100_000]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // Whoever asked may have gone already.
                let _ = stream.write_all(&says);
                held.push(stream);
            }
        });
        let url = format!("{}://ada:{PASSWORD}@127.0.0.1:{port}/app", scheme(kind));
        let config = SqlConfig { connection_timeout: Duration::from_secs(2), ..SqlConfig::new(url) };
        let engine = SqlEngine::new(config, Clock::System).unwrap();
        let began = Instant::now();
        let asked = [wait(engine.ping()).err(), put(&engine, "k", b"v").err(), get(&engine, "k").err()];
        for error in asked {
            let words = error.unwrap().to_string();
            assert!(words.contains(&port.to_string()) && !words.contains(PASSWORD), "{words}");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}

/// Passes on what it gets, but for the connections that it is told to stall.
struct Proxy {
    port: u16,
    /// The connections before this one are stalled.
    first: Arc<AtomicU64>,
    made: Arc<AtomicU64>,
}

impl Proxy {
    fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = server.port;
        let proxy = Self { port, first: Arc::default(), made: Arc::default() };
        let (first, made) = (Arc::clone(&proxy.first), Arc::clone(&proxy.made));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = made.fetch_add(1, Ordering::SeqCst);
                let (inside, outside) = (stream.unwrap(), TcpStream::connect(("127.0.0.1", target)).unwrap());
                for (mut from, mut to) in [
                    (inside.try_clone().unwrap(), outside.try_clone().unwrap()),
                    (outside.try_clone().unwrap(), inside.try_clone().unwrap()),
                ] {
                    let first = Arc::clone(&first);
                    std::thread::spawn(move || {
                        let mut bytes = vec![0; 65_536];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            if number >= first.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        proxy
    }

    /// Passes nothing on any more over the connections that there are.
    fn stall(&self) {
        self.first.store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

/// Connections that are open and over which nothing comes any more; new ones work.
fn half_open(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let proxy = Proxy::to(server);
    let url = server.url().replace(&server.port.to_string(), &proxy.port.to_string());
    let timeout = Duration::from_secs(3);
    let config = SqlConfig { connection_timeout: timeout, table: "half_open".into(), ..SqlConfig::new(url) };
    let engine = opened(config).unwrap();
    put(&engine, "k", b"v").unwrap();
    // Several connections are idle.
    let counts: Vec<_> = (0..8).map(|_| engine.count(KeyRange::prefix("k"))).collect();
    for answer in counts {
        assert_eq!(wait(answer).unwrap(), 1);
    }
    let counted = wait(incrementing(&engine, "n")).unwrap();
    for write_first in [false, true] {
        proxy.stall();
        let began = Instant::now();
        if write_first {
            assert!(wait(incrementing(&engine, "n")).is_err());
            assert!(began.elapsed() < timeout + Duration::from_secs(15), "{:?}", began.elapsed());
        }
        // A read is asked again elsewhere before its time is up, and from then on everything is.
        assert_eq!(get(&engine, "k").unwrap(), Some(b"v".to_vec()));
        put(&engine, "k", b"v").unwrap();
        assert!(wait(engine.count(KeyRange::prefix("k"))).unwrap() == 1);
    }
    let found = wait(incrementing(&engine, "n")).unwrap();
    assert!(found == counted + 1 || found == counted + 2, "{counted} {found}");
}

/// Another's hold on a table of ours, until it is dropped.
struct Held(Child);

impl Held {
    fn table(server: &Server, name: &str) -> Self {
        let sql = match server.kind {
            Kind::Postgres => format!("BEGIN; LOCK TABLE {name}; SELECT pg_sleep(60)"),
            Kind::Mysql => format!("LOCK TABLES {name} WRITE; SELECT SLEEP(60)"),
        };
        let held = Self(server.client(&sql).spawn().unwrap());
        let sleeping = match server.kind {
            Kind::Postgres => "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
            Kind::Mysql => "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'",
        };
        until("another holds the table", || server.sql(sleeping) == "1");
        held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn waiting(server: &Server) -> usize {
    let sql = match server.kind {
        Kind::Postgres => {
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'rrag_storage'"
        }
        Kind::Mysql => {
            "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%' AND user = 'ada'"
        }
    };
    server.sql(sql).parse().unwrap()
}

/// Every connection waits for a lock: who finds none is told so in time, and then all are there again.
fn an_exhausted_pool_says_so(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let timeout = Duration::from_secs(2);
    let config = SqlConfig { connection_timeout: timeout, max_connections: 3, ..server.config("exhausted") };
    let engine = opened(config).unwrap();
    put(&engine, "k", b"v").unwrap();
    for round in 0..2 {
        // Answers that nobody waits for give their connections back.
        for i in 0..1_000 {
            drop(engine.read_one(&key("k")));
            if i % 10 == 0 {
                drop(engine.count(KeyRange::prefix("k")));
            }
        }
        assert_eq!(get(&engine, "k").unwrap(), Some(b"v".to_vec()));
        let held = Held::table(&server, "exhausted");
        let began = Instant::now();
        let asked: Vec<_> = (0..5).map(|_| engine.count(KeyRange::prefix("k"))).collect();
        until("all of the pool waits", || waiting(&server) == 3);
        for answer in asked {
            match wait(answer) {
                Err(Error::Timeout { .. }) => {}
                Err(Error::Unavailable { reason, .. }) if reason.contains("held") => {}
                other => panic!("{round}: {other:?}"),
            }
        }
        assert!(began.elapsed() < timeout + Duration::from_secs(15), "{:?}", began.elapsed());
        // The server may sleep on where its client is gone.
        drop(held);
        let kill = match kind {
            Kind::Postgres => "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
            Kind::Mysql => {
                "SELECT GROUP_CONCAT(CONCAT('KILL ', id) SEPARATOR ';') FROM information_schema.processlist WHERE state = 'User sleep'"
            }
        };
        let kills = server.sql(kill);
        if kind == Kind::Mysql && kills != "NULL" {
            server.sql(&kills);
        }
        until("the table is free", || get(&engine, "k").is_ok());
    }
}

fn a_server_that_takes_no_writes(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let engine = server.open("readonly");
    put(&engine, "k", b"v").unwrap();
    match kind {
        Kind::Postgres => {
            server.sql("REVOKE ALL ON readonly FROM PUBLIC; ALTER TABLE readonly ADD CHECK (version <> 1) NOT VALID");
        }
        Kind::Mysql => drop(server.as_root("SET GLOBAL read_only = 1")),
    }
    let refused = if kind == Kind::Mysql {
        put(&engine, "k", b"w")
    } else {
        let batch = rrag_storage::engine::Batch {
            writes: [(key("k"), rrag_storage::engine::Write::Put(sql_support::record(1, 1, None, b"w")))]
                .into_iter()
                .collect(),
            ..rrag_storage::engine::Batch::default()
        };
        wait(engine.commit(batch))
    };
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("read-only") || words.contains("check constraint"), "{words}");
    assert_eq!(get(&engine, "k").unwrap(), Some(b"v".to_vec()));
    if kind == Kind::Mysql {
        server.as_root("SET GLOBAL read_only = 0");
    }
    put(&engine, "k", b"x").unwrap();
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
    tls_is_what_the_url_says
    no_server_at_all
    half_open
    an_exhausted_pool_says_so
    a_server_that_takes_no_writes
}
