//! A layered storage in memory, and hands on what it stores underneath.
#![allow(dead_code, unreachable_pub, reason = "each test crate uses a part")]

use std::sync::Arc;

use fastrand::Rng;
use pollster::block_on;
use rrag_storage::engine::in_memory::InMemoryEngine;
use rrag_storage::engine::{Batch, Commit, Engine, Meta, NewRecord, Record, Write};
use rrag_storage::layers::Layered;
use rrag_storage::layers::Layers;
use rrag_storage::{Clock, Error, InMemoryLimits, Key, ManualClock, MemoryQuery, MemoryValue, Result, Storage, codec};
use smallvec::smallvec;

pub type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// Values are offloaded, compressed and found under these options.
pub mod layers {
    use std::sync::Arc;

    use rrag_storage::layers::{Compression, Dictionary, EncryptionKey, KeyRing, Layers};

    pub fn encrypted() -> Layers {
        let key = EncryptionKey::new(&[7; 32]).ok();
        Layers { keys: key.map(|key| Arc::new(KeyRing::of(&key))), ..Layers::default() }
    }

    pub fn compressed(compression: Compression) -> Layers {
        Layers { compression: Some(compression), compression_threshold: Some(1), ..Layers::default() }
    }

    pub fn with_dictionary() -> rrag_storage::Result<Layers> {
        let samples: Vec<Vec<u8>> = (0..2000)
            .map(|n| {
                format!("{{\"title\": \"Document {n}\", \"tags\": [\"a\", \"b\"], \"page\": {}}}", n * 7).into_bytes()
            })
            .collect();
        let dictionary = Arc::new(Dictionary::train(&samples)?);
        Ok(compressed(Compression::Dictionary { level: 3, dictionary }))
    }

    pub fn compressed_and_encrypted() -> Layers {
        Layers { keys: encrypted().keys, ..compressed(Compression::Zstd { level: 1 }) }
    }

    pub fn offloaded() -> Layers {
        let large_values = Some(super::in_memory());
        Layers { large_values, large_value_threshold: Some(1), ..Layers::default() }
    }

    pub fn all() -> Layers {
        let Layers { large_values, large_value_threshold, .. } = offloaded();
        Layers { large_values, large_value_threshold, ..compressed_and_encrypted() }
    }
}

fn clock() -> Clock {
    Clock::Manual(ManualClock::at(1 << 50))
}

fn engine() -> Arc<InMemoryEngine> {
    InMemoryEngine::new(InMemoryLimits { max_keys: None, max_memory_bytes: None, ..InMemoryLimits::default() }, clock())
}

fn in_memory() -> Storage {
    Storage::over(Layered::plain(engine()), clock()).into_dyn()
}

/// Values of many kinds and sizes; some shrink.
pub fn sample(rng: &mut Rng) -> MemoryValue {
    let text = |rng: &mut Rng, most| -> String { (0..rng.usize(1..most)).map(|_| rng.alphanumeric()).collect() };
    match rng.u8(..6) {
        0 => MemoryValue::from(rng.i64(..)),
        1 => MemoryValue::from(text(rng, 200)),
        2 => MemoryValue::from("the same again, ".repeat(rng.usize(1..60))),
        3 => MemoryValue::List((0..rng.usize(1..20)).map(|n| MemoryValue::from(n as u64)).collect()),
        4 => MemoryValue::Bytes((0..rng.usize(1..300)).map(|_| rng.u8(..)).collect()),
        _ => MemoryValue::from(vec![
            ("title".to_owned(), MemoryValue::from(text(rng, 40))),
            ("page".to_owned(), MemoryValue::from(rng.f64())),
            ("body".to_owned(), MemoryValue::from("lorem ipsum ".repeat(rng.usize(1..20)))),
        ]),
    }
}

/// The value of a record that came through the layers.
pub fn decode(key: &str, record: &Record) -> Result<MemoryValue> {
    let decoded = codec::open(&record.body).and_then(|(kind, payload)| MemoryValue::decode(kind, payload));
    decoded.map_err(|damage| damage.under(key))
}

pub struct Store {
    engine: Arc<InMemoryEngine>,
    layered: Arc<Layered<InMemoryEngine>>,
    large: Option<Storage>,
    clock: Clock,
}

impl Store {
    pub fn new(layers: Layers) -> Result<Self> {
        let (engine, large) = (engine(), layers.large_values.clone());
        let layered = Layered::new(Arc::clone(&engine), layers)?;
        Ok(Self { engine, layered, large, clock: clock() })
    }

    fn commit(engine: &dyn Engine, key: &str, record: NewRecord) -> Result<()> {
        let writes = smallvec![(Key::new(key)?, Write::Put(record))];
        match block_on(engine.commit(Batch { writes, ..Batch::default() }))? {
            Commit::Done(_) => Ok(()),
            Commit::Conflict(key) => Err(Error::Conflict { key: key.as_str().to_owned() }),
        }
    }

    /// Writes through the layers; the record that stands underneath then.
    pub fn put(&self, key: &str, value: &MemoryValue) -> Result<Record> {
        let at = self.clock.stamp();
        let expires_at = (at % 2 == 0).then_some(1 << 60);
        let meta = Meta { version: fastrand::u64(1..), created_at: at, updated_at: at, expires_at };
        let record = NewRecord { meta, body: value.encode()?.into_body(), force_created: true };
        Self::commit(&*self.layered, key, record)?;
        block_on(self.engine.read_one(&Key::new(key)?))?.ok_or(Error::Closed { backend: "test" })
    }

    /// Puts `record` there, past the layers.
    pub fn plant(&self, key: &str, record: &Record) -> Result<()> {
        Self::commit(&*self.engine, key, NewRecord { force_created: true, ..record.clone().into() })
    }

    /// Reads through the layers.
    pub fn get(&self, key: &str) -> Result<Option<Record>> {
        block_on(self.layered.read_one(&Key::new(key)?))
    }

    /// What the object store holds.
    pub fn payloads(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let Some(store) = &self.large else { return Ok(Vec::new()) };
        let rows = block_on(store.list(&MemoryQuery::new(), true)?.collect())?;
        let payload = |record: Record| match decode("", &record)? {
            MemoryValue::Bytes(bytes) => Ok(bytes),
            _ => Err(Error::Closed { backend: "test" }),
        };
        rows.into_iter()
            .filter_map(|row| Some((row.key.as_str().to_owned(), row.record?)))
            .map(|(name, record)| Ok((name, payload(record)?)))
            .collect()
    }

    pub fn plant_payload(&self, name: &str, payload: &[u8]) -> Result<()> {
        let Some(store) = &self.large else { return Ok(()) };
        block_on(store.write(store.key(name)?, MemoryValue::Bytes(payload.to_vec()).encode()?, None))
    }

    /// What `key` gives while `name` holds another payload.
    pub fn get_after(&self, name: &str, payload: &[u8]) -> Result<Result<Option<Record>>> {
        let before = self.payloads()?.into_iter().find(|(other, _)| other == name);
        self.plant_payload(name, payload)?;
        let outcome = self.get("key");
        if let Some((_, before)) = before {
            self.plant_payload(name, &before)?;
        }
        Ok(outcome)
    }
}

/// The most memory that this process ever had, in bytes; 0 where the system doesn't say.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) << 10
}
