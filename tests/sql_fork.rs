//! Forks of a process that is connected: parent and child both go on, each over connections of its own.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod sql_support;

use std::process::Command;

use rrag_storage::engine::sql::{SqlConfig, SqlEngine};
use rrag_storage::engine::{Engine, KeyRange};
use rrag_storage::{Clock, fork};
use sql_support::{Kind, get, incrementing, key, put, puts, shared, until, wait};

unsafe extern "C" {
    #[link_name = "fork"]
    fn system_fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(status: i32) -> !;
}

fn child_and_parent_both_go_on(kind: Kind, name: &str) {
    if let Ok(url) = std::env::var("RRAG_TEST_FORK") {
        return fork_and_write(url);
    }
    let Some(server) = shared(kind) else { return };
    for _ in 0..5 {
        // A process of its own, so that what the fork copies is known.
        let status = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env("RRAG_TEST_FORK", server.url())
            .status()
            .unwrap();
        assert!(status.success());
    }
}

fn fork_and_write(url: String) {
    let config = SqlConfig { table: "forked".into(), ..SqlConfig::new(url) };
    let open = || SqlEngine::new(config.clone(), Clock::System).unwrap();
    let engine = open();
    wait(engine.remove_range(KeyRange::all())).unwrap();
    put(&engine, "before", b"1").unwrap();
    // Reads, writes and a listing under way at the fork, on several connections.
    let reads: Vec<_> = (0..50).map(|_| engine.read_one(&key("before"))).collect();
    let counts: Vec<_> = (0..4).map(|_| engine.count(KeyRange::prefix("b"))).collect();
    let busy: Vec<_> = (0..100).map(|i| engine.commit(puts(&[(&format!("k{i}"), b"x")]))).collect();
    fork::before();
    // SAFETY: the child calls nothing of the parent's other threads, whose locks the gate has kept free.
    let pid = unsafe { system_fork() };
    if pid == 0 {
        fork::after_in_child();
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // An answer that the parent's threads owe never comes here, and is not waited for.
            drop(reads);
            std::mem::forget((counts, busy));
            assert_eq!(get(&engine, "before").unwrap(), Some(b"1".to_vec()));
            for i in 0..100 {
                put(&engine, &format!("child{i}"), b"1").unwrap();
                wait(incrementing(&engine, "n")).unwrap();
            }
            wait(engine.close()).unwrap();
            drop(engine);
        }));
        // SAFETY: ends the child without running what the parent registered for its own end.
        unsafe { _exit(i32::from(run.is_err())) }
    }
    fork::after_in_parent();
    for answer in busy {
        wait(answer).unwrap();
    }
    for answer in reads {
        assert_eq!(wait(answer).unwrap().unwrap().body[..], *b"1");
    }
    for answer in counts {
        assert_eq!(wait(answer).unwrap(), 1);
    }
    for i in 0..100 {
        put(&engine, &format!("parent{i}"), b"1").unwrap();
        wait(incrementing(&engine, "n")).unwrap();
    }
    until("the child writes", || get(&engine, "child99").unwrap().is_some());
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
    // The child closed its connections, not these.
    assert_eq!(wait(incrementing(&engine, "n")).unwrap(), 201);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 302);
    wait(engine.close()).unwrap();
}

#[test]
fn postgres() {
    child_and_parent_both_go_on(Kind::Postgres, "postgres");
}

#[test]
fn mysql() {
    child_and_parent_both_go_on(Kind::Mysql, "mysql");
}
