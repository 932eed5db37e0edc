"""TLS to each kind of server: whose certificate is taken, and what is said of one that isn't."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import BackendUnavailableError, StorageError, connect
from rrag_storage.testing import run
from servers import PASSWORD, S3, MariaDB, Postgres, Redis
from servers.tls import CERTIFICATES, TlsFront, install, make_certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TIMEOUT = 20.0

BAD = [name for name in (*CERTIFICATES, "self-signed") if name != "good"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of them."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


def assert_works(options: dict[str, Any]) -> None:
    """Fails where a value does not come back."""

    async def main() -> None:
        async with connect(**options, connection_timeout=TIMEOUT) as storage:
            await storage.set("key", "value")
            assert await storage.get("key") == "value"

    run(main())


def assert_refused(options: dict[str, Any], *words: str) -> None:
    """Fails where a storage opens, or says too little or too much of why it doesn't."""

    async def main() -> None:
        storage = connect(**options, connection_timeout=TIMEOUT)
        for call in (storage.open(), storage.get("key"), storage.set("key", 1)):
            with pytest.raises(StorageError) as refused:
                await call
            assert isinstance(refused.value, BackendUnavailableError), repr(refused.value)
            said = str(refused.value).lower()
            assert all(word in said for word in words), said
            assert PASSWORD not in said
        assert await storage.health_check() is False
        await storage.close()

    run(main())


def on_postgres(server: Postgres, certificates: Path) -> Callable[[str], Any]:
    @contextlib.contextmanager
    def showing(name: str) -> Iterator[dict[str, Any]]:
        install(certificates, name, server.folder)
        server.terminate()
        server.restart()
        yield {**server.options(), "url": f"{by_name(server.url)}?sslmode=verify-full"}

    return showing


def on_mariadb(server: MariaDB, certificates: Path) -> Callable[[str], Any]:
    @contextlib.contextmanager
    def showing(name: str) -> Iterator[dict[str, Any]]:
        install(certificates, name, server.folder)
        server.query("FLUSH SSL")
        yield {**server.options(), "url": f"{by_name(server.url)}?ssl-mode=verify_identity"}

    return showing


def behind_a_front(server: Redis | S3, certificates: Path) -> Callable[[str], Any]:
    @contextlib.contextmanager
    def showing(name: str) -> Iterator[dict[str, Any]]:
        with TlsFront(server.port, certificates / name) as front:
            options = server.options()
            options.pop("allow_http", None)
            if "storage_options" in options:
                endpoint = f"https://localhost:{front.port}"
                yield {**options, "storage_options": {**options["storage_options"], "endpoint": endpoint}}
            else:
                address = by_name(options["url"]).replace("redis://", "rediss://")
                yield {**options, "url": address.replace(str(server.port), str(front.port))}

    return showing


def by_name(url: str) -> str:
    return url.replace("127.0.0.1", "localhost")


def check(showing: Callable[[str], Any], certificates: Path) -> None:
    """Every certificate, with the authority that a user trusts."""
    root = {"root_certificate": str(certificates / "ca.pem")}
    with showing("good") as options:
        assert_works({**options, **root})
        # Who names no authority trusts those of the system.
        assert_refused(options, "certificate")
        assert_refused({**options, "root_certificate": str(certificates / "self-signed.pem")}, "certificate")
    for name in BAD:
        with showing(name) as options:
            assert_refused({**options, **root}, "certificate", *(["expired"] if name == "expired" else []))


def test_postgres(certificates: Path) -> None:
    with Postgres(durable=False) as server:
        assert_refused({**server.options(), "url": f"{by_name(server.url)}?sslmode=verify-full"}, "tls")
        assert_refused({**server.options(), "url": f"{by_name(server.url)}?sslmode=require"}, "tls")
        server.settings = tuple(
            f"{name}={value}"
            for name, value in (
                ("ssl", "on"),
                ("ssl_cert_file", server.folder / "tls.pem"),
                ("ssl_key_file", server.folder / "tls.key"),
            )
        )
        check(on_postgres(server, certificates), certificates)


def test_mariadb(certificates: Path) -> None:
    with MariaDB(durable=False) as server:
        assert_refused({**server.options(), "url": f"{by_name(server.url)}?ssl-mode=verify_identity"}, "tls")
        assert_refused({**server.options(), "url": f"{by_name(server.url)}?ssl-mode=required"}, "tls")
        server.terminate()
        install(certificates, "good", server.folder)
        server.settings = (f"--ssl-cert={server.folder}/tls.pem", f"--ssl-key={server.folder}/tls.key")
        server.restart()
        check(on_mariadb(server, certificates), certificates)


def test_redis(redis: Redis, certificates: Path) -> None:
    check(behind_a_front(redis, certificates), certificates)
    # TLS that nobody offers is given up in time, or sooner.
    plain = {**redis.options(), "url": by_name(redis.url).replace("redis://", "rediss://")}
    with pytest.raises(StorageError) as refused:
        connect(**plain, connection_timeout=2).sync.get("key")
    assert PASSWORD not in str(refused.value)


def test_s3(s3: S3, certificates: Path) -> None:
    check(behind_a_front(s3, certificates), certificates)
