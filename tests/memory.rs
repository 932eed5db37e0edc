//! The crate as Rust code uses it: one script over `Arc<dyn Memory>`, whatever the backend, and what persists.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use pollster::block_on;
use rrag_storage::{
    Clock, DatabaseConfig, DatabaseStorage, Error, InMemoryLimits, InMemoryStorage, ManualClock, Memory, MemoryQuery,
    MemoryValue, SortOrder,
};

fn database(path: &std::path::Path, clock: Clock) -> DatabaseConfig {
    DatabaseConfig { connection_string: format!("sqlite:{}", path.display()), clock, ..DatabaseConfig::default() }
}

async fn script(storage: Arc<dyn Memory>, clock: ManualClock) {
    storage.set("key", MemoryValue::from("value")).await.unwrap();
    assert_eq!(storage.get("key").await.unwrap(), Some(MemoryValue::from("value")));
    assert_eq!(storage.get("none").await.unwrap(), None);

    let first = storage.get_entry("key").await.unwrap().unwrap();
    clock.advance(1_000_000_000);
    storage.set("key", MemoryValue::from(vec![MemoryValue::from(1), MemoryValue::from(2.5)])).await.unwrap();
    let second = storage.get_entry("key").await.unwrap().unwrap();
    assert_eq!(second.created_at, first.created_at);
    assert!(second.updated_at > first.updated_at);
    assert_ne!(second.version, first.version);
    assert!(!storage.compare_and_set("key", MemoryValue::from(0), first.version).await.unwrap());
    assert!(storage.compare_and_set("key", MemoryValue::from(0), second.version).await.unwrap());

    assert_eq!(storage.increment("count", 3).await.unwrap(), MemoryValue::from(3));
    assert_eq!(storage.increment("count", -1).await.unwrap(), MemoryValue::from(2));
    storage.set("text", MemoryValue::from("x")).await.unwrap();
    assert!(matches!(storage.increment("text", 1).await, Err(Error::WrongKind { .. })));
    assert!(!storage.set_if_absent("count", MemoryValue::from(9)).await.unwrap());

    storage.set_with_ttl("brief", MemoryValue::from(true), Duration::from_millis(1500)).await.unwrap();
    clock.advance(1_499_000_000);
    assert!(storage.exists("brief").await.unwrap());
    clock.advance(1_000_000);
    assert!(!storage.exists("brief").await.unwrap());

    let pairs = ["a::2", "a::1", "a::b::1", "c::1"];
    storage.mset(pairs.map(|key| (key.to_owned(), MemoryValue::from(key))).to_vec()).await.unwrap();
    let keys = |query| storage.keys(query);
    assert_eq!(keys(MemoryQuery::new().with_namespace("a")).await.unwrap(), ["a::1", "a::2", "a::b::1"]);
    let newest = MemoryQuery::new().with_pattern("a::?").with_sort_order(SortOrder::CreatedDesc).with_limit(1);
    assert_eq!(keys(newest).await.unwrap(), ["a::1"]);
    assert_eq!(storage.namespaces(None, None).await.unwrap(), ["a", "a::b", "c"]);
    assert_eq!(storage.count(Some("a")).await.unwrap(), 3);
    assert_eq!(storage.mget(&["c::1", "nothing"]).await.unwrap(), [Some(MemoryValue::from("c::1")), None]);
    assert_eq!(storage.clear(Some("a")).await.unwrap(), 3);
    assert_eq!(storage.pop("c::1").await.unwrap(), Some(MemoryValue::from("c::1")));
    assert_eq!(storage.mdelete(&["count", "count", "nothing"]).await.unwrap(), 1);
    assert!(matches!(storage.get("").await, Err(Error::InvalidKey(_))));

    let stats = storage.stats().await.unwrap();
    assert_eq!((stats.total_keys, stats.backend_type), (2, storage.backend_name()));
    assert!(storage.health_check().await);
    storage.close().await.unwrap();
    storage.close().await.unwrap();
    assert!(matches!(storage.get("key").await, Err(Error::Closed { .. })));
}

#[test]
fn one_script_over_every_backend() {
    let clock = || ManualClock::at(1_700_000_000_000_000_000);
    let here = clock();
    let limits = InMemoryLimits::default();
    block_on(script(Arc::new(InMemoryStorage::with_limits(limits, Clock::Manual(here.clone()))), here));

    let directory = tempfile::tempdir().unwrap();
    let here = clock();
    let config = database(&directory.path().join("memory.db"), Clock::Manual(here.clone()));
    block_on(async { script(Arc::new(DatabaseStorage::with_config(config).await.unwrap()), here).await });

    let here = clock();
    let config = DatabaseConfig {
        connection_string: "sqlite::memory:".to_owned(),
        clock: Clock::Manual(here.clone()),
        ..DatabaseConfig::default()
    };
    block_on(async { script(Arc::new(DatabaseStorage::with_config(config).await.unwrap()), here).await });
}

#[test]
fn a_database_persists() {
    let directory = tempfile::tempdir().unwrap();
    let config = database(&directory.path().join("memory.db"), Clock::System);
    block_on(async {
        let storage = DatabaseStorage::with_config(config.clone()).await.unwrap();
        storage.set("key", MemoryValue::from("value")).await.unwrap();
        drop(storage);
        let storage = DatabaseStorage::with_config(config).await.unwrap();
        assert_eq!(storage.get("key").await.unwrap(), Some(MemoryValue::from("value")));
    });
}

#[test]
fn what_cannot_be_opened_fails_when_it_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let config = database(&directory.path().join("missing").join("memory.db"), Clock::System);
    assert!(matches!(block_on(DatabaseStorage::with_config(config)), Err(Error::Unavailable { .. })));
}

#[test]
fn a_transaction_commits_as_a_whole_or_conflicts() {
    let storage = InMemoryStorage::new();
    block_on(async {
        let key = |name: &str| storage.key(name).unwrap();
        let encoded = |number: i64| MemoryValue::from(number).encode().unwrap();
        let transaction = storage.transaction().unwrap();
        assert!(transaction.read(vec![key("a")]).await.unwrap()[0].is_none());
        transaction.write(key("a"), encoded(1), None).await.unwrap();
        transaction.write(key("b"), encoded(2), None).await.unwrap();
        assert!(!storage.exists("a").await.unwrap());
        transaction.commit().await.unwrap();
        assert_eq!(storage.count(None).await.unwrap(), 2);

        let late = storage.transaction().unwrap();
        assert!(late.read(vec![key("a")]).await.unwrap()[0].is_some());
        late.write(key("c"), encoded(3), None).await.unwrap();
        storage.set("a", MemoryValue::from(9)).await.unwrap();
        assert!(matches!(late.commit().await, Err(Error::Conflict { key }) if key == "a"));
        assert!(!storage.exists("c").await.unwrap());
        assert!(matches!(late.commit().await, Err(Error::TransactionFinished)));
    });
}

#[test]
fn a_view_sees_its_namespace_alone() {
    let storage = InMemoryStorage::new();
    let view = storage.namespace("users");
    block_on(async {
        storage.set("other", MemoryValue::from(0)).await.unwrap();
        view.set("ada", MemoryValue::from(1)).await.unwrap();
        assert_eq!(Memory::keys(&storage, MemoryQuery::new()).await.unwrap(), ["other", "users::ada"]);
        assert_eq!(Memory::keys(&view, MemoryQuery::new()).await.unwrap(), ["ada"]);
        assert_eq!(view.clear(None).await.unwrap(), 1);
        view.close().await.unwrap();
        assert!(matches!(view.get("ada").await, Err(Error::Closed { .. })));
        assert!(storage.exists("other").await.unwrap());
    });
}
