//! Any value comes back as it was; any bytes are a value or a reason.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use rrag_storage::MemoryValue as Value;
use rrag_storage::codec::{Encoded, Kind, MAX_DEPTH};
use rrag_storage::value::{Array, DType, Date, DateTime, Decimal, Element, Integer, Time, TimeDelta, UtcOffset};
use serde_json::json;

fn dates() -> impl Strategy<Value = Date> {
    (1..=9999_u16, 1..=12_u8, 1..=31_u8).prop_filter_map("no such day", |(y, m, d)| Date::new(y, m, d))
}

fn times() -> impl Strategy<Value = Time> {
    let day = 86_399_999_999_i64;
    let offset = prop_oneof![
        Just(None),
        (-1439..=1439_i64).prop_map(|minutes| Some(minutes * 60_000_000)),
        (-day..=day).prop_map(Some),
    ];
    (0..24_u8, 0..60_u8, 0..60_u8, 0..1_000_000_u32, offset, any::<bool>()).prop_filter_map(
        "out of range",
        |(hour, minute, second, microsecond, offset, fold)| {
            let offset = offset.and_then(UtcOffset::from_microseconds);
            Some(Time::new(hour, minute, second, microsecond)?.with_offset(offset).with_fold(fold))
        },
    )
}

fn arrays() -> impl Strategy<Value = Array> {
    let dtype = (0..Element::ALL.len(), any::<bool>()).prop_map(|(at, big)| DType::new(Element::ALL[at], big));
    (dtype, vec(0..4_u64, 0..4)).prop_flat_map(|(dtype, shape)| {
        let bytes = usize::try_from(shape.iter().product::<u64>()).unwrap_or(0) * dtype.element().width();
        let top = if dtype.element() == Element::Bool { 1_u8 } else { 255 };
        vec(0..=top, bytes).prop_filter_map("does not fit", move |data| Array::new(dtype, shape.clone(), data))
    })
}

fn hashable() -> impl Strategy<Value = Value> {
    prop_oneof![any::<i64>().prop_map(Value::from), ".*".prop_map(Value::from), dates().prop_map(Value::from)]
}

fn values() -> impl Strategy<Value = Value> {
    let numbers = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        vec(any::<u8>(), 0..40).prop_map(|bytes| num_bigint::BigInt::from_signed_bytes_le(&bytes).into()),
        any::<u64>().prop_map(|bits| Value::from(f64::from_bits(bits))),
        "-?[0-9]{1,40}(\\.[0-9]{1,40})?(E[+-][0-9]{1,17})?|-?Infinity|-?s?NaN[1-9]?"
            .prop_filter_map("no decimal", |text| text.parse::<Decimal>().ok().map(Value::from)),
    ];
    let others = prop_oneof![
        Just(Value::Null),
        ".*".prop_map(Value::from),
        vec(any::<u8>(), 0..50).prop_map(Value::from),
        dates().prop_map(Value::from),
        times().prop_map(Value::from),
        (dates(), times()).prop_map(|(date, time)| DateTime { date, time }.into()),
        (-86_399_999_913_600..=86_399_999_999_999_i64, 0..1_000_000_u32)
            .prop_filter_map("out of range", |(s, us)| TimeDelta::new(s, us).map(Value::from)),
        any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).into()),
        arrays().prop_map(Value::from),
    ];
    prop_oneof![numbers, others].prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec(inner.clone(), 0..6).prop_map(Value::Tuple),
            btree_map(".*", inner, 0..6).prop_map(|items| items.into_iter().collect::<Vec<_>>().into()),
            vec(hashable(), 0..6).prop_map(distinct).prop_map(Value::Set),
            btree_set(any::<i64>(), 0..6).prop_map(|set| Value::FrozenSet(set.into_iter().map(Value::from).collect())),
        ]
    })
}

fn distinct(values: Vec<Value>) -> Vec<Value> {
    values.into_iter().fold(Vec::new(), |mut kept, value| {
        if !kept.contains(&value) {
            kept.push(value);
        }
        kept
    })
}

fn documents() -> impl Strategy<Value = serde_json::Value> {
    let scalars = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<u64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        ".*".prop_map(|value| json!(value)),
    ];
    scalars.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|items| json!(items)),
            btree_map(".*", inner, 0..5).prop_map(|items| json!(items)),
        ]
    })
}

fn back(encoded: &Encoded) -> Option<Value> {
    Value::decode(encoded.kind(), encoded.payload()).ok()
}

fn nested(depth: u32) -> Value {
    (1..depth).fold(Value::List(Vec::new()), |inner, _| Value::List(vec![inner]))
}

proptest! {
    /// Compared by bytes, since a NaN equals nothing.
    #[test]
    fn any_value_comes_back(value in values()) {
        let encoded = value.encode()?;
        prop_assert_eq!(encoded.kind(), value.kind());
        prop_assert_eq!(encoded.plain_kind(), value.kind());
        let again = back(&encoded);
        prop_assert_eq!(again.as_ref().map(Value::kind), Some(value.kind()));
        prop_assert_eq!(again.map(|again| again.encode().map(Encoded::into_body)).transpose()?, Some(encoded.into_body()));
    }

    #[test]
    fn any_document_comes_back(document in documents()) {
        let encoded = Value::from(document.clone()).encode()?;
        prop_assert_eq!(encoded.kind(), Kind::Json);
        prop_assert_eq!(back(&encoded), Some(Value::Json(document)));
    }

    #[test]
    fn any_bytes_are_a_value_or_a_reason(bytes in vec(any::<u8>(), 0..300), kind in 0..Kind::ALL.len()) {
        if let Ok(value) = Value::decode(Kind::ALL[kind], &bytes) {
            prop_assert_eq!(value.kind(), Kind::ALL[kind]);
        }
        let _ = Encoded::from_body(bytes);
    }

    #[test]
    fn a_changed_or_cut_value_is_a_value_or_a_reason(value in values(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let encoded = value.encode()?;
        let mut payload = encoded.payload().to_vec();
        let at = at.index(payload.len());
        prop_assert!(Value::decode(encoded.kind(), &payload[..at]).is_err());
        payload[at] = byte;
        let _ = Value::decode(encoded.kind(), &payload);
        payload[at] = encoded.payload()[at];
        payload.push(0);
        prop_assert!(Value::decode(encoded.kind(), &payload).is_err());
    }
}

#[test]
fn nesting_is_bounded_both_ways() {
    assert!(nested(MAX_DEPTH).encode().is_ok_and(|encoded| back(&encoded) == Some(nested(MAX_DEPTH))));
    assert!(nested(MAX_DEPTH + 1).encode().is_err());
    let mut payload = vec![0x81; 128];
    payload.push(0x80);
    assert!(Value::decode(Kind::List, &payload).is_err());
    assert!(Value::decode(Kind::List, &payload[1..]).is_ok());
}

/// A hundred lists, each of which claims as many items as there are bytes: together they own no more than the bytes.
#[test]
fn claimed_lengths_are_checked_before_anything_is_allocated() {
    for head in [0x9B_u8, 0xBB, 0x5B, 0x7B] {
        let mut payload = vec![head];
        payload.extend_from_slice(&(1_u64 << 40).to_be_bytes());
        assert!(Kind::ALL.into_iter().all(|kind| Value::decode(kind, &payload).is_err()));
    }
    let mut payload = Vec::new();
    for _ in 0..100 {
        payload.extend_from_slice(&[0x9A, 0, 1, 0, 0]);
    }
    payload.resize(payload.len() + 0x1_0000, 0);
    assert!(Value::decode(Kind::List, &payload).is_err());
}

#[test]
fn what_python_could_not_read_is_not_written() {
    let twice = vec![("a".to_owned(), Value::Null), ("a".to_owned(), Value::Null)];
    let inside = |value: Value| Value::Set(vec![Value::Tuple(vec![value])]);
    for value in [
        Value::Map(twice),
        Value::Set(vec![1.into(), 1.into()]),
        inside(Value::List(vec![])),
        inside(Value::Map(vec![])),
        inside(Value::from([1.0_f32].as_slice())),
        Value::List(vec![json!(1).into()]),
        serde_json::from_str::<serde_json::Value>("1e400").unwrap_or_default().into(),
    ] {
        assert!(value.encode().is_err(), "{value:?}");
    }
}

#[test]
fn what_is_never_written_is_damage() {
    assert!(Value::decode(Kind::Map, &[0xA2, 0x61, b'a', 0x01, 0x61, b'a', 0x02]).is_err());
    assert!(Value::decode(Kind::Json, &[0xA2, 0x61, b'a', 0x01, 0x61, b'a', 0x02]).is_err());
    assert!(Value::decode(Kind::Map, &[0xA1, 0x01, 0x01]).is_err());
    // A set of an empty list, and a null that its header calls a list.
    assert!(Value::decode(Kind::Set, &[0xD9, 0x01, 0x02, 0x81, 0x80]).is_err());
    assert!(Value::decode(Kind::List, &[0xF6]).is_err());
    // An element twice.
    assert!(Value::decode(Kind::Set, &[0xD9, 0x01, 0x02, 0x82, 0x07, 0x08]).is_ok());
    assert!(Value::decode(Kind::Set, &[0xD9, 0x01, 0x02, 0x82, 0x07, 0x07]).is_err());
}

/// In Python no NaN is another's twin.
#[test]
fn a_set_may_hold_several_nans() {
    let nan = || Value::from(f64::NAN);
    let tuple = || Value::Tuple(vec![nan(), 1.into()]);
    let decimal = || "NaN".parse::<Decimal>().map_or(Value::Null, Value::from);
    let set = Value::Set(vec![nan(), nan(), tuple(), tuple(), decimal(), decimal(), 1.into(), true.into()]);
    let encoded = set.encode().map_err(|error| error.to_string());
    let back = encoded
        .and_then(|encoded| Value::decode(encoded.kind(), encoded.payload()).map_err(|damage| damage.to_string()));
    assert!(matches!(&back, Ok(Value::Set(elements)) if elements.len() == 8), "{back:?}");
}

#[test]
fn order_does_not_count_in_maps_and_sets() {
    let decimal = |text: &str| text.parse::<Decimal>().map_or(Value::Null, Value::from);
    let map = |items: &[(&str, i64)]| Value::Map(items.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
    assert_eq!(map(&[("a", 1), ("b", 2)]), map(&[("b", 2), ("a", 1)]));
    assert_ne!(map(&[("a", 1), ("b", 2)]), map(&[("b", 1), ("a", 2)]));
    assert_eq!(Value::Set(vec![1.into(), decimal("2.0")]), Value::Set(vec![decimal("2.00"), 1.into()]));
    assert_ne!(Value::Set(vec![1.into(), 1.into()]), Value::Set(vec![1.into(), 2.into()]));
    assert_ne!(Value::from(1), Value::from(1.0));
    assert_ne!(Value::from(true), Value::from(1));
    assert_eq!(Value::from(Integer::from(7_u64)), Value::from(7));
}
