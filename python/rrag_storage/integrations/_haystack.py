"""What the Haystack adapter does with documents once they are read: records, filters, figures over metadata."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..errors import CorruptedDataError
from ._log import STAMPS
from ._support import escape, needs, unescape

with needs("haystack"):
    from haystack.dataclasses import Document
    from haystack.errors import FilterError
    from haystack.utils.filters import document_matches_filter

Filters = dict[str, Any]


def records(documents: Iterable[Document]) -> list[tuple[str, dict[str, Any]]]:
    """Keys and records of documents that are written together; a record knows its place among all of them.

    Raises:
        ValueError: not an iterable of documents.
    """
    if isinstance(documents, str | bytes) or not isinstance(documents, Iterable):
        raise ValueError(f"documents must be a list of Documents, not {type(documents).__name__}")
    listed = list(documents)
    for place, document in enumerate(listed):
        if not isinstance(document, Document):
            raise ValueError(f"documents[{place}] must be a Document, not {type(document).__name__}")
    stamp = STAMPS.next()
    return [(escape(document.id), _record(document, [stamp, place])) for place, document in enumerate(listed)]


def _record(document: Document, order: list[int]) -> dict[str, Any]:
    fields = document.to_dict(flatten=False)
    if document.blob is not None:
        fields["blob"]["data"] = document.blob.data
    return {"order": order, "document": fields}


class Selection:
    """Those of the records it is given that match the filters; all of them where there are none.

    Raises:
        FilterError: filters that are not of Haystack's syntax.
    """

    def __init__(self, filters: Filters | None) -> None:
        if filters and (not isinstance(filters, dict) or "operator" not in filters):
            raise FilterError("filters must be a dict with an 'operator': a comparison, or a logic one of 'conditions'")
        self._filters = filters
        self._found: list[tuple[list[int], str, Document]] = []

    def add(self, key: str, record: Any) -> None:
        """Takes a record in where it matches."""
        try:
            order, document = record["order"], Document.from_dict(record["document"])
        except (TypeError, KeyError, ValueError):
            raise CorruptedDataError(f"what is stored for the document {unescape(key)!r} is none") from None
        try:
            if self._filters and not document_matches_filter(self._filters, document):
                return
        except TypeError as error:
            raise FilterError(f"the filters compare what the document {document.id!r} can't be: {error}") from error
        self._found.append((order, key, document))

    def documents(self) -> list[Document]:
        """The documents, those that were written first first."""
        return [document for _, _, document in sorted(self._found, key=lambda found: found[:2])]

    def keys(self) -> list[str]:
        """Their keys."""
        return [key for _, key, _ in self._found]

    def with_meta(self, meta: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Their keys and records, with `meta` merged into the metadata of each."""
        return [
            (key, _record(replace(document, meta={**document.meta, **meta}), order))
            for order, key, document in self._found
        ]


def selected(found: Iterable[tuple[str, Any]], filters: Filters | None, missing: Any) -> Selection:
    """The selection among keys and what is stored under them; `missing` stands for nothing."""
    selection = Selection(filters)
    for key, record in found:
        if record is not missing:
            selection.add(key, record)
    return selection


def _field(name: str) -> str:
    return name.removeprefix("meta.")


def _values(documents: list[Document], name: str) -> list[Any]:
    values = (document.meta.get(_field(name)) for document in documents)
    return [value for value in values if value is not None]


def _identity(value: Any) -> Any:
    """What tells a value from others, types included: 1, 1.0, True and "1" are four."""
    if isinstance(value, list | tuple):
        return type(value).__name__, tuple(map(_identity, value))
    if isinstance(value, dict):
        return "dict", frozenset((key, _identity(inner)) for key, inner in value.items())
    if isinstance(value, set | frozenset):
        return type(value).__name__, frozenset(map(_identity, value))
    return type(value).__name__, value


def unique_counts(documents: list[Document], names: list[str]) -> dict[str, int]:
    """How many distinct values each of the fields has."""
    return {_field(name): len(set(map(_identity, _values(documents, name)))) for name in names}


def fields_info(documents: list[Document]) -> dict[str, dict[str, str]]:
    """The fields of metadata that there are, each with its `type`: boolean, int, float or keyword."""
    types: dict[str, str] = {}
    for document in documents:
        for name, value in document.meta.items():
            if value is not None:
                types[name] = {bool: "boolean", int: "int", float: "float"}.get(type(value), "keyword")
    return {name: {"type": kind} for name, kind in types.items()}


def min_max(documents: list[Document], name: str) -> dict[str, Any]:
    """The least and the greatest value of a field: None where it has none, or some that can't be compared."""
    values = [value for value in _values(documents, name) if isinstance(value, int | float | str)]
    try:
        return {"min": min(values, default=None), "max": max(values, default=None)}
    except TypeError:
        return {"min": None, "max": None}


def unique_values(
    documents: list[Document], name: str, search_term: str | None, from_: int, size: int
) -> tuple[list[Any], int]:
    """A page of a field's distinct values, sorted as text, and how many there are in all.

    `search_term` keeps those whose text contains it, in whatever case.
    """
    distinct = {_identity(value): value for value in _values(documents, name)}
    values = sorted(distinct.values(), key=lambda value: (str(value), type(value).__name__))
    if search_term:
        values = [value for value in values if search_term.lower() in str(value).lower()]
    return values[from_ : from_ + size], len(values)
