"""The statements of the contenders that are a SQL server's driver by hand: a table of keys and JSON values."""

from __future__ import annotations

POOL = 10
"""Connections of every pool."""

POSTGRES_CREATE = 'CREATE TABLE kv (key text COLLATE "C" PRIMARY KEY, value jsonb NOT NULL)'

MYSQL_CREATE = (
    "CREATE TABLE kv (name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY, value JSON NOT NULL)"
)
MYSQL_GET = "SELECT value FROM kv WHERE name = %s"
MYSQL_SET = "INSERT INTO kv VALUES (%s, %s) ON DUPLICATE KEY UPDATE value = VALUES(value)"
MYSQL_KEYS = "SELECT name FROM kv WHERE name >= %s AND name < %s ORDER BY name"
MYSQL_COUNT = "SELECT count(*) FROM kv WHERE name >= %s AND name < %s"


def span(namespace: str) -> tuple[str, str]:
    """The first key of a namespace and the first after it; `;` follows `:`."""
    return f"{namespace}::", f"{namespace}:;"
