//! Bytes as keys, and as what is asked about them: which are refused, and what listings, namespaces, counts and clears
//! make of the others, in the whole storage and in a view of it.

use pollster::block_on;
use rrag_storage::{
    Clock, Error, InMemoryLimits, InMemoryStorage, Key, KeyProblem, MAX_KEY_BYTES, ManualClock, Memory, MemoryQuery,
    MemoryValue, SortOrder,
};

use super::expected::{self, Created};
use super::input::Input;

const ORDERS: [SortOrder; 4] = [SortOrder::KeyAsc, SortOrder::KeyDesc, SortOrder::CreatedAsc, SortOrder::CreatedDesc];
/// What means something in a key, in a pattern or to some store.
const SPECIAL: [&str; 16] =
    ["a", "b", ":", "::", "*", "?", "[", "]", "!", "-", "é", "\0", "%", "_", "\u{10FFFF}", "a::b"];

/// Text: any, or one of few special characters, so that keys and patterns have to do with each other.
fn text(input: &mut Input<'_>) -> String {
    let length = input.byte();
    if length < 128 {
        return String::from_utf8_lossy(input.bytes(usize::from(length))).into_owned();
    }
    (0..length & 0x0F).map(|_| input.one_of(&SPECIAL)).collect()
}

fn key(input: &mut Input<'_>) -> String {
    let mut key = text(input);
    if input.chance(16) && !key.is_empty() {
        key = key.repeat(MAX_KEY_BYTES / key.len() + input.below(2));
    }
    key
}

fn query(input: &mut Input<'_>) -> MemoryQuery {
    MemoryQuery {
        namespace: input.maybe(text),
        prefix: input.maybe(text),
        pattern: input.maybe(text),
        after: input.maybe(text),
        limit: input.maybe(|input| input.below(8)),
        offset: input.below(4),
        sort_order: input.one_of(&ORDERS),
    }
}

/// Whether `key` may stand under `prefix`, as a storage should say it.
fn refusal(prefix: &str, key: &str) -> Option<KeyProblem> {
    let bytes = prefix.len() + key.len();
    match key {
        "" => Some(KeyProblem::Empty),
        _ => (bytes > MAX_KEY_BYTES).then_some(KeyProblem::TooLong { bytes, limit: MAX_KEY_BYTES }),
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let clock = Clock::Manual(ManualClock::at(1_700_000_000_000_000_000));
    let storage = InMemoryStorage::with_limits(InMemoryLimits::default(), clock);
    let name = input.maybe(text);
    let view = name.as_ref().map_or_else(|| storage.clone(), |name| storage.namespace(name));
    let prefix = name.map_or_else(String::new, |name| format!("{name}::"));

    let mut kept: Vec<String> = Vec::new();
    for _ in 0..input.below(16) {
        let inside = input.chance(2);
        let (place, before) = if inside { (&view, prefix.as_str()) } else { (&storage, "") };
        let key = key(&mut input);
        match (block_on(place.set(&key, MemoryValue::Null)), refusal(before, &key)) {
            (Ok(()), None) => {
                let whole = format!("{before}{key}");
                assert_eq!(Key::from_stored(whole.as_bytes()).expect("it is UTF-8").as_str(), whole);
                if !kept.contains(&whole) {
                    kept.push(whole);
                }
            }
            (Err(Error::InvalidKey(found)), Some(expected)) => assert_eq!(found, expected),
            (outcome, expected) => panic!("{key:?}: {outcome:?}, not {expected:?}"),
        }
    }
    let all: Vec<Created<'_>> = kept.iter().map(String::as_str).zip(0..).collect();

    while !input.is_empty() {
        let inside = input.chance(2);
        let (place, before) = if inside { (&view, prefix.as_str()) } else { (&storage, "") };
        let query = query(&mut input);
        let found = block_on(place.keys(query.clone())).expect("a listing");
        assert_eq!(found, expected::listed(&all, before, &query), "{query:?} of {all:?} under {before:?}");
        let (start, depth) = (query.prefix.as_deref(), query.limit);
        let found = block_on(place.namespaces(start, depth)).expect("namespaces");
        assert_eq!(found, expected::namespaces(&all, before, start, depth), "{start:?}, {depth:?} of {all:?}");
        let under = query.namespace.as_deref();
        let count = block_on(place.count_under(under, start)).expect("a count");
        assert_eq!(count, expected::count(&all, before, under, start));
        if input.is_empty() {
            assert_eq!(block_on(place.clear_under(under, start)).expect("room is made"), count);
            let left = block_on(storage.count(None)).expect("a count");
            assert_eq!(left, all.len() as u64 - count);
        }
    }
}
