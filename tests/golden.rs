//! The stored bytes of one value and more of each kind, from Rust: `test_golden.py` reads the same file from Python.

use std::collections::BTreeMap;
use std::error::Error;

use rrag_storage::MemoryValue as Value;
use rrag_storage::codec::{Encoded, Kind};
use rrag_storage::value::{Array, DType, Date, DateTime, Decimal, Element, Integer, Time, TimeDelta, UtcOffset};

type Tested = Result<(), Box<dyn Error>>;

fn golden() -> Result<BTreeMap<String, Vec<u8>>, Box<dyn Error>> {
    let text: BTreeMap<String, String> = serde_json::from_str(include_str!("golden/values.json"))?;
    text.into_iter()
        .map(|(name, hex)| {
            let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
            Ok((name, bytes.collect::<Result<_, _>>()?))
        })
        .collect()
}

fn values() -> Option<Vec<(&'static str, Value)>> {
    let day = Date::new(2024, 2, 29)?;
    let noon = Time::new(12, 30, 0, 0)?;
    let offset = |seconds: i64| UtcOffset::from_microseconds(seconds * 1_000_000);
    let at = |date, time| Value::from(DateTime { date, time });
    let items = |items: &[(&str, Value)]| -> Vec<(String, Value)> {
        items.iter().map(|(key, value)| ((*key).into(), value.clone())).collect()
    };
    let big = num_bigint::BigInt::from(u64::MAX) + 1_u32;
    let f32 = DType::new(Element::F32, false);
    let data: Vec<u8> = [1.0_f32, 2.0].into_iter().flat_map(f32::to_le_bytes).collect();
    Some(vec![
        ("null", Value::Null),
        ("boolean", true.into()),
        ("integer", (-500).into()),
        ("integer, 64 bits", u64::MAX.into()),
        ("integer, bignum", big.clone().into()),
        ("integer, negative bignum", (-big - 1_i32).into()),
        ("float", 1.1.into()),
        ("float, -0.0", (-0.0).into()),
        ("string", "naïve".into()),
        ("bytes", vec![0_u8, 255].into()),
        ("list", Value::List(vec![1.into(), Value::List(vec![2.0.into(), Value::Null])])),
        ("map", items(&[("b", 1.into()), ("a", items(&[("", false.into())]).into())]).into()),
        ("tuple", Value::Tuple(vec![1.into(), Value::Tuple(vec![])])),
        ("set", Value::Set(vec!["one".into()])),
        ("frozenset", Value::FrozenSet(vec![1.into()])),
        ("datetime, naive", at(day, noon)),
        ("datetime, UTC", at(day, Time::new(12, 30, 0, 1)?.with_offset(Some(UtcOffset::UTC)))),
        ("datetime, offset", at(day, noon.with_offset(offset(-12_600)))),
        ("datetime, offset with seconds", at(Date::new(1900, 1, 1)?, Time::new(0, 0, 0, 0)?.with_offset(offset(561)))),
        ("datetime, fold", at(Date::new(2024, 10, 27)?, Time::new(2, 30, 0, 0)?.with_fold(true))),
        ("date", day.into()),
        ("time", Time::new(23, 59, 59, 999_999)?.into()),
        ("time, aware", Time::new(6, 0, 0, 0)?.with_offset(Some(UtcOffset::UTC)).into()),
        ("timedelta", TimeDelta::new(-86_400, 1)?.into()),
        ("timedelta, whole seconds", TimeDelta::new(60, 0)?.into()),
        ("decimal", "273.15".parse::<Decimal>().ok()?.into()),
        ("decimal, -0", "-0.00".parse::<Decimal>().ok()?.into()),
        ("decimal, NaN", "sNaN12".parse::<Decimal>().ok()?.into()),
        ("uuid", uuid::Uuid::from_u128(0x1234_5678_1234_5678_1234_5678_1234_5678).into()),
        ("array, float32", Array::new(f32, vec![1, 2], data)?.into()),
        ("array, big-endian", Array::new(DType::new(Element::U16, true), vec![2], vec![0, 1, 0, 2])?.into()),
        ("array, bool, no dimension", Array::new(Element::Bool.native(), vec![], vec![1])?.into()),
        ("array, empty", Array::new(Element::I8.native(), vec![0, 3], vec![])?.into()),
        ("array, scalar", Array::scalar(Element::F16, vec![0, 0x3E])?.into()),
        ("array, boolean scalar", Array::scalar(Element::Bool, vec![1])?.into()),
        ("json", serde_json::json!({"a": [1, 2.5, null]}).into()),
    ])
}

#[test]
fn the_bytes_are_those_that_were_agreed() -> Tested {
    let golden = golden()?;
    let values = values().ok_or("a value is out of its range")?;
    assert_eq!(golden.len(), values.len());
    for (name, value) in values {
        assert_eq!(golden.get(name), Some(&value.encode()?.into_body()), "{name}");
    }
    Ok(())
}

#[test]
fn the_bytes_are_read() -> Tested {
    for (name, body) in golden()? {
        let encoded = Encoded::from_body(body.clone())?;
        let value = Value::decode(encoded.kind(), encoded.payload())?;
        assert_eq!(value.kind(), encoded.kind(), "{name}");
        assert_eq!(value.encode()?.into_body(), body, "{name}");
    }
    Ok(())
}

#[test]
fn every_kind_has_its_golden_bytes() -> Tested {
    let kinds: Vec<u8> = golden()?.values().map(|body| body[1]).collect();
    assert!(Kind::ALL.into_iter().all(|kind| kinds.contains(&(kind as u8))));
    Ok(())
}

/// An independent reader of CBOR finds one well-formed data item and nothing after it.
#[test]
fn the_bytes_are_cbor() -> Tested {
    for (name, body) in golden()? {
        let mut decoder = minicbor::Decoder::new(&body[4..]);
        decoder.skip()?;
        assert_eq!(decoder.position(), body.len() - 4, "{name}");
    }
    Ok(())
}

#[test]
fn a_kind_must_fit_its_payload() -> Tested {
    for (name, body) in golden()? {
        for kind in Kind::ALL {
            let outcome = Value::decode(kind, &body[4..]);
            let fits = kind as u8 == body[1] || kind == Kind::Json || (name == "json" && kind == Kind::Map);
            assert!(fits || outcome.is_err(), "{name} as {kind}");
        }
    }
    Ok(())
}

#[test]
fn integers_add() {
    let sum = &Integer::from(i64::MAX) + &Integer::from(1);
    assert_eq!(Value::from(sum), Value::from(1_u64 << 63));
}
