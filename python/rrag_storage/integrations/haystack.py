"""Haystack: `RragDocumentStore` keeps the documents of its pipelines.

Needs the extra: `pip install 'rrag-storage[haystack]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import Storage, connect
from ..errors import UnsupportedOperationError
from . import _haystack
from ._haystack import Selection, records, selected
from ._support import escape, needs, unescape, view

with needs("haystack"):
    from haystack import default_from_dict, default_to_dict
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy
    from haystack.utils import Secret

if TYPE_CHECKING:
    from haystack.dataclasses import Document

    from .. import SyncTransaction, Transaction
    from ._haystack import Filters

    Records = list[tuple[str, dict[str, Any]]]

__all__ = ["RragDocumentStore"]

_MISSING: Any = object()


class RragDocumentStore:
    """A document store of Haystack in a storage, with an `…_async` twin of each call that reads or writes documents.

    A document comes back equal, its blob and embedding too; metadata may hold whatever the storage can. Filters mean
    what Haystack says, and are worked out here, over all documents: it is a store, not an index.

    Args:
        storage: any storage; it stays the caller's to close.
        namespace: under what the documents stand in it.

    Raises:
        TypeError, ValueError: an argument that can't be used.
    """

    def __init__(self, storage: Storage, *, namespace: str = "haystack") -> None:
        self._view = view(storage, namespace)
        self._storage = storage
        self._namespace = namespace
        self._opened = False

    def to_dict(self) -> dict[str, Any]:
        """The store for a pipeline's file: its namespace and the storage's url, without user and password.

        Raises:
            ValueError: the storage is a view; give its name in `namespace` instead.
        """
        if type(self._storage) is Storage:
            raise ValueError(
                "a store in a view can't be written down: give it the whole storage, and namespace='VIEW::…' instead"
            )
        return default_to_dict(self, storage=self._storage.url, namespace=self._namespace)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RragDocumentStore:
        """The store that `to_dict` wrote down.

        `storage` is a url, or the dict of a Haystack `Secret` that holds one: where the url needs a password, let it
        come from the environment. Options that were given beside the url are those that are usual.

        Raises:
            DeserializationError: `data` is of another class.
            ConfigurationError: (a ValueError) a url that can't be used.
        """
        parameters = dict(data.get("init_parameters", {}))
        url = parameters.get("storage")
        if isinstance(url, dict):
            url = Secret.from_dict(url).resolve_value()
        if isinstance(url, str):
            parameters["storage"] = connect(url)
        store = default_from_dict(cls, {**data, "init_parameters": parameters})
        store._opened = isinstance(url, str)
        return store

    def close(self) -> None:
        """Closes the storage if `from_dict` opened it; one that was given stays the caller's."""
        if self._opened:
            self._storage.sync.close()

    async def close_async(self) -> None:
        """As `close`."""
        if self._opened:
            await self._storage.close()

    def count_documents(self) -> int:
        """How many documents there are."""
        return self._view.sync.count()

    async def count_documents_async(self) -> int:
        """As `count_documents`."""
        return await self._view.count()

    def filter_documents(self, filters: Filters | None = None) -> list[Document]:
        """The documents that match the filters, all without them; those that were written first first.

        Raises:
            FilterError: filters that are not of Haystack's syntax, or compare what can't be compared.
            CorruptedDataError: something stored is no document.
        """
        return self._select(filters).documents()

    async def filter_documents_async(self, filters: Filters | None = None) -> list[Document]:
        """As `filter_documents`."""
        return (await self._select_async(filters)).documents()

    def _select(self, filters: Filters | None) -> Selection:
        selection = Selection(filters)
        for key, record in self._view.sync.items():
            selection.add(key, record)
        return selection

    async def _select_async(self, filters: Filters | None) -> Selection:
        selection = Selection(filters)
        async for key, record in self._view.items():
            selection.add(key, record)
        return selection

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Writes the documents, all or none; on an object store, which has no transactions, one after the other.

        Args:
            documents: what to write; of those with one id the first counts with SKIP, the last with OVERWRITE.
            policy: what if there is a document with the id: FAIL, which NONE means too, SKIP or OVERWRITE.

        Returns:
            How many were written; with OVERWRITE, how many were given.

        Raises:
            ValueError: not a list of documents.
            DuplicateDocumentError: with FAIL, an id that is there already, or given twice.
            UnsupportedTypeError: (a TypeError) a document that holds what can't be stored; the message says where.
        """
        written = records(documents)
        if policy == DuplicatePolicy.OVERWRITE:
            self._view.sync.mset(written)
            return len(written)
        new = _first_of_each(written, policy)

        def write(tx: SyncTransaction) -> int:
            missing = _missing(new, tx.mget([key for key, _ in new], _MISSING), policy)
            tx.mset(missing)
            return len(missing)

        try:
            count: int = self._view.sync.transact(write)
        except UnsupportedOperationError:
            _missing(new, self._view.sync.mget([key for key, _ in new], _MISSING), policy)
            return _counted([(key, self._view.sync.set_if_absent(key, record)) for key, record in new], policy)
        return count

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """As `write_documents`."""
        written = records(documents)
        if policy == DuplicatePolicy.OVERWRITE:
            await self._view.mset(written)
            return len(written)
        new = _first_of_each(written, policy)

        async def write(tx: Transaction) -> int:
            missing = _missing(new, await tx.mget([key for key, _ in new], _MISSING), policy)
            await tx.mset(missing)
            return len(missing)

        try:
            return await self._view.transact(write)
        except UnsupportedOperationError:
            _missing(new, await self._view.mget([key for key, _ in new], _MISSING), policy)
            return _counted([(key, await self._view.set_if_absent(key, record)) for key, record in new], policy)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Deletes the documents with these ids, in one step; ids that there aren't are passed over."""
        self._view.sync.mdelete(map(escape, document_ids))

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """As `delete_documents`."""
        await self._view.mdelete(map(escape, document_ids))

    def delete_all_documents(self) -> None:
        """Deletes all documents of this namespace, and nothing else in the storage."""
        self._view.sync.clear()

    async def delete_all_documents_async(self) -> None:
        """As `delete_all_documents`."""
        await self._view.clear()

    def delete_by_filter(self, filters: Filters) -> int:
        """Deletes the documents that match the filters, in one step; how many there were.

        Raises:
            FilterError: as `filter_documents`.
            ConflictError: others kept changing these documents.
            UnsupportedOperationError: on an object store, which has no transactions.
        """
        keys = self._select(filters).keys()

        def delete(tx: SyncTransaction) -> int:
            found = zip(keys, tx.mget(keys, _MISSING), strict=True)
            return tx.mdelete(selected(found, filters, _MISSING).keys())

        count: int = self._view.sync.transact(delete)
        return count

    async def delete_by_filter_async(self, filters: Filters) -> int:
        """As `delete_by_filter`."""
        keys = (await self._select_async(filters)).keys()

        async def delete(tx: Transaction) -> int:
            found = zip(keys, await tx.mget(keys, _MISSING), strict=True)
            return await tx.mdelete(selected(found, filters, _MISSING).keys())

        return await self._view.transact(delete)

    def update_by_filter(self, filters: Filters, meta: dict[str, Any]) -> int:
        """Merges `meta` into the metadata of the documents that match the filters, in one step; how many there were.

        Raises:
            FilterError, ConflictError, UnsupportedOperationError: as `delete_by_filter`.
            UnsupportedTypeError: (a TypeError) `meta` holds what can't be stored; the message says where.
        """
        keys = self._select(filters).keys()

        def update(tx: SyncTransaction) -> int:
            found = zip(keys, tx.mget(keys, _MISSING), strict=True)
            changed = selected(found, filters, _MISSING).with_meta(meta)
            tx.mset(changed)
            return len(changed)

        count: int = self._view.sync.transact(update)
        return count

    async def update_by_filter_async(self, filters: Filters, meta: dict[str, Any]) -> int:
        """As `update_by_filter`."""
        keys = (await self._select_async(filters)).keys()

        async def update(tx: Transaction) -> int:
            found = zip(keys, await tx.mget(keys, _MISSING), strict=True)
            changed = selected(found, filters, _MISSING).with_meta(meta)
            await tx.mset(changed)
            return len(changed)

        return await self._view.transact(update)

    def count_documents_by_filter(self, filters: Filters) -> int:
        """How many documents match the filters."""
        return len(self._select(filters).keys())

    async def count_documents_by_filter_async(self, filters: Filters) -> int:
        """As `count_documents_by_filter`."""
        return len((await self._select_async(filters)).keys())

    def count_unique_metadata_by_filter(self, filters: Filters, metadata_fields: list[str]) -> dict[str, int]:
        """How many distinct values each of the fields has (with or without `meta.`) in what matches the filters."""
        return _haystack.unique_counts(self.filter_documents(filters), metadata_fields)

    async def count_unique_metadata_by_filter_async(
        self, filters: Filters, metadata_fields: list[str]
    ) -> dict[str, int]:
        """As `count_unique_metadata_by_filter`."""
        return _haystack.unique_counts(await self.filter_documents_async(filters), metadata_fields)

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """The fields of metadata, each with its `type`: boolean, int, float or keyword."""
        return _haystack.fields_info(self.filter_documents())

    async def get_metadata_fields_info_async(self) -> dict[str, dict[str, str]]:
        """As `get_metadata_fields_info`."""
        return _haystack.fields_info(await self.filter_documents_async())

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """`min` and `max` of a field (with or without `meta.`); None where it has none, or some that don't compare."""
        return _haystack.min_max(self.filter_documents(), metadata_field)

    async def get_metadata_field_min_max_async(self, metadata_field: str) -> dict[str, Any]:
        """As `get_metadata_field_min_max`."""
        return _haystack.min_max(await self.filter_documents_async(), metadata_field)

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: Filters | None = None,
    ) -> tuple[list[Any], int]:
        """Distinct values of a field (with or without `meta.`), sorted as text.

        Args:
            metadata_field: the field.
            search_term: only values whose text contains it, in whatever case.
            from_: without the first so many.
            size: at most so many.
            filters: only of documents that match.

        Returns:
            The page of values, and how many there are in all.
        """
        found = self.filter_documents(filters)
        return _haystack.unique_values(found, metadata_field, search_term, from_, size)

    async def get_metadata_field_unique_values_async(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: Filters | None = None,
    ) -> tuple[list[Any], int]:
        """As `get_metadata_field_unique_values`."""
        found = await self.filter_documents_async(filters)
        return _haystack.unique_values(found, metadata_field, search_term, from_, size)


def _duplicate(key: str) -> DuplicateDocumentError:
    return DuplicateDocumentError(f"there is a document with the id {unescape(key)!r} already")


def _first_of_each(written: Records, policy: DuplicatePolicy) -> Records:
    first: dict[str, dict[str, Any]] = {}
    for key, record in written:
        if first.setdefault(key, record) is not record and policy != DuplicatePolicy.SKIP:
            raise _duplicate(key)
    return list(first.items())


def _missing(new: Records, found: list[Any], policy: DuplicatePolicy) -> Records:
    missing = []
    for pair, there in zip(new, found, strict=True):
        if there is _MISSING:
            missing.append(pair)
        elif policy != DuplicatePolicy.SKIP:
            raise _duplicate(pair[0])
    return missing


def _counted(stored: list[tuple[str, bool]], policy: DuplicatePolicy) -> int:
    count = 0
    for key, done in stored:
        if not done and policy != DuplicatePolicy.SKIP:
            raise _duplicate(key)
        count += done
    return count
