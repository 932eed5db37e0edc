//! The engine's contract on Redis and on a cluster of three: against a model, among processes, over failures.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod redis_support;

use std::cell::Cell;

use redis_support::model::{Spans, as_a_sorted_map};
use redis_support::{Cluster, Server, config, installed};
use rrag_storage::engine::redis::{RedisConfig, RedisEngine};

fn run_model(url: &str, cases: u32, spans: Spans) {
    let case = Cell::new(0);
    as_a_sorted_map(cases, 40, spans, |clock| {
        case.set(case.get() + 1);
        let config = RedisConfig { key_prefix: format!("case {}", case.get()), ..config(url) };
        RedisEngine::new(config, clock).unwrap()
    });
}

#[test]
fn a_server_is_as_a_sorted_map() {
    if installed() {
        run_model(&Server::plain().url(), 60, Spans::Everything);
    }
}

#[test]
fn a_cluster_is_as_a_sorted_map() {
    if installed() {
        run_model(&Cluster::start().url(), 30, Spans::OneNamespace);
    }
}
