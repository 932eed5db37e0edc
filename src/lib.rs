//! One memory for a RAG application: the same operations over an in-memory store and a SQLite file.
#![cfg_attr(not(test), deny(clippy::panic))]

mod answer;
mod clock;
pub mod codec;
pub mod engine;
mod error;
mod janitor;
pub mod fork;
mod key;
mod memory;
mod sync;
mod value;

pub use answer::Answer;
pub use clock::{Clock, ManualClock};
pub use error::{Error, KeyProblem, Result};
pub use key::{Key, MAX_KEY_BYTES};
pub use memory::{Memory, MemoryEntry, MemoryQuery, MemoryStats, SortOrder};
pub use value::MemoryValue;
