//! Bytes as keys, namespaces and patterns, against a naive model.
//!
//! `cargo +nightly fuzz run keys fuzz/corpus/keys fuzz/seeds/keys -- -rss_limit_mb=1024 -max_total_time=600`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rrag_storage_fuzz::keys::run(data));
