"""What the spans and measurements of one storage say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ._call import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import AttributeValue

    from ..._native import Storage

# Where the conventions have a word of their own for a backend.
_SYSTEMS = {"postgres": "postgresql"}


def describe(storage: Storage) -> dict[str, AttributeValue]:
    """The attributes that say which storage it is: its system, database and server; no secret, as in its url."""
    scheme, _, rest = storage.url.partition(":")
    system = "mariadb" if scheme == "mariadb" else _SYSTEMS.get(storage.backend_name, storage.backend_name)
    attributes: dict[str, AttributeValue] = {"db.system.name": system}
    if storage.backend_name == "sqlite":
        attributes["db.namespace"] = rest.removeprefix("//")
    elif storage.backend_name != "in_memory":
        attributes.update(_address(storage.url))
    return attributes


def _address(url: str) -> dict[str, AttributeValue]:
    parts = urlsplit(url)
    first = parts.netloc.rpartition("@")[2].partition(",")[0]  # of a cluster's nodes the first stands for all
    try:
        host, port = urlsplit(f"//{first}").hostname, urlsplit(f"//{first}").port
    except ValueError:
        return {}
    found: dict[str, AttributeValue] = {}
    if parts.scheme in ("s3", "gs", "az", "file"):
        found["db.namespace"] = (first + parts.path).strip("/")
        return found
    if path := parts.path.strip("/"):
        found["db.namespace"] = path
    if host:
        found["server.address"] = host
    if port:
        found["server.port"] = port
    return found


class Telemetry:
    """Makes the calls of one storage, or of one view of it.

    Args:
        tracer: what makes the spans.
        duration: what the seconds of each call are recorded with.
        attributes: what every span and measurement carries.
        keys: whether keys, filters and messages of errors, which name keys, may be shown.
        namespace: the view's, empty for the storage itself.
    """

    def __init__(
        self,
        tracer: Tracer,
        duration: Histogram,
        attributes: Mapping[str, AttributeValue],
        *,
        keys: bool,
        namespace: str = "",
    ) -> None:
        self.tracer = tracer
        self.keys = keys
        self.attributes = dict(attributes)
        self.details: dict[str, AttributeValue] = {}
        self._duration = duration
        self._namespace = namespace
        if namespace:
            # Namespaces of the first level are few; what is below them may be a user or a session.
            self.attributes["db.collection.name"] = namespace.partition("::")[0]
            if keys:
                self.details["rrag_storage.namespace"] = namespace
        self._target = self.attributes.get("db.collection.name") or self.attributes.get("db.namespace")

    def of_view(self, name: str) -> Telemetry:
        """That of a view under this one."""
        whole = f"{self._namespace}::{name}" if self._namespace else name
        return Telemetry(self.tracer, self._duration, self.attributes, keys=self.keys, namespace=whole)

    def span_name(self, operation: str) -> str:
        """The name of an operation's span: with what it is done to, as the conventions ask."""
        return f"{operation} {self._target}" if self._target else operation

    def call(self, operation: str, *, batch: object = None, **parameters: object) -> Call:
        """A call that has not begun.

        Args:
            operation: the name of the method.
            batch: the keys or items of a call that takes many: their number is said where it can be had.
            parameters: the key, or the filters: said where keys may be.
        """
        attributes = {**self.attributes, "db.operation.name": operation}
        details = dict(self.details)
        size = _size(batch)
        if size > 1:  # a batch of one counts as none, say the conventions
            details["db.operation.batch.size"] = size
        if self.keys:
            for name, value in parameters.items():
                if isinstance(value, str):
                    details[f"db.operation.parameter.{name}"] = value
        name = self.span_name(operation)
        return Call(self.tracer, self._duration, name, attributes, details, in_words=self.keys)


def _size(batch: Any) -> int:
    """How many there are in a collection; 0 for an iterator, which counting would use up."""
    return len(batch) if hasattr(batch, "__len__") and not isinstance(batch, str | bytes) else 0
