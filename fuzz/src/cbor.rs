//! Any bytes as the payload of a value: the first says of which kind. A value, or damage; what is read can be written,
//! and what is written is read as the same value and written as the same bytes.

use rrag_storage::codec::{self, Encoded, Kind};
use rrag_storage::{Error, MemoryValue};

pub fn run(data: &[u8]) {
    let Some((&first, payload)) = data.split_first() else { return };
    let kind = Kind::ALL[usize::from(first) % Kind::ALL.len()];
    let value = match MemoryValue::decode(kind, payload) {
        Ok(value) => value,
        Err(damage) => {
            let Error::Corrupted { key, reason } = damage.under("key") else { panic!("damage is an error of its own") };
            assert!(key == "key" && !reason.is_empty());
            return;
        }
    };
    assert_eq!(value.kind(), kind, "a value of another kind than it was read as");
    let written = value.encode().expect("what was read can be written");
    // What a reader tolerates, longer heads than needed, is never more than what was given.
    assert!(written.size() <= payload.len() + LARGEST_REWRITE, "{} bytes from {}", written.size(), payload.len());
    let again = MemoryValue::decode(kind, written.payload()).expect("what was written can be read");
    let twice = again.encode().expect("and written again");
    assert_eq!(twice.body(), written.body(), "not a fixed point");
    // A value with a NaN in it equals nothing.
    let equal = value == value.clone();
    assert!((value == again) == equal && same_from(&again, &value) == equal, "{value:?} is read as {again:?}");
    assert_eq!(codec::open(written.body()), Ok((kind, written.payload())));
    let taken_over = Encoded::from_body(written.clone().into_body()).expect("a body of our own");
    assert_eq!(taken_over.plain_kind(), written.plain_kind());
}

fn same_from(one: &MemoryValue, other: &MemoryValue) -> bool {
    one == other
}

/// A decimal's text may be given shorter than it is written: `1e9` for `1E+9`.
const LARGEST_REWRITE: usize = 64;
