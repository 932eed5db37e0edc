"""langchain-core's messages and generations as plain values: the name of the class, and the fields that differ from its
defaults. Only these classes are ever made of what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core import messages as _messages
from langchain_core import outputs as _outputs
from langchain_core.messages import BaseMessage
from langchain_core.outputs import Generation

from .. import CorruptedDataError, UnsupportedTypeError

if TYPE_CHECKING:
    from pydantic import BaseModel

_Kind = TypeVar("_Kind", BaseMessage, Generation)

_MESSAGES: dict[str, type[BaseMessage]] = {
    kind.__name__: kind
    for kind in (
        _messages.AIMessage,
        _messages.AIMessageChunk,
        _messages.ChatMessage,
        _messages.ChatMessageChunk,
        _messages.FunctionMessage,
        _messages.FunctionMessageChunk,
        _messages.HumanMessage,
        _messages.HumanMessageChunk,
        _messages.RemoveMessage,
        _messages.SystemMessage,
        _messages.SystemMessageChunk,
        _messages.ToolMessage,
        _messages.ToolMessageChunk,
    )
}
_GENERATIONS: dict[str, type[Generation]] = {
    kind.__name__: kind
    for kind in (
        Generation,
        _outputs.GenerationChunk,
        _outputs.ChatGeneration,
        _outputs.ChatGenerationChunk,
    )
}


def encode_message(message: BaseMessage) -> dict[str, Any]:
    """`message` as a plain value.

    Raises:
        UnsupportedTypeError: it is of a class that langchain-core doesn't have, and would come back as another.
    """
    return {"class": _name(message, _MESSAGES), "fields": _fields(message)}


def decode_message(stored: Any) -> BaseMessage:
    """The message that `encode_message` made `stored` of.

    Raises:
        CorruptedDataError: it made no such thing.
    """
    kind, fields = _parts(stored, _MESSAGES)
    return _make(kind, fields)


def encode_generation(generation: Generation) -> dict[str, Any]:
    """`generation`, with its message where it has one, as a plain value.

    Raises:
        UnsupportedTypeError: it, or its message, is of a class that langchain-core doesn't have.
    """
    name, fields = _name(generation, _GENERATIONS), _fields(generation)
    if "message" in fields:
        fields["message"] = encode_message(fields["message"])
        del fields["text"]  # the message's
    return {"class": name, "fields": fields}


def decode_generation(stored: Any) -> Generation:
    """The generation that `encode_generation` made `stored` of.

    Raises:
        CorruptedDataError: it made no such thing.
    """
    kind, fields = _parts(stored, _GENERATIONS)
    if "message" in fields:
        fields["message"] = decode_message(fields["message"])
    return _make(kind, fields)


def _name(thing: object, known: dict[str, type[Any]]) -> str:
    kind = type(thing)
    if known.get(kind.__name__) is not kind:
        raise UnsupportedTypeError(
            f"{kind.__module__}.{kind.__qualname__} can't be stored: it would not come back as what it is. "
            f"Convert it to one of {', '.join(known)}"
        )
    return kind.__name__


def _fields(model: BaseModel) -> dict[str, Any]:
    """What isn't a default. Values stay objects of Python, so that the storage refuses those that it can't keep."""
    fields = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        default = field.get_default(call_default_factory=True, validated_data={})
        if type(value) is not type(default) or value != default:
            fields[name] = value
    return {**fields, **(model.model_extra or {})}


def _parts(stored: Any, known: dict[str, type[_Kind]]) -> tuple[type[_Kind], dict[str, Any]]:
    match stored:
        case {"class": str(name), "fields": dict(fields)} if name in known:
            return known[name], fields
    raise CorruptedDataError(f"what is stored is none of {', '.join(known)} as this adapter writes them")


def _make(kind: type[_Kind], fields: dict[str, Any]) -> _Kind:
    try:
        return kind(**fields)
    except (TypeError, ValueError) as error:
        raise CorruptedDataError(f"what is stored makes no {kind.__name__}: {error}") from error
