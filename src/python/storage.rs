//! `Storage`: every method of every backend, once.
//!
//! A method takes its arguments out, and hands an [`Operation`] what to start and what to make of the answer. Arguments
//! that are refused are raised when the operation is awaited, as by an `async def`.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, intern};

use super::args::By;
use super::entry::{PyMemoryEntry, PyMemoryStats, decode, decode_or, memory_value};
use super::iterator::{PyEntryIterator, Shape};
use super::operation::{Operation, Outcome};
use super::query::query_of;
use super::transaction::PyTransaction;
use super::{args, html};
use crate::answer::Answer;
use crate::engine::{Announced, Check, Record, Rotated};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::memory::MemoryQuery;
use crate::meter::Call;
use crate::storage::Storage;

/// A storage, whatever its backend, or a view of one namespace of it. The backends are its subclasses.
#[pyclass(frozen, subclass, weakref, name = "Storage", module = "rrag_storage")]
pub(super) struct PyStorage {
    storage: Arc<Storage>,
    class: &'static str,
    /// Whether each operation is written to the log.
    logging: bool,
}

impl PyStorage {
    pub(super) fn new(storage: Storage, class: &'static str, logging: bool) -> Self {
        Self { storage: Arc::new(storage), class, logging }
    }

    pub(super) fn shared(&self) -> Arc<Storage> {
        Arc::clone(&self.storage)
    }

    fn operation<T, S, F>(&self, call: Call, build: impl FnOnce() -> PyResult<(S, F)>) -> Operation
    where
        T: Send + 'static,
        S: FnOnce(&Storage) -> Answer<Result<T>> + Send + 'static,
        F: FnOnce(Python<'_>, T) -> Outcome + Send + 'static,
    {
        match build() {
            Ok((start, finish)) => {
                let storage = Arc::clone(&self.storage);
                let blocking = storage.may_block();
                // Held until the call was begun, or the operation is dropped.
                let announcement = storage.announced().map(Announced::announce);
                let start = move |storage: &Storage| {
                    let answer = start(storage);
                    drop(announcement);
                    answer
                };
                let operation = Operation::new(self.class, call, blocking, storage, start, finish);
                if self.logging { operation.logged(self.storage.backend_name()) } else { operation }
            }
            Err(error) => Operation::refused(self.class, call, error),
        }
    }

    fn key(&self, key: &Bound<'_, PyAny>) -> PyResult<Key> {
        args::key(&self.storage, key)
    }

    /// The key as the view spells it, for what is made of the answer.
    fn local(&self, key: &Key) -> Local {
        Local { key: key.clone(), skip: self.storage.prefix().len() }
    }

    fn iterate(
        &self,
        shape: Shape,
        query: Option<&Bound<'_, PyAny>>,
        filters: Option<&Bound<'_, PyDict>>,
    ) -> PyEntryIterator {
        let listing = query_of(query, filters).and_then(|query| Ok(self.storage.list(&query, true)?));
        PyEntryIterator::new(self.class, Arc::clone(&self.storage), shape, listing)
    }
}

/// A key without its view's prefix, at no allocation.
struct Local {
    key: Key,
    skip: usize,
}

impl std::ops::Deref for Local {
    type Target = str;

    fn deref(&self) -> &str {
        self.key.get(self.skip..).unwrap_or_default()
    }
}

/// What was looked up, counted, with the key that it is about.
fn looked_up(
    answer: Answer<Result<Option<Record>>>,
    key: Key,
    storage: &Storage,
) -> Answer<Result<(Option<Record>, Local)>> {
    let local = Local { key, skip: storage.prefix().len() };
    if let Answer::Ready(Some(Ok(found))) = answer {
        storage.meter().looked_up(1, usize::from(found.is_some()));
        return Answer::ready(Ok((found, local)));
    }
    let meter = Arc::clone(storage.meter());
    answer.map_ok(move |found| {
        meter.looked_up(1, usize::from(found.is_some()));
        (found, local)
    })
}

fn count_found(storage: &Storage, records: &[Option<Record>]) {
    storage.meter().looked_up(records.len(), records.iter().flatten().count());
}

/// The integer that an increment left.
pub(super) fn integer(py: Python<'_>, key: &str, record: Option<&Record>) -> Outcome {
    match record {
        Some(record) => decode(py, key, record),
        None => Err(Error::Corrupted { key: key.to_owned(), reason: "the counter was not stored".to_owned() }.into()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what an operation's last step returns")]
fn none(py: Python<'_>, (): ()) -> Outcome {
    Ok(py.None())
}

fn object<T: for<'py> IntoPyObject<'py>>(py: Python<'_>, value: T) -> Outcome {
    value.into_py_any(py)
}

#[pymethods]
impl PyStorage {
    #[pyo3(signature = (key, value, ttl=None))]
    fn set(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, ttl: Option<&Bound<'_, PyAny>>) -> Operation {
        self.operation(Call::Set, || {
            let (key, value, ttl) = (self.key(key)?, args::value(value)?, args::optional_ttl(ttl)?);
            Ok((move |storage: &Storage| storage.write(key, value, ttl), none))
        })
    }

    #[pyo3(signature = (key, default=None, *, refresh_ttl=None))]
    fn get(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        default: Option<Py<PyAny>>,
        refresh_ttl: Option<&Bound<'_, PyAny>>,
    ) -> Operation {
        self.operation(Call::Get, || {
            let (key, ttl) = (self.key(key)?, args::optional_ttl(refresh_ttl)?);
            let default = default.unwrap_or_else(|| py.None());
            let start = move |storage: &Storage| {
                let answer = match ttl {
                    None => storage.read(&key),
                    Some(ttl) => {
                        let touched = storage.read_and_touch(vec![key.clone()], ttl);
                        touched.map_ok(|records| records.into_iter().next().flatten())
                    }
                };
                looked_up(answer, key, storage)
            };
            Ok((start, move |py: Python<'_>, (record, key): (Option<Record>, Local)| {
                decode_or(py, &key, record.as_ref(), &default)
            }))
        })
    }

    fn get_value(&self, key: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::GetValue, || {
            let key = self.key(key)?;
            Ok((
                move |storage: &Storage| looked_up(storage.read(&key), key, storage),
                |py: Python<'_>, (record, key): (Option<Record>, Local)| {
                    object(py, record.map(|record| memory_value(&key, &record)).transpose()?)
                },
            ))
        })
    }

    fn get_entry(&self, key: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::GetEntry, || {
            let key = self.key(key)?;
            Ok((
                move |storage: &Storage| looked_up(storage.read(&key), key, storage),
                |py: Python<'_>, (record, key): (Option<Record>, Local)| {
                    object(py, record.map(|record| PyMemoryEntry::new(&key, record)).transpose()?)
                },
            ))
        })
    }

    fn get_entries(&self, keys: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::GetEntries, || {
            let keys = args::keys(&self.storage, keys)?;
            let (storage, asked) = (Arc::clone(&self.storage), keys.clone());
            Ok((
                move |storage: &Storage| storage.read_many(keys),
                move |py: Python<'_>, records: Vec<Option<Record>>| {
                    count_found(&storage, &records);
                    let entries = asked.iter().zip(records).map(|(key, record)| {
                        record.map(|record| PyMemoryEntry::new(storage.local(key), record)).transpose()
                    });
                    object(py, entries.collect::<Result<Vec<_>>>()?)
                },
            ))
        })
    }

    #[pyo3(signature = (key, default=None))]
    fn pop(&self, py: Python<'_>, key: &Bound<'_, PyAny>, default: Option<Py<PyAny>>) -> Operation {
        self.operation(Call::Pop, || {
            let key = self.key(key)?;
            let default = default.unwrap_or_else(|| py.None());
            Ok((
                move |storage: &Storage| looked_up(storage.take(key.clone()), key, storage),
                move |py: Python<'_>, (record, key): (Option<Record>, Local)| {
                    decode_or(py, &key, record.as_ref(), &default)
                },
            ))
        })
    }

    fn delete(&self, key: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::Delete, || {
            let key = self.key(key)?;
            Ok((
                move |storage: &Storage| storage.remove(vec![key]),
                |py: Python<'_>, removed: u64| object(py, removed > 0),
            ))
        })
    }

    fn exists(&self, key: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::Exists, || {
            let key = self.key(key)?;
            Ok((
                move |storage: &Storage| storage.meta(&key),
                |py: Python<'_>, meta: Option<_>| object(py, meta.is_some()),
            ))
        })
    }

    #[pyo3(signature = (items, ttl=None))]
    fn mset(&self, items: &Bound<'_, PyAny>, ttl: Option<&Bound<'_, PyAny>>) -> Operation {
        self.operation(Call::Mset, || {
            let (pairs, ttl) = (args::pairs(&self.storage, items)?, args::optional_ttl(ttl)?);
            Ok((move |storage: &Storage| storage.write_many(pairs, ttl), none))
        })
    }

    #[pyo3(signature = (keys, default=None, *, refresh_ttl=None))]
    fn mget(
        &self,
        py: Python<'_>,
        keys: &Bound<'_, PyAny>,
        default: Option<Py<PyAny>>,
        refresh_ttl: Option<&Bound<'_, PyAny>>,
    ) -> Operation {
        self.operation(Call::Mget, || {
            let (keys, ttl) = (args::keys(&self.storage, keys)?, args::optional_ttl(refresh_ttl)?);
            let (storage, asked) = (Arc::clone(&self.storage), keys.clone());
            let default = default.unwrap_or_else(|| py.None());
            let start = move |storage: &Storage| match ttl {
                None => storage.read_many(keys),
                Some(ttl) => storage.read_and_touch(keys, ttl),
            };
            let finish = move |py: Python<'_>, records: Vec<Option<Record>>| {
                count_found(&storage, &records);
                let values = asked
                    .iter()
                    .zip(&records)
                    .map(|(key, record)| decode_or(py, storage.local(key), record.as_ref(), &default));
                object(py, values.collect::<PyResult<Vec<_>>>()?)
            };
            Ok((start, finish))
        })
    }

    fn mdelete(&self, keys: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::Mdelete, || {
            let keys = args::keys(&self.storage, keys)?;
            Ok((move |storage: &Storage| storage.remove(keys), object))
        })
    }

    #[pyo3(signature = (query=None, **filters))]
    fn keys(&self, query: Option<&Bound<'_, PyAny>>, filters: Option<&Bound<'_, PyDict>>) -> Operation {
        self.operation(Call::Keys, || {
            let query: MemoryQuery = query_of(query, filters)?;
            let storage = Arc::clone(&self.storage);
            Ok((
                move |storage: &Storage| storage.list_keys(&query),
                move |py: Python<'_>, keys: Vec<Key>| {
                    let keys = keys.iter().map(|key| PyString::new(py, storage.local(key)));
                    Ok(PyList::new(py, keys)?.into_any().unbind())
                },
            ))
        })
    }

    #[pyo3(signature = (query=None, **filters))]
    fn items(&self, query: Option<&Bound<'_, PyAny>>, filters: Option<&Bound<'_, PyDict>>) -> PyEntryIterator {
        self.iterate(Shape::Item, query, filters)
    }

    #[pyo3(signature = (query=None, **filters))]
    fn entries(&self, query: Option<&Bound<'_, PyAny>>, filters: Option<&Bound<'_, PyDict>>) -> PyEntryIterator {
        self.iterate(Shape::Entry, query, filters)
    }

    #[pyo3(signature = (prefix=None, max_depth=None))]
    fn namespaces(&self, prefix: Option<&Bound<'_, PyAny>>, max_depth: Option<&Bound<'_, PyAny>>) -> Operation {
        self.operation(Call::Namespaces, || {
            let prefix = args::optional_text("prefix", prefix)?;
            let max_depth = args::optional_size("max_depth", 1, max_depth)?;
            Ok((move |storage: &Storage| storage.list_namespaces(prefix.as_deref(), max_depth), object))
        })
    }

    #[pyo3(signature = (namespace=None, *, prefix=None))]
    fn count(&self, namespace: Option<&Bound<'_, PyAny>>, prefix: Option<&Bound<'_, PyAny>>) -> Operation {
        self.operation(Call::Count, || {
            let namespace = args::optional_text("namespace", namespace)?;
            let prefix = args::optional_text("prefix", prefix)?;
            Ok((move |storage: &Storage| storage.count_under(namespace.as_deref(), prefix.as_deref()), object))
        })
    }

    #[pyo3(signature = (namespace=None, *, prefix=None))]
    fn clear(&self, namespace: Option<&Bound<'_, PyAny>>, prefix: Option<&Bound<'_, PyAny>>) -> Operation {
        self.operation(Call::Clear, || {
            let namespace = args::optional_text("namespace", namespace)?;
            let prefix = args::optional_text("prefix", prefix)?;
            Ok((move |storage: &Storage| storage.clear_under(namespace.as_deref(), prefix.as_deref()), object))
        })
    }

    #[pyo3(signature = (key, value, ttl=None))]
    fn set_if_absent(
        &self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        ttl: Option<&Bound<'_, PyAny>>,
    ) -> Operation {
        self.operation(Call::SetIfAbsent, || {
            let (key, value, ttl) = (self.key(key)?, args::value(value)?, args::optional_ttl(ttl)?);
            Ok((move |storage: &Storage| storage.write_if(key, Check::Absent, value, ttl), object))
        })
    }

    #[pyo3(signature = (key, value, version, ttl=None))]
    fn compare_and_set(
        &self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        version: &Bound<'_, PyAny>,
        ttl: Option<&Bound<'_, PyAny>>,
    ) -> Operation {
        self.operation(Call::CompareAndSet, || {
            let (key, value, ttl) = (self.key(key)?, args::value(value)?, args::optional_ttl(ttl)?);
            let check = Check::Version(args::version(version)?);
            Ok((move |storage: &Storage| storage.write_if(key, check, value, ttl), object))
        })
    }

    #[pyo3(signature = (key, by=By::One), text_signature = "($self, key, by=1)")]
    fn increment(&self, key: &Bound<'_, PyAny>, by: By<'_, '_>) -> Operation {
        self.operation(Call::Increment, || {
            let key = self.key(key)?;
            let local = self.local(&key);
            let by = by.integer()?;
            Ok((
                move |storage: &Storage| storage.add(key, by),
                move |py: Python<'_>, record: Option<Record>| integer(py, &local, record.as_ref()),
            ))
        })
    }

    fn expire(&self, key: &Bound<'_, PyAny>, ttl: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::Expire, || {
            let (key, ttl) = (self.key(key)?, args::ttl(ttl)?);
            Ok((move |storage: &Storage| storage.set_expiry(key, Some(ttl)), object))
        })
    }

    fn persist(&self, key: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::Persist, || {
            let key = self.key(key)?;
            Ok((move |storage: &Storage| storage.set_expiry(key, None), object))
        })
    }

    fn ttl(&self, key: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::Ttl, || {
            let key = self.key(key)?;
            Ok((move |storage: &Storage| storage.time_left(&key), object))
        })
    }

    fn transaction(&self) -> PyResult<PyTransaction> {
        Ok(PyTransaction::new(self.storage.transaction()?))
    }

    #[pyo3(signature = (fn_, max_attempts=None), text_signature = "($self, fn, max_attempts=16)")]
    fn transact<'py>(
        slf: &Bound<'py, Self>,
        fn_: &Bound<'py, PyAny>,
        max_attempts: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let transact = slf.py().import("rrag_storage._transact")?.getattr("transact")?;
        match max_attempts {
            Some(max_attempts) => transact.call1((slf, fn_, max_attempts)),
            None => transact.call1((slf, fn_, 16)),
        }
    }

    #[pyo3(signature = (*, progress=None, page_size=None), text_signature = "($self, *, progress=None, page_size=500)")]
    fn rotate<'py>(
        slf: &Bound<'py, Self>,
        progress: Option<&Bound<'py, PyAny>>,
        page_size: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let rotate = slf.py().import("rrag_storage._rotate")?.getattr("rotate")?;
        match page_size {
            Some(page_size) => rotate.call1((slf, progress, page_size)),
            None => rotate.call1((slf, progress, 500)),
        }
    }

    fn typed<'py>(slf: &Bound<'py, Self>, model: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("rrag_storage._typed")?.call_method1("typed", (slf, model))
    }

    #[pyo3(signature = (query=None, **filters))]
    fn to_pandas<'py>(
        slf: &Bound<'py, Self>,
        query: Option<&Bound<'py, PyAny>>,
        filters: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("rrag_storage._pandas")?.call_method("to_pandas", (slf, query), filters)
    }

    /// One page of `rotate`: how many were seen, how many rewritten, and the last key where there are more.
    fn _rotate_page(&self, after: Option<&Bound<'_, PyAny>>, page_size: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::Rotate, || {
            let after = after.map(|after| self.key(after)).transpose()?;
            let page_size = args::size("page_size", 1, page_size)?;
            let prefix = self.storage.prefix().len();
            Ok((
                move |storage: &Storage| storage.rotate(after.as_ref(), page_size),
                move |py: Python<'_>, rotated: Rotated| {
                    let next = rotated.next.as_ref().and_then(|key| key.get(prefix..));
                    object(py, (rotated.seen, rotated.rewritten, next))
                },
            ))
        })
    }

    #[pyo3(signature = (older_than=None), text_signature = "($self, older_than=3600)")]
    fn collect_garbage(&self, older_than: Option<&Bound<'_, PyAny>>) -> Operation {
        self.operation(Call::CollectGarbage, || {
            let older_than = older_than.map_or(Ok(Duration::from_hours(1)), |span| args::span("older_than", span))?;
            Ok((move |storage: &Storage| storage.collect_garbage(older_than), object::<u64>))
        })
    }

    fn health_check(&self) -> Operation {
        self.operation(Call::HealthCheck, || {
            let ping = |storage: &Storage| {
                storage.ping().map(|ping| match ping {
                    Err(closed @ Error::Closed { .. }) => Err(closed),
                    ping => Ok(ping.is_ok()),
                })
            };
            Ok((ping, object::<bool>))
        })
    }

    fn stats(&self) -> Operation {
        self.operation(Call::Stats, || {
            let (backend, clock) = (self.storage.backend_name(), self.storage.clock().clone());
            Ok((
                |storage: &Storage| storage.figures(),
                move |py: Python<'_>, (stats, namespaces): (_, u64)| {
                    object(py, PyMemoryStats::new(py, backend, stats, namespaces, clock.now_ns())?)
                },
            ))
        })
    }

    fn namespace(&self, name: &Bound<'_, PyAny>) -> PyResult<Self> {
        let view = self.storage.namespace(args::text("name", name)?);
        Ok(Self { storage: Arc::new(view), class: "Storage", logging: self.logging })
    }

    #[getter]
    fn sync<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = slf.py();
        let find = || py.import("rrag_storage.sync")?.getattr("SyncStorage").map(Bound::unbind);
        let class = CLASS.get_or_try_init(py, find)?.bind(py);
        // Without its `__init__`: a thread that the interpreter's end finds in Python code under a Rust frame, and not
        // in Rust code, takes the process down.
        let twin = class.call_method1(intern!(py, "__new__"), (class,))?;
        twin.setattr(intern!(py, "_storage"), slf)?;
        Ok(twin)
    }

    pub(super) fn open(slf: &Bound<'_, Self>) -> Operation {
        let this = slf.clone().unbind();
        slf.get().operation(Call::Open, || {
            Ok((|storage: &Storage| storage.open(), move |_: Python<'_>, ()| Ok(this.into_any())))
        })
    }

    fn close(&self) -> Operation {
        self.operation(Call::Close, || Ok((|storage: &Storage| storage.shut(), none)))
    }

    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Operation>> {
        Bound::new(slf.py(), Self::open(slf))
    }

    fn __aenter__(slf: &Bound<'_, Self>) -> Operation {
        Self::open(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, _exception: &Bound<'_, PyTuple>) -> Operation {
        self.close()
    }

    #[getter]
    fn backend_name(&self) -> &'static str {
        self.storage.backend_name()
    }

    #[getter]
    fn url(&self) -> String {
        self.storage.location()
    }

    #[getter]
    fn closed(&self) -> bool {
        self.storage.is_closed()
    }

    fn __repr__(&self) -> String {
        let location = self.storage.location();
        let prefix = self.storage.prefix();
        let closed = if self.storage.is_closed() { ", closed" } else { "" };
        if prefix.is_empty() {
            format!("<{} {location}{closed}>", self.class)
        } else {
            format!("<{} {location}, keys under {prefix:?}{closed}>", self.class)
        }
    }

    fn _repr_html_(&self) -> String {
        let state = if self.storage.is_closed() { "closed" } else { "open" };
        let mut rows = vec![
            ("backend", self.storage.backend_name().to_owned()),
            ("url", self.storage.location()),
            ("state", state.to_owned()),
        ];
        if !self.storage.prefix().is_empty() {
            rows.push(("keys under", html::shortened(self.storage.prefix())));
        }
        html::table(self.class, &rows)
    }
}
