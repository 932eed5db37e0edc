//! TLS to a Redis server: whose certificate is trusted, and whose isn't.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod redis_support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis_support::{Server, free_port, get, installed, put, wait, words};
use rrag_storage::Clock;
use rrag_storage::engine::Engine;
use rrag_storage::engine::redis::{RedisConfig, RedisEngine};

fn openssl(folder: &Path, command: &str) {
    let done = Command::new("openssl").args(command.split(' ')).current_dir(folder).stderr(Stdio::null()).status();
    assert!(done.unwrap().success(), "openssl {command}");
}

/// An authority, and a certificate of `localhost` that it has signed.
fn certificates(folder: &Path) {
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
    openssl(folder, "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE").unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}

fn engine(url: &str, ca: Option<&[u8]>) -> Arc<RedisEngine> {
    let config = RedisConfig {
        connection_timeout: Duration::from_secs(20),
        ca_certificates: ca.map(<[u8]>::to_vec),
        ..RedisConfig::new(url)
    };
    RedisEngine::new(config, Clock::System).unwrap()
}

#[test]
fn certificates_and_names_are_checked() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let port = free_port();
    let server = Server::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &at("server.pem"),
        "--tls-key-file",
        &at("server.key"),
        "--tls-ca-cert-file",
        &at("ca.pem"),
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "hunter2",
    ]);
    let ca = std::fs::read(folder.path().join("ca.pem")).unwrap();
    let trusted = engine(&format!("rediss://:hunter2@localhost:{port}"), Some(&ca));
    put(&trusted, "k", b"v").unwrap();
    assert_eq!(get(&trusted, "k").unwrap().unwrap(), b"v");
    let unchecked = engine(&format!("rediss://:hunter2@127.0.0.1:{port}#insecure"), None);
    assert_eq!(get(&unchecked, "k").unwrap().unwrap(), b"v");
    for (url, ca) in [
        (format!("rediss://:hunter2@localhost:{port}"), None),
        (format!("rediss://:hunter2@127.0.0.1:{port}"), Some(ca.as_slice())),
    ] {
        let began = Instant::now();
        let said = words(wait(engine(&url, ca).open()));
        assert!(said.contains("certificate") && !said.contains("hunter2"), "{said}");
        assert!(began.elapsed() < Duration::from_secs(18), "{said}");
    }
    let said = words(wait(engine(&format!("rediss://:wr0ng@localhost:{port}"), Some(&ca)).open()));
    assert!(said.contains("password") && !said.contains("wr0ng"), "{said}");
    // Neither speaks the other's protocol.
    let short = |url: String| {
        let config = RedisConfig { connection_timeout: Duration::from_secs(1), ..RedisConfig::new(url) };
        RedisEngine::new(config, Clock::System).unwrap()
    };
    words(wait(short(format!("rediss://localhost:{}", server.port)).open()));
    words(wait(short(format!("redis://localhost:{port}")).open()));
}
