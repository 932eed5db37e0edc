"""What a backend can do: the suite tests what is there, and asserts the refusal of what isn't."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = TypeVar("Test", bound=Callable[..., object])


@dataclass(frozen=True)
class Capabilities:
    """What a backend promises beyond the contract's core. The defaults are the whole contract.

    Attributes:
        transactions: `transaction()` and `transact()` work; else they raise `UnsupportedOperationError`.
        atomic_mset: Nobody sees an `mset` half done, and a concurrent one never mixes with it.
        spans_namespaces: Keys of several first-level namespaces are written in one step; else what would do that (`mset`,
            transactions) raises `UnsupportedOperationError` and changes nothing, and `mdelete` goes one after the other.
        created_order: Listings sort by creation; else `SortOrder.CREATED_*` raises `UnsupportedOperationError`.
        listings: What a storage holds can be listed, and counted and cleared in part; else `UnsupportedOperationError` is
            raised by what looks for keys: a storage with `hide_keys`.
        stored_in_full: A value takes its bytes in the backend itself: it is not compressed, nor stored elsewhere.
        bulk: How many entries the tests of many pages write: more than a page of the backend holds.
        max_key_bytes: Every key of at most so many bytes of UTF-8 is taken; for a view, the limit less the prefix that it
            puts before each key.
        longest_key_bytes: Every longer key is refused; between the two it depends on the key's characters.
    """

    transactions: bool = True
    atomic_mset: bool = True
    spans_namespaces: bool = True
    created_order: bool = True
    bulk: int = 5_000
    listings: bool = True
    stored_in_full: bool = True
    max_key_bytes: int = 2048
    longest_key_bytes: int = 0

    def __post_init__(self) -> None:
        """Keys are refused by their length alone unless told otherwise."""
        if not self.longest_key_bytes:
            object.__setattr__(self, "longest_key_bytes", self.max_key_bytes)


def requires(capability: str) -> Callable[[Test], Test]:
    """Marks a test that only a backend with this capability runs."""
    return _mark(capability, wanted=True)


def requires_not(capability: str) -> Callable[[Test], Test]:
    """Marks a test of the refusal: only a backend without this capability runs it."""
    return _mark(capability, wanted=False)


def _mark(capability: str, *, wanted: bool) -> Callable[[Test], Test]:
    def mark(test: Test) -> Test:
        needed = (*getattr(test, "storage_capabilities", ()), (capability, wanted))
        test.storage_capabilities = needed  # type: ignore[attr-defined]
        return test

    return mark


def applies(test: object, capabilities: Capabilities) -> bool:
    """Whether a backend with these capabilities runs `test`."""
    needed = getattr(test, "storage_capabilities", ())
    return all(bool(getattr(capabilities, capability)) is wanted for capability, wanted in needed)
