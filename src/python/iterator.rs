//! `items()` and `entries()`: iterators that hold one page at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::prelude::*;

use super::entry::{PyMemoryEntry, decode};
use super::operation::{Operation, Outcome};
use crate::answer::Answer;
use crate::engine::{Engine, Row};
use crate::error::Result;
use crate::listing::Listing;
use crate::meter::Call;
use crate::storage::Storage;
use crate::sync::lock;

/// What an iterator gives for a row.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// A pair of key and value.
    Item,
    /// A `MemoryEntry`.
    Entry,
}

struct State {
    /// `None` until the first step, which is when wrong arguments are raised, and while a page is on its way.
    listing: Option<Listing<dyn Engine>>,
    refused: Option<PyErr>,
    rows: VecDeque<Row>,
}

/// An iterator over a storage, for `async for`, and for `for` where it comes from `storage.sync`.
#[pyclass(frozen, module = "rrag_storage", name = "EntryIterator")]
pub(super) struct PyEntryIterator {
    class: &'static str,
    storage: Arc<Storage>,
    shape: Shape,
    state: Arc<Mutex<State>>,
}

impl PyEntryIterator {
    pub(super) fn new(
        class: &'static str,
        storage: Arc<Storage>,
        shape: Shape,
        listing: PyResult<Listing<dyn Engine>>,
    ) -> Self {
        let (listing, refused) = match listing {
            Ok(listing) => (Some(listing), None),
            Err(error) => (None, Some(error)),
        };
        Self { class, storage, shape, state: Arc::new(Mutex::new(State { listing, refused, rows: VecDeque::new() })) }
    }

    fn next(&self) -> Operation {
        const CALL: Call = Call::Items;
        let taken = {
            let mut state = lock(&self.state);
            if let Some(error) = state.refused.take() {
                return Operation::refused(self.class, CALL, error);
            }
            match state.rows.pop_front() {
                Some(row) => Ok(row),
                None => Err(state.listing.clone()),
            }
        };
        let (storage, shape) = (Arc::clone(&self.storage), self.shape);
        let finish = move |py: Python<'_>, row: Option<Row>| match row {
            Some(row) => object(py, &storage, shape, row),
            None => Err(PyStopAsyncIteration::new_err(())),
        };
        let owner = Arc::clone(&self.storage);
        match taken {
            Ok(row) => {
                let start = move |_: &Storage| Answer::ready(Ok(Some(row)));
                Operation::new(self.class, CALL, false, owner, start, finish)
            }
            Err(Some(listing)) => {
                let state = Arc::clone(&self.state);
                let blocking = self.storage.may_block();
                let start = move |_: &Storage| Answer::later(next_page(state, listing));
                Operation::new(self.class, CALL, blocking, owner, start, finish)
            }
            Err(None) => {
                let error = PyRuntimeError::new_err("this iterator was refused before");
                Operation::refused(self.class, CALL, error)
            }
        }
    }
}

/// Reads a page and takes its first row. The listing moves on only when the page has come: a cancelled step can be
/// repeated.
async fn next_page(state: Arc<Mutex<State>>, mut listing: Listing<dyn Engine>) -> Result<Option<Row>> {
    let rows = listing.next().await?;
    let mut state = lock(&state);
    state.rows.extend(rows);
    state.listing = Some(listing);
    Ok(state.rows.pop_front())
}

fn object(py: Python<'_>, storage: &Storage, shape: Shape, row: Row) -> Outcome {
    let key = storage.local(&row.key);
    let Some(record) = row.record else {
        return Err(PyRuntimeError::new_err("the backend listed an entry without its value"));
    };
    match shape {
        Shape::Item => (key, decode(py, key, &record)?).into_py_any(py),
        Shape::Entry => PyMemoryEntry::new(key, record)?.into_py_any(py),
    }
}

#[pymethods]
impl PyEntryIterator {
    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(&self) -> Operation {
        self.next()
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match Operation::wait(&Bound::new(py, self.next())?) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_instance_of::<PyStopAsyncIteration>(py) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
