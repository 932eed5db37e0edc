//! Any bytes as a stored record, read through layers of several kinds: a value, or an error about this key, and never a
//! crash. A value that is read can be written, and reads as the same bytes again.

use std::sync::{Arc, OnceLock};

use pollster::block_on;
use rrag_storage::engine::in_memory::InMemoryEngine;
use rrag_storage::engine::{Batch, Engine, Meta, NewRecord, Write};
use rrag_storage::layers::{EncryptionKey, KeyRing, Layered, Layers};
use rrag_storage::{Clock, Error, InMemoryLimits, Key, MemoryValue, Storage, codec};
use smallvec::smallvec;

struct Reader {
    key: Key,
    engine: Arc<InMemoryEngine>,
    plain: Arc<Layered<InMemoryEngine>>,
    sealed: Arc<Layered<InMemoryEngine>>,
}

fn reader() -> &'static Reader {
    static READER: OnceLock<Reader> = OnceLock::new();
    READER.get_or_init(|| {
        let engine = || InMemoryEngine::new(InMemoryLimits::default(), Clock::System);
        let store = || Some(Storage::over(Layered::plain(engine()), Clock::System).into_dyn());
        let ours = engine();
        let key = EncryptionKey::new(&[7; 32]).expect("32 bytes");
        let keys = Some(Arc::new(KeyRing::of(&key)));
        let plain = Layers { large_values: store(), ..Layers::default() };
        let sealed = Layers { keys, large_values: store(), ..Layers::default() };
        Reader {
            key: Key::new("key").expect("a key"),
            plain: Layered::new(Arc::clone(&ours), plain).expect("good options"),
            sealed: Layered::new(Arc::clone(&ours), sealed).expect("good options"),
            engine: ours,
        }
    })
}

pub fn run(body: &[u8]) {
    let reader = reader();
    let meta = Meta { version: 1, created_at: 1, updated_at: 1, expires_at: None };
    let put = Write::Put(NewRecord { meta, body: body.to_vec(), force_created: true });
    let batch = Batch { writes: smallvec![(reader.key.clone(), put)], ..Batch::default() };
    block_on(reader.engine.commit(batch)).expect("there is room");
    match block_on(reader.sealed.read_one(&reader.key)) {
        Err(Error::Decryption { .. } | Error::Corrupted { .. }) => {}
        outcome => panic!("a forged record: {outcome:?}"),
    }
    match block_on(reader.plain.read_one(&reader.key)) {
        Err(Error::Decryption { .. } | Error::Corrupted { .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(None) => panic!("it is there"),
        Ok(Some(record)) => {
            // A kind that only a newer version knows goes through the layers, and is refused here.
            let Ok((kind, payload)) = codec::open(&record.body) else { return };
            if let Ok(value) = MemoryValue::decode(kind, payload) {
                let encoded = value.encode().expect("what was read can be written");
                let again = MemoryValue::decode(encoded.kind(), encoded.payload()).expect("and read again");
                assert_eq!(again.encode().expect("and written").body(), encoded.body());
            }
        }
    }
}
