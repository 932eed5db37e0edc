//! [`Memory`] for every storage: plain keys and values over the front's checked ones.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use num_bigint::BigInt;

use crate::answer::{Answer, attempt};
use crate::clock::NANOS_PER_MILLI;
use crate::codec;
use crate::engine::{Check, Engine, Record};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::memory::{Memory, MemoryEntry, MemoryQuery, MemoryStats};
use crate::storage::Storage;
use crate::ttl::Ttl;
use crate::value::MemoryValue;

fn value_of(key: &str, record: &Record) -> Result<MemoryValue> {
    let decode = || {
        let (kind, payload) = codec::open(&record.body)?;
        MemoryValue::decode(kind, payload)
    };
    decode().map_err(|damage| damage.under(key))
}

fn time(nanos: i64) -> SystemTime {
    let span = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 { UNIX_EPOCH - span } else { UNIX_EPOCH + span }
}

fn entry_of(key: &str, record: &Record) -> Result<MemoryEntry> {
    let size = |body: &[u8]| codec::open(body).map(|(_, payload)| payload.len());
    Ok(MemoryEntry {
        key: key.to_owned(),
        value: value_of(key, record)?,
        created_at: time(record.meta.created_at),
        updated_at: time(record.meta.updated_at),
        expires_at: record
            .meta
            .expires_at
            .map(|at| UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default())),
        version: record.meta.version,
        size_bytes: size(&record.body).map_err(|damage| damage.under(key))?,
    })
}

impl<E: Engine + ?Sized> Storage<E> {
    fn checked(&self, keys: &[&str]) -> Result<Vec<Key>> {
        keys.iter().map(|key| self.key(key)).collect()
    }

    fn set_until(&self, key: &str, value: &MemoryValue, ttl: Option<Ttl>) -> Answer<Result<()>> {
        let key = attempt!(self.key(key));
        self.write(key, attempt!(value.encode()), ttl)
    }
}

impl<E: Engine + ?Sized> Memory for Storage<E> {
    fn backend_name(&self) -> &'static str {
        Self::backend_name(self)
    }

    fn set(&self, key: &str, value: MemoryValue) -> Answer<Result<()>> {
        self.set_until(key, &value, None)
    }

    fn set_with_ttl(&self, key: &str, value: MemoryValue, ttl: Duration) -> Answer<Result<()>> {
        let ttl = attempt!(ttl.try_into());
        self.set_until(key, &value, Some(ttl))
    }

    fn get(&self, key: &str) -> Answer<Result<Option<MemoryValue>>> {
        let local = key.to_owned();
        let key = attempt!(self.key(key));
        self.read(&key).and_then(move |record| record.map(|record| value_of(&local, &record)).transpose())
    }

    fn get_entry(&self, key: &str) -> Answer<Result<Option<MemoryEntry>>> {
        let local = key.to_owned();
        let key = attempt!(self.key(key));
        self.read(&key).and_then(move |record| record.map(|record| entry_of(&local, &record)).transpose())
    }

    fn pop(&self, key: &str) -> Answer<Result<Option<MemoryValue>>> {
        let local = key.to_owned();
        let key = attempt!(self.key(key));
        self.take(key).and_then(move |record| record.map(|record| value_of(&local, &record)).transpose())
    }

    fn delete(&self, key: &str) -> Answer<Result<bool>> {
        let key = attempt!(self.key(key));
        self.remove(vec![key]).map_ok(|removed| removed > 0)
    }

    fn exists(&self, key: &str) -> Answer<Result<bool>> {
        let key = attempt!(self.key(key));
        self.meta(&key).map_ok(|meta| meta.is_some())
    }

    fn mset(&self, pairs: Vec<(String, MemoryValue)>) -> Answer<Result<()>> {
        let encode = |(key, value): &(String, MemoryValue)| Ok((self.key(key)?, value.encode()?));
        let pairs = attempt!(pairs.iter().map(encode).collect::<Result<_>>());
        self.write_many(pairs, None)
    }

    fn mget(&self, keys: &[&str]) -> Answer<Result<Vec<Option<MemoryValue>>>> {
        let keys = attempt!(self.checked(keys));
        let this = self.clone();
        self.read_many(keys.clone()).and_then(move |records| {
            let pairs = keys.iter().zip(records);
            pairs.map(|(key, record)| record.map(|record| value_of(this.local(key), &record)).transpose()).collect()
        })
    }

    fn mdelete(&self, keys: &[&str]) -> Answer<Result<u64>> {
        self.remove(attempt!(self.checked(keys)))
    }

    fn keys(&self, query: MemoryQuery) -> Answer<Result<Vec<String>>> {
        let this = self.clone();
        self.list_keys(&query).map_ok(move |keys| keys.iter().map(|key| this.local(key).to_owned()).collect())
    }

    fn entries(&self, query: MemoryQuery) -> Answer<Result<Vec<MemoryEntry>>> {
        let listing = attempt!(self.list(&query, true));
        let this = self.clone();
        Answer::later(async move {
            let rows = listing.collect().await?;
            let entry = |row: crate::engine::Row| row.record.map(|record| entry_of(this.local(&row.key), &record));
            rows.into_iter().filter_map(entry).collect()
        })
    }

    fn namespaces(&self, prefix: Option<&str>, max_depth: Option<usize>) -> Answer<Result<Vec<String>>> {
        self.list_namespaces(prefix, max_depth)
    }

    fn count(&self, namespace: Option<&str>) -> Answer<Result<u64>> {
        self.count_under(namespace, None)
    }

    fn clear(&self, namespace: Option<&str>) -> Answer<Result<u64>> {
        self.clear_under(namespace, None)
    }

    fn set_if_absent(&self, key: &str, value: MemoryValue) -> Answer<Result<bool>> {
        let key = attempt!(self.key(key));
        self.write_if(key, Check::Absent, attempt!(value.encode()), None)
    }

    fn compare_and_set(&self, key: &str, value: MemoryValue, version: u64) -> Answer<Result<bool>> {
        let key = attempt!(self.key(key));
        self.write_if(key, Check::Version(version), attempt!(value.encode()), None)
    }

    fn increment(&self, key: &str, by: i64) -> Answer<Result<MemoryValue>> {
        let local = key.to_owned();
        let key = attempt!(self.key(key));
        self.add(key, BigInt::from(by)).and_then(move |record| match record {
            Some(record) => value_of(&local, &record),
            None => Err(Error::Corrupted { key: local, reason: "the counter was not stored".to_owned() }),
        })
    }

    fn expire(&self, key: &str, ttl: Duration) -> Answer<Result<bool>> {
        let ttl = attempt!(ttl.try_into());
        self.set_expiry(attempt!(self.key(key)), Some(ttl))
    }

    fn persist(&self, key: &str) -> Answer<Result<bool>> {
        self.set_expiry(attempt!(self.key(key)), None)
    }

    fn health_check(&self) -> Answer<bool> {
        self.ping().map(|result| result.is_ok())
    }

    fn stats(&self) -> Answer<Result<MemoryStats>> {
        let (backend_type, clock) = (Self::backend_name(self), self.clock().clone());
        self.figures().map_ok(move |(stats, namespace_count)| MemoryStats {
            total_keys: stats.keys,
            memory_bytes: stats.bytes,
            backend_type,
            namespace_count,
            last_updated: time(clock.now_ms().saturating_mul(NANOS_PER_MILLI)),
            extra: stats.extra,
        })
    }

    fn close(&self) -> Answer<Result<()>> {
        self.shut()
    }
}
