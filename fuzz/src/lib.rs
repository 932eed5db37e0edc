//! What is done with the bytes of each fuzz target. A finding is a panic.
//!
//! `fuzz_targets/` gives these functions to libFuzzer, `tests/fuzz_short.rs` runs them on a stable compiler.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "it is no library; it panics to fail"
)]

pub mod cbor;
mod expected;
mod glob;
mod input;
pub mod keys;
pub mod operations;
pub mod records;
pub mod urls;
