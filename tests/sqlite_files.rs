//! What a file can be, and what happens to it: refusals, other processes, a full disk, a file that goes away.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod sqlite_support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rrag_storage::engine::sqlite::{SqliteConfig, SqliteEngine, SqlitePath};
use rrag_storage::engine::{Engine, KeyRange};
use rrag_storage::{Clock, Error};
use sqlite_support::{config, get, increment, open, put, wait, words};

/// Opens and reads what stands at `path`: the refusal's words.
fn refusal(path: &Path) -> String {
    let engine = open(path);
    let said = words(wait(engine.open()));
    // The next operation tries again, and says the same.
    assert_eq!(words(get(&engine, "k")), said);
    assert!(said.contains(&*path.to_string_lossy()), "{said}");
    wait(engine.close()).unwrap();
    said
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(refusal(folder.path()).contains("directory"));
    assert!(refusal(&at("missing/a.db")).contains("directory does not exist"));
    assert!(!at("missing").exists());
    for (name, bytes) in [("short", b"hello".to_vec()), ("long", vec![b'x'; 10_000])] {
        fs::write(at(name), &bytes).unwrap();
        assert!(refusal(&at(name)).contains("not a SQLite database"), "{name}");
        assert_eq!(fs::read(at(name)).unwrap(), bytes);
    }
    for (name, mode) in [("foreign", "DELETE"), ("foreign-wal", "WAL")] {
        let other = rusqlite::Connection::open(at(name)).unwrap();
        other
            .execute_batch(&format!("PRAGMA journal_mode = {mode}; CREATE TABLE t (x); INSERT INTO t VALUES (1);"))
            .unwrap();
        if mode == "WAL" {
            // As a killed process leaves it: the log not written back.
            other.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        }
        drop(other);
        let before = fs::read(at(name)).unwrap();
        assert!(refusal(&at(name)).contains("another program"), "{name}");
        assert_eq!(fs::read(at(name)).unwrap(), before, "{name}");
        let other = rusqlite::Connection::open(at(name)).unwrap();
        assert_eq!(other.query_row("SELECT x FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    wait(open(&path).close()).unwrap();
    let engine = open(&path);
    put(&engine, "k", b"v").unwrap();
    wait(engine.close()).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("UPDATE rrag_storage_schema SET version = 2", []).unwrap();
    other.close().unwrap();
    let before = fs::read(&path).unwrap();
    assert!(refusal(&path).contains("version 2"));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_damaged_file_is_an_error_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let engine = open(&path);
    for i in 0..500 {
        put(&engine, &format!("k{i}"), &[7; 300]).unwrap();
    }
    wait(engine.close()).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let engine = open(&path);
    let failed = (0..500).filter(|i| get(&engine, &format!("k{i}")).is_err()).count();
    assert!(failed > 0);
    drop(engine);
    for page in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0xa5);
        fs::write(&path, &damaged).unwrap();
        let engine = open(&path);
        for i in [0, 250, 499] {
            let _ = get(&engine, &format!("k{i}"));
        }
        let _ = wait(engine.count(KeyRange::all()));
        let _ = wait(engine.close());
    }
}

#[test]
fn a_file_that_goes_away_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    for replaced in [false, true] {
        let engine = open(&path);
        put(&engine, "k", b"v").unwrap();
        if replaced {
            let other = folder.path().join("other.db");
            fs::write(&other, b"").unwrap();
            fs::rename(&other, &path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        assert!(words(put(&engine, "k", b"w")).contains("deleted or replaced"));
        // Reads look only now and then: until then they answer from the file that was opened.
        let end = Instant::now() + Duration::from_secs(20);
        while let Ok(found) = get(&engine, "k") {
            assert_eq!(found, Some(b"v".to_vec()));
            assert!(Instant::now() < end, "a read does not notice");
            std::thread::yield_now();
        }
        assert!(words(get(&engine, "k")).contains("deleted or replaced"));
        wait(engine.close()).unwrap();
        if replaced {
            assert_eq!(fs::read(&path).unwrap(), b"");
        }
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let engine = open(&path);
    put(&engine, "k", b"v").unwrap();
    for name in ["a.db", "a.db-wal", "a.db-shm"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn several_tables_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let named = |table: &str| SqliteEngine::new(SqliteConfig { table: table.into(), ..config(&path) }, Clock::System);
    let (one, two) = (named("one"), named("select"));
    put(&one, "k", b"1").unwrap();
    put(&two, "k", b"2").unwrap();
    assert_eq!(get(&one, "k").unwrap(), Some(b"1".to_vec()));
    assert_eq!(get(&two, "k").unwrap(), Some(b"2".to_vec()));
    assert_eq!(wait(one.remove_range(KeyRange::all())).unwrap(), 1);
    assert_eq!(get(&two, "k").unwrap(), Some(b"2".to_vec()));
}

#[test]
fn another_writer_is_waited_for_until_the_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let timeout = Duration::from_millis(300);
    let engine = SqliteEngine::new(SqliteConfig { connection_timeout: timeout, ..config(&path) }, Clock::System);
    put(&engine, "k", b"v").unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    assert!(matches!(put(&engine, "k", b"w"), Err(Error::Timeout { .. })));
    assert!(began.elapsed() >= timeout && began.elapsed() < Duration::from_secs(20));
    assert_eq!(get(&engine, "k").unwrap(), Some(b"v".to_vec()));
    let waiting = engine.commit(sqlite_support::puts(&[("k", b"x")]));
    std::thread::sleep(Duration::from_millis(100));
    other.execute_batch("COMMIT").unwrap();
    wait(waiting).unwrap();
    assert_eq!(get(&engine, "k").unwrap(), Some(b"x".to_vec()));
}

#[test]
fn paths_are_taken_literally() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["file:x.db?mode=memory", ":memory:", "with space%20 and ?x=1", "ü.db"] {
        let path = folder.path().join(name);
        let engine = SqliteEngine::new(SqliteConfig::new(SqlitePath::File(path.clone())), Clock::System);
        put(&engine, "k", b"v").unwrap();
        wait(engine.close()).unwrap();
        assert!(path.is_file(), "{name}");
    }
}

/// A part that a child process plays: the test binary itself, started with this test's name and a variable.
fn child(part: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child_process", "--exact", "--nocapture"])
        .env("RRAG_TEST_PART", part)
        .env("RRAG_TEST_PATH", path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn child_process() {
    let (Ok(part), Ok(path)) = (std::env::var("RRAG_TEST_PART"), std::env::var("RRAG_TEST_PATH")) else { return };
    let path = Path::new(&path);
    match part.as_str() {
        "open" => {
            for _ in 0..10 {
                let engine = open(path);
                put(&engine, &format!("p{}", std::process::id()), b"v").unwrap();
                wait(engine.close()).unwrap();
            }
        }
        "increment" => {
            let engine = open(path);
            (0..500).for_each(|_| assert!(increment(&engine, "n").unwrap() > 0));
        }
        _ => panic!("no such part"),
    }
}

#[test]
fn processes_race_to_open_and_to_close() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let path = folder.path().join(format!("{round}.db"));
        let children: Vec<_> = (0..6).map(|_| child("open", &path)).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert_eq!(wait(open(&path).count(KeyRange::all())).unwrap(), 6);
    }
}

#[test]
fn processes_increment_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let children: Vec<_> = (0..8).map(|_| child("increment", &path)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(increment(&open(&path), "n").unwrap(), 4_001);
}
