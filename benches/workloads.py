"""The workloads, each written once, over `adapters.base.Adapter`.

A workload is a cycle of steps that is the same for every contender. `run` is the timed part and holds nothing but the
calls; what it needs is built before, and `check` looks at the answers afterwards. A step of a writing workload exists in
two versions that take turns, so that every set writes a value that differs from the stored one: SQLite skips an update
that changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any, ClassVar

import values
from adapters.base import Adapter

KEYS = 1000
"""The keys that a workload of one kind of value goes over."""

NAMESPACES = 100


class WrongAnswer(Exception):
    """A contender answered something else than what it was given."""


class Workload:
    """What is common to all. `versions` are the versions of the cycle; the first of them is stored by `fill`."""

    name: ClassVar[str]
    title: str
    per_step: ClassVar[int] = 1
    """Operations in a step: a time is that of one operation."""
    keys: ClassVar[int] = KEYS
    """How many keys it goes over."""
    call: ClassVar[str]
    """The call of the adapter that it is about."""
    concurrent: ClassVar[bool] = False
    """Whether several calls are under way at once."""

    def __init__(self, kind: str, versions: Sequence[Sequence[Any]]) -> None:
        self.kind = kind
        self.versions = versions

    @property
    def id(self) -> tuple[str, str]:
        """What results are filed under."""
        return self.name, self.kind

    def steps(self, position: int, count: int) -> list[Any]:
        """`count` steps of the endless sequence of them, from `position` on, where 0 is the first after `fill`."""
        cycle = len(self.versions[0])
        turns = (divmod(index, cycle) for index in range(position, position + count))
        return [self.versions[(turn + 1) % len(self.versions)][step] for turn, step in turns]

    async def fill(self, store: Adapter) -> None:
        """Store what the workload starts from."""
        raise NotImplementedError

    async def run(self, store: Adapter, steps: list[Any]) -> tuple[float, Any]:
        """Do the steps: the seconds they took, and the answer to the last."""
        raise NotImplementedError

    async def check(self, store: Adapter, step: Any, answer: Any) -> None:
        """Raise WrongAnswer unless `answer`, or what is stored after a write, is right for `step`."""
        raise NotImplementedError


class Reads(Workload):
    """A step is a list of keys. Their values never change."""

    def __init__(self, kind: str) -> None:
        keys = [f"read-{index:06d}" for index in range(self.keys)]
        self.stored = {key: values.make(kind, index) for index, key in enumerate(keys)}
        super().__init__(kind, [_cut(keys, self.per_step)])

    async def fill(self, store: Adapter) -> None:
        await _store(store, self.stored)

    async def check(self, store: Adapter, step: list[str], answer: list[Any]) -> None:
        _compare(self, step, answer, [self.stored[key] for key in step])


class GetOneByOne(Reads):
    """W1: one awaited get after another."""

    name = "W1 get"
    title = "one get after another"
    per_step = 20
    call = "get"

    async def run(self, store: Adapter, steps: list[list[str]]) -> tuple[float, Any]:
        get = store.get
        start = perf_counter()
        for keys in steps:
            for key in keys:
                await get(key)
        took = perf_counter() - start
        return took, [await get(key) for key in steps[-1]]


class GetGathered(Reads):
    """W3: asyncio.gather of 100 gets."""

    name = "W3 gather get"
    title = "asyncio.gather of 100 gets, each"
    per_step = 100
    call = "get"
    concurrent = True

    async def run(self, store: Adapter, steps: list[list[str]]) -> tuple[float, Any]:
        get, gather, answer = store.get, asyncio.gather, None
        start = perf_counter()
        for keys in steps:
            answer = await gather(*[get(key) for key in keys])
        return perf_counter() - start, answer


class GetLargeGathered(GetGathered):
    """W6: asyncio.gather of 64 gets, of large values."""

    name = "W6 gather get"
    title = "asyncio.gather of 64 gets, each"
    per_step = keys = 64

    async def check(self, store: Adapter, step: list[str], answer: list[Any]) -> None:
        # Where a contender answers with a buffer of its own, that is what its users work with.
        await super().check(store, step, [bytes(memoryview(each)) for each in answer])


class GetMany(Reads):
    """W4: mget of 1,000."""

    name = "W4 mget"
    title = "mget of 1,000, each"
    per_step = KEYS
    call = "mget"

    async def run(self, store: Adapter, steps: list[list[str]]) -> tuple[float, Any]:
        mget, answer = store.mget, None
        start = perf_counter()
        for keys in steps:
            answer = await mget(keys)
        return perf_counter() - start, answer


class Writes(Workload):
    """A step is a list of (key, value). Each workload has keys of its own."""

    def __init__(self, kind: str) -> None:
        keys = [f"{type(self).__name__.lower()}-{index:06d}" for index in range(self.keys)]
        even = [(key, values.make(kind, index)) for index, key in enumerate(keys)]
        odd = [(key, values.make(kind, index + self.keys)) for index, key in enumerate(keys)]
        super().__init__(kind, [_cut(even, self.per_step), _cut(odd, self.per_step)])

    async def fill(self, store: Adapter) -> None:
        await _store(store, {key: value for step in self.versions[0] for key, value in step})

    async def check(self, store: Adapter, step: Any, answer: Any) -> None:
        keys, wanted = list(dict(step)), list(dict(step).values())
        _compare(self, keys, await store.mget(keys), wanted)


class SetOneByOne(Writes):
    """W2: one awaited set after another."""

    name = "W2 set"
    title = "one set after another"
    per_step = 20
    call = "set"

    async def run(self, store: Adapter, steps: list[list[tuple[str, Any]]]) -> tuple[float, Any]:
        set = store.set
        start = perf_counter()
        for items in steps:
            for key, value in items:
                await set(key, value)
        return perf_counter() - start, None


class SetGathered(Writes):
    """W3: asyncio.gather of 100 sets."""

    name = "W3 gather set"
    title = "asyncio.gather of 100 sets, each"
    per_step = 100
    call = "set"
    concurrent = True

    async def run(self, store: Adapter, steps: list[list[tuple[str, Any]]]) -> tuple[float, Any]:
        set, gather = store.set, asyncio.gather
        start = perf_counter()
        for items in steps:
            await gather(*[set(key, value) for key, value in items])
        return perf_counter() - start, None


class SetLargeGathered(SetGathered):
    """W6: asyncio.gather of 64 sets, of large values."""

    name = "W6 gather set"
    title = "asyncio.gather of 64 sets, each"
    per_step = keys = 64

    async def check(self, store: Adapter, step: Any, answer: Any) -> None:
        found = await store.mget([key for key, _ in step])
        _compare(
            self, [key for key, _ in step], [bytes(memoryview(each)) for each in found], [each for _, each in step]
        )


class SetMany(Writes):
    """W4: mset of 1,000."""

    name = "W4 mset"
    title = "mset of 1,000, each"
    per_step = KEYS
    call = "mset"

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.versions = [[dict(step) for step in version] for version in self.versions]

    async def fill(self, store: Adapter) -> None:
        await _store(store, self.versions[0][0])

    async def run(self, store: Adapter, steps: list[dict[str, Any]]) -> tuple[float, Any]:
        mset = store.mset
        start = perf_counter()
        for items in steps:
            await mset(items)
        return perf_counter() - start, None


class Listing(Workload):
    """A step is one of 100 namespaces of equal size."""

    def __init__(self, kind: str, total: int) -> None:
        each = total // NAMESPACES
        pool = [values.make(kind, index) for index in range(each)]
        self.items = {f"name-{index:06d}": value for index, value in enumerate(pool)}
        self.title = f"{self.title} among {total:,} keys"
        super().__init__(kind, [[f"space{index:03d}" for index in range(NAMESPACES)]])

    async def fill(self, store: Adapter) -> None:
        for namespace in self.versions[0]:
            await store.fill(namespace, self.items)


class KeysOfNamespace(Listing):
    """W5: the keys of one namespace."""

    name = "W5 keys"
    title = "keys of one of 100 namespaces"
    call = "keys"

    async def run(self, store: Adapter, steps: list[str]) -> tuple[float, Any]:
        keys, answer = store.keys, None
        assert keys is not None
        start = perf_counter()
        for namespace in steps:
            answer = await keys(namespace)
        return perf_counter() - start, answer

    async def check(self, store: Adapter, step: str, answer: list[str]) -> None:
        if sorted(store.names(step, answer)) != list(self.items):
            raise WrongAnswer(f"{self.name}: not the keys of {step}")


class CountOfNamespace(Listing):
    """W5: how many keys are in one namespace."""

    name = "W5 count"
    title = "count of one of 100 namespaces"
    call = "count"

    async def fill(self, store: Adapter) -> None:
        """Nothing: it stands on what `KeysOfNamespace` stored."""

    async def run(self, store: Adapter, steps: list[str]) -> tuple[float, Any]:
        count, answer = store.count, None
        assert count is not None
        start = perf_counter()
        for namespace in steps:
            answer = await count(namespace)
        return perf_counter() - start, answer

    async def check(self, store: Adapter, step: str, answer: int) -> None:
        if answer != len(self.items):
            raise WrongAnswer(f"{self.name}: {answer} in {step}, which has {len(self.items)}")


def stages(suite: str, listing_total: int) -> list[list[Workload]]:
    """The workloads of a suite, in groups that run over one and the same open store."""
    short: list[Workload] = [workload("dict") for workload in (GetOneByOne, SetOneByOne, GetGathered, SetGathered)]
    if suite == "objects":
        return [short, [GetLargeGathered("large"), SetLargeGathered("large")]]
    if suite == "layers":
        return [[GetOneByOne(kind), SetOneByOne(kind)] for kind in ("text", "vector")]
    whole: list[Workload] = [*short, *(workload("dict") for workload in (GetMany, SetMany))]
    listing: list[Workload] = [KeysOfNamespace("dict", listing_total), CountOfNamespace("dict", listing_total)]
    if suite not in ("memory", "disk"):
        return [whole, listing]
    alone: list[list[Workload]] = [[GetOneByOne(kind), SetOneByOne(kind)] for kind in ("str", "chunk", "vector")]
    return [alone[0], whole, *alone[1:], listing]


async def check_isolation(store: Adapter) -> None:
    """Raise WrongAnswer unless the contender shares or isolates as it says."""
    mine = {"nested": [1]}
    await store.set("isolation", mine)
    mine["nested"].append(2)
    handed = await store.get("isolation")
    stored_a_copy = handed == {"nested": [1]}
    handed["nested"].append(3)
    isolating = stored_a_copy and await store.get("isolation") == {"nested": [1]}
    if isolating != (store.isolation == "isolating"):
        raise WrongAnswer(f"says it is {store.isolation}, and is not")


def _cut(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


async def _store(store: Adapter, items: dict[str, Any]) -> None:
    for part in _cut(list(items.items()), 100):
        await store.mset(dict(part))


def _compare(workload: Workload, keys: list[str], found: list[Any], wanted: list[Any]) -> None:
    if len(found) != len(wanted):
        raise WrongAnswer(f"{workload.name}: {len(found)} answers for {len(wanted)} keys")
    for key, one, other in zip(keys, found, wanted, strict=True):
        if not values.same(one, other):
            raise WrongAnswer(f"{workload.name}: {key} is {one!r:.80}, not {other!r:.80}")
