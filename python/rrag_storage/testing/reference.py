"""What a listing must give, in plain Python: slow, obvious, and the measure of every backend."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from rrag_storage import SortOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SEPARATOR = "::"
_CREATED = (SortOrder.CREATED_ASC, SortOrder.CREATED_DESC)
_DESCENDING = (SortOrder.KEY_DESC, SortOrder.CREATED_DESC)


def matches(
    key: str,
    *,
    namespace: str | None = None,
    prefix: str | None = None,
    pattern: str | None = None,
    after: str | None = None,
) -> bool:
    """Whether `key` passes all the filters that are given."""
    if namespace is not None and not key.startswith(namespace + SEPARATOR):
        return False
    if prefix is not None and not key.startswith(prefix):
        return False
    if pattern is not None and not matches_pattern(key, pattern):
        return False
    return after is None or key > after


def matches_pattern(key: str, pattern: str) -> bool:
    """A glob over the whole key where it holds `*`, `?` or `[`; a literal prefix where it doesn't."""
    if any(character in pattern for character in "*?["):
        return fnmatchcase(key, pattern)
    return key.startswith(pattern)


def in_order(
    created: Mapping[str, float], keys: Iterable[str], order: SortOrder = SortOrder.KEY_ASC
) -> list[list[str]]:
    """`keys` in `order`, in groups: what one group holds may stand in any order, as it was created at one time."""
    groups: dict[object, list[str]] = {}
    for key in sorted(keys):
        groups.setdefault(created[key] if order in _CREATED else key, []).append(key)
    return [groups[rank] for rank in sorted(groups, reverse=order in _DESCENDING)]  # type: ignore[type-var]


def is_page_of(page: list[str], groups: list[list[str]], offset: int = 0, limit: int | None = None) -> bool:
    """Whether `page` is what `offset` and `limit` leave of `groups` in some order within each."""
    places = [group for group in groups for _ in group][offset:]
    if limit is not None:
        places = places[:limit]
    return (
        len(page) == len(places)
        and len(set(page)) == len(page)
        and all(key in group for key, group in zip(page, places, strict=True))
    )


def namespaces_of(key: str) -> list[str]:
    """What stands before each `::`, found from the left, none overlapping."""
    parts = key.split(SEPARATOR)
    return [SEPARATOR.join(parts[:count]) for count in range(1, len(parts))]


def namespaces(keys: Iterable[str], prefix: str | None = None, max_depth: int | None = None) -> list[str]:
    """What `Storage.namespaces` gives for these keys."""
    return sorted(
        {
            namespace
            for key in keys
            for namespace in namespaces_of(key)
            if namespace.startswith(prefix or "")
            and (max_depth is None or len(namespace.split(SEPARATOR)) <= max_depth)
        }
    )


def first_namespace(key: str) -> str | None:
    """The first segment of `key`; None for a key in no namespace."""
    first, separator, _ = key.partition(SEPARATOR)
    return first if separator else None


def first_namespaces(keys: Iterable[str]) -> set[str]:
    """The distinct first segments: what `namespace_count` counts."""
    return {first for key in keys if (first := first_namespace(key)) is not None}
