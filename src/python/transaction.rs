//! `Transaction`: the calls of a storage that commit together.

use std::sync::Arc;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use super::args::{self, By};
use super::entry::{PyMemoryEntry, decode_or};
use super::operation::{Operation, Outcome};
use super::storage::integer;
use crate::answer::Answer;
use crate::error::{Error, Result};
use crate::meter::Call;
use crate::transaction::Transaction;

/// A transaction: `async with storage.transaction() as tx:`. Reads see its own writes and are repeatable; nothing is
/// visible outside before the block ends; then all of it happens, or `ConflictError` is raised and none of it did.
#[pyclass(frozen, name = "Transaction", module = "rrag_storage")]
pub(super) struct PyTransaction {
    transaction: Arc<Transaction>,
    blocking: bool,
}

const CLASS: &str = "Transaction";

impl PyTransaction {
    pub(super) fn new(transaction: Transaction) -> Self {
        let blocking = transaction.storage().may_block();
        Self { transaction: Arc::new(transaction), blocking }
    }

    fn operation<T, S, F>(&self, call: Call, build: impl FnOnce() -> PyResult<(S, F)>) -> Operation
    where
        T: Send + 'static,
        S: FnOnce(&Transaction) -> Answer<Result<T>> + Send + 'static,
        F: FnOnce(Python<'_>, T) -> Outcome + Send + 'static,
    {
        match build() {
            Ok((start, finish)) => {
                let transaction = Arc::clone(&self.transaction);
                Operation::new(CLASS, call, self.blocking, transaction, start, finish)
            }
            Err(error) => Operation::refused(CLASS, call, error),
        }
    }
}

#[pymethods]
impl PyTransaction {
    #[pyo3(signature = (key, default=None))]
    fn get(&self, py: Python<'_>, key: &Bound<'_, PyAny>, default: Option<Py<PyAny>>) -> Operation {
        self.operation(Call::Get, || {
            let key = args::key(self.transaction.storage(), key)?;
            let local = self.transaction.storage().local(&key).to_owned();
            let default = default.unwrap_or_else(|| py.None());
            Ok((
                move |tx: &Transaction| tx.read(vec![key]),
                move |py: Python<'_>, records: Vec<_>| {
                    decode_or(py, &local, records.first().and_then(Option::as_ref), &default)
                },
            ))
        })
    }

    fn get_entry(&self, key: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::GetEntry, || {
            let key = args::key(self.transaction.storage(), key)?;
            let local = self.transaction.storage().local(&key).to_owned();
            Ok((
                move |tx: &Transaction| tx.read(vec![key]),
                move |py: Python<'_>, records: Vec<_>| {
                    let record = records.into_iter().next().flatten();
                    record.map(|record| PyMemoryEntry::new(&local, record)).transpose()?.into_py_any(py)
                },
            ))
        })
    }

    #[pyo3(signature = (keys, default=None))]
    fn mget(&self, py: Python<'_>, keys: &Bound<'_, PyAny>, default: Option<Py<PyAny>>) -> Operation {
        self.operation(Call::Mget, || {
            let keys = args::keys(self.transaction.storage(), keys)?;
            let (transaction, asked) = (Arc::clone(&self.transaction), keys.clone());
            let default = default.unwrap_or_else(|| py.None());
            Ok((
                move |tx: &Transaction| tx.read(keys),
                move |py: Python<'_>, records: Vec<_>| {
                    let values = asked.iter().zip(&records).map(|(key, record)| {
                        decode_or(py, transaction.storage().local(key), Option::as_ref(record), &default)
                    });
                    values.collect::<PyResult<Vec<_>>>()?.into_py_any(py)
                },
            ))
        })
    }

    fn exists(&self, key: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::Exists, || {
            let key = args::key(self.transaction.storage(), key)?;
            Ok((
                move |tx: &Transaction| tx.read(vec![key]),
                |py: Python<'_>, records: Vec<Option<_>>| records.iter().any(Option::is_some).into_py_any(py),
            ))
        })
    }

    #[pyo3(signature = (key, value, ttl=None))]
    fn set(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, ttl: Option<&Bound<'_, PyAny>>) -> Operation {
        self.operation(Call::Set, || {
            let key = args::key(self.transaction.storage(), key)?;
            let (value, ttl) = (args::value(value)?, args::optional_ttl(ttl)?);
            Ok((move |tx: &Transaction| tx.write(key, value, ttl), |py: Python<'_>, ()| Ok(py.None())))
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
            let key = args::key(self.transaction.storage(), key)?;
            let (value, ttl) = (args::value(value)?, args::optional_ttl(ttl)?);
            Ok((
                move |tx: &Transaction| tx.write_if_absent(key, value, ttl),
                |py: Python<'_>, written: bool| written.into_py_any(py),
            ))
        })
    }

    #[pyo3(signature = (items, ttl=None))]
    fn mset(&self, items: &Bound<'_, PyAny>, ttl: Option<&Bound<'_, PyAny>>) -> Operation {
        self.operation(Call::Mset, || {
            let pairs = args::pairs(self.transaction.storage(), items)?;
            let ttl = args::optional_ttl(ttl)?;
            Ok((move |tx: &Transaction| tx.write_many(pairs, ttl), |py: Python<'_>, ()| Ok(py.None())))
        })
    }

    fn delete(&self, key: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::Delete, || {
            let key = args::key(self.transaction.storage(), key)?;
            Ok((
                move |tx: &Transaction| tx.remove(vec![key]),
                |py: Python<'_>, removed: u64| (removed > 0).into_py_any(py),
            ))
        })
    }

    fn mdelete(&self, keys: &Bound<'_, PyAny>) -> Operation {
        self.operation(Call::Mdelete, || {
            let keys = args::keys(self.transaction.storage(), keys)?;
            Ok((move |tx: &Transaction| tx.remove(keys), |py: Python<'_>, removed: u64| removed.into_py_any(py)))
        })
    }

    #[pyo3(signature = (key, by=By::One), text_signature = "($self, key, by=1)")]
    fn increment(&self, key: &Bound<'_, PyAny>, by: By<'_, '_>) -> Operation {
        self.operation(Call::Increment, || {
            let key = args::key(self.transaction.storage(), key)?;
            let local = self.transaction.storage().local(&key).to_owned();
            let by = by.integer()?;
            Ok((
                move |tx: &Transaction| tx.add(key, by),
                move |py: Python<'_>, record: Option<_>| integer(py, &local, record.as_ref()),
            ))
        })
    }

    fn __aenter__(slf: &Bound<'_, Self>) -> Operation {
        let this = slf.clone().unbind();
        slf.get().operation(Call::Begin, || {
            Ok((|_: &Transaction| Answer::ready(Ok(())), move |_: Python<'_>, ()| Ok(this.into_any())))
        })
    }

    /// Commits; undoes everything where the block raised.
    #[pyo3(signature = (kind=None, error=None, traceback=None))]
    fn __aexit__(
        &self,
        kind: Option<&Bound<'_, PyAny>>,
        error: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> Operation {
        let _ = (error, traceback);
        let failed = kind.is_some_and(|kind| !kind.is_none());
        self.operation(if failed { Call::Rollback } else { Call::Commit }, move || {
            let start = move |tx: &Transaction| {
                if failed {
                    tx.rollback();
                    return Answer::ready(Ok::<(), Error>(()));
                }
                tx.commit()
            };
            Ok((start, |py: Python<'_>, ()| false.into_py_any(py)))
        })
    }

    fn __repr__(&self) -> String {
        format!("<Transaction on {}>", self.transaction.storage().location())
    }
}
