//! A transaction beside the other operations: it sees its own writes and repeats its reads, nobody sees it, and it
//! commits only where what it read still stands.

use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigInt;
use pollster::block_on;
use rrag_storage::value::Integer;
use rrag_storage::{Error, MemoryValue, Transaction};

use super::model::Kept;
use super::writes::stored;
use super::{Run, View, choices, is_no_room, value_of};

pub struct Open {
    transaction: Transaction,
    view: View,
    reads: BTreeMap<String, Option<Kept>>,
    writes: BTreeMap<String, Option<Kept>>,
}

impl Run<'_> {
    pub fn transact(&mut self, view: &View) {
        match self.open.take() {
            None => {
                let view = View { storage: view.storage.clone(), prefix: view.prefix.clone() };
                let transaction = view.storage.transaction().expect("it has transactions");
                self.open = Some(Open { transaction, view, reads: BTreeMap::new(), writes: BTreeMap::new() });
            }
            Some(open) => match self.input.below(9) {
                0 => self.commit(open),
                1 => {
                    open.transaction.rollback();
                    let over = block_on(open.transaction.commit());
                    assert!(matches!(over, Err(Error::TransactionFinished)), "{over:?}");
                }
                call => self.open = Some(self.inside(open, call)),
            },
        }
    }

    /// A call of the transaction.
    fn inside(&mut self, mut open: Open, call: usize) -> Open {
        let name = choices::key(&mut self.input);
        let (key, whole) = (stored(&open.view, name), open.view.whole(name));
        match call {
            2 | 3 => {
                let found = block_on(open.transaction.read(vec![key])).expect("it can be read");
                assert_eq!(value_of(found[0].as_ref()), self.seen(&mut open, &whole).map(|kept| kept.value));
            }
            4 | 5 => {
                let value = choices::value(&mut self.input);
                let encoded = value.encode().expect("a good value");
                // Without an expiry: what has expired by the commit would count against a limit or not.
                block_on(open.transaction.write(key, encoded, None)).expect("it is kept back");
                open.writes.insert(whole, Some(Kept::new(value, None)));
            }
            6 => {
                let value = choices::value(&mut self.input);
                let (ttl, millis) = self.input.maybe(choices::ttl).filter(|_| self.model.most_keys.is_none()).unzip();
                let encoded = value.encode().expect("a good value");
                let done = block_on(open.transaction.write_if_absent(key, encoded, ttl)).expect("it is kept back");
                assert_eq!(done, self.seen(&mut open, &whole).is_none(), "{whole:?}");
                if done {
                    let expires_at = millis.map(|millis: i64| self.model.now_ms() + millis);
                    open.writes.insert(whole, Some(Kept::new(value, expires_at)));
                }
            }
            7 => {
                let gone = block_on(open.transaction.remove(vec![key])).expect("it is kept back");
                let there = self.seen(&mut open, &whole).is_some();
                assert_eq!(gone, u64::from(there), "{whole:?}");
                if there {
                    open.writes.insert(whole, None);
                }
            }
            _ => self.increment_inside(&mut open, name, &whole),
        }
        open
    }

    fn increment_inside(&mut self, open: &mut Open, name: &str, whole: &str) {
        let by = BigInt::from(self.input.number());
        let outcome = block_on(open.transaction.add(stored(&open.view, name), by.clone()));
        let (before, expires_at) = match self.seen(open, whole) {
            None => (BigInt::ZERO, None),
            Some(Kept { value: MemoryValue::Integer(integer), expires_at, .. }) => (integer.to_big(), expires_at),
            Some(_) => {
                assert!(matches!(outcome, Err(Error::WrongKind { .. })), "{whole:?}: {outcome:?}");
                return;
            }
        };
        let sum = MemoryValue::Integer(Integer::from(before + by));
        assert_eq!(value_of(outcome.expect("it is kept back").as_ref()).as_ref(), Some(&sum));
        open.writes.insert(whole.to_owned(), Some(Kept::new(sum, expires_at)));
    }

    /// What the transaction sees under `key`; what it had to look up it has read.
    fn seen(&self, open: &mut Open, key: &str) -> Option<Kept> {
        if let Some(written) = open.writes.get(key) {
            return written.clone();
        }
        open.reads.entry(key.to_owned()).or_insert_with(|| self.model.get(key).cloned()).clone()
    }

    fn commit(&mut self, open: Open) {
        let outcome = block_on(open.transaction.commit());
        let version = |kept: Option<&Kept>| kept.map(|kept| kept.version);
        let conflict = open.reads.iter().any(|(key, read)| version(read.as_ref()) != version(self.model.get(key)));
        let mut after: BTreeSet<&str> = self.model.rows.keys().map(String::as_str).collect();
        for (key, written) in &open.writes {
            match written {
                Some(_) => after.insert(key),
                None => after.remove(key.as_str()),
            };
        }
        let (before, after) = (self.model.rows.len(), after.len());
        let full = self.model.most_keys.is_some_and(|most| after > most && after > before);
        match outcome {
            Err(Error::Conflict { .. }) => assert!(conflict, "what was read still stands"),
            Err(error) => assert!(full && is_no_room(&error), "{error}"),
            Ok(()) => {
                assert!(!conflict, "what was read has changed");
                assert!(!full, "it was written past the limit");
                self.written(open.writes);
            }
        }
    }

    fn written(&mut self, writes: BTreeMap<String, Option<Kept>>) {
        let now = self.model.now_ms();
        for (key, kept) in writes {
            match kept.filter(|kept| kept.expires_at.is_none_or(|at| at > now)) {
                Some(kept) => self.settle(&key, kept),
                None => {
                    self.model.rows.remove(&key);
                    assert!(self.entry(&key).is_none(), "{key:?} was deleted and is there");
                }
            }
        }
    }
}
