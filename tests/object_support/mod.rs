//! A private S3 server for tests, and what the tests of the object store engine share.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

#[path = "../engine_support/mod.rs"]
mod engine_support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rrag_storage::engine::object::{ObjectConfig, ObjectEngine};
use rrag_storage::engine::{Batch, Change, Check, Commit, Engine, NewRecord, Record, Write};
use rrag_storage::{Clock, Key, Result};

pub use engine_support::*;

pub const BUCKET: &str = "bucket";

/// Whether the server can run. Where it must and can't, the test fails.
pub fn installed() -> bool {
    let there = Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !there {
        assert!(std::env::var_os("RRAG_REQUIRE_SERVERS").is_none(), "install python3");
        eprintln!("ignored: install python3");
    }
    there
}

pub struct Server {
    pub port: u16,
    folder: tempfile::TempDir,
    child: Child,
}

impl Server {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let (child, port) = spawn(folder.path(), 0);
        Self { port, folder, child }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, on the same port.
    pub fn start_again(&mut self) {
        (self.child, self.port) = spawn(self.folder.path(), self.port);
    }

    pub fn config(&self, prefix: &str) -> ObjectConfig {
        let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        ObjectConfig {
            storage_options: vec![
                option("aws_endpoint", &format!("http://127.0.0.1:{}", self.port)),
                option("aws_access_key_id", "name"),
                option("aws_secret_access_key", "not-to-be-shown"),
                option("region", "us-east-1"),
            ],
            allow_http: true,
            connection_timeout: Duration::from_secs(20),
            ..ObjectConfig::new(format!("s3://{BUCKET}/{prefix}"))
        }
    }

    pub fn engine(&self, prefix: &str) -> Arc<ObjectEngine> {
        ObjectEngine::new(self.config(prefix), Clock::System).unwrap()
    }

    fn http(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// What goes wrong with the next requests: (method, part of the path, fault).
    pub fn faults(&self, faults: &[(&str, &str, &str)]) {
        let each: Vec<String> = faults
            .iter()
            .map(|(method, contains, fault)| {
                format!(r#"{{"method": "{method}", "contains": "{contains}", "fault": "{fault}"}}"#)
            })
            .collect();
        self.http("PUT", "/-/faults", &format!("[{}]", each.join(",")));
    }

    /// Writes an object that is not ours.
    pub fn object(&self, name: &str, content: &str) {
        self.http("PUT", &format!("/{BUCKET}/{name}"), content);
    }

    /// How many objects there are, dead ones too.
    pub fn objects(&self) -> usize {
        std::fs::read_dir(self.folder.path().join(BUCKET)).unwrap().count()
    }

    /// How many requests of each kind there were since the last time.
    pub fn requests(&self) -> HashMap<String, u64> {
        let text = self.http("GET", "/-/requests", "");
        let pairs = text.trim_matches(['{', '}']).split(',').filter_map(|pair| pair.split_once(':'));
        pairs.map(|(name, count)| (name.trim().trim_matches('"').to_owned(), count.trim().parse().unwrap())).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, port: u16) -> (Child, u16) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/s3_server.py");
    let mut child =
        Command::new("python3").arg(script).arg(folder).arg(port.to_string()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().unwrap())
}

pub fn folder(path: &Path) -> Arc<ObjectEngine> {
    ObjectEngine::new(ObjectConfig::new(format!("file://{}", path.display())), Clock::System).unwrap()
}

/// Asks until the answer is as wished for, for 20 s.
pub fn eventually(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "it did not come to that");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn write(name: &str, check: Option<Check>, new: NewRecord) -> Batch {
    Batch {
        checks: check.map(|check| (key(name), check)).into_iter().collect(),
        writes: [(key(name), Write::Put(new))].into_iter().collect(),
    }
}

pub fn put(engine: &ObjectEngine, name: &str, body: &[u8]) -> Result<Commit> {
    wait(engine.commit(write(name, None, record(fresh(), Clock::System.stamp(), None, body))))
}

pub fn delete(engine: &ObjectEngine, names: &[&str]) -> Result<Commit> {
    let writes = names.iter().map(|name| (key(name), Write::Delete)).collect();
    wait(engine.commit(Batch { writes, ..Batch::default() }))
}

pub fn get(engine: &ObjectEngine, name: &str) -> Result<Option<Vec<u8>>> {
    wait(engine.read_one(&key(name))).map(|found| found.map(|record| record.body.to_vec()))
}

/// Takes the record under `name` out.
pub fn pop(engine: &ObjectEngine, name: &str) -> Result<Option<Vec<u8>>> {
    let change = |_: &Key, before: Option<&Record>| Ok(before.map_or(Change::Keep, |_| Change::Delete));
    let updated = wait(engine.update(vec![key(name)], Arc::new(change)))?;
    Ok(updated[0].before.as_ref().map(|record| record.body.to_vec()))
}

/// Adds one to the number under `name`.
pub fn increment(engine: &ObjectEngine, name: &str) -> Result<u64> {
    wait(engine.update(vec![key(name)], plus_one())).map(|updated| number(&updated))
}
