//! A stored record for each combination of layers: what a version has written, every later one reads.
//! `test_golden_layers.py` reads the same file from Python.
//!
//! Nonces are random, so the bytes were written once; `cargo test --test golden_layers -- --ignored` writes a new file
//! beside the old one, for a combination that is new.

use std::collections::BTreeMap;
use std::sync::Arc;

use pollster::block_on;
use rrag_storage::engine::in_memory::InMemoryEngine;
use rrag_storage::engine::{Batch, Engine, Meta, NewRecord, Record, Write};
use rrag_storage::layers::{Compression, Dictionary, EncryptionKey, KeyRing, Layered, Layers};
use rrag_storage::{Clock, Error, InMemoryLimits, Key, ManualClock, MemoryQuery, MemoryValue, Storage, codec};
use serde_json::{Value as Json, json};
use smallvec::smallvec;

type Tested = Result<(), Box<dyn std::error::Error>>;

const STORAGE_ID: [u8; 16] = *b"golden storage 1";
const SECRET: [u8; 32] = [7; 32];
const KEY: &str = "users::ada";
const META: Meta = Meta {
    version: 0x0123_4567_89AB_CDEF,
    created_at: 1_700_000_000_000_000_000,
    updated_at: 1_700_000_001_000_000_000,
    expires_at: Some(4_102_444_800_000),
};

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn unhex(text: &Json) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let text = text.as_str().ok_or("no text")?;
    Ok((0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16)).collect::<Result<_, _>>()?)
}

fn value() -> MemoryValue {
    MemoryValue::from("a golden text that shrinks, ".repeat(8))
}

fn golden() -> Result<BTreeMap<String, Json>, serde_json::Error> {
    serde_json::from_str(include_str!("golden/layers.json"))
}

fn engine() -> Arc<InMemoryEngine> {
    InMemoryEngine::new(InMemoryLimits::default(), Clock::Manual(ManualClock::at(1_700_000_002_000_000_000)))
}

/// Compression by its name in the file; `None` for a dictionary that isn't given.
fn compression(name: &str, dictionary: Option<&[u8]>) -> rrag_storage::Result<Option<Compression>> {
    Ok(match (name, dictionary) {
        ("dictionary", Some(bytes)) => {
            Some(Compression::Dictionary { level: 3, dictionary: Arc::new(Dictionary::new(bytes.to_vec())?) })
        }
        (name, _) => Compression::by_name(name),
    })
}

struct Opened {
    engine: Arc<InMemoryEngine>,
    large: Storage,
    layers: Layers,
}

/// A storage as the name of a combination says: `zstd, encrypted, large`.
fn open(combination: &str, dictionary: Option<&[u8]>) -> rrag_storage::Result<Opened> {
    let has = |part| combination.split(", ").any(|name| name == part);
    let large = Storage::over(Layered::plain(engine()), Clock::System).into_dyn();
    let mut layers = Layers::default();
    for name in ["zstd", "lz4", "dictionary"] {
        if has(name) {
            layers.compression = compression(name, dictionary)?;
        }
    }
    layers.compression_threshold = layers.compression.as_ref().map(|_| 1);
    if has("encrypted") {
        let keys = KeyRing::new(&[("2026".to_owned(), EncryptionKey::new(&SECRET)?)], None)?;
        layers.keys = Some(Arc::new(keys));
        layers.hide_keys = has("hidden keys");
    }
    if has("large") {
        layers.large_values = Some(large.clone());
        layers.large_value_threshold = Some(1);
    }
    Ok(Opened { engine: engine(), large, layers })
}

fn put(engine: &dyn Engine, key: &str, body: Vec<u8>) -> rrag_storage::Result<()> {
    let new = NewRecord { meta: META, body, force_created: true };
    block_on(engine.commit(Batch { writes: smallvec![(Key::new(key)?, Write::Put(new))], ..Batch::default() }))
        .map(|_| ())
}

/// What one of the file's records holds, read with `layers`.
fn read(
    record: &Json,
    opened: &Opened,
    key: &str,
) -> Result<rrag_storage::Result<Option<Record>>, Box<dyn std::error::Error>> {
    for (name, stored) in record["attributes"].as_object().ok_or("attributes")? {
        block_on(opened.engine.attribute(name, Some(unhex(stored)?)))?;
    }
    for (name, payload) in record["payloads"].as_object().ok_or("payloads")? {
        let payload = MemoryValue::Bytes(unhex(payload)?).encode()?;
        block_on(opened.large.write(opened.large.key(name)?, payload, None))?;
    }
    put(&*opened.engine, record["key"].as_str().ok_or("key")?, unhex(&record["body"])?)?;
    let layered = Layered::new(Arc::clone(&opened.engine), opened.layers.clone())?;
    Ok(block_on(layered.read_one(&Key::new(key)?)))
}

fn decoded(record: &Record) -> rrag_storage::Result<MemoryValue> {
    let decoded = codec::open(&record.body).and_then(|(kind, payload)| MemoryValue::decode(kind, payload));
    decoded.map_err(|damage| damage.under(KEY))
}

const COMBINATIONS: [&str; 19] = [
    "plain",
    "zstd",
    "lz4",
    "dictionary",
    "encrypted",
    "zstd, encrypted",
    "lz4, encrypted",
    "dictionary, encrypted",
    "large",
    "zstd, large",
    "lz4, large",
    "dictionary, large",
    "encrypted, large",
    "zstd, encrypted, large",
    "lz4, encrypted, large",
    "dictionary, encrypted, large",
    "zstd, encrypted, large, hidden keys",
    // The others' payloads have no end.
    "large, with an end",
    "encrypted, large, with an end",
];

#[test]
fn every_combination_is_read() -> Tested {
    let golden = golden()?;
    assert_eq!(golden.len(), COMBINATIONS.len());
    for combination in COMBINATIONS {
        let record = golden.get(combination).ok_or(combination)?;
        // The dictionary is found with the data.
        let opened = open(combination, None)?;
        let read =
            read(record, &opened, KEY)?.map_err(|error| format!("{combination}: {error}"))?.ok_or(combination)?;
        assert_eq!(read.meta, META, "{combination}");
        assert_eq!(decoded(&read)?, value(), "{combination}");
    }
    Ok(())
}

#[test]
fn sealed_ones_need_their_key_and_their_place() -> Tested {
    for (combination, record) in golden()?.iter().filter(|(name, _)| name.contains("encrypted")) {
        if !combination.contains("hidden keys") {
            let outcome = read(record, &open("plain", None)?, KEY)?;
            assert!(matches!(&outcome, Err(Error::Decryption { key_id, .. }) if key_id == "2026"), "{combination}");
            let mut moved = record.clone();
            moved["key"] = "users::bob".into();
            let outcome = read(&moved, &open(combination, None)?, "users::bob")?;
            assert!(matches!(&outcome, Err(Error::Decryption { key, .. }) if key == "users::bob"), "{combination}");
        }
        let mut elsewhere = record.clone();
        elsewhere["attributes"]["storage-id"] = hex(b"golden storage 2").into();
        let outcome = read(&elsewhere, &open(combination, None)?, KEY);
        assert!(!matches!(&outcome, Ok(Ok(Some(_)))), "{combination}");
    }
    Ok(())
}

/// The header says how it was written: format 1, the kind, the flags and the key's id.
#[test]
fn the_headers_are_those_that_were_agreed() -> Tested {
    for (combination, record) in golden()? {
        let has = |part| combination.split(", ").any(|name| name == part);
        let packing = if has("zstd") {
            1
        } else if has("lz4") {
            2
        } else if has("dictionary") {
            3
        } else {
            0
        };
        let sealed = if has("encrypted") { 0x10 } else { 0 };
        let body = unhex(&record["body"])?;
        let id: &[u8] = if sealed == 0 { b"" } else { b"2026" };
        let flags = sealed | if has("large") { 0x20 } else { packing };
        let header = [&[1, 5, flags, u8::try_from(id.len())?][..], id].concat();
        assert_eq!(body[..header.len()], header, "{combination}");
        let payloads = record["payloads"].as_object().ok_or("payloads")?;
        assert_eq!(payloads.len(), usize::from(has("large")), "{combination}");
        for (name, payload) in payloads {
            assert!(name.starts_with(&hex(&STORAGE_ID)), "{combination}");
            let header = [&[1, 5, sealed | packing, u8::try_from(id.len())?][..], id].concat();
            assert_eq!(unhex(payload)?[..header.len()], header, "{combination}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "writes a new file"]
fn write() -> Tested {
    let samples: Vec<String> =
        (0..500).map(|n| format!("a golden text that shrinks, number {n}, {}", n * 7919)).collect();
    let dictionary = zstd::dict::from_samples(&samples, 512)?;
    let mut golden = BTreeMap::new();
    for combination in COMBINATIONS {
        let Opened { engine, large, layers } = open(combination, Some(&dictionary))?;
        block_on(engine.attribute("storage-id", Some(STORAGE_ID.to_vec())))?;
        let (keys, has_dictionary) = (layers.keys.is_some(), combination.contains("dictionary"));
        let layered = Layered::new(Arc::clone(&engine), layers)?;
        put(&*layered, KEY, value().encode()?.into_body())?;
        let scan = rrag_storage::engine::Scan {
            range: rrag_storage::engine::KeyRange::all(),
            order: rrag_storage::SortOrder::KeyAsc,
            after: None,
            limit: 1,
            records: true,
        };
        let row = block_on(engine.scan(scan))?.rows.remove(0);
        let body = row.record.ok_or("no record")?.body.to_vec();
        let mut attributes = serde_json::Map::new();
        let id = u32::from_le_bytes(dictionary[4..8].try_into()?);
        let mut names = vec!["storage-id".to_owned(), "hidden-keys".to_owned(), "hidden-keys-2026".to_owned()];
        if has_dictionary {
            names.push(format!("zstd-dictionary-{id}{}", if keys { "-2026" } else { "" }));
        }
        for name in names {
            if let Some(stored) = block_on(engine.attribute(&name, None))? {
                attributes.insert(name, hex(&stored).into());
            }
        }
        let mut payloads = serde_json::Map::new();
        for row in block_on(large.list(&MemoryQuery::new(), true)?.collect())? {
            if let MemoryValue::Bytes(bytes) = decoded(&row.record.ok_or("no payload")?)? {
                payloads.insert(row.key.as_str().to_owned(), hex(&bytes).into());
            }
        }
        let record =
            json!({"key": row.key.as_str(), "body": hex(&body), "attributes": attributes, "payloads": payloads});
        golden.insert(combination, record);
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/layers.new.json");
    std::fs::write(file, serde_json::to_string_pretty(&golden)? + "\n")?;
    Ok(())
}
