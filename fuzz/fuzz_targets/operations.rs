//! Bytes as sequences of operations on several storages, against a sorted map.
//!
//! `cargo +nightly fuzz run operations fuzz/corpus/operations fuzz/seeds/operations -- -rss_limit_mb=1024 -max_total_time=600`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rrag_storage_fuzz::operations::run(data));
