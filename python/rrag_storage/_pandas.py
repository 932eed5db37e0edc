"""What a storage holds as a pandas DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ._native import MemoryEntry, MemoryQuery, Storage

_TIME = "datetime64[us, UTC]"

_DTYPES = {
    "key": "str",
    "value": "object",
    "kind": "str",
    "size_bytes": "int64",
    "created_at": _TIME,
    "updated_at": _TIME,
    "expires_at": _TIME,
    "version": "uint64",
}
"""The columns, in their order: the attributes of an entry. A time that is missing is NaT."""


async def to_pandas(storage: Storage, query: MemoryQuery | None = None, **filters: Any) -> pd.DataFrame:
    """The entries that the filters hold for, one a row; `storage.to_pandas` explains it."""
    _pandas()
    return _frame([entry async for entry in storage.entries(query, **filters)])


def to_pandas_sync(storage: Storage, query: MemoryQuery | None = None, **filters: Any) -> pd.DataFrame:
    """The same, blocking."""
    _pandas()
    return _frame(list(storage.sync.entries(query, **filters)))


def _frame(entries: Sequence[MemoryEntry]) -> pd.DataFrame:
    pandas = _pandas()
    columns = {
        name: pandas.Series([getattr(entry, name) for entry in entries], dtype=dtype) for name, dtype in _DTYPES.items()
    }
    frame: pd.DataFrame = pandas.DataFrame(columns)
    return frame


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"to_pandas needs pandas: pip install 'rrag-storage[pandas]' ({error})", name=error.name, path=error.path
        ) from error
    return pandas
