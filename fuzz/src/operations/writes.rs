//! Operations that write.

use num_bigint::BigInt;
use pollster::block_on;
use rrag_storage::engine::Check;
use rrag_storage::value::Integer;
use rrag_storage::{Error, Memory, MemoryValue, Result, Ttl};

use super::model::Kept;
use super::{Run, View, choices, is_no_room, value_of};

impl Run<'_> {
    fn maybe_ttl(&mut self) -> (Option<Ttl>, Option<i64>) {
        let (ttl, millis) = self.input.maybe(choices::ttl).unzip();
        (ttl, millis.map(|millis| self.model.now_ms() + millis))
    }

    /// Whether a write of `keys` was done; it was refused where there is no room for them, and only there.
    fn was_done<T>(&self, keys: &[String], outcome: Result<T>) -> Option<T> {
        match outcome {
            Ok(done) if self.model.has_room(keys.iter().map(String::as_str)) => Some(done),
            Err(error) if is_no_room(&error) && !self.model.has_room(keys.iter().map(String::as_str)) => None,
            Ok(_) => panic!("{keys:?} were written past the limit"),
            Err(error) => panic!("{keys:?}: {error}"),
        }
    }

    pub fn set(&mut self, view: &View) {
        let (key, value) = (choices::key(&mut self.input), choices::value(&mut self.input));
        let (ttl, expires_at) = self.maybe_ttl();
        let outcome = block_on(view.storage.write(stored(view, key), value.encode().expect("a good value"), ttl));
        let whole = view.whole(key);
        if self.was_done(std::slice::from_ref(&whole), outcome).is_some() {
            self.settle(&whole, Kept::new(value, expires_at));
        }
    }

    pub fn set_many(&mut self, view: &View) {
        let keys = choices::keys(&mut self.input);
        let pairs: Vec<(&str, MemoryValue)> =
            keys.into_iter().map(|key| (key, choices::value(&mut self.input))).collect();
        let (ttl, expires_at) = self.maybe_ttl();
        let encoded = |(key, value): &(&str, MemoryValue)| (stored(view, key), value.encode().expect("a good value"));
        let outcome = block_on(view.storage.write_many(pairs.iter().map(encoded).collect(), ttl));
        let keys: Vec<String> = pairs.iter().map(|(key, _)| view.whole(key)).collect();
        if self.was_done(&keys, outcome).is_some() {
            let last: std::collections::BTreeMap<_, _> = keys.into_iter().zip(pairs).collect();
            for (key, (_, value)) in last {
                self.settle(&key, Kept::new(value, expires_at));
            }
        }
    }

    pub fn set_if_absent(&mut self, view: &View) {
        let (key, value) = (choices::key(&mut self.input), choices::value(&mut self.input));
        let whole = view.whole(key);
        self.write_if(view, key, Check::Absent, value, self.model.get(&whole).is_none());
    }

    pub fn compare_and_set(&mut self, view: &View) {
        let (key, value) = (choices::key(&mut self.input), choices::value(&mut self.input));
        let version = self.model.get(&view.whole(key)).map(|kept| kept.version);
        let stale = self.input.chance(3) || version.is_none();
        let asked = if stale { version.map_or(1, |version| version ^ 1) } else { version.unwrap_or(1) };
        self.write_if(view, key, Check::Version(asked), value, !stale);
    }

    fn write_if(&mut self, view: &View, key: &str, check: Check, value: MemoryValue, holds: bool) {
        let (ttl, expires_at) = self.maybe_ttl();
        let whole = view.whole(key);
        let encoded = value.encode().expect("a good value");
        let outcome = block_on(view.storage.write_if(stored(view, key), check, encoded, ttl));
        if !holds {
            assert!(matches!(outcome, Ok(false)), "{whole:?}: {outcome:?} where {check:?} does not hold");
        } else if let Some(done) = self.was_done(std::slice::from_ref(&whole), outcome) {
            assert!(done, "{whole:?}: {check:?} holds");
            self.settle(&whole, Kept::new(value, expires_at));
        }
    }

    pub fn increment(&mut self, view: &View) {
        let (key, by) = (choices::key(&mut self.input), BigInt::from(self.input.number()));
        let whole = view.whole(key);
        let outcome = block_on(view.storage.add(stored(view, key), by.clone()));
        let (before, expires_at) = match self.model.get(&whole) {
            None => (BigInt::ZERO, None),
            Some(Kept { value: MemoryValue::Integer(integer), expires_at, .. }) => (integer.to_big(), *expires_at),
            Some(_) => {
                let Err(Error::WrongKind { key: named, .. }) = outcome else { panic!("{whole:?}: {outcome:?}") };
                assert_eq!(named, key);
                return;
            }
        };
        if let Some(record) = self.was_done(std::slice::from_ref(&whole), outcome) {
            let sum = MemoryValue::Integer(Integer::from(before + by));
            assert_eq!(value_of(record.as_ref()).as_ref(), Some(&sum));
            self.settle(&whole, Kept::new(sum, expires_at));
        }
    }

    pub fn expire(&mut self, view: &View) {
        let key = choices::key(&mut self.input);
        let (ttl, expires_at) = self.maybe_ttl();
        let there = block_on(view.storage.set_expiry(stored(view, key), ttl)).expect("it takes no room");
        let whole = view.whole(key);
        assert_eq!(there, self.model.get(&whole).is_some(), "{whole:?}");
        if let Some(kept) = self.model.get(&whole) {
            let value = kept.value.clone();
            self.settle(&whole, Kept::new(value, expires_at));
        }
    }

    pub fn read_and_touch(&mut self, view: &View) {
        let keys = choices::keys(&mut self.input);
        let (ttl, millis) = choices::ttl(&mut self.input);
        let asked = keys.iter().map(|key| stored(view, key)).collect();
        let found = block_on(view.storage.read_and_touch(asked, ttl)).expect("it takes no room");
        assert_eq!(found.len(), keys.len());
        for (key, record) in keys.iter().zip(&found) {
            let kept = self.model.get(&view.whole(key)).map(|kept| &kept.value);
            assert_eq!(value_of(record.as_ref()).as_ref(), kept, "{key:?}");
        }
        let expires_at = Some(self.model.now_ms() + millis);
        let mut there: Vec<String> = keys.iter().map(|key| view.whole(key)).collect();
        there.retain(|key| self.model.get(key).is_some());
        there.sort_unstable();
        there.dedup();
        for key in there {
            let value = self.model.rows[&key].value.clone();
            self.settle(&key, Kept::new(value, expires_at));
        }
    }

    pub fn pop(&mut self, view: &View) {
        let key = choices::key(&mut self.input);
        let taken = block_on(view.storage.take(stored(view, key))).expect("it can be read");
        let kept = self.model.rows.remove(&view.whole(key)).map(|kept| kept.value);
        assert_eq!(value_of(taken.as_ref()), kept, "{key:?}");
    }

    pub fn delete(&mut self, view: &View) {
        let keys = choices::keys(&mut self.input);
        let gone = block_on(view.storage.mdelete(&keys)).expect("it can be deleted");
        let there = keys.iter().filter(|key| self.model.rows.remove(&view.whole(key)).is_some()).count();
        assert_eq!(gone, there as u64, "{keys:?}");
    }

    pub fn clear(&mut self, view: &View) {
        let (namespace, start) = (choices::start(&mut self.input), choices::start(&mut self.input));
        let gone = block_on(view.storage.clear_under(namespace, start)).expect("it can be deleted");
        let under = view.whole(&namespace.map_or_else(String::new, |namespace| format!("{namespace}::")));
        let begins = view.whole(start.unwrap_or_default());
        let before = self.model.rows.len();
        self.model.rows.retain(|key, _| !(key.starts_with(&under) && key.starts_with(&begins)));
        assert_eq!(gone, (before - self.model.rows.len()) as u64, "{namespace:?}, {start:?}");
    }
}

/// A key that is known to be good, as the engine spells it.
pub fn stored(view: &View, key: &str) -> rrag_storage::Key {
    view.storage.key(key).expect("a good key")
}
