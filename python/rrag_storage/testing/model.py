"""The model-based test: any sequence of operations gives on a storage what it gives on a dict."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rrag_storage import ConflictError, ManualClock, SortOrder, UnsupportedOperationError

from . import reference
from .capabilities import Capabilities
from .equality import assert_same
from .reference import first_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rrag_storage import MemoryEntry, Storage

TICK = 10
"""Milliseconds that the clock moves at least, and a multiple of which it always shows."""

KEYS = [
    "a",
    "A",
    "b",
    "ab",
    "a::b",
    "a::b::c",
    "a::b::c::d",
    "a::a::b::a",
    "ab::c",
    "a:b",
    "a:::b",
    "a::::b",
    "::a",
    "b::",
    "a%",
    "a_",
    "a*",
    "[a]",
    "a ",
    "é",
    "e\u0301",
    "漢字::a",
]

_keys = st.sampled_from(KEYS)
_views = st.sampled_from(["", "", "", "a", "a::b", "漢字"])
_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=3),
    st.just("long " * 500),
)
_pairs = st.lists(st.tuples(_keys, _values), max_size=5)
# No entry expires at a moment that the clock ever shows: whether it is alive then is nobody's promise.
_ttls = st.integers(1, 30).map(lambda ticks: ticks * TICK + TICK // 2)
_optional_ttls = st.one_of(st.none(), _ttls)
_patterns = st.lists(
    st.sampled_from(["a", "b", "::", "*", "?", "[ab]", "[!a]", "[a-c]", "%", "_", "é"]), min_size=1, max_size=4
).map("".join)
_filters = st.fixed_dictionaries(
    {},
    optional={
        "namespace": st.sampled_from(["a", "a::b", "b", "ab", "", "none"]),
        "prefix": st.sampled_from(["", "a", "a:", "a::", "a%", "A", "é", "e", "none"]),
        "pattern": _patterns,
        "after": _keys,
        "limit": st.integers(0, 6),
        "offset": st.integers(0, 4),
    },
)


@dataclass
class Stored:
    """One entry of the model; times in milliseconds since the start, `version` as it was last seen."""

    value: Any
    created: int
    updated: int
    expires: int | None = None
    version: int | None = None
    older_versions: list[int] = field(default_factory=list)

    def written(self) -> None:
        """Makes the version that was seen an old one."""
        if self.version is not None:
            self.older_versions.append(self.version)
            self.version = None


def ttl_of(milliseconds: int | None) -> timedelta | None:
    """The argument for so many milliseconds."""
    return None if milliseconds is None else timedelta(milliseconds=milliseconds)


class StorageMachine(RuleBasedStateMachine):
    """The rules. Every other call goes through an event loop, the rest block: both ways must agree."""

    make: Callable[[ManualClock], Storage]
    capabilities: Capabilities

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.start = self.clock.now()
        self.now = 0
        self.storage = type(self).make(self.clock)
        self.loop = asyncio.new_event_loop()
        self.turns = itertools.count()
        self.model: dict[str, Stored] = {}
        self.dead_versions: list[int] = []

    def teardown(self) -> None:
        """Closes what a run opened."""
        self.storage.sync.close()
        self.loop.close()

    # What the rules are made of.

    def refuses(self, keys: Iterable[str]) -> bool:
        """Whether the backend doesn't write all these keys in one step."""
        return not self.capabilities.spans_namespaces and len({first_namespace(key) for key in keys}) > 1

    def assert_refused(self, call: Callable[[], Any]) -> None:
        """Fails where `call()` raises no `UnsupportedOperationError`."""
        try:
            call()
        except UnsupportedOperationError:
            return
        raise AssertionError("a step over several first-level namespaces went through")

    def answer(self, operation: Any) -> Any:
        """Awaits `operation` in the loop, or blocks on it."""
        if next(self.turns) % 2:
            return operation.wait()
        return self.loop.run_until_complete(operation)

    def view(self, namespace: str) -> tuple[Any, str]:
        """The storage, or a view of it, and what stands before its keys."""
        if not namespace:
            return self.storage, ""
        return self.storage.namespace(namespace), namespace + reference.SEPARATOR

    def tick(self) -> None:
        """Moves the clock a little, so that no two writes happen at one time."""
        self.clock.advance(timedelta(milliseconds=TICK))
        self.now += TICK
        self.expire_model()

    def expire_model(self) -> None:
        """Drops from the model what has expired."""
        for key in [key for key, stored in self.model.items() if stored.expires and stored.expires < self.now]:
            self.drop(key)

    def drop(self, key: str) -> bool:
        """Deletes from the model."""
        stored = self.model.pop(key, None)
        if stored is not None and stored.version is not None:
            self.dead_versions.append(stored.version)
        return stored is not None

    def put(self, key: str, value: Any, ttl: int | None, *, keep_expiry: bool = False) -> None:
        """Writes to the model."""
        stored = self.model.get(key)
        if stored is None:
            stored = self.model[key] = Stored(value, created=self.now, updated=self.now)
        else:
            stored.written()
        stored.value = value
        stored.updated = self.now
        if not keep_expiry:
            stored.expires = None if ttl is None else self.now + ttl

    def below(self, before: str) -> dict[str, Stored]:
        """The model as the view sees it whose keys stand behind `before`."""
        return {key[len(before) :]: stored for key, stored in self.model.items() if key.startswith(before)}

    def check_entry(self, entry: MemoryEntry | None, key: str, stored: Stored | None) -> None:
        """Compares an entry with the model's, and remembers its version."""
        assert (entry is None) is (stored is None)
        if entry is None or stored is None:
            return
        assert entry.key == key
        assert_same(entry.value, stored.value)
        millisecond = timedelta(milliseconds=1)
        assert abs(entry.created_at - self.start - timedelta(milliseconds=stored.created)) < millisecond
        assert abs(entry.updated_at - self.start - timedelta(milliseconds=stored.updated)) < millisecond
        assert (entry.expires_at is None) is (stored.expires is None)
        if entry.expires_at is not None and stored.expires is not None:
            assert abs(entry.expires_at - self.start - timedelta(milliseconds=stored.expires)) <= millisecond
        assert entry.version not in stored.older_versions
        assert entry.version not in self.dead_versions
        assert stored.version in (None, entry.version)
        stored.version = entry.version

    # Time.

    @rule(ticks=st.integers(1, 40))
    def advance(self, ticks: int) -> None:
        """Moves the clock."""
        self.clock.advance(timedelta(milliseconds=ticks * TICK))
        self.now += ticks * TICK
        self.expire_model()

    # One key.

    @rule(where=_views, key=_keys, value=_values, ttl=_optional_ttls)
    def set(self, where: str, key: str, value: Any, ttl: int | None) -> None:
        """An overwrite keeps the creation and drops the expiry."""
        self.tick()
        view, before = self.view(where)
        assert self.answer(view.set(key, value, ttl=ttl_of(ttl))) is None
        self.put(before + key, value, ttl)

    @rule(where=_views, key=_keys, refresh=_optional_ttls)
    def get(self, where: str, key: str, refresh: int | None) -> None:
        """The value or the default; `refresh_ttl` is a write."""
        self.tick()
        view, before = self.view(where)
        stored = self.model.get(before + key)
        got = self.answer(view.get(key, "the default", refresh_ttl=ttl_of(refresh)))
        assert_same(got, stored.value if stored else "the default")
        self.refresh(before + key, refresh)

    def refresh(self, key: str, ttl: int | None) -> None:
        """What `refresh_ttl` does to the model."""
        if ttl is not None and key in self.model:
            self.put(key, self.model[key].value, ttl)

    @rule(where=_views, key=_keys)
    def get_entry(self, where: str, key: str) -> None:
        """Times and version as well."""
        view, before = self.view(where)
        self.check_entry(self.answer(view.get_entry(key)), key, self.model.get(before + key))

    @rule(where=_views, key=_keys)
    def pop(self, where: str, key: str) -> None:
        """Reads and deletes."""
        view, before = self.view(where)
        stored = self.model.get(before + key)
        assert_same(self.answer(view.pop(key, "the default")), stored.value if stored else "the default")
        self.drop(before + key)

    @rule(where=_views, key=_keys)
    def delete(self, where: str, key: str) -> None:
        """True where it was there."""
        view, before = self.view(where)
        assert self.answer(view.delete(key)) is self.drop(before + key)

    @rule(where=_views, key=_keys)
    def exists_and_ttl(self, where: str, key: str) -> None:
        """Both look without touching."""
        view, before = self.view(where)
        stored = self.model.get(before + key)
        assert self.answer(view.exists(key)) is (stored is not None)
        left = self.answer(view.ttl(key))
        if stored is None:
            assert left is None
        elif stored.expires is None:
            assert left == math.inf
        else:
            assert abs(left - (stored.expires - self.now) / 1_000) <= 0.001

    @rule(where=_views, key=_keys, value=_values, ttl=_optional_ttls)
    def set_if_absent(self, where: str, key: str, value: Any, ttl: int | None) -> None:
        """True where it wasn't there."""
        self.tick()
        view, before = self.view(where)
        absent = before + key not in self.model
        assert self.answer(view.set_if_absent(key, value, ttl=ttl_of(ttl))) is absent
        if absent:
            self.put(before + key, value, ttl)

    @rule(where=_views, key=_keys, value=_values, ttl=_optional_ttls, stale=st.booleans(), data=st.data())
    def compare_and_set(
        self, where: str, key: str, value: Any, ttl: int | None, stale: bool, data: st.DataObject
    ) -> None:
        """True with the version of now, False with any other."""
        self.tick()
        view, before = self.view(where)
        stored = self.model.get(before + key)
        self.check_entry(self.answer(view.get_entry(key)), key, stored)
        old = [*(stored.older_versions if stored else []), *self.dead_versions, 1]
        version = data.draw(st.sampled_from(old)) if stale or not stored else stored.version
        holds = stored is not None and version == stored.version
        assert self.answer(view.compare_and_set(key, value, version, ttl=ttl_of(ttl))) is holds
        if holds:
            self.put(before + key, value, ttl)

    @rule(where=_views, key=_keys, by=st.one_of(st.integers(-3, 3), st.integers()))
    def increment(self, where: str, key: str, by: int) -> None:
        """Counts from 0, keeps the expiry, raises where there is no integer."""
        self.tick()
        view, before = self.view(where)
        stored = self.model.get(before + key)
        if stored is not None and type(stored.value) is not int:
            try:
                self.answer(view.increment(key, by))
            except TypeError:
                return
            raise AssertionError(f"increment of {stored.value!r} went through")
        wanted = (stored.value if stored else 0) + by
        assert_same(self.answer(view.increment(key, by)), wanted)
        self.put(before + key, wanted, None, keep_expiry=True)

    @rule(where=_views, key=_keys, ttl=_ttls)
    def expire(self, where: str, key: str, ttl: int) -> None:
        """True where it was there."""
        self.tick()
        view, before = self.view(where)
        assert self.answer(view.expire(key, ttl_of(ttl))) is (before + key in self.model)
        self.refresh(before + key, ttl)

    @rule(where=_views, key=_keys)
    def persist(self, where: str, key: str) -> None:
        """True where it was there."""
        self.tick()
        view, before = self.view(where)
        stored = self.model.get(before + key)
        assert self.answer(view.persist(key)) is (stored is not None)
        if stored is not None and stored.expires is None:
            # Whether it counts as a write where there was no expiry is left open: take what is there.
            entry = self.answer(view.get_entry(key))
            if entry.version != stored.version and stored.version is not None:
                stored.written()
            if abs(entry.updated_at - self.start - timedelta(milliseconds=self.now)) < timedelta(milliseconds=1):
                stored.updated = self.now
        elif stored is not None:
            self.put(before + key, stored.value, None)

    # Many keys.

    @rule(where=_views, pairs=_pairs, ttl=_optional_ttls, mapping=st.booleans())
    def mset(self, where: str, pairs: list[tuple[str, Any]], ttl: int | None, mapping: bool) -> None:
        """Of a key named twice the last."""
        self.tick()
        view, before = self.view(where)
        if self.refuses(before + key for key, _ in pairs):
            self.assert_refused(lambda: self.answer(view.mset(pairs, ttl=ttl_of(ttl))))
            return
        assert self.answer(view.mset(dict(pairs) if mapping else pairs, ttl=ttl_of(ttl))) is None
        for key, value in dict(pairs).items():
            self.put(before + key, value, ttl)

    @rule(where=_views, keys=st.lists(_keys, max_size=5), refresh=_optional_ttls)
    def mget(self, where: str, keys: list[str], refresh: int | None) -> None:
        """As long as its keys, whatever is missing or named twice."""
        self.tick()
        view, before = self.view(where)
        stored = [self.model.get(before + key) for key in keys]
        got = self.answer(view.mget(keys, "the default", refresh_ttl=ttl_of(refresh)))
        assert_same(got, [each.value if each else "the default" for each in stored])
        for key in dict.fromkeys(keys):
            self.refresh(before + key, refresh)

    @rule(where=_views, keys=st.lists(_keys, max_size=5))
    def get_entries(self, where: str, keys: list[str]) -> None:
        """As `get_entry`, many times."""
        view, before = self.view(where)
        entries = self.answer(view.get_entries(keys))
        assert len(entries) == len(keys)
        for key, entry in zip(keys, entries, strict=True):
            self.check_entry(entry, key, self.model.get(before + key))

    @rule(where=_views, keys=st.lists(_keys, max_size=5))
    def mdelete(self, where: str, keys: list[str]) -> None:
        """A key named twice counts once."""
        view, before = self.view(where)
        assert self.answer(view.mdelete(keys)) == sum(self.drop(before + key) for key in keys)

    @rule(
        where=_views,
        filters=_filters.map(lambda given: {k: v for k, v in given.items() if k in ("namespace", "prefix")}),
    )
    def clear(self, where: str, filters: dict[str, Any]) -> None:
        """All that the filters name, in one step."""
        view, before = self.view(where)
        gone = [key for key in self.below(before) if reference.matches(key, **filters)]
        assert self.answer(view.count(**filters)) == len(gone)
        assert self.answer(view.clear(**filters)) == len(gone)
        for key in gone:
            self.drop(before + key)

    # Listings.

    @rule(where=_views, filters=_filters, order=st.sampled_from(list(range(4))))
    def listing(self, where: str, filters: dict[str, Any], order: int) -> None:
        """`keys`, `items` and `entries` are one listing."""
        orders = [SortOrder.KEY_ASC, SortOrder.KEY_DESC, SortOrder.CREATED_ASC, SortOrder.CREATED_DESC]
        sort_order = orders[order if self.capabilities.created_order else order % 2]
        view, before = self.view(where)
        below = self.below(before)
        pages = {name: filters[name] for name in ("limit", "offset") if name in filters}
        matching = {name: given for name, given in filters.items() if name not in pages}
        wanted = [key for key in below if reference.matches(key, **matching)]
        groups = reference.in_order({key: stored.created for key, stored in below.items()}, wanted, sort_order)
        keys = self.answer(view.keys(sort_order=sort_order, **filters))
        assert reference.is_page_of(keys, groups, **pages), (keys, groups)

        async def walk() -> tuple[list[tuple[str, Any]], list[MemoryEntry]]:
            pairs = [pair async for pair in view.items(sort_order=sort_order, **filters)]
            return pairs, [entry async for entry in view.entries(sort_order=sort_order, **filters)]

        pairs, entries = self.loop.run_until_complete(walk())
        assert_same(pairs, [(key, below[key].value) for key in keys])
        assert len(entries) == len(keys)
        for key, entry in zip(keys, entries, strict=True):
            self.check_entry(entry, key, below[key])

    @rule(
        where=_views,
        prefix=st.one_of(st.none(), st.sampled_from(["", "a", "a::", "a::b", "e", "none"])),
        depth=st.one_of(st.none(), st.integers(1, 4)),
    )
    def namespaces(self, where: str, prefix: str | None, depth: int | None) -> None:
        """Sorted, each once, whole."""
        view, before = self.view(where)
        wanted = reference.namespaces(self.below(before), prefix, depth)
        assert self.answer(view.namespaces(prefix, depth)) == wanted

    @rule(where=_views)
    def stats(self, where: str) -> None:
        """Figures of what is alive."""
        view, before = self.view(where)
        stats = self.answer(view.stats())
        assert stats.total_keys == len(self.below(before))
        assert stats.namespace_count == len(reference.first_namespaces(self.below(before)))

    # Transactions.

    @precondition(lambda self: self.capabilities.transactions)
    @rule(
        where=_views,
        steps=st.lists(st.tuples(st.integers(0, 8), _keys, _values, _optional_ttls), max_size=6),
        end=st.sampled_from(["commit", "commit", "roll back", "conflict"]),
    )
    def transaction(self, where: str, steps: list[Any], end: str) -> None:
        """Reads its own writes; all of it happens at the end, or nothing."""
        self.tick()
        view, before = self.view(where)
        read: dict[str, None] = {}
        written: set[str] = set()
        undo = self.snapshot()
        try:
            with view.sync.transaction() as tx:
                for step in steps:
                    self.step(tx, before, read, written, *step)
                if end == "roll back":
                    raise ZeroDivisionError
                if end == "conflict" and read:
                    view.sync.set(next(iter(read)), "changed by someone else")
        except ZeroDivisionError:
            assert end == "roll back"
            undo()
        except UnsupportedOperationError:
            assert self.refuses(before + key for key in [*read, *written])
            undo()
            if end == "conflict" and read:
                self.put(before + next(iter(read)), "changed by someone else", None)
        except ConflictError as conflict:
            assert end == "conflict"
            changed = next(iter(read))
            assert conflict.key == changed
            undo()
            self.put(before + changed, "changed by someone else", None)
        else:
            assert end == "commit" or not read

    def snapshot(self) -> Callable[[], None]:
        """Gives what takes the model back to how it is now."""
        model = {key: replace(stored, older_versions=[*stored.older_versions]) for key, stored in self.model.items()}
        dead = [*self.dead_versions]

        def undo() -> None:
            self.model, self.dead_versions = model, dead

        return undo

    def step(
        self,
        tx: Any,
        before: str,
        read: dict[str, None],
        written: set[str],
        kind: int,
        key: str,
        value: Any,
        ttl: int | None,
    ) -> None:
        """One call inside a transaction, on both sides; `read` takes the keys that the storage had to be asked for."""
        stored = self.model.get(before + key)
        if kind in (0, 4, 5):
            if key not in written:
                read[key] = None
        else:
            written.add(key)
        if kind == 0:
            assert_same(tx.get(key, "the default"), stored.value if stored else "the default")
        elif kind == 1:
            tx.set(key, value, ttl_of(ttl))
            self.put(before + key, value, ttl)
        elif kind == 2:
            assert tx.delete(key) is self.drop(before + key)
        elif kind == 3:
            pairs = {key: value, "b": value}
            written.add("b")
            tx.mset(pairs, ttl_of(ttl))
            for each in pairs:
                self.put(before + each, value, ttl)
        elif kind == 4:
            assert tx.exists(key) is (stored is not None)
        elif kind == 5:
            assert_same(tx.mget([key, key], 0), [stored.value if stored else 0] * 2)
        elif kind == 6:
            assert tx.set_if_absent(key, value, ttl_of(ttl)) is (stored is None)
            if stored is None:
                self.put(before + key, value, ttl)
        elif kind == 7:
            if stored is None or type(stored.value) is int:
                wanted = (stored.value if stored else 0) + 1
                assert tx.increment(key) == wanted
                self.put(before + key, wanted, None, keep_expiry=True)
        else:
            written.add("b")
            assert tx.mdelete([key, "b", key]) == sum(self.drop(before + each) for each in dict.fromkeys((key, "b")))

    # What always holds.

    @initialize()
    def empty(self) -> None:
        """A new storage holds nothing."""
        assert self.storage.sync.count() == 0

    @invariant()
    def same_keys(self) -> None:
        """Both hold the same keys."""
        assert self.storage.sync.keys() == sorted(self.model)


def storage_machine(
    make_storage: Callable[[ManualClock], Storage], capabilities: Capabilities | None = None
) -> type[StorageMachine]:
    """The state machine over `make_storage(clock)`, which gives a new, empty storage each time.

    Its `TestCase` is what pytest runs; give it settings there: `Machine.TestCase.settings = settings(...)`.
    """
    attributes = {"make": staticmethod(make_storage), "capabilities": capabilities or Capabilities()}
    return type("StorageMachineOnBackend", (StorageMachine,), attributes)
