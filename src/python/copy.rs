//! Copying between storages, page by page; the loop around it is Python's.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::args;
use super::operation::Operation;
use super::query::query_of;
use super::storage::PyStorage;
use crate::answer::Answer;
use crate::copy::{CopyOptions, CopyProgress, Copying, copy};
use crate::error::{Error, Result};
use crate::meter::Call;
use crate::storage::Storage;
use crate::sync::lock;

/// The pages of a copy, for `async for`: each step copies one and gives `(copied, skipped, last_key)` so far.
#[pyclass(frozen, module = "rrag_storage", name = "_CopyPages")]
pub(super) struct PyCopyPages {
    source: Arc<Storage>,
    blocking: bool,
    /// `None` while a page is on its way, and for good where that step was given up.
    copying: Arc<Mutex<Option<Copying>>>,
}

/// The pages of a copy. Wrong arguments are raised at once.
#[pyfunction]
#[pyo3(signature = (source, target, query, filters, *, overwrite, page_size))]
pub(super) fn _copy_pages(
    source: &Bound<'_, PyStorage>,
    target: &Bound<'_, PyStorage>,
    query: Option<&Bound<'_, PyAny>>,
    filters: Option<&Bound<'_, PyDict>>,
    overwrite: &Bound<'_, PyAny>,
    page_size: &Bound<'_, PyAny>,
) -> PyResult<PyCopyPages> {
    let options =
        CopyOptions { overwrite: args::boolean("overwrite", overwrite)?, page: args::size("page_size", 1, page_size)? };
    let query = query_of(query, filters)?;
    let (source, target) = (source.get().shared(), target.get().shared());
    let copying = copy(&source, &target, &query, options)?;
    let blocking = source.may_block() || target.may_block();
    Ok(PyCopyPages { source, blocking, copying: Arc::new(Mutex::new(Some(copying))) })
}

async fn next_page(slot: Arc<Mutex<Option<Copying>>>) -> Result<Option<CopyProgress>> {
    let taken = lock(&slot).take();
    let Some(mut copying) = taken else {
        return Err(Error::InvalidArgument("a page of this copy was given up; start the copy again".to_owned()));
    };
    let progress = copying.next().await?.then(|| copying.progress().clone());
    lock(&slot).replace(copying);
    Ok(progress)
}

#[pymethods]
impl PyCopyPages {
    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(&self) -> Operation {
        let slot = Arc::clone(&self.copying);
        let start = move |_: &Storage| Answer::later(next_page(slot));
        let finish = |py: Python<'_>, progress: Option<CopyProgress>| match progress {
            Some(CopyProgress { copied, skipped, last_key }) => {
                Ok((copied, skipped, last_key).into_pyobject(py)?.into_any().unbind())
            }
            None => Err(PyStopAsyncIteration::new_err(())),
        };
        Operation::new("Storage", Call::Copy, self.blocking, Arc::clone(&self.source), start, finish)
    }
}
