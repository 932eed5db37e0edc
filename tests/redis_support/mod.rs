//! Private Redis servers for tests, and what the tests share.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

pub mod proxy;

#[path = "../engine_support/mod.rs"]
mod engine_support;

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rrag_storage::engine::redis::{RedisConfig, RedisEngine};
use rrag_storage::engine::{Commit, Engine, Updated};
use rrag_storage::{Answer, Clock, Error, Result};

pub use engine_support::*;

/// The server's program: `RRAG_REDIS_SERVER` names another, such as a `valkey-server`.
fn program() -> std::ffi::OsString {
    std::env::var_os("RRAG_REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// Whether the servers' programs are there. Where they must be and are not, the test fails.
pub fn installed() -> bool {
    let there = Command::new(program()).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !there {
        assert!(std::env::var_os("RRAG_REQUIRE_SERVERS").is_none(), "install redis-server");
        eprintln!("ignored: install redis-server");
    }
    there
}

pub fn free_port() -> u16 {
    // A cluster's nodes talk on a port 10,000 higher.
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let low = 10_000 + port % 20_000;
        if TcpListener::bind(("127.0.0.1", low)).is_ok() && TcpListener::bind(("127.0.0.1", low + 10_000)).is_ok() {
            return low;
        }
    }
}

pub struct Server {
    pub port: u16,
    folder: tempfile::TempDir,
    args: Vec<String>,
    child: Child,
}

impl Server {
    pub fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, args): (u16, Vec<String>) = (free_port(), args.iter().map(|&arg| arg.to_owned()).collect());
        let child = spawn(port, folder.path(), &args);
        Self { port, folder, args, child }
    }

    pub fn plain() -> Self {
        Self::start(&["--appendonly", "no"])
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("s")
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.child = spawn(self.port, self.folder.path(), &self.args);
    }

    /// Stops it, as a machine that hangs; or lets it go on.
    pub fn signal(&self, signal: &str) {
        Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
    }

    pub fn raw(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, folder: &std::path::Path, args: &[String]) -> Child {
    let child = Command::new(program())
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--unixsocket", "s", "--dir"])
        .arg(folder)
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "redis-server does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

pub struct Cluster {
    pub nodes: Vec<Server>,
}

impl Cluster {
    /// Three masters.
    pub fn start() -> Self {
        Self::with_replicas(0)
    }

    /// Three masters with so many replicas each.
    pub fn with_replicas(replicas: usize) -> Self {
        let nodes: Vec<Server> = (0..3 * (1 + replicas))
            .map(|_| Server::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]))
            .collect();
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create", "--cluster-replicas", &replicas.to_string()]);
        create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        assert!(create.arg("--cluster-yes").stdout(Stdio::null()).status().unwrap().success());
        let began = Instant::now();
        while !nodes.iter().all(|node| {
            let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut node.raw()).unwrap();
            info.contains("cluster_state:ok")
        }) {
            assert!(began.elapsed() < Duration::from_secs(20), "the cluster does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { nodes }
    }

    pub fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.nodes[0].port)
    }
}

pub fn config(url: &str) -> RedisConfig {
    RedisConfig { connection_timeout: Duration::from_secs(20), ..RedisConfig::new(url) }
}

pub fn open(url: &str) -> Arc<RedisEngine> {
    RedisEngine::new(config(url), Clock::System).unwrap()
}

pub fn put(engine: &RedisEngine, name: &str, body: &[u8]) -> Result<Commit> {
    wait(engine.commit(puts(&[(name, body)])))
}

pub fn get(engine: &RedisEngine, name: &str) -> Result<Option<Vec<u8>>> {
    wait(engine.read_one(&key(name))).map(|found| found.map(|record| record.body.to_vec()))
}

pub fn words<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(error @ (Error::Unavailable { .. } | Error::Timeout { .. } | Error::Backend { .. })) => error.to_string(),
        other => panic!("no refusal: {other:?}"),
    }
}

/// Adds one to the number under `name`.
pub fn adding(engine: &RedisEngine, name: &str) -> Answer<Result<Vec<Updated>>> {
    engine.update(vec![key(name)], plus_one())
}
