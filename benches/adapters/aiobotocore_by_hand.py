"""aiobotocore, by hand: bytes as they are, everything else as JSON of orjson."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from servers.s3 import KEY_ID, REGION, SECRET

from .base import NO_DURABILITY, Adapter


class Aiobotocore(Adapter):
    """One client, with connections enough for what is asked at once, and no checksums, which S3 does not insist on."""

    name = "aiobotocore"
    label = "aiobotocore"
    suite = "objects"
    packages = ("aiobotocore", "orjson")
    durability = NO_DURABILITY
    floor = "obstore"

    async def open(self, directory: Path, kind: str) -> None:
        self.stack = AsyncExitStack()
        config = AioConfig(
            max_pool_connections=100,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        )
        client = await self.stack.enter_async_context(
            get_session().create_client(
                "s3",
                endpoint_url=self.endpoint(),
                aws_access_key_id=KEY_ID,
                aws_secret_access_key=SECRET,
                region_name=REGION,
                config=config,
            )
        )
        bucket = urlsplit(self.place()).netloc
        pack, unpack = (bytes, bytes) if kind == "large" else (orjson.dumps, orjson.loads)

        async def get(key: str) -> Any:
            answer = await client.get_object(Bucket=bucket, Key=key)
            async with answer["Body"] as body:
                return unpack(await body.read())

        async def set(key: str, value: Any) -> None:
            await client.put_object(Bucket=bucket, Key=key, Body=pack(value))

        async def mget(keys: list[str]) -> list[Any]:
            return await asyncio.gather(*[get(key) for key in keys])

        async def mset(items: dict[str, Any]) -> None:
            await asyncio.gather(*[set(key, value) for key, value in items.items()])

        self.get, self.set, self.mget, self.mset = get, set, mget, mset

    async def close(self) -> None:
        await self.stack.aclose()


CONTENDERS = (Aiobotocore,)
