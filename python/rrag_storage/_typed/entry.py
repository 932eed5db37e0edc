"""An entry whose value is of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

M = TypeVar("M")


@dataclass(frozen=True)
class TypedEntry(Generic[M]):
    """A value of a typed view with what the storage knows of it: `MemoryEntry`, its value of the model."""

    key: str
    """The key, as the view that gave the entry spells it."""
    value: M
    """The value, of the model."""
    created_at: datetime
    """When the key was first written. Aware, UTC."""
    updated_at: datetime
    """When it was last written, a change of its expiry included. Aware, UTC."""
    expires_at: datetime | None
    """When it expires, or None where it never does. Aware, UTC."""
    version: int
    """The token of this very write, for `compare_and_set`."""
    size_bytes: int
    """The size of the encoded value in bytes."""
    kind: str
    """The kind of what is stored: `map` for most models."""
