"""The table and the statements of the two contenders that are SQLite by hand, with pickled values."""

from __future__ import annotations

import pickle
from typing import Any

CREATE = "CREATE TABLE kv (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL)"
GET = "SELECT value FROM kv WHERE key = ?"
SET = "INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
KEYS = "SELECT key FROM kv WHERE key >= ? AND key < ? ORDER BY key"
COUNT = "SELECT count(*) FROM kv WHERE key >= ? AND key < ?"


def pragmas(synchronous: str) -> tuple[str, str]:
    """What sets a connection to WAL and to a durability."""
    return ("PRAGMA journal_mode=WAL", f"PRAGMA synchronous={synchronous}")


def mget_statement(count: int) -> str:
    """A select of `count` keys."""
    return f"SELECT key, value FROM kv WHERE key IN ({','.join('?' * count)})"


def span(namespace: str) -> tuple[str, str]:
    """The first key of a namespace and the first after it; `;` follows `:`."""
    return f"{namespace}::", f"{namespace}:;"


def dumps(value: Any) -> bytes:
    """A value as it is stored."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


loads = pickle.loads
