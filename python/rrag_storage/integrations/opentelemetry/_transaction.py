"""A transaction whose calls are observed."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import context
from opentelemetry.trace import SpanKind, set_span_in_context

from ._call import mark_failed
from ._operation import ObservedOperation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextvars import Token
    from datetime import timedelta
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from typing_extensions import Self

    from ..._native import MemoryEntry, Operation, Transaction
    from ._telemetry import Telemetry

    Seconds = int | float | timedelta

_T = TypeVar("_T")


class InstrumentedTransaction:
    """What `transaction()` of an instrumented storage gives.

    A span of its own, `transaction`, is current in the block, so that it is the parent of the block's calls, of `commit` or
    `rollback` at the end, and of whatever else the block observes.
    """

    __slots__ = ("_block", "_telemetry", "_token", "_transaction")

    def __init__(self, transaction: Transaction, telemetry: Telemetry) -> None:
        self._transaction = transaction
        self._telemetry = telemetry
        self._block: Span | None = None
        self._token: Token[Context] | None = None

    @property  # type: ignore[misc]  # a proxy's class is that of what it stands for
    def __class__(self) -> type[Transaction]:  # type: ignore[override]
        return type(self._transaction)

    def __aenter__(self) -> ObservedOperation[Self]:
        return ObservedOperation(self._transaction.__aenter__(), nullcontext(), self._entered)

    def _entered(self, _: object) -> Self:
        attributes = {**self._telemetry.attributes, **self._telemetry.details, "db.operation.name": "transaction"}
        name = self._telemetry.span_name("transaction")
        # The block is the caller's own code: only what it asks of the storage goes to a client.
        self._block = self._telemetry.tracer.start_span(name, kind=SpanKind.INTERNAL, attributes=attributes)
        self._token = context.attach(set_span_in_context(self._block))
        return self

    def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> ObservedOperation[bool]:
        return ObservedOperation(self._transaction.__aexit__(kind, error, traceback), self._leaving(error))

    @contextmanager
    def _leaving(self, error: BaseException | None) -> Iterator[None]:
        failure = error
        try:
            with self._telemetry.call("commit" if error is None else "rollback"):
                yield
        except BaseException as raised:
            failure = raised
            raise
        finally:
            self._left(failure)

    def _left(self, failure: BaseException | None) -> None:
        block, self._block = self._block, None
        token, self._token = self._token, None
        if token is not None:
            context.detach(token)
        if block is not None:
            if failure is not None:
                mark_failed(block, failure, in_words=self._telemetry.keys)
            block.end()

    def _observe(
        self, name: str, operation: Operation[_T], *, batch: object = None, **parameters: object
    ) -> ObservedOperation[_T]:
        return ObservedOperation(operation, self._telemetry.call(name, batch=batch, **parameters))

    def get(self, key: str, default: Any = None) -> ObservedOperation[Any]:
        return self._observe("get", self._transaction.get(key, default), key=key)

    def get_entry(self, key: str) -> ObservedOperation[MemoryEntry | None]:
        return self._observe("get_entry", self._transaction.get_entry(key), key=key)

    def mget(self, keys: Iterable[str], default: Any = None) -> ObservedOperation[list[Any]]:
        return self._observe("mget", self._transaction.mget(keys, default), batch=keys)

    def exists(self, key: str) -> ObservedOperation[bool]:
        return self._observe("exists", self._transaction.exists(key), key=key)

    def set(self, key: str, value: Any, ttl: Seconds | None = None) -> ObservedOperation[None]:
        return self._observe("set", self._transaction.set(key, value, ttl), key=key)

    def set_if_absent(self, key: str, value: Any, ttl: Seconds | None = None) -> ObservedOperation[bool]:
        return self._observe("set_if_absent", self._transaction.set_if_absent(key, value, ttl), key=key)

    def mset(
        self, items: Mapping[str, Any] | Iterable[tuple[str, Any]], ttl: Seconds | None = None
    ) -> ObservedOperation[None]:
        return self._observe("mset", self._transaction.mset(items, ttl), batch=items)

    def delete(self, key: str) -> ObservedOperation[bool]:
        return self._observe("delete", self._transaction.delete(key), key=key)

    def mdelete(self, keys: Iterable[str]) -> ObservedOperation[int]:
        return self._observe("mdelete", self._transaction.mdelete(keys), batch=keys)

    def increment(self, key: str, by: int = 1) -> ObservedOperation[int]:
        return self._observe("increment", self._transaction.increment(key, by), key=key)
