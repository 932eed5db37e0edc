"""Types and documentation of the native part of `rrag_storage`. Import its names from `rrag_storage`.

Every operation of a storage returns an `Operation`: await it, or hand it to `asyncio.gather`, `wait_for`,
`create_task` or a `TaskGroup`. `storage.sync` has the same operations as plain, blocking calls; most examples here
use it because they are shorter that way.

A `ttl` is the time until an entry expires: seconds (int or float) or a `timedelta`, positive and finite. A fraction
of a second counts, to the millisecond (rounded up).

What any operation may raise when it is awaited, besides what its own documentation names:

- `TypeError` for an argument of the wrong type.
- `InvalidKeyError` (a ValueError) for a key that is empty, longer than 2,048 bytes in UTF-8, or holds a lone surrogate.
- `StorageClosedError` once the storage was closed.
- `BackendUnavailableError` (a ConnectionError) where the store can't be opened or reached.
- `OperationTimeoutError` (a TimeoutError) where it took longer than `connection_timeout`.
- `CorruptedDataError` where a stored record was damaged or not written by this library.
- `DecryptionError` where a stored record is encrypted and the key for it was not given or is another one, where it was
  changed or moved, and where it is not encrypted though the storage demands that. Its message names the key's id.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from os import PathLike
from types import TracebackType
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar, final, overload
from uuid import UUID

import numpy as np
import pandas as pd
from typing_extensions import Self, disjoint_base

from rrag_storage._rotate import RotateProgress
from rrag_storage._typed import TypedView
from rrag_storage.sync import SyncStorage

__all__ = [
    "Compression",
    "DatabaseConfig",
    "DatabaseStorage",
    "EntryIterator",
    "InMemoryConfig",
    "InMemoryStorage",
    "Key",
    "ManualClock",
    "MemoryEntry",
    "MemoryQuery",
    "MemoryStats",
    "MemoryValue",
    "ObjectConfig",
    "ObjectStorage",
    "Operation",
    "RedisConfig",
    "RedisStorage",
    "SortOrder",
    "Storage",
    "Transaction",
    "__version__",
    "connect",
]

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_D = TypeVar("_D")

_Kind: TypeAlias = Literal[
    "null",
    "boolean",
    "integer",
    "float",
    "string",
    "bytes",
    "list",
    "map",
    "tuple",
    "set",
    "frozenset",
    "datetime",
    "date",
    "time",
    "timedelta",
    "decimal",
    "uuid",
    "array",
    "json",
]

# For annotations only: these two names do not exist at run time, so import them under `if TYPE_CHECKING:`.

Value: TypeAlias = (
    bool
    | int
    | float
    | str
    | bytes
    | list[Any]
    | Mapping[str, Any]
    | tuple[Any, ...]
    | set[Any]
    | frozenset[Any]
    | datetime
    | date
    | time
    | timedelta
    | Decimal
    | UUID
    | np.ndarray[Any, Any]
    | np.generic
    | MemoryValue
    | None
)
"""What can be stored. A map is a `dict` with str keys; `Mapping` stands here so that a TypedDict passes too."""

Ttl: TypeAlias = int | float | timedelta
"""A time to live: seconds, or a timedelta; positive and finite."""

_Compression: TypeAlias = Literal["zstd", "lz4"] | Compression
_Keys: TypeAlias = Key | bytes | Mapping[str, Key | bytes]

__version__: str

@final
class Operation(Coroutine[Any, Any, _T_co]):
    """One call to a storage that has not run yet: await it, or block on it with `wait()`.

    The value to be stored was encoded when the call was made, so changing it afterwards changes nothing. The work
    starts at the first await. Like a coroutine it runs once: a second await raises RuntimeError, and one that is
    never awaited does nothing and gives a RuntimeWarning.

    A cancelled operation has happened as a whole or not at all.

    >>> async def main():
    ...     async with InMemoryStorage() as s:
    ...         await s.set("greeting", "hello")
    ...         task = asyncio.create_task(s.get("greeting"))
    ...         print(await task)
    ...         print(await asyncio.gather(s.exists("greeting"), s.exists("farewell")))
    >>> asyncio.run(main())
    hello
    [True, False]
    """

    def __await__(self) -> Generator[Any, Any, _T_co]: ...
    def send(self, _value: Any) -> Any: ...
    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: object = None,
        traceback: TracebackType | None = None,
    ) -> Any: ...
    def close(self) -> None: ...
    @property
    def __name__(self) -> str: ...
    @property
    def __qualname__(self) -> str: ...
    @property
    def cr_running(self) -> bool: ...
    def wait(self) -> _T_co:
        """Runs the operation, blocks this thread until it is done, and returns its result.

        Works with and without a running event loop (which stands still meanwhile), lets other threads run, and can be
        interrupted with Ctrl-C. `storage.sync` makes each of its calls this way.

        >>> s = InMemoryStorage()
        >>> s.set("answer", 42).wait()
        >>> s.get("answer").wait()
        42
        """

@final
class EntryIterator(AsyncIterator[_T_co]):
    """What `items` and `entries` give: for `async for`, and on `sync` for `for`. It fetches a page at a time."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Operation[_T_co]: ...
    def __iter__(self) -> Iterator[_T_co]: ...
    def __next__(self) -> _T_co: ...

@disjoint_base
class Storage:
    """What every storage and every namespace view can do. Construct one of its subclasses, or call `connect(url)`.

    A storage opens at its first operation. `await storage` opens it at once and returns it, so that a bad path fails
    there; `async with` opens it and closes it at the end. One storage serves any number of threads and event loops at
    once; after a fork the child reopens it by itself.

    The layers are options of every storage: values are compressed, then encrypted, then, where they are large, moved to
    an object store. A record says how it was written, so that a storage reads what it holds after any of these options
    changes, given the keys; `rotate()` rewrites it all into the present ones. docs/security.md says what encryption
    protects from whom, and what it does not hide.

    Args:
        compression: `"zstd"`, `"lz4"`, or a `Compression`. A value that doesn't get shorter is stored as it is.
        compression_threshold: values of fewer encoded bytes are not compressed. int, bytes.
        encryption_key: what values are encrypted with: a `Key`, 32 bytes, or, where there are several, a mapping of
            their ids (str, 1 to 64 bytes in UTF-8) to them. Without a mapping a key's id is its fingerprint. Every
            record names the id of its key, readable for all.
        active_key: the id of the key that new records are encrypted with, where there are several.
        require_encryption: whether a record that is not encrypted is refused with DecryptionError. None means True
            where there is a key. False lets a storage read what it held before it was encrypted.
        hide_keys: whether a keyed hash (HMAC-SHA256) stands in the backend for each key. Exact keys are all that can
            then be asked for: listings, `namespaces`, `count` and `clear` of a part raise UnsupportedOperationError.
            It can't be changed for a storage that holds entries: it finds none of them.
        large_values: an `ObjectStorage` (or any other storage) that large values live in, the backend holding a
            pointer. It stays the caller's to close. What belongs to an entry that expires expires there too, later by the
            time that the entry was to live, at least a minute and at most an hour; `expire`, `persist` and
            `refresh_ttl` store it anew where it would not live as long, or has no end and gets one.
        large_value_threshold: values of fewer bytes, compressed, stay in the backend. int, bytes.

    >>> async def main():
    ...     async with InMemoryStorage() as s:
    ...         await s.set("users::ada", {"language": "Python"}, ttl=3600)
    ...         print(await s.get("users::ada"))
    >>> asyncio.run(main())
    {'language': 'Python'}
    >>> key = Key.generate()
    >>> with DatabaseStorage("sqlite:secret.db", compression="zstd", encryption_key=key).sync as s:
    ...     s.set("notes::1", "to be or not to be " * 1000)
    ...     s.stats().memory_bytes < 100_000
    True
    >>> with DatabaseStorage("sqlite:secret.db").sync as s:
    ...     s.get("notes::1")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    rrag_storage.errors.DecryptionError: ...
    """

    @property
    def backend_name(self) -> str:
        """Which backend this is: `in_memory`, `sqlite`, `postgres`, `mysql`, `redis` or `object`. A view's is its storage's.

        >>> InMemoryStorage().backend_name
        'in_memory'
        """

    @property
    def url(self) -> str:
        """The url that this storage was made from, without any secret.

        >>> DatabaseStorage("sqlite::memory:").url
        'sqlite::memory:'
        """

    @property
    def closed(self) -> bool:
        """Whether `close()` was called on it (of a view: on the view or on its storage).

        >>> s = InMemoryStorage()
        >>> s.sync.close()
        >>> s.closed
        True
        """

    @property
    def sync(self) -> SyncStorage:
        """The same interface with blocking calls, for scripts, notebooks and threads; usable while a loop runs.

        A context manager too: `with storage.sync as s:` closes the storage at the end.

        >>> with InMemoryStorage().sync as s:
        ...     s.set("k", [1, 2, 3])
        ...     s.get("k")
        [1, 2, 3]
        """

    def __await__(self) -> Generator[Any, Any, Self]:
        """Opens the storage now and gives it back.

        >>> async def main():
        ...     s = await InMemoryStorage()
        ...     await s.close()
        >>> asyncio.run(main())
        """

    def __aenter__(self) -> Operation[Self]: ...
    def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Operation[None]: ...
    def open(self) -> Operation[Self]:
        """Opens the storage now and gives it back, as `await storage` does. Nothing happens where it is open.

        Raises:
            BackendUnavailableError: (a ConnectionError) what can't be opened; the message says why.

        >>> s = InMemoryStorage()
        >>> s.open().wait() is s
        True
        """

    def set(self, key: str, value: Value, ttl: Ttl | None = None) -> Operation[None]:
        """Stores `value` under `key`, for `ttl` or, with no ttl, for ever.

        Overwrites what was there, its expiry included; `created_at` stays, the version is a new one. The value comes
        back from `get` equal and of the same type, or this raises: nothing is ever stored changed.

        Raises:
            UnsupportedTypeError: (a TypeError) a value that can't be stored exactly; the message names its path.
            ValueError: a ttl that is not positive and finite.
            LimitExceededError: past `max_keys` or `max_memory_bytes` of an in-memory storage. Nothing changed.

        >>> s = InMemoryStorage().sync
        >>> s.set("doc::1", {"text": "hello", "tags": ("a", "b")}, ttl=60)
        >>> s.get("doc::1")
        {'text': 'hello', 'tags': ('a', 'b')}
        >>> s.set("doc::2", {"docs": [{"when": object()}]})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        rrag_storage.errors.UnsupportedTypeError: value["docs"][0]["when"]: ...object is not supported...
        """

    @overload
    def get(self, key: str, default: None = None, *, refresh_ttl: Ttl | None = None) -> Operation[Any | None]:
        """The value under `key` as a native Python object; `default` where the key is missing or expired.

        What it returns is the caller's own copy. With `refresh_ttl` the entry expires that long after this call,
        whatever its expiry was (an entry without one gets one): in the same step, so no other caller comes between.

        >>> s = InMemoryStorage().sync
        >>> s.set("session::7", {"user": "ada"}, ttl=60)
        >>> s.get("session::7", refresh_ttl=3600)
        {'user': 'ada'}
        >>> s.ttl("session::7") > 3000
        True
        >>> s.get("session::8", "nobody")
        'nobody'
        """

    @overload
    def get(self, key: str, default: _D, *, refresh_ttl: Ttl | None = None) -> Operation[Any | _D]: ...
    def get_value(self, key: str) -> Operation[MemoryValue | None]:
        """The value under `key` as a `MemoryValue`, which knows its kind; None where the key is missing.

        Tells a stored None (kind `null`) from a missing key.

        >>> s = InMemoryStorage().sync
        >>> s.set("k", None)
        >>> s.get_value("k").kind
        'null'
        >>> s.get_value("missing") is None
        True
        """

    def get_entry(self, key: str) -> Operation[MemoryEntry | None]:
        """The value under `key` with its times, version and size; None where the key is missing.

        >>> s = InMemoryStorage().sync
        >>> s.set("k", "hello")
        >>> entry = s.get_entry("k")
        >>> entry.value, entry.kind, entry.expires_at
        ('hello', 'string', None)
        """

    def get_entries(self, keys: Iterable[str]) -> Operation[list[MemoryEntry | None]]:
        """The entries under `keys`, in their order, None for each that is missing.

        >>> s = InMemoryStorage().sync
        >>> s.mset({"a": 1, "b": 2})
        >>> [entry and entry.value for entry in s.get_entries(["b", "c", "a"])]
        [2, None, 1]
        """

    @overload
    def pop(self, key: str, default: None = None) -> Operation[Any | None]:
        """Takes the value out: returns it and deletes it in one step; `default` where the key is missing.

        Of several callers at once exactly one gets the value.

        >>> s = InMemoryStorage().sync
        >>> s.set("job::1", "index the manual")
        >>> s.pop("job::1"), s.pop("job::1")
        ('index the manual', None)
        """

    @overload
    def pop(self, key: str, default: _D) -> Operation[Any | _D]: ...
    def delete(self, key: str) -> Operation[bool]:
        """Deletes `key`; whether it was there.

        >>> s = InMemoryStorage().sync
        >>> s.set("k", 1)
        >>> s.delete("k"), s.delete("k")
        (True, False)
        """

    def exists(self, key: str) -> Operation[bool]:
        """Whether `key` is there and has not expired.

        >>> s = InMemoryStorage().sync
        >>> s.set("k", None)
        >>> s.exists("k"), s.exists("missing")
        (True, False)
        """

    def mset(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]], ttl: Ttl | None = None) -> Operation[None]:
        """Stores many values at once: all of them, or, where anything goes wrong, none.

        Takes a mapping or (key, value) tuples; of a key named twice the last value counts. The `ttl` is for all.

        Raises: as `set`.

        >>> s = InMemoryStorage().sync
        >>> s.mset({"a": 1, "b": 2})
        >>> s.mset([("b", 3), ("c", 4)])
        >>> s.mget(["a", "b", "c"])
        [1, 3, 4]
        """

    @overload
    def mget(
        self, keys: Iterable[str], default: None = None, *, refresh_ttl: Ttl | None = None
    ) -> Operation[list[Any | None]]:
        """The values under `keys`, in their order: a list as long as `keys`, with `default` where a key is missing.

        A key named twice gives its value twice. `refresh_ttl` is as for `get`, for every key that is there.

        >>> s = InMemoryStorage().sync
        >>> s.mset({"a": 1, "b": 2})
        >>> s.mget(["b", "missing", "a"], 0)
        [2, 0, 1]
        """

    @overload
    def mget(
        self, keys: Iterable[str], default: _D, *, refresh_ttl: Ttl | None = None
    ) -> Operation[list[Any | _D]]: ...
    def mdelete(self, keys: Iterable[str]) -> Operation[int]:
        """Deletes `keys` in one step; how many of them were there. A key named twice counts once.

        >>> s = InMemoryStorage().sync
        >>> s.mset({"a": 1, "b": 2})
        >>> s.mdelete(["a", "a", "b", "missing"])
        2
        """

    @overload
    def keys(self, query: MemoryQuery) -> Operation[list[str]]:
        """The keys that all the given filters hold for, as a list.

        Filters, as keywords or gathered in one `MemoryQuery` (never both: TypeError); `items` and `entries` take
        the same:

        - `namespace`: keys under it, that is those that start with it and `::`.
        - `prefix`: keys that start with it. Literal: no character is special.
        - `pattern`: where it holds `*`, `?` or `[`, a glob that the whole key must match: `*` any run of characters,
          `?` one, `[abc]`, `[a-z]`, `[!a]` one of a class; case-sensitive. Where it holds none, a literal prefix.
        - `after`: keys greater than it in key order, whatever the sort order.
        - `limit`, `offset`: at most so many, without the first so many of them. int, not negative: else ValueError.
        - `sort_order`: by key, ascending (the default), or as `SortOrder` says.

        >>> s = InMemoryStorage().sync
        >>> s.mset({"users::ada": 1, "users::alan": 2, "docs::1": 3})
        >>> s.keys(namespace="users")
        ['users::ada', 'users::alan']
        >>> s.keys(pattern="*::a?a")
        ['users::ada']
        >>> s.keys(after="docs::1", limit=1)
        ['users::ada']
        >>> s.keys(MemoryQuery(sort_order=SortOrder.KEY_DESC).with_limit(1))
        ['users::alan']
        """

    @overload
    def keys(
        self,
        query: None = None,
        *,
        namespace: str | None = None,
        prefix: str | None = None,
        pattern: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        sort_order: SortOrder = ...,
    ) -> Operation[list[str]]: ...
    @overload
    def items(self, query: MemoryQuery) -> EntryIterator[tuple[str, Any]]:
        """Iterates over (key, value) of what the filters hold for, a page at a time; filters as for `keys`.

        Never holds all of it in memory. What others write meanwhile may or may not be seen; nothing comes twice.
        On `sync` it is a plain iterator.

        >>> async def main():
        ...     async with InMemoryStorage() as s:
        ...         await s.mset({"users::ada": 1, "users::alan": 2, "docs::1": 3})
        ...         async for key, value in s.items(namespace="users"):
        ...             print(key, value)
        >>> asyncio.run(main())
        users::ada 1
        users::alan 2
        """

    @overload
    def items(
        self,
        query: None = None,
        *,
        namespace: str | None = None,
        prefix: str | None = None,
        pattern: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        sort_order: SortOrder = ...,
    ) -> EntryIterator[tuple[str, Any]]: ...
    @overload
    def entries(self, query: MemoryQuery) -> EntryIterator[MemoryEntry]:
        """Iterates over the `MemoryEntry` of what the filters hold for, a page at a time, as `items` does.

        >>> s = InMemoryStorage().sync
        >>> s.mset({"a": "x", "b": [1, 2]})
        >>> for entry in s.entries(sort_order=SortOrder.KEY_DESC):
        ...     print(entry.key, entry.kind)
        b list
        a string
        """

    @overload
    def entries(
        self,
        query: None = None,
        *,
        namespace: str | None = None,
        prefix: str | None = None,
        pattern: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        sort_order: SortOrder = ...,
    ) -> EntryIterator[MemoryEntry]: ...
    def namespaces(self, prefix: str | None = None, max_depth: int | None = None) -> Operation[list[str]]:
        """The namespaces that hold something, each whole, sorted.

        Only those that start with `prefix` (literally), and of at most `max_depth` segments (int, at least 1).

        >>> s = InMemoryStorage().sync
        >>> s.mset({"users::ada::notes": 1, "users::alan": 2, "plain": 3})
        >>> s.namespaces()
        ['users', 'users::ada']
        >>> s.namespaces(max_depth=1)
        ['users']
        """

    def count(self, namespace: str | None = None, *, prefix: str | None = None) -> Operation[int]:
        """How many entries there are: in all, under `namespace`, with a key that starts with `prefix`, or both.

        >>> s = InMemoryStorage().sync
        >>> s.mset({"users::ada": 1, "users::alan": 2, "docs::1": 3})
        >>> s.count(), s.count("users"), s.count(prefix="d")
        (3, 2, 1)
        """

    def clear(self, namespace: str | None = None, *, prefix: str | None = None) -> Operation[int]:
        """Deletes everything, or what is under `namespace`, or what starts with `prefix`; how many entries went.

        On a view: only what is in the view.

        >>> s = InMemoryStorage().sync
        >>> s.mset({"users::ada": 1, "users::alan": 2, "docs::1": 3})
        >>> s.clear("users")
        2
        >>> s.keys()
        ['docs::1']
        """

    def set_if_absent(self, key: str, value: Value, ttl: Ttl | None = None) -> Operation[bool]:
        """Stores `value` only where `key` holds nothing; whether it did. Of several callers one gets True.

        Raises: as `set`.

        >>> s = InMemoryStorage().sync
        >>> s.set_if_absent("lock", "worker 1", ttl=30), s.set_if_absent("lock", "worker 2", ttl=30)
        (True, False)
        """

    def compare_and_set(self, key: str, value: Value, version: int, ttl: Ttl | None = None) -> Operation[bool]:
        """Stores `value` only if the entry still has `version`, as `get_entry` gave it; whether it did.

        Every write to a key, `expire` and `persist` included, gives it a new version.

        Raises: as `set`.

        >>> s = InMemoryStorage().sync
        >>> s.set("page", "draft")
        >>> seen = s.get_entry("page").version
        >>> s.compare_and_set("page", "mine", seen), s.compare_and_set("page", "yours", seen)
        (True, False)
        >>> s.get("page")
        'mine'
        """

    def increment(self, key: str, by: int = 1) -> Operation[int]:
        """Adds `by` (an int of any size and sign) to the integer under `key` in one step; the new value.

        A missing key counts from 0. The expiry stays as it was.

        Raises:
            TypeError: `key` holds no integer, or `by` is none (a bool is none). Nothing changed.

        >>> s = InMemoryStorage().sync
        >>> s.increment("visits"), s.increment("visits", 10), s.increment("visits", -1)
        (1, 11, 10)
        """

    def expire(self, key: str, ttl: Ttl) -> Operation[bool]:
        """Lets `key` expire after `ttl` from now on; whether it was there. The value stays, the version is a new one.

        Raises:
            ValueError: a ttl that is not positive and finite.

        >>> s = InMemoryStorage().sync
        >>> s.set("k", 1)
        >>> s.expire("k", 60), s.expire("missing", 60)
        (True, False)
        """

    def persist(self, key: str) -> Operation[bool]:
        """Takes the expiry off `key`, so that it stays for ever; whether the key was there.

        >>> s = InMemoryStorage().sync
        >>> s.set("k", 1, ttl=60)
        >>> s.persist("k")
        True
        >>> s.ttl("k")
        inf
        """

    def ttl(self, key: str) -> Operation[float | None]:
        """Seconds until `key` expires; `math.inf` where it never does; None where it is missing.

        >>> s = InMemoryStorage().sync
        >>> s.set("k", 1, ttl=60)
        >>> 59 < s.ttl("k") <= 60
        True
        >>> s.ttl("missing") is None
        True
        """

    def transaction(self) -> Transaction:
        """Reads and writes that commit together, or not at all: `async with s.transaction() as tx:`.

        The commit at the end of the block succeeds only if no key that the block read has changed since; else
        `ConflictError`, and nothing happened. An exception in the block rolls back. `transact` repeats it for you.

        >>> async def main():
        ...     async with InMemoryStorage() as s:
        ...         await s.mset({"alice": 10, "bob": 0})
        ...         async with s.transaction() as tx:
        ...             await tx.increment("alice", -4)
        ...             await tx.increment("bob", 4)
        ...         print(await s.mget(["alice", "bob"]))
        >>> asyncio.run(main())
        [6, 4]
        """

    def transact(self, fn: Callable[[Transaction], Awaitable[_T]], max_attempts: int = 16) -> Coroutine[Any, Any, _T]:
        """Runs `await fn(tx)` in a transaction, again where it met a conflict, and returns what `fn` returned.

        So `fn` may run more than once: keep what it does outside `tx` harmless. What it raises rolls back and is
        raised here. On `sync`, `fn` is a plain function.

        Raises:
            ConflictError: there was a conflict at each of `max_attempts` attempts.
            ValueError: `max_attempts` is less than 1.

        >>> async def main():
        ...     async with InMemoryStorage() as s:
        ...         async def visit(tx):
        ...             seen = await tx.get("pages", [])
        ...             await tx.set("pages", [*seen, "index"])
        ...             return len(seen) + 1
        ...         await asyncio.gather(*(s.transact(visit) for _ in range(3)))
        ...         print(await s.get("pages"))
        >>> asyncio.run(main())
        ['index', 'index', 'index']
        """

    def rotate(
        self, *, progress: Callable[[RotateProgress], object] | None = None, page_size: int = 500
    ) -> Coroutine[Any, Any, RotateProgress]:
        """Rewrites every record that was written with other layers into the present options, a page at a time.

        What a change of compression, keys, `large_values` or its threshold leaves behind: afterwards a key that is no
        longer active can be retired. Values, times and expiry stay; a rewritten record keeps its version. Others may
        read and write meanwhile, and a record that they change is looked at again. Where it was cut off, call it again: what
        is rewritten already is only looked at. A view rewrites what is in it.

        Args:
            progress: called after each page with how far it is; awaited where it returns an awaitable (not on `sync`).
            page_size: how many records a page has. int, at least 1.

        Raises:
            DecryptionError: a record whose key was not given, or one that was changed. What was rewritten stays so.
            UnsupportedOperationError: on a view, where keys are hidden.

        >>> async def main():
        ...     old, new = Key.generate(), Key.generate()
        ...     async with DatabaseStorage("sqlite:notes.db", encryption_key={"2025": old}) as s:
        ...         await s.mset({"a": 1, "b": 2})
        ...     keys = {"2025": old, "2026": new}
        ...     async with DatabaseStorage("sqlite:notes.db", encryption_key=keys, active_key="2026") as s:
        ...         print(await s.rotate())
        ...     async with DatabaseStorage("sqlite:notes.db", encryption_key={"2026": new}) as s:
        ...         print(await s.mget(["a", "b"]))
        >>> asyncio.run(main())
        RotateProgress(seen=2, rewritten=2)
        [1, 2]
        """

    def collect_garbage(self, older_than: Ttl = 3600) -> Operation[int]:
        """Removes from `large_values` what no record points to; how many objects went.

        A process that is killed between storing a large value and committing the pointer to it, or between a commit and
        the removal of the value before, leaves an object behind. What is younger than `older_than` (seconds or a
        timedelta, zero or more) is left alone, because its commit may be under way: choose more than the longest
        write takes. What another storage keeps in the same object store is never touched; a copy of a database file is
        the same storage, though, and knows nothing of what the original points to.

        Raises:
            ValueError: this storage has no `large_values`.

        >>> objects = InMemoryStorage()
        >>> s = InMemoryStorage(large_values=objects, large_value_threshold=1000).sync
        >>> s.set("page", "x" * 5000)
        >>> objects.sync.count(), s.collect_garbage(older_than=0)
        (1, 0)
        """

    def health_check(self) -> Operation[bool]:
        """Whether the backend answers within the connection timeout. False, not an exception, where it does not.

        >>> InMemoryStorage().sync.health_check()
        True
        """

    def stats(self) -> Operation[MemoryStats]:
        """Figures: how many entries, how much space, how many first-level namespaces. A view's count only the view.

        >>> s = InMemoryStorage().sync
        >>> s.mset({"users::ada": 1, "docs::1": 2})
        >>> stats = s.stats()
        >>> stats.total_keys, stats.namespace_count, stats.backend_type
        (2, 2, 'in_memory')
        """

    def namespace(self, name: str) -> Storage:
        """A view of what is under `name`, with this whole interface: its keys stand under `name::` in the storage.

        What the view takes and lists is without that prefix. Views can be nested. Closing a view closes only the
        view; closing the storage closes its views. A key's limit of 2,048 bytes counts the prefix.

        >>> s = InMemoryStorage()
        >>> ada = s.namespace("users").namespace("ada").sync
        >>> ada.set("language", "Python")
        >>> ada.keys(), s.sync.keys()
        (['language'], ['users::ada::language'])
        """

    def typed(self, model: type[_T]) -> TypedView[_T]:
        """The same storage with values of one class: a pydantic model, a dataclass, a TypedDict or a msgspec Struct.

        A value is checked on its way in and on its way out, and comes back as the object that it was: fields of the
        types that a storage keeps are stored as they are. docs/typed.md says what each library's fields may be.

        Raises:
            TypeError: `model` is none of these; UnsupportedTypeError, which names the field, where one of its fields could
                not come back as it was.

        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class User:
        ...     name: str
        ...     tags: set[str]
        >>> s = InMemoryStorage().sync
        >>> users = s.typed(User)
        >>> users.set("ada", User("Ada", {"author"}))
        >>> users.get("ada")
        User(name='Ada', tags={'author'})
        >>> s.set("bob", {"name": "Bob"})
        >>> users.get("bob")
        Traceback (most recent call last):
        ...
        rrag_storage.errors.InvalidValueError: key 'bob': what is stored is no valid User: tags: is missing
        """

    @overload
    def to_pandas(self, query: MemoryQuery) -> Coroutine[Any, Any, pd.DataFrame]:
        """The entries that the filters hold for as a pandas DataFrame; filters as for `keys`.

        One row an entry, with the columns key (str), value (object), kind (str), size_bytes (int64), created_at,
        updated_at, expires_at (datetime64, UTC; NaT where an entry never expires) and version (uint64), which have these
        types when there is no row too. The values are the Python objects that `get` gives, as they are: a dict stays one
        object in its cell, and a None stays None; `frame["value"].apply(pandas.Series)` makes columns of dicts. All of it
        is in memory at once: filter what is large.

        Raises:
            ImportError: pandas is missing: `pip install 'rrag-storage[pandas]'`.

        >>> s = InMemoryStorage().sync
        >>> s.mset({"docs::1": "one", "docs::2": {"text": "two"}, "users::ada": 1})
        >>> frame = s.to_pandas(namespace="docs")
        >>> frame[["key", "kind"]].values.tolist()
        [['docs::1', 'string'], ['docs::2', 'map']]
        """

    @overload
    def to_pandas(
        self,
        query: None = None,
        *,
        namespace: str | None = None,
        prefix: str | None = None,
        pattern: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        sort_order: SortOrder = ...,
    ) -> Coroutine[Any, Any, pd.DataFrame]: ...
    def close(self) -> Operation[None]:
        """Waits for what is under way and lets go of everything. Idempotent; later calls raise StorageClosedError.

        >>> s = InMemoryStorage().sync
        >>> s.close()
        >>> s.close()
        >>> s.get("k")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        rrag_storage.errors.StorageClosedError: ...
        """

    def _repr_html_(self) -> str: ...
    # For `rotate` alone: how many were seen, how many rewritten, and the last key where there are more.
    def _rotate_page(self, after: str | None, page_size: int) -> Operation[tuple[int, int, str | None]]: ...

class InMemoryStorage(Storage):
    """A storage in this process's memory, gone when the process ends.

    It keeps a copy of its own of every value, counts what it holds, and frees what has expired.

    Args:
        url: `memory://`, for symmetry with the others.
        max_keys: at most this many entries; None for no limit.
        max_memory_bytes: at most this many bytes, keys and overhead included; None for no limit.
        eviction: None: a write past a limit raises LimitExceededError and changes nothing. `"lru"`: the least
            recently used entries go instead.
        clock: a `ManualClock` that expiry and times follow instead of the system's clock: for tests.
        compression, …, large_value_threshold: the layers, which `Storage` explains.

    Raises:
        ConfigurationError: (a ValueError) an option that can't be used; the message names it.

    >>> s = InMemoryStorage(max_keys=2, eviction="lru").sync
    >>> s.mset({"a": 1, "b": 2})
    >>> s.get("a")
    1
    >>> s.set("c", 3)
    >>> s.keys()
    ['a', 'c']
    """

    def __new__(
        cls,
        url: str = "memory://",
        *,
        max_keys: int | None = 100_000,
        max_memory_bytes: int | None = 1_000_000_000,
        eviction: Literal["lru"] | None = None,
        clock: ManualClock | None = None,
        compression: _Compression | None = None,
        compression_threshold: int = 1_024,
        encryption_key: _Keys | None = None,
        active_key: str | None = None,
        require_encryption: bool | None = None,
        hide_keys: bool = False,
        large_values: Storage | None = None,
        large_value_threshold: int = 1_048_576,
    ) -> Self: ...
    @classmethod
    def connect(
        cls,
        url: str = "memory://",
        *,
        max_keys: int | None = ...,
        max_memory_bytes: int | None = ...,
        eviction: Literal["lru"] | None = ...,
        clock: ManualClock | None = ...,
        compression: _Compression | None = ...,
        compression_threshold: int = ...,
        encryption_key: _Keys | None = ...,
        active_key: str | None = ...,
        require_encryption: bool | None = ...,
        hide_keys: bool = ...,
        large_values: Storage | None = ...,
        large_value_threshold: int = ...,
    ) -> Operation[Self]:
        """A storage that is open, for symmetry with the others; the options are the constructor's.

        >>> async def main():
        ...     s = await InMemoryStorage.connect(max_keys=10)
        ...     print(s.backend_name)
        >>> asyncio.run(main())
        in_memory
        """

    @classmethod
    def with_config(
        cls,
        config: InMemoryConfig,
        *,
        clock: ManualClock | None = None,
        compression: _Compression | None = None,
        compression_threshold: int = 1_024,
        encryption_key: _Keys | None = None,
        active_key: str | None = None,
        require_encryption: bool | None = None,
        hide_keys: bool = False,
        large_values: Storage | None = None,
        large_value_threshold: int = 1_048_576,
    ) -> Self:
        """A storage with the options of `config` and, beside them, a clock and layers.

        >>> s = InMemoryStorage.with_config(InMemoryConfig(max_keys=1)).sync
        >>> s.set("a", 1)
        >>> s.set("b", 2)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        rrag_storage.errors.LimitExceededError: max_keys is reached: ...
        """

class DatabaseStorage(Storage):
    """A storage in a database, shared by any number of processes: a SQLite file, PostgreSQL, MySQL or MariaDB.

    A SQLite file is created, with mode 0600, where it does not exist; its directory must. On a server the database
    must exist and its table is created. Every awaited write is committed: it survives a killed process and, with the
    defaults, a power cut. docs/backends.md has what each promises and costs.

    Args:
        url: `sqlite:PATH` or `sqlite://PATH` (so `sqlite:///var/x.db` is `/var/x.db`), taken literally;
            `sqlite::memory:` for a private database that is gone when the storage is closed;
            `postgres://USER:PASSWORD@HOST:PORT/DATABASE` (or `postgresql://`), `mysql://…` (or `mariadb://`), user,
            password and database percent-encoded. `?sslmode=` is disable, prefer, require, verify-ca or verify-full
            (MySQL's `?ssl-mode=` and its words too): without it TLS is used where the server has it, and certificate
            and name are checked, save on a loopback address.
        max_connections: at most this many connections; for SQLite this many readers beside the one writer.
        connection_timeout: the longest an operation may take, seconds or a timedelta: connecting, waiting for a
            connection or another writer, the answer, and what is repeated after a connection broke.
        enable_query_logging: log each operation, without keys and values, to the logger `rrag_storage.query`.
        table: the name of the table, so that several storages can share a file or a database.
        synchronous: of SQLite. `"full"`: an awaited write survives a power cut. `"normal"`: faster; a power cut may
            take the last moments before it, never consistency. A killed process loses nothing either way. A server's
            own settings say it there, and `"normal"` is refused.
        root_certificate: the path of a PEM file of the certificates that sign the server's, instead of the system's.
        clock: a `ManualClock` that expiry and times follow instead of the system's clock: for tests.
        compression, …, large_value_threshold: the layers, which `Storage` explains.

    Raises:
        ConfigurationError: (a ValueError) an option or a url that can't be used; the message says which.

    >>> async def main():
    ...     async with DatabaseStorage("sqlite:memory.db") as s:
    ...         await s.set("greeting", "hello")
    ...     async with DatabaseStorage("sqlite:memory.db") as s:
    ...         print(await s.get("greeting"))
    >>> asyncio.run(main())
    hello
    """

    def __new__(
        cls,
        url: str,
        *,
        max_connections: int = 4,
        connection_timeout: Ttl = 30.0,
        enable_query_logging: bool = False,
        table: str = "rrag_storage",
        synchronous: Literal["full", "normal"] = "full",
        root_certificate: str | PathLike[str] | None = None,
        clock: ManualClock | None = None,
        compression: _Compression | None = None,
        compression_threshold: int = 1_024,
        encryption_key: _Keys | None = None,
        active_key: str | None = None,
        require_encryption: bool | None = None,
        hide_keys: bool = False,
        large_values: Storage | None = None,
        large_value_threshold: int = 1_048_576,
    ) -> Self: ...
    @classmethod
    def connect(
        cls,
        url: str,
        *,
        max_connections: int = ...,
        connection_timeout: Ttl = ...,
        enable_query_logging: bool = ...,
        table: str = ...,
        synchronous: Literal["full", "normal"] = ...,
        root_certificate: str | PathLike[str] | None = ...,
        clock: ManualClock | None = ...,
        compression: _Compression | None = ...,
        compression_threshold: int = ...,
        encryption_key: _Keys | None = ...,
        active_key: str | None = ...,
        require_encryption: bool | None = ...,
        hide_keys: bool = ...,
        large_values: Storage | None = ...,
        large_value_threshold: int = ...,
    ) -> Operation[Self]:
        """Opens the database at once, so that a bad path or server fails here; the options are the constructor's.

        Raises:
            BackendUnavailableError: (a ConnectionError) the file can't be opened or is no database of this library,
                the server can't be reached, or refuses the user or the database.

        >>> async def main():
        ...     s = await DatabaseStorage.connect("sqlite::memory:", max_connections=1)
        ...     print(await s.health_check())
        ...     await s.close()
        >>> asyncio.run(main())
        True
        """

    @classmethod
    def with_config(
        cls,
        config: DatabaseConfig,
        *,
        clock: ManualClock | None = None,
        compression: _Compression | None = None,
        compression_threshold: int = 1_024,
        encryption_key: _Keys | None = None,
        active_key: str | None = None,
        require_encryption: bool | None = None,
        hide_keys: bool = False,
        large_values: Storage | None = None,
        large_value_threshold: int = 1_048_576,
    ) -> Self:
        """A storage with the options of `config` and, beside them, a clock and layers, not opened yet: `await` it to open it at once.

        >>> config = DatabaseConfig(connection_string="sqlite::memory:", connection_timeout=5)
        >>> s = DatabaseStorage.with_config(config, compression="zstd")
        >>> s.backend_name
        'sqlite'
        """

class RedisStorage(Storage):
    """A storage in Redis or Valkey, or in a cluster of them, shared by any number of processes.

    A commit is one script on the server, checks and all. An awaited write is in the server; what survives the server's
    crash is what its own configuration keeps (`appendonly`, `appendfsync`). On a cluster the keys of one first-level
    namespace share a node: transactions and `mset` stay within one, else they raise UnsupportedOperationError.
    docs/backends.md has the rest.

    Args:
        url: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, `rediss://…` for TLS (certificate and name are checked;
            `#insecure` at the end takes any), `redis+cluster://HOST:PORT,HOST:PORT` and `rediss+cluster://…` for a
            cluster, `unix:///PATH?db=1` for a socket. Parts are percent-encoded.
        key_prefix: what every name of this storage on the server starts with: storages with different prefixes share
            nothing.
        max_connections: at most this many connections (to each node of a cluster): one for small operations, which
            travel together, the others for large ones.
        connection_timeout: the longest an operation may take, seconds or a timedelta: connecting, the answer, and what
            is repeated after a connection broke.
        enable_query_logging: log each operation, without keys and values, to the logger `rrag_storage.query`.
        root_certificate: the path of a PEM file of the certificates that sign the server's, instead of the system's.
        clock: a `ManualClock` that expiry and times follow instead of the system's clock: for tests.
        compression, …, large_value_threshold: the layers, which `Storage` explains.

    Raises:
        ConfigurationError: (a ValueError) an option or a url that can't be used; the message says which.

    >>> s = RedisStorage("redis://ada:secret@localhost:6379/0", key_prefix="docs")
    >>> s
    <RedisStorage redis://localhost:6379/0>
    """

    def __new__(
        cls,
        url: str,
        *,
        key_prefix: str = "rrag",
        max_connections: int = 4,
        connection_timeout: Ttl = 30.0,
        enable_query_logging: bool = False,
        root_certificate: str | PathLike[str] | None = None,
        clock: ManualClock | None = None,
        compression: _Compression | None = None,
        compression_threshold: int = 1_024,
        encryption_key: _Keys | None = None,
        active_key: str | None = None,
        require_encryption: bool | None = None,
        hide_keys: bool = False,
        large_values: Storage | None = None,
        large_value_threshold: int = 1_048_576,
    ) -> Self: ...
    @classmethod
    def connect(
        cls,
        url: str,
        *,
        key_prefix: str = ...,
        max_connections: int = ...,
        connection_timeout: Ttl = ...,
        enable_query_logging: bool = ...,
        root_certificate: str | PathLike[str] | None = ...,
        clock: ManualClock | None = ...,
        compression: _Compression | None = ...,
        compression_threshold: int = ...,
        encryption_key: _Keys | None = ...,
        active_key: str | None = ...,
        require_encryption: bool | None = ...,
        hide_keys: bool = ...,
        large_values: Storage | None = ...,
        large_value_threshold: int = ...,
    ) -> Operation[Self]:
        """Connects at once, so that a bad host or password fails here; the options are the constructor's.

        Raises:
            BackendUnavailableError: (a ConnectionError) the server can't be reached, or refuses the user.
        """

    @classmethod
    def with_config(
        cls,
        config: RedisConfig,
        *,
        clock: ManualClock | None = None,
        compression: _Compression | None = None,
        compression_threshold: int = 1_024,
        encryption_key: _Keys | None = None,
        active_key: str | None = None,
        require_encryption: bool | None = None,
        hide_keys: bool = False,
        large_values: Storage | None = None,
        large_value_threshold: int = 1_048_576,
    ) -> Self:
        """A storage with the options of `config` and, beside them, a clock and layers, not opened yet: `await` it to open it at once.

        >>> RedisStorage.with_config(RedisConfig("redis://localhost")).backend_name
        'redis'
        """

class ObjectStorage(Storage):
    """A storage in an object store: for large values, and for what is read more often than written.

    Each entry is one object. `set_if_absent`, `compare_and_set`, `increment` and `pop` are conditional puts, exact with
    any number of writers; what changes several keys works key by key, so `transaction()` raises
    UnsupportedOperationError, and an `mset` that fails midway raises PartialWriteError. docs/backends.md has the rest.

    Args:
        url: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`, or `file:///DIRECTORY`. The bucket must
            exist.
        storage_options: the store's own settings, which go before the environment variables of the same name in
            capitals: `aws_access_key_id`, `aws_secret_access_key`, `aws_region`, `aws_endpoint`,
            `google_service_account`, `azure_storage_account_name`, `azure_storage_account_key` and the like.
        allow_http: whether an endpoint may be plain `http://`.
        max_connections: at most this many requests at once.
        connection_timeout: the longest a request may take, seconds or a timedelta, its repetitions included.
        enable_query_logging: log each operation, without keys and values, to the logger `rrag_storage.query`.
        root_certificate: the path of a PEM file of certificates to trust beside the system's.
        clock: a `ManualClock` that expiry and times follow instead of the system's clock: for tests.
        compression, …, large_value_threshold: the layers, which `Storage` explains.

    Raises:
        ConfigurationError: (a ValueError) an option or a url that can't be used; the message says which.

    >>> import tempfile
    >>> s = ObjectStorage("file://" + tempfile.mkdtemp()).sync
    >>> s.set("greeting", "hello")
    >>> s.get("greeting")
    'hello'
    """

    def __new__(
        cls,
        url: str,
        *,
        storage_options: Mapping[str, str] | None = None,
        allow_http: bool = False,
        max_connections: int = 64,
        connection_timeout: Ttl = 30.0,
        enable_query_logging: bool = False,
        root_certificate: str | PathLike[str] | None = None,
        clock: ManualClock | None = None,
        compression: _Compression | None = None,
        compression_threshold: int = 1_024,
        encryption_key: _Keys | None = None,
        active_key: str | None = None,
        require_encryption: bool | None = None,
        hide_keys: bool = False,
        large_values: Storage | None = None,
        large_value_threshold: int = 1_048_576,
    ) -> Self: ...
    @classmethod
    def connect(
        cls,
        url: str,
        *,
        storage_options: Mapping[str, str] | None = ...,
        allow_http: bool = ...,
        max_connections: int = ...,
        connection_timeout: Ttl = ...,
        enable_query_logging: bool = ...,
        root_certificate: str | PathLike[str] | None = ...,
        clock: ManualClock | None = ...,
        compression: _Compression | None = ...,
        compression_threshold: int = ...,
        encryption_key: _Keys | None = ...,
        active_key: str | None = ...,
        require_encryption: bool | None = ...,
        hide_keys: bool = ...,
        large_values: Storage | None = ...,
        large_value_threshold: int = ...,
    ) -> Operation[Self]:
        """Asks the store at once, so that a bad bucket or key fails here; the options are the constructor's.

        Raises:
            BackendUnavailableError: (a ConnectionError) the store can't be reached, or refuses the access.
        """

    @classmethod
    def with_config(
        cls,
        config: ObjectConfig,
        *,
        clock: ManualClock | None = None,
        compression: _Compression | None = None,
        compression_threshold: int = 1_024,
        encryption_key: _Keys | None = None,
        active_key: str | None = None,
        require_encryption: bool | None = None,
        hide_keys: bool = False,
        large_values: Storage | None = None,
        large_value_threshold: int = 1_048_576,
    ) -> Self:
        """A storage with the options of `config` and, beside them, a clock and layers, not opened yet: `await` it to open it at once."""

@final
class Transaction:
    """Reads and writes that commit together: what `async with s.transaction() as tx:` gives.

    It reads its own writes; nothing is visible outside before the commit at the end of the block; reads repeat: a key
    gives the same answer throughout. After the block every call raises StorageError. The methods mean what they mean
    on a storage; what they raise is raised at once, and the block may catch it and go on.

    >>> with InMemoryStorage().sync as s:
    ...     s.set("stock", 3)
    ...     with s.transaction() as tx:
    ...         left = tx.get("stock") - 1
    ...         tx.set("stock", left)
    ...         tx.set("sold::1", "a book")
    ...     s.mget(["stock", "sold::1"])
    [2, 'a book']
    """

    def __aenter__(self) -> Operation[Self]: ...
    def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> Operation[bool]: ...
    @overload
    def get(self, key: str, default: None = None) -> Operation[Any | None]:
        """The value under `key`, as this transaction sees it; `default` where it is missing."""

    @overload
    def get(self, key: str, default: _D) -> Operation[Any | _D]: ...
    def get_entry(self, key: str) -> Operation[MemoryEntry | None]:
        """The entry under `key`; of a key written in this transaction, the write that is waiting to be committed."""

    @overload
    def mget(self, keys: Iterable[str], default: None = None) -> Operation[list[Any | None]]:
        """The values under `keys`, in their order, with `default` where one is missing."""

    @overload
    def mget(self, keys: Iterable[str], default: _D) -> Operation[list[Any | _D]]: ...
    def exists(self, key: str) -> Operation[bool]:
        """Whether `key` is there, as this transaction sees it."""

    def set(self, key: str, value: Value, ttl: Ttl | None = None) -> Operation[None]:
        """Stores `value` under `key` at the commit."""

    def set_if_absent(self, key: str, value: Value, ttl: Ttl | None = None) -> Operation[bool]:
        """Stores `value` at the commit if `key` holds nothing; whether it will."""

    def mset(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]], ttl: Ttl | None = None) -> Operation[None]:
        """Stores many values at the commit."""

    def delete(self, key: str) -> Operation[bool]:
        """Deletes `key` at the commit; whether it was there."""

    def mdelete(self, keys: Iterable[str]) -> Operation[int]:
        """Deletes `keys` at the commit; how many of them were there."""

    def increment(self, key: str, by: int = 1) -> Operation[int]:
        """Adds `by` to the integer under `key` at the commit; the new value."""

@final
class MemoryValue:
    """A value with its kind, as the storage holds it. Immutable; equal to another of its kind and to its native twin.

    Storing one is the same as storing the object it was made from. Only `MemoryValue.json` makes something that no
    plain Python object does: a JSON document.

    >>> value = MemoryValue.from_python([1, 2.5, "three"])
    >>> value.kind
    'list'
    >>> value == [1, 2.5, "three"]
    True
    """

    @staticmethod
    def from_python(obj: Value) -> MemoryValue:
        """The value of a Python object.

        Raises:
            UnsupportedTypeError: (a TypeError) an object that can't be stored exactly; the message names its path.

        >>> MemoryValue.from_python(b"abc").kind
        'bytes'
        """

    @staticmethod
    def json(obj: Any) -> MemoryValue:
        """A JSON document: None, bool, int, finite float, str, list, tuple (becomes a list), dict with str keys.

        Raises:
            UnsupportedTypeError: (a TypeError) anything that JSON can't express, nan and infinity included.

        >>> value = MemoryValue.json({"sizes": (1, 2)})
        >>> value.kind, value.to_python()
        ('json', {'sizes': [1, 2]})
        """

    def to_python(self) -> Any:
        """The value as a native Python object, a new one each time.

        >>> MemoryValue.from_python((1, "a")).to_python()
        (1, 'a')
        """

    @property
    def kind(self) -> _Kind:
        """What it is, by name.

        null boolean integer float string bytes list map tuple set frozenset datetime date time timedelta decimal uuid
        array json.

        >>> MemoryValue.from_python(None).kind
        'null'
        """

    def as_string(self) -> str | None:
        """The str, or None where the kind is not `string`.

        >>> MemoryValue.from_python("a").as_string(), MemoryValue.from_python(1).as_string()
        ('a', None)
        """

    def as_integer(self) -> int | None:
        """The int, or None where the kind is not `integer`.

        >>> MemoryValue.from_python(2**70).as_integer()
        1180591620717411303424
        """

    def as_float(self) -> float | None:
        """The float, or None where the kind is not `float`.

        >>> MemoryValue.from_python(0.5).as_float()
        0.5
        """

    def as_boolean(self) -> bool | None:
        """The bool, or None where the kind is not `boolean`.

        >>> MemoryValue.from_python(True).as_boolean(), MemoryValue.from_python(1).as_boolean()
        (True, None)
        """

    def as_json(self) -> Any | None:
        """The document as a Python object, or None where the kind is not `json`.

        >>> MemoryValue.json([1, None]).as_json()
        [1, None]
        """

    def as_bytes(self) -> bytes | None:
        """The bytes, or None where the kind is not `bytes`.

        >>> MemoryValue.from_python(b"abc").as_bytes()
        b'abc'
        """

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class MemoryEntry:
    """A value with what the storage knows of it. Equal to another if all of it is.

    >>> s = InMemoryStorage().sync
    >>> s.set("users::ada", {"born": 1815}, ttl=60)
    >>> entry = s.get_entry("users::ada")
    >>> entry.key, entry.value, entry.kind
    ('users::ada', {'born': 1815}, 'map')
    >>> round((entry.expires_at - entry.updated_at).total_seconds())
    60
    """

    @property
    def key(self) -> str:
        """The key, as the storage or view that gave the entry spells it."""

    @property
    def value(self) -> Any:
        """The value as a native Python object, a new one at each access."""

    @property
    def created_at(self) -> datetime:
        """When the key was first written; overwriting keeps it. Aware, UTC."""

    @property
    def updated_at(self) -> datetime:
        """When it was last written, a change of its expiry included. Aware, UTC."""

    @property
    def expires_at(self) -> datetime | None:
        """When it expires, or None where it never does. Aware, UTC."""

    @property
    def version(self) -> int:
        """The token of this very write, for `compare_and_set`: random, compared for equality only."""

    @property
    def size_bytes(self) -> int:
        """The size of the encoded value in bytes."""

    @property
    def kind(self) -> _Kind:
        """The value's kind, as `MemoryValue.kind`."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def _repr_html_(self) -> str: ...

@final
class MemoryStats:
    """Figures on a storage or a view, as they were at `last_updated`.

    >>> s = InMemoryStorage().sync
    >>> s.set("users::ada", "x" * 1000)
    >>> stats = s.stats()
    >>> stats.total_keys, stats.memory_bytes > 1000
    (1, True)
    """

    @property
    def total_keys(self) -> int:
        """How many entries there are."""

    @property
    def memory_bytes(self) -> int:
        """What they take, in bytes: of this process's memory, or of the file."""

    @property
    def backend_type(self) -> str:
        """The backend's name."""

    @property
    def namespace_count(self) -> int:
        """How many first-level namespaces there are."""

    @property
    def last_updated(self) -> datetime:
        """When the figures were taken. Aware, UTC."""

    @property
    def extra(self) -> dict[str, float]:
        """Further figures, by name; a figure that does not apply is not there.

        What the process has counted on the whole storage, through this object and its views, since it was made: `hits` and
        `misses` of `get`, `get_value`, `get_entry`, `get_entries`, `mget` and `pop`; and for each call that was made
        `get.calls`, `get.errors` and its time to the answer as `get.p50_seconds`, `get.p90_seconds`, `get.p99_seconds` and
        `get.max_seconds`, to about 5 %. In memory and on SQLite one call in 16 is timed. What the backend has done in this
        process: `expiries` (expired records that it freed), `evictions` (in memory), `queue_depth` (calls that wait for
        others under way), `batches`, `batch_size_mean` and `batch_size_max` (calls that went out together: SQLite, the SQL
        servers, Redis). What it says of itself: `file_bytes`, `wal_bytes`, `page_size`, `pages`, `free_pages` on SQLite,
        `measured_keys`, `server_used_memory`, `server_maxmemory` on Redis.
        """

    def _repr_html_(self) -> str: ...

@final
class MemoryQuery:
    """The filters of `keys`, `items` and `entries` in one object. Immutable: each `with_…` gives a new one.

    `Storage.keys` explains the filters.

    >>> query = MemoryQuery(namespace="users").with_limit(10)
    >>> query.namespace, query.limit, query.offset
    ('users', 10, 0)
    """

    def __new__(
        cls,
        *,
        namespace: str | None = None,
        prefix: str | None = None,
        pattern: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        sort_order: SortOrder = ...,
    ) -> Self: ...
    @property
    def namespace(self) -> str | None:
        """Keys under this namespace."""

    @property
    def prefix(self) -> str | None:
        """Keys that start with this, literally."""

    @property
    def pattern(self) -> str | None:
        """A glob over the whole key where it holds `*`, `?` or `[`; else a literal prefix."""

    @property
    def after(self) -> str | None:
        """Keys greater than this one in key order."""

    @property
    def limit(self) -> int | None:
        """At most this many."""

    @property
    def offset(self) -> int:
        """Without the first so many."""

    @property
    def sort_order(self) -> SortOrder:
        """The order."""

    def with_namespace(self, namespace: str) -> MemoryQuery:
        """The same query, of keys under `namespace`."""

    def with_prefix(self, prefix: str) -> MemoryQuery:
        """The same query, of keys that start with `prefix`."""

    def with_pattern(self, pattern: str) -> MemoryQuery:
        """The same query, of keys that match `pattern`."""

    def with_after(self, after: str) -> MemoryQuery:
        """The same query, of keys greater than `after`."""

    def with_limit(self, limit: int) -> MemoryQuery:
        """The same query, of at most `limit` keys."""

    def with_offset(self, offset: int) -> MemoryQuery:
        """The same query, without the first `offset` keys."""

    def with_sort_order(self, sort_order: SortOrder) -> MemoryQuery:
        """The same query in another order."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]  # equal queries are compared, never hashed

@final
class SortOrder:
    """The order of listings. Keys are compared by code point.

    >>> s = InMemoryStorage().sync
    >>> s.set("b", 1)
    >>> s.set("a", 2)
    >>> s.keys(), s.keys(sort_order=SortOrder.CREATED_ASC)
    (['a', 'b'], ['b', 'a'])
    """

    KEY_ASC: ClassVar[SortOrder]
    """By key, ascending: the default."""
    KEY_DESC: ClassVar[SortOrder]
    """By key, descending."""
    CREATED_ASC: ClassVar[SortOrder]
    """By creation, the oldest first."""
    CREATED_DESC: ClassVar[SortOrder]
    """By creation, the newest first."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class InMemoryConfig:
    """The options of `InMemoryStorage`, which explains them; `InMemoryStorage.with_config(config)` uses them.

    >>> InMemoryConfig(max_keys=1_000, eviction="lru").max_keys
    1000
    """

    def __new__(
        cls,
        *,
        max_keys: int | None = 100_000,
        max_memory_bytes: int | None = 1_000_000_000,
        eviction: Literal["lru"] | None = None,
    ) -> Self: ...
    max_keys: int | None
    """At most this many entries."""
    max_memory_bytes: int | None
    """At most this many bytes."""
    eviction: Literal["lru"] | None
    """What goes past a limit."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]  # it can be changed, so it can't be hashed

@final
class DatabaseConfig:
    """The options of `DatabaseStorage`, which explains them; `DatabaseStorage.with_config(config)` uses them.

    >>> DatabaseConfig(connection_string="sqlite:memory.db").max_connections
    4
    """

    def __new__(
        cls,
        connection_string: str,
        *,
        max_connections: int = 4,
        connection_timeout: Ttl = 30.0,
        enable_query_logging: bool = False,
        table: str = "rrag_storage",
        synchronous: Literal["full", "normal"] = "full",
        root_certificate: str | PathLike[str] | None = None,
    ) -> Self: ...
    connection_string: str
    """The url, with its password; the repr shows none."""
    max_connections: int
    """At most this many connections, or readers at once."""
    connection_timeout: float
    """The longest an operation may take, in seconds."""
    enable_query_logging: bool
    """Whether operations are logged."""
    table: str
    """The name of the table."""
    synchronous: Literal["full", "normal"]
    """What an awaited write survives."""
    root_certificate: str | None
    """The path of a PEM file of certificates."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]  # it can be changed, so it can't be hashed

@final
class RedisConfig:
    """The options of `RedisStorage`, which explains them; `RedisStorage.with_config(config)` uses them.

    >>> RedisConfig("redis://ada:secret@localhost", key_prefix="docs").key_prefix
    'docs'
    """

    def __new__(
        cls,
        connection_string: str,
        *,
        key_prefix: str = "rrag",
        max_connections: int = 4,
        connection_timeout: Ttl = 30.0,
        enable_query_logging: bool = False,
        root_certificate: str | PathLike[str] | None = None,
    ) -> Self: ...
    connection_string: str
    """The url, with its password; the repr shows none."""
    key_prefix: str
    """What every name on the server starts with."""
    max_connections: int
    """At most this many connections."""
    connection_timeout: float
    """The longest an operation may take, in seconds."""
    enable_query_logging: bool
    """Whether operations are logged."""
    root_certificate: str | None
    """The path of a PEM file of certificates."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]  # it can be changed, so it can't be hashed

@final
class ObjectConfig:
    """The options of `ObjectStorage`, which explains them; `ObjectStorage.with_config(config)` uses them.

    >>> ObjectConfig("s3://bucket/memory", storage_options={"aws_region": "eu-west-1"}).allow_http
    False
    """

    def __new__(
        cls,
        connection_string: str,
        *,
        storage_options: Mapping[str, str] | None = None,
        allow_http: bool = False,
        max_connections: int = 64,
        connection_timeout: Ttl = 30.0,
        enable_query_logging: bool = False,
        root_certificate: str | PathLike[str] | None = None,
    ) -> Self: ...
    connection_string: str
    """The url."""
    storage_options: dict[str, str]
    """The store's own settings; the repr shows their names alone."""
    allow_http: bool
    """Whether an endpoint may be plain `http://`."""
    max_connections: int
    """At most this many requests at once."""
    connection_timeout: float
    """The longest a request may take, in seconds."""
    enable_query_logging: bool
    """Whether operations are logged."""
    root_certificate: str | None
    """The path of a PEM file of certificates."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]  # it can be changed, so it can't be hashed

@final
class Key:
    """A key of 256 bits for encryption at rest: `encryption_key` of every storage takes it.

    Its repr shows its fingerprint alone. It can't be pickled, and its memory is wiped when the last that holds it is gone.
    Whoever has it reads everything; without it nobody does: keep `export()` of it somewhere that survives the data.

    Args:
        key: 32 bytes, random ones: not a passphrase, which `from_passphrase` takes.

    Raises:
        ConfigurationError: (a ValueError) not 32 bytes.

    >>> key = Key(bytes(range(32)))
    >>> key
    <Key f9bbd8fa57f7babd>
    """

    def __new__(cls, key: bytes) -> Self: ...
    @classmethod
    def generate(cls) -> Key:
        """A new key from the system's random numbers.

        >>> Key.generate().fingerprint == Key.generate().fingerprint
        False
        """

    @classmethod
    def from_passphrase(cls, passphrase: str, salt: bytes) -> Key:
        """The key that a passphrase and a salt make: the same ones make the same key, anywhere.

        Argon2id (RFC 9106) with 64 MiB of memory, 3 passes and 4 lanes, which takes a tenth of a second or more, by
        design. The salt is no secret; draw it once, `os.urandom(16)`, and keep it beside the data.

        Raises:
            ConfigurationError: (a ValueError) an empty passphrase, or a salt of fewer than 16 bytes.

        >>> salt = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
        >>> key = Key.from_passphrase("correct horse battery staple", salt)
        >>> key.fingerprint == Key.from_passphrase("correct horse battery staple", salt).fingerprint
        True
        """

    @classmethod
    def from_env(cls, name: str) -> Key:
        """The key in the environment variable `name`: what `export()` gave, or 64 hexadecimal digits.

        Raises:
            ConfigurationError: (a ValueError) the variable is not set or holds no key. The message has its name alone.

        >>> import os
        >>> os.environ["MEMORY_KEY"] = Key.generate().export()
        >>> s = InMemoryStorage(encryption_key=Key.from_env("MEMORY_KEY"))
        """

    def export(self) -> str:
        """The key itself, in base64: the one call that shows it. Keep it somewhere safe.

        >>> key = Key.generate()
        >>> import base64
        >>> Key(base64.b64decode(key.export())).fingerprint == key.fingerprint
        True
        """

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell the key from others: the start of a hash over it, and the id that records
        name it by where none was given.

        >>> len(Key.generate().fingerprint)
        16
        """

@final
class Compression:
    """How values are compressed, where its name alone doesn't say it: `compression` of every storage takes it.

    Args:
        method: `"zstd"`, or `"lz4"`, which is several times faster and shrinks about half as well.
        level: of zstd, from -7 (fastest) to 22 (smallest); 3 unless told otherwise. lz4 has none.
        dictionary: of zstd, the bytes of a trained dictionary, as `Compression.dictionary` and zstd's own tools give.

    Raises:
        ConfigurationError: (a ValueError) a method, level or dictionary that there isn't.

    >>> s = InMemoryStorage(compression=Compression("zstd", level=9), compression_threshold=200)
    >>> Compression("zstd", level=9)
    Compression('zstd', level=9)
    """

    def __new__(
        cls, method: Literal["zstd", "lz4"] = "zstd", *, level: int | None = None, dictionary: bytes | None = None
    ) -> Self: ...
    @classmethod
    def train(cls, samples: Iterable[Value], *, level: int = 3) -> Compression:
        """zstd with a dictionary of what `samples` have in common, for many small values that are alike.

        Give it some hundreds of typical values, and the storage a small `compression_threshold`. The dictionary is
        made of pieces of the samples. It is stored with the data, encrypted as they are, so that a storage opened
        without it reads what was compressed with it. Each call makes
        another dictionary: train once, and keep `dictionary` for the next time.

        Raises:
            ValueError: the samples are too few or too short.
            UnsupportedTypeError: (a TypeError) a sample that can't be stored.

        >>> records = [{"id": n, "language": "en", "source": f"manual/chapter-{n % 9}.md"} for n in range(1000)]
        >>> trained = Compression.train(records)
        >>> s = InMemoryStorage(compression=trained, compression_threshold=32).sync
        >>> s.set("doc", records[7])
        >>> s.get("doc") == records[7]
        True
        """

    @property
    def method(self) -> Literal["zstd", "lz4"]:
        """`"zstd"` or `"lz4"`.

        >>> Compression("lz4").method
        'lz4'
        """

    @property
    def level(self) -> int | None:
        """zstd's level; None for lz4.

        >>> Compression().level
        3
        """

    @property
    def dictionary(self) -> bytes | None:
        """The trained dictionary, or None.

        >>> Compression("zstd").dictionary is None
        True
        """

@final
class ManualClock:
    """A clock for tests: it stands still until `advance` moves it. Give it to a storage as `clock=`.

    Starts at `start` (an aware datetime), or at the present time.

    >>> clock = ManualClock()
    >>> s = InMemoryStorage(clock=clock).sync
    >>> s.set("k", 1, ttl=60)
    >>> clock.advance(61)
    >>> s.exists("k")
    False
    """

    def __new__(cls, start: datetime | None = None) -> Self: ...
    def advance(self, by: Ttl) -> None:
        """Moves the clock forward by seconds or a timedelta.

        >>> clock = ManualClock()
        >>> before = clock.now()
        >>> clock.advance(1.5)
        >>> (clock.now() - before).total_seconds()
        1.5
        """

    def now(self) -> datetime:
        """What the clock shows, aware, UTC.

        >>> from datetime import datetime, timezone
        >>> ManualClock(datetime(2030, 1, 1, tzinfo=timezone.utc)).now().isoformat()
        '2030-01-01T00:00:00+00:00'
        """

# For `copy` alone: what was copied, what was skipped, and the last key, after each page.
def _copy_pages(
    source: Storage,
    target: Storage,
    query: MemoryQuery | None,
    filters: dict[str, Any] | None,
    *,
    overwrite: bool,
    page_size: int,
) -> AsyncIterator[tuple[int, int, str | None]]: ...
def connect(
    url: str,
    *,
    max_keys: int | None = ...,
    max_memory_bytes: int | None = ...,
    eviction: Literal["lru"] | None = ...,
    max_connections: int = ...,
    connection_timeout: Ttl = ...,
    enable_query_logging: bool = ...,
    table: str = ...,
    synchronous: Literal["full", "normal"] = ...,
    key_prefix: str = ...,
    storage_options: Mapping[str, str] | None = ...,
    allow_http: bool = ...,
    root_certificate: str | PathLike[str] | None = ...,
    clock: ManualClock | None = ...,
    compression: _Compression | None = ...,
    compression_threshold: int = ...,
    encryption_key: _Keys | None = ...,
    active_key: str | None = ...,
    require_encryption: bool | None = ...,
    hide_keys: bool = ...,
    large_values: Storage | None = ...,
    large_value_threshold: int = ...,
) -> Storage:
    """The storage of a url, not opened yet.

    `InMemoryStorage` for `memory://`; `DatabaseStorage` for `sqlite:…`, `postgres://…` and `mysql://…`; `RedisStorage`
    for `redis://…`, `rediss://…`, `redis+cluster://…` and `unix://…`; `ObjectStorage` for `s3://…`, `gs://…`, `az://…`
    and `file://…`.

    `await connect(url)` opens it at once. The options are those of the class; every class has those of the layers, which
    `Storage` explains.

    Raises:
        ConfigurationError: (a ValueError) an option that can't be used, or a url, one of another backend included.
        TypeError: an option that the class does not have.

    >>> connect("memory://", max_keys=10).backend_name
    'in_memory'
    >>> async def main():
    ...     s = await connect("sqlite::memory:")
    ...     print(s.backend_name)
    ...     await s.close()
    >>> asyncio.run(main())
    sqlite
    """
