//! The engine's contract on object stores: against a model, in a folder and in a bucket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_wrap)]

mod object_support;

use std::cell::Cell;

use object_support::Server;
use object_support::model::{Spans, as_a_sorted_map};
use rrag_storage::engine::object::{ObjectConfig, ObjectEngine};

#[test]
fn a_folder_is_as_a_sorted_map() {
    let folder = tempfile::tempdir().unwrap();
    let round = Cell::new(0);
    as_a_sorted_map(24, 30, Spans::Everything, |clock| {
        round.set(round.get() + 1);
        let url = format!("file://{}/{}", folder.path().display(), round.get());
        ObjectEngine::new(ObjectConfig::new(url), clock).unwrap()
    });
}

#[test]
fn a_bucket_is_as_a_sorted_map() {
    if !object_support::installed() {
        return;
    }
    let server = Server::start();
    let round = Cell::new(0);
    as_a_sorted_map(16, 30, Spans::Everything, |clock| {
        round.set(round.get() + 1);
        ObjectEngine::new(server.config(&format!("round/{}", round.get())), clock).unwrap()
    });
}
