//! One memory for a RAG application: the same operations over an in-memory store, a SQLite file,
//! PostgreSQL, MySQL and MariaDB, Redis and Valkey with their clusters, and object stores.
//!
//! ```
//! use rrag_storage::{InMemoryStorage, Memory, MemoryValue};
//!
//! # fn main() -> rrag_storage::Result<()> { pollster::block_on(async {
//! let storage = InMemoryStorage::new();
//! storage.set("key", MemoryValue::from("value")).await?;
//! assert_eq!(storage.get("key").await?, Some(MemoryValue::from("value")));
//! # Ok(()) }) }
//! ```
//!
//! Code that works with any backend takes an `Arc<dyn Memory>`; a new backend implements [`engine::Engine`]. The
//! futures need no particular runtime.

mod answer;
mod clock;
pub mod codec;
mod connect;
mod copy;
pub mod engine;
mod error;
mod facade;
pub mod fork;
mod glob;
mod janitor;
mod key;
pub mod layers;
mod listing;
mod memory;
pub mod meter;
#[cfg(feature = "python")]
mod python;
mod storage;
mod sync;
mod transaction;
mod ttl;
pub mod value;

pub use answer::{Answer, BoxFuture};
pub use clock::{Clock, ManualClock};
pub use connect::{
    DEFAULT_MAX_KEYS, DEFAULT_MAX_MEMORY_BYTES, DatabaseConfig, DatabaseStorage, InMemoryStorage, ObjectStorage,
    RedisStorage,
};
pub use copy::{CopyOptions, CopyProgress, Copying, copy};
pub use engine::in_memory::{Eviction, InMemoryLimits};
pub use engine::object::ObjectConfig;
pub use engine::redis::RedisConfig;
pub use engine::sqlite::Synchronous;
pub use error::{Error, KeyProblem, Result};
pub use key::{Key, MAX_KEY_BYTES};
pub use listing::Listing;
pub use memory::{Memory, MemoryEntry, MemoryQuery, MemoryStats, SortOrder};
pub use storage::Storage;
pub use transaction::Transaction;
pub use ttl::Ttl;
pub use value::MemoryValue;
