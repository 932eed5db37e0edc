//! Bytes as urls, and the secrets in them.
//!
//! `cargo +nightly fuzz run urls fuzz/corpus/urls fuzz/seeds/urls -- -rss_limit_mb=1024 -max_total_time=600`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rrag_storage_fuzz::urls::run(data));
