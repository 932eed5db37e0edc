"""Every operation of a storage by its name, for tests that ask the same of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrag_storage import Storage

    KeyedOperation = Callable[[Storage, Any], Any]
    Operation = Callable[[Storage], Any]

KEYED: dict[str, KeyedOperation] = {
    "set": lambda storage, key: storage.set(key, 1),
    "get": lambda storage, key: storage.get(key),
    "get_value": lambda storage, key: storage.get_value(key),
    "get_entry": lambda storage, key: storage.get_entry(key),
    "get_entries": lambda storage, key: storage.get_entries(["other", key]),
    "pop": lambda storage, key: storage.pop(key),
    "delete": lambda storage, key: storage.delete(key),
    "exists": lambda storage, key: storage.exists(key),
    "mset": lambda storage, key: storage.mset([("other", 1), (key, 1)]),
    "mget": lambda storage, key: storage.mget(["other", key]),
    "mdelete": lambda storage, key: storage.mdelete(["other", key]),
    "set_if_absent": lambda storage, key: storage.set_if_absent(key, 1),
    "compare_and_set": lambda storage, key: storage.compare_and_set(key, 1, 1),
    "increment": lambda storage, key: storage.increment(key),
    "expire": lambda storage, key: storage.expire(key, 60),
    "persist": lambda storage, key: storage.persist(key),
    "ttl": lambda storage, key: storage.ttl(key),
}
"""Those that take a key, as functions of a storage and the key."""

WHOLE: dict[str, Operation] = {
    "keys": lambda storage: storage.keys(),
    "namespaces": lambda storage: storage.namespaces(),
    "count": lambda storage: storage.count(),
    "clear": lambda storage: storage.clear(),
    "health_check": lambda storage: storage.health_check(),
    "stats": lambda storage: storage.stats(),
}
"""Those that don't."""


def _on_a_key(operation: KeyedOperation) -> Operation:
    return lambda storage: operation(storage, "key")


ALL: dict[str, Operation] = {name: _on_a_key(operation) for name, operation in KEYED.items()} | WHOLE
"""All that return one awaitable, on the key `key` where they take one."""

WITH_TTL: dict[str, Callable[[Storage, Any], Any]] = {
    "set": lambda storage, ttl: storage.set("key", 2, ttl=ttl),
    "mset": lambda storage, ttl: storage.mset({"key": 2}, ttl=ttl),
    "set_if_absent": lambda storage, ttl: storage.set_if_absent("new", 2, ttl=ttl),
    "compare_and_set": lambda storage, ttl: storage.compare_and_set("key", 2, 1, ttl=ttl),
    "expire": lambda storage, ttl: storage.expire("key", ttl),
    "get": lambda storage, ttl: storage.get("key", refresh_ttl=ttl),
    "mget": lambda storage, ttl: storage.mget(["key"], refresh_ttl=ttl),
}
"""Those that take a time to live."""
