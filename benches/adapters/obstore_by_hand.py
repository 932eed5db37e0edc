"""obstore, by hand: bytes as they are, everything else as JSON of orjson."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
import orjson
from obstore.store import S3Store
from servers.s3 import KEY_ID, REGION, SECRET

from .base import NO_DURABILITY, Adapter


def _to_bytes(value: Any) -> bytes:
    return value.to_bytes()


def _from_json(value: Any) -> Any:
    return orjson.loads(memoryview(value))


def _as_it_is(value: Any) -> Any:
    return value


class Obstore(Adapter):
    """S3Store. Large values come back as its own Bytes, which shares memory with Rust, and not as Python's bytes."""

    name = "obstore"
    label = "obstore, its own Bytes"
    suite = "objects"
    packages = ("obstore", "orjson")
    durability = NO_DURABILITY
    floor = "obstore"
    unpack: Callable[[Any], Any] = staticmethod(_as_it_is)

    async def open(self, directory: Path, kind: str) -> None:
        store = S3Store(
            urlsplit(self.place()).netloc,
            config={
                "endpoint": self.endpoint(),
                "access_key_id": KEY_ID,
                "secret_access_key": SECRET,
                "region": REGION,
            },
            client_options={"allow_http": True},
        )
        pack, unpack = (_as_it_is, self.unpack) if kind == "large" else (orjson.dumps, _from_json)
        get_async, put_async = obstore.get_async, obstore.put_async

        async def get(key: str) -> Any:
            return unpack(await (await get_async(store, key)).bytes_async())

        async def set(key: str, value: Any) -> None:
            await put_async(store, key, pack(value))

        async def mget(keys: list[str]) -> list[Any]:
            return await asyncio.gather(*[get(key) for key in keys])

        async def mset(items: dict[str, Any]) -> None:
            await asyncio.gather(*[set(key, value) for key, value in items.items()])

        self.get, self.set, self.mget, self.mset = get, set, mget, mset


class ObstoreBytes(Obstore):
    """The same, with what it gives copied into Python's bytes."""

    name = "obstore-bytes"
    label = "obstore, copied into bytes"
    unpack = staticmethod(_to_bytes)


CONTENDERS = (Obstore, ObstoreBytes)
