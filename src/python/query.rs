//! `SortOrder`, `MemoryQuery`, and filters given as keywords.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::args;
use crate::memory::{MemoryQuery, SortOrder};

/// The order of listings: by key (by code point) or by creation, ascending or descending.
#[pyclass(frozen, eq, hash, name = "SortOrder", module = "rrag_storage", from_py_object)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, clippy::upper_case_acronyms)] // Python's spelling of constants.
pub(super) enum PySortOrder {
    KEY_ASC,
    KEY_DESC,
    CREATED_ASC,
    CREATED_DESC,
}

impl From<PySortOrder> for SortOrder {
    fn from(order: PySortOrder) -> Self {
        match order {
            PySortOrder::KEY_ASC => Self::KeyAsc,
            PySortOrder::KEY_DESC => Self::KeyDesc,
            PySortOrder::CREATED_ASC => Self::CreatedAsc,
            PySortOrder::CREATED_DESC => Self::CreatedDesc,
        }
    }
}

impl From<SortOrder> for PySortOrder {
    fn from(order: SortOrder) -> Self {
        match order {
            SortOrder::KeyAsc => Self::KEY_ASC,
            SortOrder::KeyDesc => Self::KEY_DESC,
            SortOrder::CreatedAsc => Self::CREATED_ASC,
            SortOrder::CreatedDesc => Self::CREATED_DESC,
        }
    }
}

/// Which entries a listing is about. All given filters must hold. Immutable: each `with_…` gives a new query.
#[pyclass(frozen, eq, name = "MemoryQuery", module = "rrag_storage")]
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct PyMemoryQuery(MemoryQuery);

/// Sets the filter `name`; `false` where there is no filter of that name.
fn set_filter(query: &mut MemoryQuery, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let given = Some(value);
    match name {
        "namespace" => query.namespace = args::optional_text(name, given)?,
        "prefix" => query.prefix = args::optional_text(name, given)?,
        "pattern" => query.pattern = args::optional_text(name, given)?,
        "after" => query.after = args::optional_text(name, given)?,
        "limit" => query.limit = args::optional_size(name, 0, given)?,
        "offset" => query.offset = args::optional_size(name, 0, given)?.unwrap_or(0),
        "sort_order" => {
            query.sort_order = if value.is_none() {
                SortOrder::default()
            } else {
                let order: PySortOrder = value.extract().map_err(|_| {
                    PyTypeError::new_err(format!("sort_order must be a SortOrder, not {}", args::type_name(value)))
                })?;
                order.into()
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn with_filters(mut query: MemoryQuery, filters: Option<&Bound<'_, PyDict>>) -> PyResult<MemoryQuery> {
    for (name, value) in filters.into_iter().flatten() {
        let name: String = name.extract()?;
        if !set_filter(&mut query, &name, &value)? {
            return Err(PyTypeError::new_err(format!(
                "unknown filter {name:?}; there are namespace, prefix, pattern, after, limit, offset and sort_order"
            )));
        }
    }
    Ok(query)
}

/// The query of a listing call: a `MemoryQuery` or keywords, not both.
pub(super) fn query_of(query: Option<&Bound<'_, PyAny>>, filters: Option<&Bound<'_, PyDict>>) -> PyResult<MemoryQuery> {
    let filtered = filters.is_some_and(|filters| !filters.is_empty());
    match query.filter(|query| !query.is_none()) {
        None => with_filters(MemoryQuery::default(), filters),
        Some(_) if filtered => Err(PyTypeError::new_err("give a query or filters as keywords, not both")),
        Some(query) => match query.cast::<PyMemoryQuery>() {
            Ok(query) => Ok(query.get().0.clone()),
            Err(_) => Err(PyTypeError::new_err(format!(
                "query must be a MemoryQuery, not {}; a filter is a keyword, as prefix=\"a\"",
                args::type_name(query)
            ))),
        },
    }
}

impl PyMemoryQuery {
    fn with(&self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut query = self.0.clone();
        if set_filter(&mut query, name, value)? {
            Ok(Self(query))
        } else {
            Err(PyValueError::new_err("unknown filter"))
        }
    }
}

#[pymethods]
impl PyMemoryQuery {
    #[new]
    #[pyo3(signature = (**filters))]
    fn new(filters: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        with_filters(MemoryQuery::default(), filters).map(Self)
    }

    fn with_namespace(&self, namespace: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with("namespace", namespace)
    }

    fn with_prefix(&self, prefix: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with("prefix", prefix)
    }

    fn with_pattern(&self, pattern: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with("pattern", pattern)
    }

    fn with_after(&self, after: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with("after", after)
    }

    fn with_limit(&self, limit: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with("limit", limit)
    }

    fn with_offset(&self, offset: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with("offset", offset)
    }

    fn with_sort_order(&self, sort_order: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.with("sort_order", sort_order)
    }

    #[getter]
    fn namespace(&self) -> Option<&str> {
        self.0.namespace.as_deref()
    }

    #[getter]
    fn prefix(&self) -> Option<&str> {
        self.0.prefix.as_deref()
    }

    #[getter]
    fn pattern(&self) -> Option<&str> {
        self.0.pattern.as_deref()
    }

    #[getter]
    fn after(&self) -> Option<&str> {
        self.0.after.as_deref()
    }

    #[getter]
    fn limit(&self) -> Option<usize> {
        self.0.limit
    }

    #[getter]
    fn offset(&self) -> usize {
        self.0.offset
    }

    #[getter]
    fn sort_order(&self) -> PySortOrder {
        self.0.sort_order.into()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let mut parts = Vec::new();
        let texts = [
            ("namespace", &self.0.namespace),
            ("prefix", &self.0.prefix),
            ("pattern", &self.0.pattern),
            ("after", &self.0.after),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                parts.push(format!("{name}={}", text.into_pyobject(py)?.repr()?));
            }
        }
        if let Some(limit) = self.0.limit {
            parts.push(format!("limit={limit}"));
        }
        if self.0.offset != 0 {
            parts.push(format!("offset={}", self.0.offset));
        }
        if self.0.sort_order != SortOrder::default() {
            let order = PySortOrder::from(self.0.sort_order).into_pyobject(py)?.into_any();
            parts.push(format!("sort_order={}", order.repr()?));
        }
        Ok(format!("MemoryQuery({})", parts.join(", ")))
    }
}
