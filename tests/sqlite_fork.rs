//! Forks of a process that has a file open: parent and child both go on, and neither takes from the other.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod sqlite_support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rrag_storage::engine::Engine;
use rrag_storage::fork;
use sqlite_support::{get, open, put, wait};

unsafe extern "C" {
    #[link_name = "fork"]
    fn system_fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(status: i32) -> !;
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_child_opens_the_file_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    if let Ok(path) = std::env::var("RRAG_TEST_FORK") {
        return fork_and_write(Path::new(&path));
    }
    for _ in 0..5 {
        let _ = std::fs::remove_file(folder.path().join("closed"));
        // A process of its own, so that what the fork copies is known.
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["a_child_opens_the_file_by_itself", "--exact", "--nocapture"])
            .env("RRAG_TEST_FORK", &path)
            .status()
            .unwrap();
        assert!(status.success());
    }
}

fn fork_and_write(path: &Path) {
    let closed = path.with_file_name("closed");
    let engine = open(path);
    let memory = rrag_storage::engine::sqlite::SqliteEngine::new(
        rrag_storage::engine::sqlite::SqliteConfig::new(rrag_storage::engine::sqlite::SqlitePath::Memory),
        rrag_storage::Clock::System,
    );
    put(&memory, "m", b"1").unwrap();
    put(&engine, "before", b"1").unwrap();
    wait(engine.read((0..20).map(|i| sqlite_support::key(&format!("k{i}"))).collect())).unwrap();
    // Writes under way at the fork.
    let busy: Vec<_> = (0..100).map(|i| engine.commit(sqlite_support::puts(&[(&format!("k{i}"), b"x")]))).collect();
    fork::before();
    // SAFETY: the child calls nothing of the parent's other threads, whose locks the gate has kept free.
    let pid = unsafe { system_fork() };
    if pid == 0 {
        fork::after_in_child();
        std::mem::forget(busy);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            assert_eq!(get(&memory, "m").unwrap(), Some(b"1".to_vec()));
            put(&memory, "m", b"2").unwrap();
            assert_eq!(get(&engine, "before").unwrap(), Some(b"1".to_vec()));
            put(&engine, "child", b"1").unwrap();
            until("the parent closes", || closed.exists());
            for i in 0..200 {
                put(&engine, &format!("late{i}"), b"1").unwrap();
            }
            // Killed without closing: the log holds all of it.
        }));
        // SAFETY: ends the child without running what the parent registered for its own end.
        unsafe { _exit(i32::from(run.is_err())) }
    }
    fork::after_in_parent();
    for answer in busy {
        wait(answer).unwrap();
    }
    put(&engine, "parent", b"1").unwrap();
    until("the child writes", || get(&engine, "child").unwrap().is_some());
    assert_eq!(get(&memory, "m").unwrap(), Some(b"1".to_vec()));
    wait(engine.close()).unwrap();
    drop(engine);
    std::fs::write(&closed, b"").unwrap();
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
    let again = open(path);
    for name in ["before", "child", "parent", "late0", "late199", "k99"] {
        assert_eq!(get(&again, name).unwrap().map(|body| body.len()), Some(1), "{name}");
    }
    wait(again.remove_range(rrag_storage::engine::KeyRange::all())).unwrap();
    wait(again.close()).unwrap();
}
