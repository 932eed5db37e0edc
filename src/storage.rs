//! The front: keys, expiry, versions and the record's codec, once for every engine.
//!
//! A [`Storage`] is a handle: clones share the engine. Each method starts its work when it is called and hands back an
//! [`Answer`]; bad arguments answer with their error before the engine is asked for anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use num_bigint::BigInt;
use smallvec::smallvec;

use crate::answer::{Answer, attempt};
use crate::clock::Clock;
use crate::codec::{self, Encoded, Frame, Kind};
use crate::engine::{
    Announced, Batch, Change, ChangeFn, Check, Commit, Engine, EngineStats, KeyRange, Meta, NewRecord, Page, Record,
    Rotated, Scan, Write,
};
use crate::error::{Error, Result};
use crate::key::{Key, SEPARATOR};
use crate::listing::{LARGEST_PAGE, Listing};
use crate::memory::MemoryQuery;
use crate::meter::Meter;
use crate::transaction::Transaction;
use crate::ttl::Ttl;
use crate::value::MemoryValue;

/// A storage over any engine, or a view of one namespace of it.
///
/// The methods of [`crate::Memory`] are for everyday use; those here take checked [`Key`]s and [`Encoded`] values and
/// give [`Record`]s: what a language binding needs.
pub struct Storage<E: ?Sized = dyn Engine> {
    engine: Arc<E>,
    clock: Clock,
    /// What stands before each key of a view; empty for the whole storage.
    prefix: Arc<str>,
    opened: Arc<Opened>,
    meter: Arc<Meter>,
}

/// Whether a storage or a view was closed. Closing either closes the views of it.
#[derive(Default)]
struct Opened {
    closed: AtomicBool,
    of: Option<Arc<Opened>>,
}

impl Opened {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.of.as_ref().is_some_and(|of| of.is_closed())
    }
}

impl<E: ?Sized> Clone for Storage<E> {
    fn clone(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            clock: self.clock.clone(),
            prefix: Arc::clone(&self.prefix),
            opened: Arc::clone(&self.opened),
            meter: Arc::clone(&self.meter),
        }
    }
}

impl<E: Engine> Storage<E> {
    /// A storage over `engine`, with the clock that the engine uses.
    pub fn over(engine: Arc<E>, clock: Clock) -> Self {
        let meter = Arc::new(Meter::new(!engine.is_local()));
        Self { engine, clock, prefix: "".into(), opened: Arc::default(), meter }
    }

    /// The same storage, whatever its engine.
    pub fn into_dyn(self) -> Storage {
        let Self { engine, clock, prefix, opened, meter } = self;
        Storage { engine, clock, prefix, opened, meter }
    }
}

impl<E: Engine + ?Sized> Storage<E> {
    /// The backend's name.
    pub fn backend_name(&self) -> &'static str {
        self.engine.name()
    }

    /// Where the data is, with no secret in it.
    pub fn location(&self) -> String {
        self.engine.location()
    }

    /// Whether a call may wait in the calling thread; see [`Engine::may_block`].
    pub fn may_block(&self) -> bool {
        self.engine.may_block()
    }

    /// Where to announce calls; see [`Engine::announced`].
    pub fn announced(&self) -> Option<&Announced> {
        self.engine.announced()
    }

    /// What counts the calls of this storage and of all its views. A language binding tells it of them.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// What stands before each key of this view; empty for the whole storage.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A view whose keys stand under `name::` in this storage.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Self {
        let mut view = self.clone();
        view.prefix = format!("{}{name}{SEPARATOR}", self.prefix).into();
        view.opened = Arc::new(Opened { of: Some(Arc::clone(&self.opened)), ..Opened::default() });
        view
    }

    /// Checks `key` and puts this view's prefix before it.
    pub fn key(&self, key: &str) -> Result<Key> {
        Key::with_prefix(&self.prefix, key, self.engine.max_key_bytes())
    }

    /// `key` as this view spells it.
    pub fn local<'k>(&self, key: &'k Key) -> &'k str {
        key.get(self.prefix.len()..).unwrap_or_default()
    }

    /// Whether both are handles or views of one storage.
    pub(crate) fn shares_engine<T: Engine + ?Sized>(&self, other: &Storage<T>) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.engine), Arc::as_ptr(&other.engine))
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.opened.is_closed()
    }

    fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::Closed { backend: self.engine.name() }) } else { Ok(()) }
    }

    /// Opens the storage where it isn't open yet.
    pub fn open(&self) -> Answer<Result<()>> {
        attempt!(self.check_open());
        self.engine.open()
    }

    fn put(&self, value: Encoded, ttl: Option<Ttl>) -> Result<Write> {
        let expires_at = ttl.map(|ttl| ttl.expires_at(&self.clock)).transpose()?;
        Ok(Write::Put(new_record(value, expires_at, self.clock.stamp())))
    }

    /// What `key` holds.
    pub fn read(&self, key: &Key) -> Answer<Result<Option<Record>>> {
        attempt!(self.check_open());
        self.engine.read_one(key)
    }

    /// What `keys` hold, in their order.
    pub fn read_many(&self, keys: Vec<Key>) -> Answer<Result<Vec<Option<Record>>>> {
        attempt!(self.check_open());
        self.engine.read(keys)
    }

    /// What `keys` hold, their expiry restarted in the same step.
    pub fn read_and_touch(&self, keys: Vec<Key>, ttl: Ttl) -> Answer<Result<Vec<Option<Record>>>> {
        let change = attempt!(self.touch(Some(ttl)));
        self.changed(self.engine.update(keys, change))
            .map_ok(|updated| updated.into_iter().map(|one| one.after).collect())
    }

    /// The answer of a change of several keys, its error in this view's keys.
    fn changed<T: Send + 'static>(&self, answer: Answer<Result<T>>) -> Answer<Result<T>> {
        let prefix = self.prefix.len();
        answer.map(move |done| done.map_err(|error| as_view(error, prefix)))
    }

    /// A change that gives what is there a new expiry, or none.
    fn touch(&self, ttl: Option<Ttl>) -> Result<ChangeFn> {
        self.check_open()?;
        let expires_at = ttl.map(|ttl| ttl.expires_at(&self.clock)).transpose()?;
        let clock = self.clock.clone();
        Ok(Arc::new(move |_, record| {
            Ok(record.map_or(Change::Keep, |record| {
                let meta = Meta { version: new_version(), updated_at: clock.stamp(), expires_at, ..record.meta };
                Change::Put(NewRecord { meta, body: record.body.to_vec(), force_created: false })
            }))
        }))
    }

    /// Stores `value` under `key`.
    pub fn write(&self, key: Key, value: Encoded, ttl: Option<Ttl>) -> Answer<Result<()>> {
        attempt!(self.check_open());
        let write = attempt!(self.put(value, ttl));
        self.commit(Batch { checks: smallvec![], writes: smallvec![(key, write)] }).map_ok(|_| ())
    }

    /// Stores all of `pairs` or nothing; of a key named twice the last.
    pub fn write_many(&self, pairs: Vec<(Key, Encoded)>, ttl: Option<Ttl>) -> Answer<Result<()>> {
        attempt!(self.check_open());
        if pairs.is_empty() {
            return Answer::ready(Ok(()));
        }
        let expires_at = attempt!(ttl.map(|ttl| ttl.expires_at(&self.clock)).transpose());
        let pairs = keep_last(pairs);
        let first = self.clock.stamps(pairs.len());
        let writes = pairs
            .into_iter()
            .zip(first..)
            .map(|((key, value), stamp)| (key, Write::Put(new_record(value, expires_at, stamp))))
            .collect();
        self.commit(Batch { checks: smallvec![], writes }).map_ok(|_| ())
    }

    /// Stores `value` where `check` holds; whether it did.
    pub fn write_if(&self, key: Key, check: Check, value: Encoded, ttl: Option<Ttl>) -> Answer<Result<bool>> {
        attempt!(self.check_open());
        let write = attempt!(self.put(value, ttl));
        self.commit(Batch { checks: smallvec![(key.clone(), check)], writes: smallvec![(key, write)] })
            .map_ok(|commit| matches!(commit, Commit::Done(_)))
    }

    /// Deletes `keys`, in one step where the engine can; how many of them were there.
    pub fn remove(&self, keys: Vec<Key>) -> Answer<Result<u64>> {
        attempt!(self.check_open());
        if keys.is_empty() {
            return Answer::ready(Ok(0));
        }
        let keys = keep_last(keys.into_iter().map(|key| (key, ())).collect());
        self.engine.delete(keys.into_iter().map(|(key, ())| key).collect())
    }

    /// Takes the record out.
    pub fn take(&self, key: Key) -> Answer<Result<Option<Record>>> {
        attempt!(self.check_open());
        let change: ChangeFn = Arc::new(|_, record| Ok(if record.is_some() { Change::Delete } else { Change::Keep }));
        self.engine.update(vec![key], change).map_ok(|updated| updated.into_iter().next().and_then(|one| one.before))
    }

    /// Adds `by` to the integer under `key`; the new record.
    pub fn add(&self, key: Key, by: BigInt) -> Answer<Result<Option<Record>>> {
        attempt!(self.check_open());
        let (clock, prefix) = (self.clock.clone(), self.prefix.len());
        let change: ChangeFn = Arc::new(move |key, record| {
            let local = key.get(prefix..).unwrap_or_default();
            let value = MemoryValue::from(integer_of(local, record)? + &by).encode()?;
            let stamp = clock.stamp();
            let meta = record.map_or(
                Meta { version: new_version(), created_at: stamp, updated_at: stamp, expires_at: None },
                |record| Meta { version: new_version(), updated_at: stamp, ..record.meta },
            );
            Ok(Change::Put(NewRecord { meta, body: value.into_body(), force_created: false }))
        });
        self.engine.update(vec![key], change).map_ok(|updated| updated.into_iter().next().and_then(|one| one.after))
    }

    /// Gives `key` a new expiry, or none; whether it was there.
    pub fn set_expiry(&self, key: Key, ttl: Option<Ttl>) -> Answer<Result<bool>> {
        let change = attempt!(self.touch(ttl));
        self.changed(self.engine.update_unread(vec![key], change)).map_ok(|touched| touched.contains(&true))
    }

    /// Version and times of `key`.
    pub fn meta(&self, key: &Key) -> Answer<Result<Option<Meta>>> {
        attempt!(self.check_open());
        self.engine.meta(key)
    }

    /// How long `key` will live: `None` where it is missing, infinite where it never expires.
    pub fn time_left(&self, key: &Key) -> Answer<Result<Option<f64>>> {
        let clock = self.clock.clone();
        self.meta(key).map_ok(move |meta| {
            meta.map(|meta| {
                #[allow(clippy::cast_precision_loss)] // A hundredth of a microsecond in a year.
                meta.expires_at.map_or(f64::INFINITY, |at| ((at as f64) / 1e3 - (clock.now_ns() as f64) / 1e9).max(0.0))
            })
        })
    }

    /// The keys that `query` asks for, as this view spells them.
    pub fn list_keys(&self, query: &MemoryQuery) -> Answer<Result<Vec<Key>>> {
        // All of them are wanted: the fewest trips.
        let listing = attempt!(self.list(query, false)).in_pages_of(LARGEST_PAGE);
        Answer::later(async move { Ok(listing.collect().await?.into_iter().map(|row| row.key).collect()) })
    }

    /// A listing of what `query` asks for, to be read page by page.
    pub fn list(&self, query: &MemoryQuery, records: bool) -> Result<Listing<E>> {
        self.check_open()?;
        Ok(Listing::new(self.clone(), query, records))
    }

    /// A page of the engine's keys.
    pub(crate) fn scan(&self, scan: Scan) -> Answer<Result<Page>> {
        attempt!(self.check_open());
        self.engine.scan(scan)
    }

    fn range(&self, namespace: Option<&str>, prefix: Option<&str>) -> KeyRange {
        let mut range = KeyRange::prefix(&self.prefix);
        if let Some(namespace) = namespace {
            range = range.intersect(KeyRange::prefix(&format!("{}{namespace}{SEPARATOR}", self.prefix)));
        }
        if let Some(prefix) = prefix {
            range = range.intersect(KeyRange::prefix(&format!("{}{prefix}", self.prefix)));
        }
        range
    }

    /// How many entries stand under `namespace` and start with `prefix`.
    pub fn count_under(&self, namespace: Option<&str>, prefix: Option<&str>) -> Answer<Result<u64>> {
        attempt!(self.check_open());
        self.engine.count(self.range(namespace, prefix))
    }

    /// Deletes what stands under `namespace` and starts with `prefix`, in one step; how many went.
    pub fn clear_under(&self, namespace: Option<&str>, prefix: Option<&str>) -> Answer<Result<u64>> {
        attempt!(self.check_open());
        self.engine.remove_range(self.range(namespace, prefix))
    }

    /// The namespaces that start with `prefix`, sorted, at most `max_depth` segments deep.
    pub fn list_namespaces(&self, prefix: Option<&str>, max_depth: Option<usize>) -> Answer<Result<Vec<String>>> {
        attempt!(self.check_open());
        let wanted = prefix.unwrap_or_default().to_owned();
        self.engine.namespaces(self.range(None, prefix), self.prefix.len(), max_depth).map_ok(move |mut namespaces| {
            namespaces.retain(|namespace| namespace.starts_with(&wanted));
            namespaces
        })
    }

    /// The figures on this view, and its number of first-level namespaces. What the engine and the meter have counted is of
    /// the whole storage, by this process.
    pub fn figures(&self) -> Answer<Result<(EngineStats, u64)>> {
        attempt!(self.check_open());
        let this = self.clone();
        self.engine.census(self.range(None, None), self.prefix.len()).map_ok(move |(mut stats, namespaces)| {
            stats.extra.extend(this.engine.activity());
            stats.extra.extend(this.meter.figures());
            (stats, namespaces)
        })
    }

    /// Rewrites up to `limit` records behind `after` into the storage's present layers.
    pub fn rotate(&self, after: Option<&Key>, limit: usize) -> Answer<Result<Rotated>> {
        attempt!(self.check_open());
        let mut range = self.range(None, None);
        if let Some(after) = after {
            range = range.after(after);
        }
        self.engine.rotate(range, limit)
    }

    /// Removes large values that nothing points to and that were stored longer than `older_than` ago; how many.
    pub fn collect_garbage(&self, older_than: Duration) -> Answer<Result<u64>> {
        attempt!(self.check_open());
        self.engine.collect_garbage(older_than)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the backend writes one key at a time.
    pub fn transaction(&self) -> Result<Transaction<E>> {
        self.engine.transactions()?;
        Ok(Transaction::new(self.clone()))
    }

    /// Does a batch's writes where its checks hold.
    pub(crate) fn commit(&self, batch: Batch) -> Answer<Result<Commit>> {
        attempt!(self.check_open());
        let prefix = self.prefix.len();
        self.engine.commit(batch).map(move |done| done.map_err(|error| as_view(error, prefix)))
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the backend answers.
    pub fn ping(&self) -> Answer<Result<()>> {
        attempt!(self.check_open());
        self.engine.ping()
    }

    /// Closes the storage, or this view of it alone. Idempotent.
    pub fn shut(&self) -> Answer<Result<()>> {
        self.opened.closed.store(true, Ordering::Relaxed);
        if self.opened.of.is_some() { Answer::ready(Ok(())) } else { self.engine.close() }
    }
}

/// A record of `value`, written at `stamp`.
pub(crate) fn new_record(value: Encoded, expires_at: Option<i64>, stamp: i64) -> NewRecord {
    let meta = Meta { version: new_version(), created_at: stamp, updated_at: stamp, expires_at };
    NewRecord { meta, body: value.into_body(), force_created: false }
}

/// A token for a write; never 0.
pub(crate) fn new_version() -> u64 {
    fastrand::u64(1..)
}

/// The integer in `record`, 0 where there is none; `key` is for the error.
pub(crate) fn integer_of(key: &str, record: Option<&Record>) -> Result<BigInt> {
    let Some(record) = record else { return Ok(BigInt::ZERO) };
    // A value that lives elsewhere says what kind it is, too.
    let kind = Frame::parse(&record.body).map_err(|damage| damage.under(key))?.kind;
    if kind != Kind::Integer {
        return Err(Error::WrongKind { key: key.to_owned(), found: kind.name(), wanted: Kind::Integer.name() });
    }
    let (kind, payload) = codec::open(&record.body).map_err(|damage| damage.under(key))?;
    match MemoryValue::decode(kind, payload).map_err(|damage| damage.under(key))? {
        MemoryValue::Integer(integer) => Ok(integer.to_big()),
        _ => Err(Error::Corrupted { key: key.to_owned(), reason: "its kind is not that of its value".to_owned() }),
    }
}

/// An error that names keys, as a view whose prefix is so long spells them.
fn as_view(error: Error, prefix: usize) -> Error {
    match error {
        Error::PartialWrite { written, total, error } => {
            let written = written.iter().map(|key| key.get(prefix..).unwrap_or_default().to_owned()).collect();
            Error::PartialWrite { written, total, error }
        }
        other => other,
    }
}

/// One pair a key, the last, where the key first stood.
fn keep_last<T>(pairs: Vec<(Key, T)>) -> Vec<(Key, T)> {
    if pairs.len() < 2 {
        return pairs;
    }
    let mut places: HashMap<Key, usize> = HashMap::with_capacity(pairs.len());
    let mut kept: Vec<(Key, T)> = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        match places.get(&key) {
            Some(&place) => kept[place].1 = value,
            None => {
                places.insert(key.clone(), kept.len());
                kept.push((key, value));
            }
        }
    }
    kept
}
