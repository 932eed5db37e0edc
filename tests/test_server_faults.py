"""Servers that can't be reached, refuse, or don't answer: which error, what it says, and what it never says."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from rrag_storage import (
    BackendUnavailableError,
    OperationTimeoutError,
    Storage,
    StorageError,
    Transaction,
    connect,
)
from rrag_storage.testing import asynchronous, in_threads
from servers import PASSWORD, MariaDB, Places, Postgres, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT = 1.0
"""The connection timeout of a storage whose server never answers, in seconds."""

PATIENCE = 3.0
"""The same of one whose server does, later: no busy machine takes so long for a call."""

SOON = 30.0
"""Seconds within which such a call is over, however slow this machine is."""

UNREACHABLE = (BackendUnavailableError, OperationTimeoutError)


async def add(tx: Transaction) -> None:
    """Counts."""
    await tx.increment("count")


CALLS: dict[str, Callable[[Storage], Any]] = {
    "get": lambda storage: storage.get("key"),
    "mget": lambda storage: storage.mget(["key", "other"]),
    "set": lambda storage: storage.set("key", 1),
    "mset": lambda storage: storage.mset({"key": 1, "other": 2}),
    "delete": lambda storage: storage.delete("key"),
    "increment": lambda storage: storage.increment("count"),
    "keys": lambda storage: storage.keys(),
    "count": lambda storage: storage.count(),
    "stats": lambda storage: storage.stats(),
    "clear": lambda storage: storage.clear("none"),
    "transact": lambda storage: storage.transact(add),
}


def calls_on(server: Places) -> dict[str, Callable[[Storage], Any]]:
    """The calls that a kind of server supports."""
    return {name: call for name, call in CALLS.items() if name != "transact" or not server.one_key_at_a_time}


def assert_says(error: StorageError, host: str, *secrets: str) -> None:
    """Fails where the error doesn't name the host, or says a secret anywhere."""
    assert host in str(error)
    assert error.retryable is isinstance(error, UNREACHABLE)
    for text in (str(error), repr(error), repr(error.args), *traceback.format_exception(error)):
        assert_no_secret(text, *secrets)


def assert_no_secret(text: str, *secrets: str) -> None:
    for secret in (PASSWORD, *secrets):
        assert secret not in text


async def refused(operation: Any) -> StorageError:
    """The error of an operation, which is over soon."""
    with pytest.raises(StorageError) as raised:
        await asyncio.wait_for(operation, SOON)
    return raised.value


# A server that doesn't answer.


@asynchronous
async def test_a_frozen_server(server: Places) -> None:
    calls, options = calls_on(server), server.options()
    async with server.storage(**options) as storage:
        await storage.mset({"key": 1, "count": 0})
    async with server.storage(**options, connection_timeout=PATIENCE) as storage:
        assert await storage.get("key") == 1
        with server.stopped():
            errors = await asyncio.gather(*(refused(call(storage)) for call in calls.values()))
            for name, error in zip(calls, errors, strict=True):
                assert isinstance(error, UNREACHABLE), name
                assert_says(error, "127.0.0.1")
            assert await asyncio.wait_for(storage.health_check(), SOON) is False
        assert await storage.set("key", 2) is None
        assert await storage.get("key") == 2
        assert await storage.health_check() is True
        # What was sent before the answer stayed away may have happened, once.
        assert await storage.get("count") in (0, 1, 2)
        assert await storage.mget(["other", "key"]) in ([None, 2], [2, 2])


@asynchronous
async def test_a_server_that_is_gone_and_comes_back(server: Places) -> None:
    calls, options = calls_on(server), server.options()
    async with server.storage(**options) as storage:
        await storage.mset({"key": 1, "count": 0})
    async with server.storage(**options, connection_timeout=PATIENCE) as storage:
        assert await storage.get("key") == 1
        with server.killed():
            errors = await asyncio.gather(*(refused(call(storage)) for call in calls.values()))
            for name, error in zip(calls, errors, strict=True):
                assert isinstance(error, UNREACHABLE), name
                assert_says(error, "127.0.0.1")
            assert await asyncio.wait_for(storage.health_check(), SOON) is False
        assert await storage.mget(["key", "count", "other"]) == [1, 0, None]
        assert await storage.increment("count") == 1
        assert await storage.health_check() is True


def test_a_blocking_call_of_a_server_that_is_gone(server: Places) -> None:
    options = server.options()
    with server.storage(**options).sync as storage:
        storage.set("key", 1)
    with server.storage(**options, connection_timeout=PATIENCE).sync as storage:
        assert storage.get("key") == 1
        with server.killed():
            for error in in_threads(4, lambda _: raised_by(lambda: storage.get("key"))):
                assert isinstance(error, UNREACHABLE)
                assert_says(error, "127.0.0.1")
        assert in_threads(4, lambda _: storage.get("key")) == [1] * 4


def raised_by(call: Callable[[], Any]) -> StorageError:
    with pytest.raises(StorageError) as raised:
        call()
    return raised.value


@asynchronous
async def test_connections_that_were_closed_while_nobody_called(server: Places) -> None:
    async with server.storage() as storage:
        await storage.set("count", 0)
        for number in range(1, 6):
            server.cut()
            assert await storage.increment("count") == number
            server.cut()
            assert await storage.get("count") == number
            server.cut()
            await storage.set("key", number)
            if not server.one_key_at_a_time:
                await storage.transact(add_nothing)
            assert await storage.keys() == ["count", "key"]


async def add_nothing(tx: Transaction) -> None:
    await tx.increment("count", 0)


# A server that can't be reached from the start.


@contextmanager
def silent_listener() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


@contextmanager
def babbler() -> Iterator[int]:
    """A port whose every connection gets what no server says."""
    import threading

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + b"\xff" * 10_000)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(SOON)


URLS = {
    "postgres": f"postgres://ada:{PASSWORD}@HOST/postgres",
    "mariadb": f"mysql://ada:{PASSWORD}@HOST/app",
    "redis": f"redis://ada:{PASSWORD}@HOST",
    "redis-cluster": f"redis+cluster://ada:{PASSWORD}@HOST",
    "s3": "s3://bucket/prefix",
}
"""A url of each kind of server."""


def arguments(kind: str, address: str) -> dict[str, Any]:
    """A storage's arguments for a server at `address`, password included."""
    url = URLS[kind].replace("HOST", address)
    if kind != "s3":
        return {"url": url}
    own = {"endpoint": f"http://{address}", "region": "r", "access_key_id": "ada", "secret_access_key": PASSWORD}
    return {"url": url, "storage_options": own, "allow_http": True}


async def assert_unreachable(
    where: dict[str, Any], host: str, caplog: pytest.LogCaptureFixture, *secrets: str
) -> list[StorageError]:
    """Fails where a storage there raises anything but errors that name the host and no secret; gives the errors."""
    caplog.set_level(logging.DEBUG)
    storage = connect(**where, connection_timeout=TIMEOUT, enable_query_logging=True)
    healthy, *errors = await asyncio.gather(
        asyncio.wait_for(storage.health_check(), SOON),
        refused(storage.get("key")),
        refused(storage.set("key", 1)),
        refused(storage.increment("key")),
        refused(storage.open()),
        refused(type(storage).connect(**where, connection_timeout=TIMEOUT)),
        asyncio.to_thread(lambda: raised_by(lambda: storage.sync.get("key"))),
    )
    assert healthy is False
    for error in errors:
        assert_says(error, host, *secrets)
    for text in (repr(storage), storage.url, storage._repr_html_(), caplog.text, repr(storage.namespace("n"))):
        assert_no_secret(text, *secrets)
    await asyncio.wait_for(storage.close(), SOON)
    return errors


@pytest.mark.parametrize("kind", URLS)
@asynchronous
async def test_a_port_that_nobody_listens_on(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    for error in await assert_unreachable(arguments(kind, f"127.0.0.1:{port}"), f"127.0.0.1:{port}", caplog):
        assert isinstance(error, BackendUnavailableError)


@pytest.mark.parametrize("kind", URLS)
@asynchronous
async def test_a_name_that_does_not_resolve(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    for error in await assert_unreachable(arguments(kind, "host.invalid"), "host.invalid", caplog):
        assert isinstance(error, UNREACHABLE)


@pytest.mark.parametrize("kind", URLS)
@asynchronous
async def test_a_listener_that_never_answers(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with silent_listener() as port:
        for error in await assert_unreachable(arguments(kind, f"127.0.0.1:{port}"), f"127.0.0.1:{port}", caplog):
            assert isinstance(error, UNREACHABLE)


@pytest.mark.parametrize("kind", URLS)
@asynchronous
async def test_a_listener_that_says_what_no_server_says(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with babbler() as port:
        await assert_unreachable(arguments(kind, f"127.0.0.1:{port}"), f"127.0.0.1:{port}", caplog)


@asynchronous
async def test_a_wrong_password(server: Places, caplog: pytest.LogCaptureFixture) -> None:
    if server.one_key_at_a_time:
        return  # this S3 server checks no signature
    url = server.url.replace(PASSWORD, "wr0ng-pass")
    address = urlsplit(url).netloc.rpartition("@")[2]
    for error in await assert_unreachable({"url": url}, address, caplog, "wr0ng-pass"):
        assert re.search("password|denied|auth", str(error), re.IGNORECASE)


@asynchronous
async def test_no_password(server: Places, caplog: pytest.LogCaptureFixture) -> None:
    if server.one_key_at_a_time:
        return  # as above
    url = server.url.replace(f":{PASSWORD}" if isinstance(server, Postgres | MariaDB) else f"ada:{PASSWORD}@", "")
    for error in await assert_unreachable({"url": url}, urlsplit(url).netloc.rpartition("@")[2], caplog):
        assert re.search("password|denied|auth", str(error), re.IGNORECASE)


@asynchronous
async def test_a_database_that_is_missing(server: Places, caplog: pytest.LogCaptureFixture) -> None:
    if not isinstance(server, Postgres | MariaDB):
        return  # Redis has no named databases
    url = server.url.rpartition("/")[0] + "/nowhere"
    for error in await assert_unreachable({"url": url}, f"127.0.0.1:{server.port}", caplog):
        assert "nowhere" in str(error)


# What is logged.


@asynchronous
async def test_query_logging(server: Places, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "hunter2-hunter2"
    async with server.storage(enable_query_logging=True) as storage:
        await storage.set("key", secret)
        await storage.mset({"a": secret, "b": {"nested": secret}})
        await storage.set_if_absent("other", secret)
        await storage.get("key", secret)
        await storage.keys()
        with pytest.raises(TypeError):
            await storage.increment("key")
        await storage.pop("key")
    logged = [record for record in caplog.records if record.name == "rrag_storage.query"]
    text = "\n".join(record.getMessage() for record in logged)
    for name in ("set", "mset", "set_if_absent", "get", "keys", "increment", "pop"):
        assert re.search(rf"\b{name}\b", text), name
    assert_no_secret(caplog.text, secret)
    for record in logged:
        assert_no_secret(repr(vars(record)), secret)


@asynchronous
async def test_nothing_is_logged_unless_asked_for(server: Places, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with server.storage() as storage:
        await storage.set("key", 1)
        assert await storage.get("key") == 1
    assert [record for record in caplog.records if record.name.startswith("rrag_storage")] == []
