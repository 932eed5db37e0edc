//! Bytes as payloads of values.
//!
//! `cargo +nightly fuzz run cbor fuzz/corpus/cbor fuzz/seeds/cbor -- -rss_limit_mb=1024 -max_total_time=600`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rrag_storage_fuzz::cbor::run(data));
