//! Bytes as stored records, through the layers.
//!
//! `cargo +nightly fuzz run records fuzz/corpus/records fuzz/seeds/records -- -rss_limit_mb=1024 -max_total_time=600`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rrag_storage_fuzz::records::run(data));
