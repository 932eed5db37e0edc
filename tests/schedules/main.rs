//! Every schedule of a few threads, for what hands work from one thread to another: the tickets by which answers get to an
//! event loop, the queues and the end of a SQLite file, and the calls that travel together to a SQL server.
//!
//! The modules under test are the product's own files, compiled here over the locks of loom, which runs a model once for
//! each order in which its threads can take them, with two or three preemptions unless `LOOM_MAX_PREEMPTIONS` says how
//! many. A thread that waits for ever is a deadlock, which loom reports. Each model prints how many schedules ran, and each
//! of the three is shown to find a planted bug.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod explore;
mod group;
mod ready;
mod shutdown;
mod sync;

mod answer {
    pub(crate) use rrag_storage::Answer;
}

mod error {
    pub(crate) use rrag_storage::Result;
}

mod key {
    pub(crate) use rrag_storage::Key;
}
