//! Keys, values and queries from bytes: few of them, so that the operations meet.

use rrag_storage::{MemoryQuery, MemoryValue, SortOrder, Ttl};

use super::super::input::Input;

const KEYS: [&str; 18] = [
    "a", "A", "a::b", "a::b::c", "a:::d", "a!::e", "a0::f", "ab::g", "::x", "a::", "z%_*", "é", "e\u{301}", "\0",
    "../x", "b", "a b ", "a b",
];
const STARTS: [&str; 10] = ["", "a", "a:", "a::", "a::b", "b::", "a0", "z%", "\u{10FFFF}", "none"];
const PATTERNS: [&str; 9] = ["*", "a*", "?", "[!a]*", "*::?", "a", "[", "*[b-x]", "[A-a]*:*"];
pub const ORDERS: [SortOrder; 4] =
    [SortOrder::KeyAsc, SortOrder::KeyDesc, SortOrder::CreatedAsc, SortOrder::CreatedDesc];

pub fn key(input: &mut Input<'_>) -> &'static str {
    input.one_of(&KEYS)
}

pub fn keys(input: &mut Input<'_>) -> Vec<&'static str> {
    (0..input.below(6)).map(|_| key(input)).collect()
}

pub fn start(input: &mut Input<'_>) -> Option<&'static str> {
    input.maybe(|input| input.one_of(&STARTS))
}

/// Milliseconds, and a hair more at times: a fraction of one counts as a whole.
pub fn ttl(input: &mut Input<'_>) -> (Ttl, i64) {
    let millis = 1 + i64::from(input.byte());
    let seconds = f64::from(u16::try_from(millis).unwrap_or(1)) / 1e3;
    let seconds = if input.chance(2) { seconds - 0.000_4 } else { seconds };
    (Ttl::from_seconds(seconds).expect("it is positive"), millis)
}

/// Integers mostly, which can be counted on; and what shrinks, nests, or is large enough to be stored elsewhere.
pub fn value(input: &mut Input<'_>) -> MemoryValue {
    match input.below(8) {
        0..3 => MemoryValue::from(i64::from(input.byte()) - 128),
        3 => MemoryValue::from(input.number()),
        4 => MemoryValue::from(input.text()),
        5 => MemoryValue::Bytes(vec![input.byte(); usize::from(input.byte()) * 8]),
        6 => MemoryValue::List((0..input.below(4)).map(|_| MemoryValue::from(input.byte() > 9)).collect()),
        _ => MemoryValue::Map(vec![
            ("key".to_owned(), MemoryValue::from(input.text())),
            (input.text() + "!", MemoryValue::Null),
        ]),
    }
}

pub fn query(input: &mut Input<'_>) -> MemoryQuery {
    MemoryQuery {
        namespace: start(input).map(ToOwned::to_owned),
        prefix: start(input).map(ToOwned::to_owned),
        pattern: input.maybe(|input| input.one_of(&PATTERNS).to_owned()),
        after: input.maybe(|input| key(input).to_owned()),
        limit: input.maybe(|input| input.below(5)),
        offset: input.below(3),
        sort_order: input.one_of(&ORDERS),
    }
}
