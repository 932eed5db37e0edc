"""Spans and metrics of an instrumented storage, as the SDK's own exporters see them."""

from __future__ import annotations

import asyncio
import gc
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv.attributes import db_attributes, error_attributes, server_attributes
from opentelemetry.semconv.attributes.db_attributes import DbSystemNameValues
from opentelemetry.semconv.metrics.db_metrics import DB_CLIENT_OPERATION_DURATION
from opentelemetry.trace import SpanKind, StatusCode
from rrag_storage import (
    ConflictError,
    DatabaseStorage,
    InMemoryStorage,
    MemoryQuery,
    ObjectStorage,
    RedisStorage,
    Storage,
    StorageClosedError,
    Transaction,
    UnsupportedTypeError,
    connect,
    copy,
)
from rrag_storage.integrations.langchain import RragByteStore
from rrag_storage.integrations.opentelemetry import instrument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Observatory:
    """Instruments storages, and holds what they were seen to do."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = TracerProvider(), MeterProvider(metric_readers=[self.reader])
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.tracers.get_tracer("test")

    def instrument(self, storage: Storage, **options: Any) -> Storage:
        return instrument(storage, tracer_provider=self.tracers, meter_provider=self.meters, **options)

    def spans(self) -> list[ReadableSpan]:
        """What was observed since the last question, in the order in which it ended."""
        found = list(self.exporter.get_finished_spans())
        self.exporter.clear()
        return found

    def operations(self) -> list[str]:
        return [attributes(span)["db.operation.name"] for span in self.spans()]

    def span(self) -> ReadableSpan:
        [only] = self.spans()
        return only

    def points(self, metric: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in found.data.data_points
        ]


@pytest.fixture
def seen() -> Iterator[Observatory]:
    observatory = Observatory()
    yield observatory
    observatory.tracers.shutdown()
    observatory.meters.shutdown()


@pytest.fixture
def storage(seen: Observatory) -> Iterator[Storage]:
    own = seen.instrument(InMemoryStorage())
    yield own
    own.sync.close()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


async def test_a_call_is_a_client_span(seen: Observatory, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with DatabaseStorage(f"sqlite:{path}") as plain:
        assert await seen.instrument(plain).get("key", 7) == 7
    span = seen.span()
    assert (span.name, span.kind, span.status.status_code) == (f"get {path}", SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes(span) == {"db.system.name": "sqlite", "db.namespace": str(path), "db.operation.name": "get"}
    assert (span.start_time or 0) < (span.end_time or 0)
    assert not span.events


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        (InMemoryStorage(), {"db.system.name": "in_memory"}),
        (DatabaseStorage("sqlite:///var/x.db"), {"db.system.name": "sqlite", "db.namespace": "/var/x.db"}),
        (
            DatabaseStorage("postgres://ada:hunter2@db.example.org/app?sslmode=require"),
            {
                db_attributes.DB_SYSTEM_NAME: DbSystemNameValues.POSTGRESQL.value,
                db_attributes.DB_NAMESPACE: "app",
                server_attributes.SERVER_ADDRESS: "db.example.org",
                server_attributes.SERVER_PORT: 5432,
            },
        ),
        (
            DatabaseStorage("mysql://ada:hunter2@[::1]:3307/app"),
            {"db.system.name": "mysql", "db.namespace": "app", "server.address": "::1", "server.port": 3307},
        ),
        (
            RedisStorage("redis://ada:hunter2@localhost/3"),
            {"db.system.name": "redis", "db.namespace": "3", "server.address": "localhost", "server.port": 6379},
        ),
        (
            RedisStorage("redis+cluster://a.example.org:7000,b.example.org:7001"),
            {"db.system.name": "redis", "server.address": "a.example.org", "server.port": 7000},
        ),
        (ObjectStorage("s3://bucket/memory"), {"db.system.name": "object", "db.namespace": "bucket/memory"}),
    ],
    ids=lambda value: getattr(value, "backend_name", ""),
)
def test_spans_say_which_storage(seen: Observatory, storage: Storage, expected: dict[str, object]) -> None:
    # A view that is closed calls nothing.
    view = seen.instrument(storage, figures=False).namespace("users")
    view.sync.close()
    with pytest.raises(StorageClosedError):
        view.sync.get("key")
    closing, calling = seen.spans()
    assert attributes(closing) == {**expected, "db.operation.name": "close", "db.collection.name": "users"}
    assert calling.name == "get users"
    assert "hunter2" not in repr([attributes(span) for span in (closing, calling)])


async def test_the_parent_is_the_awaiting_tasks(seen: Observatory, storage: Storage) -> None:
    async def request(number: int) -> None:
        with seen.tracer.start_as_current_span(f"request {number}"):
            await asyncio.gather(storage.set(f"{number}::a", number), storage.increment(f"{number}::b", number))
            await asyncio.create_task(storage.get(f"{number}::a"))
            waiting = storage.exists("missing")
        with seen.tracer.start_as_current_span(f"later {number}"):
            await waiting

    await asyncio.gather(*map(request, range(20)))
    spans = seen.spans()
    outer = {span.context.span_id: span.name for span in spans if span.name.startswith(("request", "later"))}
    assert len(outer) == 40
    for number in range(20):
        for name, operations in (("request", ["get", "increment", "set"]), ("later", ["exists"])):
            inside = [span.name for span in spans if outer.get(parent(span) or 0) == f"{name} {number}"]
            assert sorted(inside) == operations


def test_the_parent_of_a_blocking_call(seen: Observatory, storage: Storage) -> None:
    with seen.tracer.start_as_current_span("script") as script:
        storage.sync.namespace("users").set("ada", 1)
    call, _ = seen.spans()
    assert (call.name, parent(call)) == ("set users", script.get_span_context().span_id)


def test_batches_are_counted_where_that_uses_nothing_up(seen: Observatory, storage: Storage) -> None:
    s = storage.sync
    s.mset({"a": 1, "b": 2})
    assert s.mget(key for key in ("a", "b")) == [1, 2]
    assert s.mget(["a"]) == [1]
    s.mset(iter([("c", 3)]))
    assert s.mdelete(["a", "b", "c"]) == 3
    sizes = [attributes(span).get(db_attributes.DB_OPERATION_BATCH_SIZE) for span in seen.spans()]
    assert sizes == [2, None, None, None, 3]


def test_neither_keys_nor_values_are_shown(seen: Observatory, storage: Storage) -> None:
    view = storage.sync.namespace("users::secret-user")
    view.set("secret-key", "secret-value")
    view.mset({"secret-key": "secret-value", "b": 1})
    view.keys(prefix="secret-prefix")
    list(view.items(MemoryQuery(pattern="secret-*")))
    view.clear("secret-namespace")
    for wrong in (lambda: view.increment("secret-key"), lambda: view.set("k", {"secret-field": object()})):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(RuntimeError), view.transaction() as tx:
        tx.get("secret-key")
        raise RuntimeError("secret-message")
    spans = seen.spans()
    assert len(spans) == 10
    assert "secret" not in "".join(span.to_json() for span in spans)
    measured = repr(seen.points("db.client.operation.duration"))
    assert "secret" not in measured


def test_keys_are_shown_on_request(seen: Observatory) -> None:
    s = seen.instrument(InMemoryStorage(), keys=True).sync.namespace("users").namespace("ada")
    s.set("theme", "secret-value")
    s.keys(prefix="th", limit=3)
    with pytest.raises(TypeError):
        s.increment("theme")
    setting, listing, counting = seen.spans()
    assert attributes(setting)["db.operation.parameter.key"] == "theme"
    assert attributes(setting)["rrag_storage.namespace"] == "users::ada"
    assert attributes(listing)["db.operation.parameter.prefix"] == "th"
    assert [event.name for event in counting.events] == ["exception"]
    assert counting.status.description
    assert "theme" in counting.status.description
    assert "secret" not in "".join(span.to_json() for span in (setting, listing, counting))
    assert "theme" not in repr(seen.points("db.client.operation.duration"))


async def test_an_error_is_recorded_and_raised(seen: Observatory, storage: Storage) -> None:
    with pytest.raises(UnsupportedTypeError):
        await storage.set("key", object())  # type: ignore[arg-type]  # that is the error
    await storage.close()
    with pytest.raises(StorageClosedError):
        await storage.get("key")
    wrong, _, closed = seen.spans()
    assert wrong.status.status_code is closed.status.status_code is StatusCode.ERROR
    assert attributes(wrong)[error_attributes.ERROR_TYPE] == "rrag_storage.errors.UnsupportedTypeError"
    assert attributes(closed)[error_attributes.ERROR_TYPE] == "rrag_storage.errors.StorageClosedError"
    failed = {point.attributes.get("error.type") for point in seen.points(DB_CLIENT_OPERATION_DURATION)}
    assert failed == {None, "rrag_storage.errors.UnsupportedTypeError", "rrag_storage.errors.StorageClosedError"}


async def test_a_cancelled_call_ends_its_span(seen: Observatory, tmp_path: Path) -> None:
    storage = seen.instrument(DatabaseStorage(f"sqlite:{tmp_path / 's.db'}"))
    task = asyncio.ensure_future(storage.mset({str(n): bytes(10_000) for n in range(300)}))
    await asyncio.sleep(0)  # it has begun
    assert seen.spans() == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    span = seen.span()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "asyncio.exceptions.CancelledError"
    assert await storage.count() in (0, 300)
    await storage.close()


async def test_a_call_that_is_dropped_ends_its_span(seen: Observatory, tmp_path: Path) -> None:
    storage = seen.instrument(DatabaseStorage(f"sqlite:{tmp_path / 's.db'}"))
    dropped = storage.set("key", bytes(1_000_000))
    dropped.send(None)
    dropped.close()
    assert attributes(seen.span())["error.type"] == "asyncio.exceptions.CancelledError"
    never = storage.get("key")
    never.close()
    assert seen.spans() == []
    await storage.close()


async def test_one_that_is_never_awaited_warns_and_is_not_seen(seen: Observatory, storage: Storage) -> None:
    with pytest.warns(RuntimeWarning, match="never awaited"):
        storage.get("key")
    assert seen.spans() == []


async def test_a_transaction_holds_its_calls(seen: Observatory, storage: Storage) -> None:
    await storage.set("a", 1)
    seen.spans()
    with seen.tracer.start_as_current_span("request") as request:
        async with storage.transaction() as tx:
            assert isinstance(tx, Transaction)
            await tx.get("a")
            with seen.tracer.start_as_current_span("thinking") as thinking:
                await tx.increment("a")
        await storage.get("a")
    by_name = {span.name: span for span in seen.spans() if span.name != "get" or parent(span) is not None}
    block = by_name["transaction"].context.span_id
    assert by_name["transaction"].kind is SpanKind.INTERNAL
    assert parent(by_name["transaction"]) == request.get_span_context().span_id
    assert parent(by_name["commit"]) == parent(by_name["thinking"]) == block
    assert parent(by_name["increment"]) == thinking.get_span_context().span_id
    assert parent(by_name["get"]) == request.get_span_context().span_id  # the last one: the block is over


async def test_a_conflict_and_its_repetition(seen: Observatory, storage: Storage) -> None:
    attempts = []

    async def change(tx: Transaction) -> str:
        seen_now = await tx.get("a", 0)
        attempts.append(seen_now)
        if len(attempts) == 1:
            await storage.set("a", 10)
        await tx.set("a", seen_now + 1)
        return "done"

    assert await storage.transact(change) == "done"
    assert attempts == [0, 10]
    spans = seen.spans()
    commits = [span for span in spans if span.name == "commit"]
    blocks = [span for span in spans if span.name == "transaction"]
    conflict = f"{ConflictError.__module__}.{ConflictError.__qualname__}"
    for group in (commits, blocks):
        assert [attributes(span).get("error.type") for span in group] == [conflict, None]


async def test_a_rollback(seen: Observatory, storage: Storage) -> None:
    with pytest.raises(ValueError, match="no"):
        async with storage.transaction() as tx:
            await tx.set("a", 1)
            raise ValueError("no")
    writing, rollback, block = seen.spans()
    assert [span.name for span in (writing, rollback, block)] == ["set", "rollback", "transaction"]
    assert "error.type" not in attributes(rollback)
    assert attributes(block)["error.type"] == "ValueError"
    assert await storage.count() == 0


def test_a_blocking_transaction(seen: Observatory, storage: Storage) -> None:
    def change(tx: Any) -> int:
        return int(tx.increment("a"))

    assert storage.sync.transact(change) == 1
    calling, commit, block = seen.spans()
    assert parent(calling) == parent(commit) == block.context.span_id


async def test_an_iteration_is_one_span(seen: Observatory, storage: Storage) -> None:
    await storage.mset({f"k{n:04}": n for n in range(1200)})
    seen.spans()
    with seen.tracer.start_as_current_span("request") as request:
        assert [n async for _, n in storage.items()] == list(range(1200))
    items, _ = seen.spans()
    assert (items.name, parent(items)) == ("items", request.get_span_context().span_id)
    assert attributes(items)["db.response.returned_rows"] == 1200

    async for entry in storage.entries(prefix="k000"):
        if entry.value == 3:
            break
    del entry
    gc.collect()
    assert attributes(seen.span())["db.response.returned_rows"] == 4
    assert len(list(storage.sync.entries(limit=5))) == 5
    assert attributes(seen.span())["db.response.returned_rows"] == 5
    storage.items()  # one that nobody asks for anything
    assert seen.spans() == []


async def test_views_and_the_storage_itself(seen: Observatory, storage: Storage) -> None:
    assert isinstance(storage, Storage)
    assert await storage is storage
    assert await storage.namespace("users").count() == 0
    assert seen.operations() == ["open", "count"]
    plain = storage.__wrapped__  # type: ignore[attr-defined]  # of the proxy
    await plain.set("key", 1)
    assert seen.spans() == []
    assert await storage.get("key") == 1
    with pytest.raises(ValueError, match="instrumented already"):
        seen.instrument(storage)
    with pytest.raises(TypeError, match="not SyncStorage"):
        instrument(plain.sync)


@pytest.mark.parametrize("whole", [Storage, Transaction])
def test_no_call_is_missing(storage: Storage, whole: type) -> None:
    observed = type(storage if whole is Storage else storage.transaction())
    made_with = {"connect", "with_config"}  # by the class, not by a storage
    names = {name for name in dir(whole) if not name.startswith("_")} - made_with
    assert len(names) >= 10
    assert names <= set(dir(observed))
    for name in names:
        if callable(getattr(whole, name)):
            parameters = list(inspect.signature(getattr(whole, name)).parameters)
            own = list(inspect.signature(getattr(observed, name)).parameters)
            assert own == parameters or own[-1] == "filters", name


@dataclass
class User:
    name: str


async def test_typed_views_and_frames_are_observed(seen: Observatory, storage: Storage) -> None:
    users = storage.namespace("users").typed(User)
    await users.set("1", User("Ada"))
    assert users.sync.get("1") == User("Ada")
    assert len(await storage.to_pandas()) == len(storage.sync.to_pandas()) == 1
    assert [span.name for span in seen.spans()][-2:] == ["entries", "entries"]
    calls = {point.attributes["db.operation.name"] for point in seen.points(DB_CLIENT_OPERATION_DURATION)}
    assert {"set", "get", "entries"} <= calls


async def test_it_is_copied_as_the_storage_itself(storage: Storage) -> None:
    await storage.mset({"a": 1, "b": 2})
    async with InMemoryStorage() as other:
        assert (await copy(storage, other)).copied == 2
        assert (await copy(other, storage.namespace("copy"))).copied == 2
    assert await storage.keys() == ["a", "b", "copy::a", "copy::b"]


async def test_an_adapter_takes_it(seen: Observatory, storage: Storage) -> None:
    store = RragByteStore(storage)
    await store.amset([("a", b"1"), ("b", b"2")])
    assert store.mget(["a", "b"]) == [b"1", b"2"]
    spans = seen.spans()
    assert {attributes(span)["db.collection.name"] for span in spans} == {"langchain"}
    assert {"mset langchain", "mget langchain"} <= {span.name for span in spans}


async def test_durations(seen: Observatory, storage: Storage) -> None:
    await storage.namespace("users").mset({"a": 1, "b": 2})
    for _ in range(3):
        await storage.get("users::a")
    points = {
        (point.attributes["db.operation.name"], point.attributes.get("db.collection.name")): point
        for point in seen.points(DB_CLIENT_OPERATION_DURATION)
    }
    assert {key: point.count for key, point in points.items()} == {("mset", "users"): 1, ("get", None): 3}
    assert points["get", None].explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
    assert 0 < points["get", None].sum < 60
    assert points["get", None].exemplars is not None


def test_figures(seen: Observatory, tmp_path: Path) -> None:
    one = seen.instrument(DatabaseStorage(f"sqlite:{tmp_path / 'one.db'}"))
    two = seen.instrument(InMemoryStorage())
    hidden = seen.instrument(InMemoryStorage(), figures=False)
    for number, storage in enumerate((one, two, hidden), 1):
        storage.sync.mset({f"n::{n}": n for n in range(number)})
    found = {point.attributes["db.system.name"]: point.value for point in seen.points("rrag_storage.entries")}
    assert found == {"sqlite": 1, "in_memory": 2}
    assert seen.points("rrag_storage.size")[0].value > 0
    assert [point.value for point in seen.points("rrag_storage.queue.depth")] == [0]
    assert "stats" not in seen.operations()
    one.sync.close()
    two.sync.close()


def test_figures_end_with_their_storage(seen: Observatory) -> None:
    closed, dropped = seen.instrument(InMemoryStorage()), seen.instrument(InMemoryStorage())
    closed.sync.close()
    del dropped
    gc.collect()
    assert seen.points("rrag_storage.entries") == []


def test_figures_of_a_server_that_is_away(seen: Observatory) -> None:
    away = seen.instrument(connect("redis://127.0.0.1:1", connection_timeout=0.2))
    assert seen.points("rrag_storage.entries") == []
    away.sync.close()
