"""py-key-value-aio with its wrappers: gzip and Fernet, around its MemoryStore and its DiskStore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from cryptography.fernet import Fernet
from key_value.aio.stores.disk import DiskStore
from key_value.aio.stores.memory import MemoryStore
from key_value.aio.wrappers.compression import CompressionWrapper
from key_value.aio.wrappers.encryption import FernetEncryptionWrapper

from .base import ALWAYS, JSON_FORM, WAL_NORMAL, Adapter

FERNET = Fernet(Fernet.generate_key())

Wrap = Callable[[Any], Any]


def _encrypted(store: Any) -> Any:
    return FernetEncryptionWrapper(store, fernet=FERNET)


WRAPPERS: dict[str, Wrap] = {
    "none": lambda store: store,
    "gzip": CompressionWrapper,
    "fernet": _encrypted,
    # The outermost comes first: compressed, then encrypted.
    "gzip-fernet": lambda store: CompressionWrapper(_encrypted(store)),
}


class PyKeyValueLayers(Adapter):
    """A store behind wrappers, each of which turns a value into JSON, works on that and gives base64 on."""

    suite = "layers"
    packages = ("py-key-value-aio", "cryptography")
    wrap: ClassVar[Wrap]

    def make(self, directory: Path) -> Any:
        """The store inside."""
        raise NotImplementedError

    async def open(self, directory: Path, kind: str) -> None:
        self.inner = self.make(directory)
        store = type(self).wrap(self.inner)
        pack, unpack = JSON_FORM[kind]

        async def get(key: str) -> Any:
            return unpack(await store.get(key))

        async def set(key: str, value: Any) -> None:
            await store.put(key, pack(value))

        async def mget(keys: list[str]) -> list[Any]:
            return [unpack(value) for value in await store.get_many(keys)]

        async def mset(items: dict[str, Any]) -> None:
            await store.put_many(list(items), [pack(value) for value in items.values()])

        self.get, self.set, self.mget, self.mset = get, set, mget, mset


class PyKeyValueLayersInMemory(PyKeyValueLayers):
    """MemoryStore."""

    def make(self, directory: Path) -> Any:
        return MemoryStore()

    async def held(self) -> int | None:
        # It does not say itself; this is the JSON that it holds, without the keys and what Python adds.
        collections = self.inner._cache.values()
        return sum(len(entry.json_str) for each in collections for entry in each._cache.values())


class PyKeyValueLayersOnDisk(PyKeyValueLayers):
    """DiskStore: a diskcache, that is a SQLite file, and files beside it for large values."""

    packages = (*PyKeyValueLayers.packages, "diskcache")
    durability = WAL_NORMAL
    blocks_loop = ALWAYS

    def make(self, directory: Path) -> Any:
        return DiskStore(directory=directory)

    async def close(self) -> None:
        await self.inner.close()


def _contenders(base: type[PyKeyValueLayers], place: str, title: str, floor: str) -> list[type[PyKeyValueLayers]]:
    return [
        type(
            f"{base.__name__}_{name}",
            (base,),
            {
                "name": f"pykv-{place}-{name}",
                "label": f"py-key-value {title}, {name.replace('-', ' + ')}",
                "floor": floor,
                "wrap": staticmethod(wrap),
            },
        )
        for name, wrap in WRAPPERS.items()
    ]


CONTENDERS = (
    *_contenders(PyKeyValueLayersInMemory, "memory", "MemoryStore", "rrag-memory-none"),
    *_contenders(PyKeyValueLayersOnDisk, "disk", "DiskStore", "rrag-sqlite-none"),
)
