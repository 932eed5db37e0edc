"""Typed views: storages whose values are of one class, checked on the way in and on the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ._codec import Codec
from .entry import TypedEntry
from .sync import SyncTypedView
from .transaction import SyncTypedTransaction, TypedTransaction
from .view import TypedView

if TYPE_CHECKING:
    from rrag_storage._native import Storage

__all__ = ["SyncTypedTransaction", "SyncTypedView", "TypedEntry", "TypedTransaction", "TypedView", "typed"]

M = TypeVar("M")


def typed(storage: Storage, model: type[M]) -> TypedView[M]:
    """The view of `storage` whose values are of `model`; `storage.typed(model)` calls this.

    Raises:
        TypeError: `model` is none of the classes that can be one; of these, UnsupportedTypeError, which names the field,
            where one of its fields could not come back as it was.
    """
    return TypedView(storage, Codec(model))
