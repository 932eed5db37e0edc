//! The storages that the operations are tried on.

use std::sync::{Arc, OnceLock};

use pollster::block_on;
use rrag_storage::engine::Engine;
use rrag_storage::engine::in_memory::InMemoryEngine;
use rrag_storage::engine::sqlite::{SqliteConfig, SqliteEngine, SqlitePath, Synchronous};
use rrag_storage::layers::{Compression, EncryptionKey, KeyRing, Layered, Layers};
use rrag_storage::{Clock, InMemoryLimits, ManualClock, Memory, Storage};

const START_NS: i64 = 1_700_000_000_000_000_000;
/// The most keys of the storage that has a limit.
const MOST_KEYS: u64 = 6;

/// A storage with nothing in it, and its time.
pub struct Place {
    pub storage: Storage,
    pub engine: Arc<dyn Engine>,
    pub clock: ManualClock,
    pub most_keys: Option<usize>,
    /// The folder of its file, gone when this is.
    folder: Option<tempfile::TempDir>,
}

impl Place {
    /// One of several kinds.
    pub fn of(kind: u8) -> Self {
        match kind % 8 {
            0 => Self::in_memory(None, Layers::default()),
            1 => Self::in_memory(Some(MOST_KEYS), Layers::default()),
            2 => Self::in_memory(None, sealed(Some(Compression::Zstd { level: 1 }))),
            3 => Self::in_memory(None, offloaded(Layers::default())),
            4 => Self::in_memory(None, offloaded(sealed(Some(Compression::Lz4)))),
            5 => Self::in_file(),
            _ => Self::in_sqlite_memory(),
        }
    }

    pub fn now_ns(&self) -> i64 {
        Clock::Manual(self.clock.clone()).now_ns()
    }

    fn over<E: Engine>(engine: Arc<E>, clock: ManualClock, layers: Layers) -> Self {
        let engine = Layered::new(engine, layers).expect("good options");
        let storage = Storage::over(Arc::clone(&engine), Clock::Manual(clock.clone())).into_dyn();
        Self { storage, engine, clock, most_keys: None, folder: None }
    }

    fn in_memory(max_keys: Option<u64>, layers: Layers) -> Self {
        let (clock, limits) = (ManualClock::at(START_NS), InMemoryLimits { max_keys, ..InMemoryLimits::default() });
        let engine = InMemoryEngine::new(limits, Clock::Manual(clock.clone()));
        let mut place = Self::over(engine, clock, layers);
        place.most_keys = max_keys.and_then(|most| usize::try_from(most).ok());
        place
    }

    fn in_file() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let path = SqlitePath::File(folder.path().join("a.db"));
        let config = SqliteConfig { synchronous: Synchronous::Normal, max_connections: 1, ..SqliteConfig::new(path) };
        let clock = ManualClock::at(START_NS);
        let engine = SqliteEngine::new(config, Clock::Manual(clock.clone()));
        let mut place = Self::over(engine, clock, Layers::default());
        place.folder = Some(folder);
        place
    }

    /// One for the whole process, emptied: opening takes much longer than using it.
    fn in_sqlite_memory() -> Self {
        static OPEN: OnceLock<(Arc<SqliteEngine>, ManualClock)> = OnceLock::new();
        let (engine, clock) = OPEN.get_or_init(|| {
            let clock = ManualClock::at(START_NS);
            (SqliteEngine::new(SqliteConfig::new(SqlitePath::Memory), Clock::Manual(clock.clone())), clock)
        });
        let place = Self::over(Arc::clone(engine), clock.clone(), Layers::default());
        block_on(place.storage.clear(None)).expect("room is made");
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.folder.is_some() {
            block_on(self.storage.close()).expect("it closes");
        }
    }
}

fn sealed(compression: Option<Compression>) -> Layers {
    static KEYS: OnceLock<Arc<KeyRing>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| Arc::new(KeyRing::of(&EncryptionKey::new(&[7; 32]).expect("32 bytes"))));
    Layers { keys: Some(Arc::clone(keys)), compression, compression_threshold: Some(1), ..Layers::default() }
}

fn offloaded(layers: Layers) -> Layers {
    let clock = Clock::Manual(ManualClock::at(START_NS));
    let engine = InMemoryEngine::new(InMemoryLimits::default(), clock.clone());
    let store = Storage::over(Layered::plain(engine), clock).into_dyn();
    Layers { large_values: Some(store), large_value_threshold: Some(32), ..layers }
}
