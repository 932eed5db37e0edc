"""LangGraph's store: items in namespaces, found by key, by filter and by meaning."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    PutOp,
    SearchItem,
    SearchOp,
    validate_op_namespace,
)

from ... import CorruptedDataError
from .._steps import MISSING, Steps, awaited, blocking, grouped, scan, write
from .._support import checked_ttl, escape, join, split, view
from ._filters import check_filter, matches
from ._vectors import Index, Ranking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langgraph.store.base import IndexConfig, MatchCondition, Op, Result, TTLConfig

    from ... import MemoryEntry, Storage
    from ._vectors import Vectors

# A label is never escaped to this, so that the items of a namespace stand apart from the namespaces below it.
_ENTRIES = "%i"
_ITEMS, _VECTORS = "items", "vectors"
_PAGE = 500


class RragStore(BaseStore):
    """Long-term memory of a graph: `builder.compile(store=RragStore(storage))`.

    A search without a query gives items in the order of their namespaces and keys. With an `index` and a query it
    gives the closest first, then what isn't indexed. What a batch reads is what stood before the batch.

    Args:
        storage: where it keeps the items; closing it stays the caller's.
        namespace: the part of `storage` that it uses.
        index: `dims`, `embed` and `fields` of semantic search, as LangGraph's other stores take it; None for none.
        ttl: `default_ttl` in minutes and `refresh_on_read`, as LangGraph's other stores take it. Expired items go by
            themselves, so that there is nothing to sweep.

    Raises:
        TypeError, ValueError: an argument that can't be used; the message names it.
    """

    supports_ttl = True

    def __init__(
        self,
        storage: Storage,
        *,
        namespace: str = "langgraph_store",
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        self._view = view(storage, namespace)
        if ttl is not None and not isinstance(ttl, Mapping):
            raise TypeError(
                f'ttl must be a TTLConfig such as {{"default_ttl": 60}} (minutes), not {type(ttl).__name__}'
            )
        if ttl is not None:
            checked_ttl(ttl.get("default_ttl"), 'ttl["default_ttl"]')
        self.ttl_config = ttl
        self.index_config = index
        self._index = None if index is None else Index(index)
        self.embeddings = None if self._index is None else self._index.embeddings

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Runs `ops`: reads first, then all writes in one step; results in the order of `ops`.

        Raises:
            UnsupportedTypeError: (a TypeError) a value that can't be stored exactly; the message names its path.
            ValueError: a label that LangGraph doesn't allow, an operator that no filter has, a ttl that is not positive, vectors of the wrong size.
        """
        return blocking(self._batch(list(ops)))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        return await awaited(self._batch(list(ops)))

    def _batch(self, ops: list[Op]) -> Steps[list[Result]]:
        for op in ops:
            if not isinstance(op, GetOp | SearchOp | ListNamespacesOp | PutOp):
                raise ValueError(f"Unknown operation type: {type(op)}")
            validate_op_namespace(op)
            if isinstance(op, SearchOp):
                check_filter(op.filter)
        results: list[Any] = [None] * len(ops)
        yield from self._gets({place: op for place, op in enumerate(ops) if isinstance(op, GetOp)}, results)
        yield from self._searches({place: op for place, op in enumerate(ops) if isinstance(op, SearchOp)}, results)
        for place, op in enumerate(ops):
            if isinstance(op, ListNamespacesOp):
                results[place] = yield from self._list_namespaces(op)
        yield from self._puts([op for op in ops if isinstance(op, PutOp)])
        return results

    def _gets(self, ops: dict[int, GetOp], results: list[Any]) -> Steps[None]:
        if not ops:
            return
        keys = {place: _key(_ITEMS, op.namespace, op.key) for place, op in ops.items()}
        entries = yield from self._entries(dict.fromkeys(keys.values()))
        for place, key in keys.items():
            if key in entries:
                results[place] = Item(**_fields(entries[key]))
        refreshed = {keys[place] for place, op in ops.items() if op.refresh_ttl}
        yield from self._refresh(entry for key, entry in entries.items() if key in refreshed)

    def _puts(self, ops: list[PutOp]) -> Steps[None]:
        last = {(op.namespace, op.key): op for op in ops}.values()
        puts = [op for op in last if op.value is not None]
        gone = [op for op in last if op.value is None]
        values: dict[str, Any] = {}
        ttls: dict[str, float | None] = {}
        for op in puts:
            if not isinstance(op.value, Mapping):
                raise TypeError(f"the value of {op.key!r} must be a mapping, not {type(op.value).__name__}")
            seconds = None if op.ttl is None else op.ttl * 60
            checked_ttl(seconds)
            key = _key(_ITEMS, op.namespace, op.key)
            values[key] = {"value": dict(op.value), "updated_at": datetime.now(timezone.utc), "ttl": seconds}
            ttls[key] = seconds
        if self._index is not None:
            vectors = yield from self._index.embed(puts)
            values.update((_vectors_key(key), own) for key, own in zip(ttls, vectors, strict=True))
            ttls.update({_vectors_key(key): seconds for key, seconds in ttls.items()})
        yield from write(
            self._view,
            [(ttl, {key: values[key] for key in keys}) for ttl, keys in grouped(ttls.items()).items()],
            [_key(kind, op.namespace, op.key) for op in gone for kind in (_ITEMS, _VECTORS)],
        )

    def _searches(self, ops: dict[int, SearchOp], results: list[Any]) -> Steps[None]:
        queries: dict[str, Vectors] = {}
        if self._index is not None:
            queries = yield from self._index.embed_queries(op.query for op in ops.values() if op.query)
        for place, op in ops.items():
            if op.query and op.query in queries:
                found = yield from self._closest(op, queries[op.query])
            else:
                found = [(key, None) for key in (yield from self._matching(op, op.offset, op.limit))]
            entries = yield from self._entries(dict(found))
            results[place] = [
                SearchItem(**_fields(entries[key]), score=score) for key, score in found if key in entries
            ]
            if op.refresh_ttl:
                yield from self._refresh(entries.values())

    def _matching(self, op: SearchOp, offset: int, limit: int | None) -> Steps[list[str]]:
        """The keys of items below the namespace for which the filter holds, in key order."""
        folder = join((_ITEMS, *op.namespace_prefix))
        wanted = op.filter
        if not wanted:
            keys: list[str] = yield self._view.keys(namespace=folder, offset=offset, limit=limit)
            return keys
        found: list[str] = []
        enough = None if limit is None else offset + limit

        def take(key: str, record: Any) -> bool:
            if matches(record["value"], wanted):
                found.append(key)
            return len(found) == enough

        if enough != 0:
            yield scan(self._view, take, namespace=folder)
        return found[offset:]

    def _closest(self, op: SearchOp, query: Vectors) -> Steps[list[tuple[str, float | None]]]:
        """The keys of the closest items with their scores, and then of those without vectors."""
        ranking = Ranking(query)
        candidates: list[str] | None = None
        if op.filter:
            candidates = yield from self._matching(op, 0, None)
            for start in range(0, len(candidates), _PAGE):
                page = candidates[start : start + _PAGE]
                for key, vectors in zip(page, (yield self._view.mget(map(_vectors_key, page))), strict=True):
                    if vectors is not None:
                        ranking.add(key, vectors)
        else:
            folder = join((_VECTORS, *op.namespace_prefix))
            yield scan(self._view, lambda key, vectors: ranking.add(_items_key(key), vectors), namespace=folder)
        best: list[tuple[str, float | None]] = [*ranking.best()]
        if len(best) < op.offset + op.limit:
            if candidates is None:
                candidates = yield from self._matching(op, 0, op.offset + op.limit + len(best))
            scored = dict(best)
            best += [(key, None) for key in candidates if key not in scored]
        return best[op.offset : op.offset + op.limit]

    def _list_namespaces(self, op: ListNamespacesOp) -> Steps[list[tuple[str, ...]]]:
        starts = [
            _literal(condition.path) for condition in op.match_conditions or () if condition.match_type == "prefix"
        ]
        folders = yield self._view.namespaces(prefix=join((_ITEMS, *max(starts, key=len, default=()))))
        found = {split(folder)[1:-1] for folder in folders if folder.endswith(f"::{_ENTRIES}")}
        matching = (
            labels for labels in found if all(_fits(labels, condition) for condition in op.match_conditions or ())
        )
        return sorted({labels[: op.max_depth] for labels in matching})[op.offset : op.offset + op.limit]

    def _entries(self, keys: Iterable[str]) -> Steps[dict[str, MemoryEntry]]:
        wanted = list(keys)
        found = (yield self._view.get_entries(wanted)) if wanted else []
        return {key: entry for key, entry in zip(wanted, found, strict=True) if entry is not None}

    def _refresh(self, entries: Iterable[MemoryEntry]) -> Steps[None]:
        """Restarts the expiry of items that were read, and of their vectors.

        What another writer put there in between keeps the expiry that it was given: it is looked at in the very step
        that restarts, and mended.
        """
        ttls = {entry.key: entry.value["ttl"] for entry in entries}
        while ttls := {key: ttl for key, ttl in ttls.items() if ttl is not None}:
            others: dict[str, float | None] = {}
            for ttl, keys in grouped(ttls.items()).items():
                both = [*keys, *map(_vectors_key, keys)] if self._index is not None else keys
                records = yield self._view.mget(both, MISSING, refresh_ttl=ttl)
                others.update(
                    (key, record["ttl"])
                    for key, record in zip(keys, records, strict=False)
                    if record is not MISSING and record["ttl"] != ttl
                )
            for key in (key for key, ttl in others.items() if ttl is None):
                yield self._view.persist(key)
                yield self._view.persist(_vectors_key(key))
            ttls = others


def _key(kind: str, labels: Sequence[str], key: str) -> str:
    return f"{join((kind, *labels))}::{_ENTRIES}::{escape(key)}"


def _vectors_key(items_key: str) -> str:
    return _VECTORS + items_key.removeprefix(_ITEMS)


def _items_key(vectors_key: str) -> str:
    return _ITEMS + vectors_key.removeprefix(_VECTORS)


def _fields(entry: MemoryEntry) -> dict[str, Any]:
    _, *labels, _, key = split(entry.key)
    match entry.value:
        case {"value": dict(value), "updated_at": datetime() as updated_at}:
            # Clocks of several machines may differ: no item was changed before it was made.
            return {
                "namespace": tuple(labels),
                "key": key,
                "value": value,
                "created_at": entry.created_at,
                "updated_at": max(updated_at, entry.created_at),
            }
    raise CorruptedDataError(f"what is stored under {entry.key!r} is no item of this store")


def _literal(path: tuple[str, ...]) -> tuple[str, ...]:
    return path[: path.index("*")] if "*" in path else path


def _fits(labels: tuple[str, ...], condition: MatchCondition) -> bool:
    path = condition.path
    if condition.match_type not in ("prefix", "suffix"):
        raise ValueError(f"Unsupported match type: {condition.match_type}")
    if len(labels) < len(path):
        return False
    part = labels[: len(path)] if condition.match_type == "prefix" else labels[len(labels) - len(path) :]
    return all(wanted in ("*", label) for label, wanted in zip(part, path, strict=True))
