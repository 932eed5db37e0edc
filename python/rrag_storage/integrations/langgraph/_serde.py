"""Between LangGraph's serializers and what a storage holds: a pair of a kind and bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import CorruptedDataError

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.base import SerializerProtocol

Typed = tuple[str, bytes]
"""What a serializer made of a value."""


def dumps(serde: SerializerProtocol, value: Any) -> Typed:
    """`value` as the serializer writes it."""
    kind, data = serde.dumps_typed(value)
    return kind, bytes(data)  # serializers give a bytearray too, which a storage doesn't take


def loads(serde: SerializerProtocol, typed: Any) -> Any:
    """The value that `dumps` made `typed` of.

    Raises:
        CorruptedDataError: it made no such thing. What the serializer raises comes as it is.
    """
    match typed:
        case (str(kind), bytes(data)):
            return serde.loads_typed((kind, data))
    raise CorruptedDataError(f"what is stored is no value of a serializer, but a {type(typed).__name__}")
