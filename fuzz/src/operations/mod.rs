//! Bytes as operations on a storage of one of several kinds, each of whose answers is compared with a sorted map's. The
//! clock moves forward between them, and a transaction may be open beside them.

mod choices;
mod model;
mod places;
mod reads;
mod transactions;
mod writes;

use pollster::block_on;
use rrag_storage::engine::Record;
use rrag_storage::{Error, Memory, MemoryEntry, MemoryQuery, MemoryValue, Storage, codec};

use super::input::Input;
use model::{Kept, Model};
use places::Place;
use transactions::Open;

/// The most operations of one input.
const MOST: usize = 150;
/// The views that operations are called on.
const VIEWS: [Option<&str>; 5] = [None, None, None, Some("a"), Some("a::b")];

struct Run<'a> {
    input: Input<'a>,
    place: Place,
    model: Model,
    open: Option<Open>,
}

/// A view, and what stands before its keys.
struct View {
    storage: Storage,
    prefix: String,
}

impl View {
    fn whole(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let place = Place::of(input.byte());
    let now_ns = place.now_ns();
    let model = Model { now_ns, most_keys: place.most_keys, ..Model::default() };
    let mut run = Run { input, place, model, open: None };
    for _ in 0..MOST {
        if run.input.is_empty() {
            break;
        }
        run.step();
    }
    run.all_is_there();
}

impl Run<'_> {
    fn step(&mut self) {
        let view = self.view();
        match self.input.below(20) {
            0 | 1 => self.set(&view),
            2 => self.look(&view),
            3 => self.delete(&view),
            4 => self.pop(&view),
            5 => self.set_many(&view),
            6 => self.set_if_absent(&view),
            7 => self.compare_and_set(&view),
            8 => self.increment(&view),
            9 => self.expire(&view),
            10 => self.read_and_touch(&view),
            11 => self.read_many(&view),
            12 => self.list(&view),
            13 => self.scan(&view),
            14 => self.figures(&view),
            15 => self.clear(&view),
            16 => self.advance(),
            _ => self.transact(&view),
        }
    }

    fn view(&mut self) -> View {
        let name = self.input.one_of(&VIEWS);
        match name {
            None => View { storage: self.place.storage.clone(), prefix: String::new() },
            Some(name) => View { storage: self.place.storage.namespace(name), prefix: format!("{name}::") },
        }
    }

    fn advance(&mut self) {
        let nanos = i64::from(self.input.byte()) * if self.input.chance(2) { 1_000_000 } else { 300_001 };
        self.place.clock.advance(nanos);
        self.model.advance(nanos);
    }

    /// `key` was written: the storage holds what it should, and says when it was created and with which token.
    fn settle(&mut self, key: &str, new: Kept) {
        let entry = self.entry(key).unwrap_or_else(|| panic!("{key:?} was written and is missing"));
        let old = self.model.rows.remove(key);
        assert!(old.as_ref().is_none_or(|old| old.version != entry.version), "{key:?} kept its token");
        let created_at = old.map_or(entry.created_at, |old| old.created_at);
        let kept = Kept { created_at, version: entry.version, ..new };
        assert!(kept.is_as(&entry), "{key:?}: {entry:?}, not {kept:?}");
        self.model.rows.insert(key.to_owned(), kept);
    }

    fn entry(&self, key: &str) -> Option<MemoryEntry> {
        block_on(self.place.storage.get_entry(key)).expect("it can be read")
    }

    /// Everything is there, and nothing else.
    fn all_is_there(&self) {
        let entries = block_on(self.place.storage.entries(MemoryQuery::new())).expect("a listing");
        let (found, wanted): (Vec<_>, Vec<_>) =
            (entries.iter().map(|entry| &entry.key).collect(), self.model.rows.keys().collect());
        assert_eq!(found, wanted);
        for (entry, kept) in entries.iter().zip(self.model.rows.values()) {
            assert!(kept.is_as(entry), "{entry:?}, not {kept:?}");
        }
    }
}

/// The value of a record that came through the layers.
fn value_of(record: Option<&Record>) -> Option<MemoryValue> {
    let (kind, payload) = codec::open(&record?.body).expect("a plain record");
    Some(MemoryValue::decode(kind, payload).expect("a value"))
}

/// What a call that there was no room for says.
fn is_no_room(error: &Error) -> bool {
    matches!(error, Error::LimitExceeded { limit: "max_keys", .. })
}
