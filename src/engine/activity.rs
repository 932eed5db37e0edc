//! What an engine counts of its own work, for `stats()`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Batches that went out together, and expired records that were freed.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    batches: AtomicU64,
    batched: AtomicU64,
    largest: AtomicU64,
    expiries: AtomicU64,
}

impl Activity {
    /// So many calls were done together: by one transaction, one statement, one pipeline.
    pub(crate) fn batch(&self, calls: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.batched.fetch_add(calls as u64, Ordering::Relaxed);
        self.largest.fetch_max(calls as u64, Ordering::Relaxed);
    }

    /// So many expired records were freed.
    pub(crate) fn freed(&self, records: u64) {
        self.expiries.fetch_add(records, Ordering::Relaxed);
    }

    /// How many expired records were freed.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(crate) fn expiries(&self) -> (&'static str, f64) {
        ("expiries", self.expiries.load(Ordering::Relaxed) as f64)
    }

    /// The figures by name, where so many calls wait to be begun.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn figures(&self, waiting: usize) -> Vec<(&'static str, f64)> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let batches = count(&self.batches);
        let mean = if batches > 0.0 { count(&self.batched) / batches } else { 0.0 };
        vec![
            self.expiries(),
            ("queue_depth", waiting as f64),
            ("batches", batches),
            ("batch_size_mean", mean),
            ("batch_size_max", count(&self.largest)),
        ]
    }
}
