//! The object store engine over a folder: processes, modes, crashes, what is not ours.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod object_support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use object_support::{delete, eventually, folder, fresh, get, increment, key, pop, put, record, wait, write};
use rrag_storage::engine::object::{ObjectConfig, ObjectEngine};
use rrag_storage::engine::{Batch, Check, Commit, Engine, KeyRange, Scan, Write};
use rrag_storage::{Clock, Error, ManualClock, SortOrder};

/// The files of a folder that are no locks.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else if !entry.file_name().to_str().unwrap().starts_with("lock-") {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn it_is_made_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("made/here");
    let engine = folder(&path);
    assert_eq!(get(&engine, "k").unwrap(), None);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 0);
    assert!(!path.exists());
    put(&engine, "a::b::k", b"x").unwrap();
    assert_eq!(files(&path), [path.join("a::/b::/k!")]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path.join("a::/b::/k!")), 0o600);
        for folder in ["", "a::", "a::/b::", ".rrag"] {
            assert_eq!(mode(&path.join(folder)), 0o700, "{folder}");
        }
    }
    delete(&engine, &["a::b::k"]).unwrap();
    assert!(!path.join("a::").exists());
}

#[test]
fn threads_and_engines_are_exact() {
    let parent = tempfile::tempdir().unwrap();
    let engines: Vec<_> = (0..8).map(|_| folder(parent.path())).collect();
    put(&engines[0], "one", b"x").unwrap();
    let taken: usize = std::thread::scope(|scope| {
        let each: Vec<_> = engines
            .iter()
            .map(|engine| {
                scope.spawn(|| {
                    (0..25).for_each(|_| assert!(increment(engine, "n").unwrap() > 0));
                    // Folders come and go under each other's hands.
                    for round in 0..25 {
                        put(engine, "deep::er::k", b"x").unwrap();
                        let name = format!("deep::er::{round}");
                        put(engine, &name, b"x").unwrap();
                        delete(engine, &[&name, "deep::er::k"]).unwrap();
                    }
                    usize::from(pop(engine, "one").unwrap().is_some())
                })
            })
            .collect();
        each.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((increment(&engines[0], "n").unwrap(), taken), (201, 1));
    assert_eq!(files(parent.path()), [parent.path().join("n!")]);
}

/// Run in processes of its own by the next test.
#[test]
#[ignore = "a worker of another test"]
fn worker() {
    let Some(path) = std::env::var_os("RRAG_TEST_FOLDER") else { return };
    let engine = folder(Path::new(&path));
    for round in 0.. {
        let number = increment(&engine, "n").unwrap();
        println!("{number}");
        if round == 200 {
            break;
        }
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let parent = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let acknowledged: usize = std::thread::scope(|scope| {
        let each: Vec<_> = (0..4u64)
            .map(|number| {
                let (program, path) = (&program, parent.path());
                scope.spawn(move || {
                    use std::io::{BufRead, BufReader};
                    let mut child = Command::new(program)
                        .args(["worker", "--ignored", "--nocapture", "--exact"])
                        .env("RRAG_TEST_FOLDER", path)
                        .stdout(Stdio::piped())
                        .spawn()
                        .unwrap();
                    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
                    let is_count = |line: &String| line.trim().parse::<u64>().is_ok();
                    let before =
                        lines.by_ref().filter(is_count).take(10 + 7 * usize::try_from(number).unwrap()).count();
                    child.kill().unwrap();
                    child.wait().unwrap();
                    before + lines.filter(is_count).count()
                })
            })
            .collect();
        each.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let engine = folder(parent.path());
    let number = usize::try_from(increment(&engine, "n").unwrap()).unwrap() - 1;
    // Each of those who were killed may have written one more than it said.
    assert!((acknowledged..=acknowledged + 4).contains(&number), "{number} after {acknowledged}");
}

#[test]
fn dead_files_are_removed_without_anyone_calling() {
    let parent = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(1_700_000_000_000_000_000);
    let config = ObjectConfig::new(format!("file://{}", parent.path().display()));
    let engine = ObjectEngine::new(config, Clock::Manual(clock.clone())).unwrap();
    let dies = |at| (key(&format!("k::{at}")), Write::Put(record(fresh(), 1, Some(1_700_000_000_010), b"x")));
    wait(engine.commit(Batch { writes: (0..50).map(dies).collect(), ..Batch::default() })).unwrap();
    put(&engine, "stays", b"x").unwrap();
    clock.advance(20_000_000);
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 1);
    eventually(|| files(parent.path()).len() == 1);
    assert!(!parent.path().join("k::").exists());
}

#[test]
fn what_is_damaged_or_not_ours_is_said() {
    let parent = tempfile::tempdir().unwrap();
    let engine = folder(parent.path());
    put(&engine, "k", b"value").unwrap();
    std::fs::write(parent.path().join("README"), "hello").unwrap();
    std::fs::create_dir(parent.path().join("sub")).unwrap();
    std::fs::write(parent.path().join("sub/x!"), "hello").unwrap();
    assert_eq!(wait(engine.count(KeyRange::all())).unwrap(), 1);
    let file = parent.path().join("k!");
    let whole = std::fs::read(&file).unwrap();
    for cut in [0, 4, 20, 48, whole.len() - 1] {
        std::fs::write(&file, &whole[..cut]).unwrap();
        assert!(matches!(get(&engine, "k"), Err(Error::Corrupted { key, .. }) if key == "k"), "{cut}");
    }
    let mut huge = whole.clone();
    huge[40..48].copy_from_slice(&u64::MAX.to_be_bytes());
    std::fs::write(&file, &huge).unwrap();
    assert!(matches!(get(&engine, "k"), Err(Error::Corrupted { .. })));
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(get(&engine, "k").unwrap(), Some(b"value".to_vec()));
    let nowhere = folder(&file);
    for outcome in [put(&nowhere, "k", b"x").map(drop), wait(nowhere.ping())] {
        assert!(matches!(outcome, Err(Error::Unavailable { .. } | Error::Backend { .. })), "{outcome:?}");
    }
}

#[test]
fn keys_are_as_long_as_names_may_be() {
    let parent = tempfile::tempdir().unwrap();
    let engine = folder(parent.path());
    let names =
        ["k".repeat(1_018), "=".repeat(505), "é".repeat(203), format!("{}::x", "\0".repeat(500)), "../..".repeat(9)];
    for name in &names {
        put(&engine, name, name.as_bytes()).unwrap();
        assert_eq!(get(&engine, name).unwrap(), Some(name.clone().into_bytes()));
    }
    assert!(matches!(get(&engine, &"k".repeat(1_024)), Err(Error::InvalidKey(_))));
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let scan = Scan { range: KeyRange::all(), order: SortOrder::KeyAsc, after: None, limit: 9, records: true };
    let rows = wait(engine.scan(scan)).unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.key.as_str().to_owned()).collect::<Vec<_>>(), sorted);
    assert_eq!(wait(engine.remove_range(KeyRange::all())).unwrap(), 5);
    assert!(files(parent.path()).is_empty());
}

#[test]
fn checks_and_large_values_go_together() {
    let parent = tempfile::tempdir().unwrap();
    let engine = folder(parent.path());
    let body = vec![7; 40 * 1024 * 1024];
    let absent = || write("k", Some(Check::Absent), record(5, 1, None, &body));
    assert_eq!(wait(engine.commit(absent())).unwrap(), Commit::Done([false].into_iter().collect()));
    assert_eq!(wait(engine.commit(absent())).unwrap(), Commit::Conflict(key("k")));
    assert!(get(&engine, "k").unwrap() == Some(body));
    assert!(matches!(wait(engine.commit(Batch::default())).unwrap(), Commit::Done(none) if none.is_empty()));
}
