"""One call of a storage as OpenTelemetry sees it: a span and a measurement."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from time import perf_counter
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

_GIVEN_UP = (asyncio.CancelledError, GeneratorExit)


def error_type(error: BaseException) -> str:
    """The full name of the class of `error`; of a call that was given up, CancelledError's."""
    kind = asyncio.CancelledError if isinstance(error, _GIVEN_UP) else type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def mark_failed(span: Span, error: BaseException, *, in_words: bool) -> str:
    """Gives `span` the status and the type of `error`, and its message where keys may be shown; returns the type."""
    kind = error_type(error)
    span.set_attribute("error.type", kind)
    said = None
    if isinstance(error, _GIVEN_UP):
        said = "cancelled"
    elif in_words:
        said = str(error)
        span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, said))
    return kind


class Call(AbstractContextManager[None]):
    """A client span around one call, whose parent is the span that is current where it begins, and its duration.

    The span itself is never current: nothing that a call does makes spans, and so a call that is suspended leaves no
    trace in the context of others.

    Args:
        tracer: what makes the span.
        duration: what records the seconds.
        name: the span's.
        attributes: of the span and of the measurement.
        details: of the span alone.
        in_words: whether errors are recorded with their messages, which name keys.
    """

    __slots__ = ("_attributes", "_began", "_details", "_duration", "_in_words", "_name", "_span", "_tracer")

    def __init__(
        self,
        tracer: Tracer,
        duration: Histogram,
        name: str,
        attributes: Mapping[str, AttributeValue],
        details: Mapping[str, AttributeValue],
        *,
        in_words: bool,
    ) -> None:
        self._tracer = tracer
        self._duration = duration
        self._name = name
        self._attributes = attributes
        self._details = details
        self._in_words = in_words
        self._span: Span | None = None
        self._began = 0.0

    def __enter__(self) -> None:
        attributes = {**self._attributes, **self._details}
        self._span = self._tracer.start_span(self._name, kind=SpanKind.CLIENT, attributes=attributes)
        self._began = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(error)

    def finish(
        self, error: BaseException | None = None, *, seconds: float | None = None, rows: int | None = None
    ) -> None:
        """Ends the span and records how long the call took. Nothing happens where it has not begun, or has ended.

        Args:
            error: what the call raised.
            seconds: how long it took, where that is not the time since it began.
            rows: how many entries it gave.
        """
        span, self._span = self._span, None
        if span is None:
            return
        if seconds is None:
            seconds = perf_counter() - self._began
        attributes = self._attributes
        if error is not None:
            attributes = {**attributes, "error.type": mark_failed(span, error, in_words=self._in_words)}
        if rows is not None:
            span.set_attribute("db.response.returned_rows", rows)
        # The context ties the measurement to the span, as its exemplar.
        self._duration.record(seconds, attributes, context=set_span_in_context(span))
        span.end()
