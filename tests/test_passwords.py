"""Users and passwords of any characters, percent-encoded in a url or from the environment: they open, and show nowhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from rrag_storage import BackendUnavailableError, StorageError, connect
from rrag_storage.cli.masking import with_password
from rrag_storage.testing import run
from servers import PASSWORD, S3, MariaDB, Postgres, RedisCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORDS = [
    "p@ss:w/o?r#d",
    "x@127.0.0.1:1/other?sslmode=disable#",
    "%41%zz%",
    "a b+c&d=e;f,g",
    "'\"`\\$(x)--",
    "[::1]://",
    "p\u00e5\u00df-\u2713",
    " blanks ",
    "l" * 200,
]

UNPREPARED = ["key-\U0001f511-key", "one\r\ntwo", "tab\tbed"]
"""What PostgreSQL's way of signing in does not take."""

USER = "gr\u00e4ce@h:1/x?"
"""Redis takes no blank in one; MySQL none of more than 80 characters."""


def sql(text: str) -> str:
    """A literal of PostgreSQL's."""
    return "'" + text.replace("'", "''") + "'"


@contextlib.contextmanager
def user_of(server: Any, password: str) -> Iterator[None]:
    """A user with that password is there inside."""
    if isinstance(server, Postgres):
        name = f'"{USER}"'
        server.query(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD {sql(password)}")
    elif isinstance(server, MariaDB):
        name = f"'{USER}'@'%'"
        secret = "CONCAT({})".format(",".join(f"CHAR({byte})" for byte in password.encode()))
        statement = f"CONCAT('CREATE USER {sql(name)[1:-1]} IDENTIFIED BY ', QUOTE({secret}))"
        server.query(f"EXECUTE IMMEDIATE {statement}; GRANT ALL ON app.* TO {name}")
    else:
        for node in server.nodes if isinstance(server, RedisCluster) else [server]:
            node.ask("ACL", "SETUSER", USER, "on", f">{password}", "~*", "&*", "+@all")
    try:
        yield
    finally:
        if isinstance(server, Postgres):
            server.query(f"DROP OWNED BY {name}; DROP ROLE {name}")
        elif isinstance(server, MariaDB):
            server.query(f"DROP USER {name}")
        else:
            for node in server.nodes if isinstance(server, RedisCluster) else [server]:
                node.ask("ACL", "DELUSER", USER)


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "redis", "redis_cluster"])
def test_a_password_of_any_characters(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(kind)
    scheme, _, rest = server.url.partition("://")
    address = rest.rpartition("@")[2]

    async def opens(password: str) -> None:
        encoded = f"{scheme}://{quote(USER, safe='')}:{quote(password, safe='')}@{address}"
        given = with_password(f"{scheme}://{quote(USER, safe='')}@{address}", password)
        for url in (encoded, given):
            async with connect(**server.options(url=url)) as storage:
                await storage.set("key", password)
                assert await storage.get("key") == password
                shown = repr(storage) + storage.url
                assert password not in shown
                assert quote(password, safe="") not in shown
        wrong = password[:-1] + "!"
        with pytest.raises(StorageError) as refused:
            await connect(**server.options(url=encoded.replace(quote(password, safe=""), quote(wrong, safe="")))).open()
        assert not any(text in str(refused.value) for text in (password, wrong, quote(wrong, safe="")))

    for password in PASSWORDS if kind == "postgres" else PASSWORDS + UNPREPARED:
        with user_of(server, password):
            run(opens(password))


def test_a_password_that_postgres_does_not_take(postgres: Postgres) -> None:
    for password in UNPREPARED:
        options = postgres.options(url=postgres.url.replace(f":{PASSWORD}@", f":{quote(password, safe='')}@"))
        with pytest.raises(BackendUnavailableError, match="password") as refused:
            connect(**options).sync.get("key")
        assert not any(odd in str(refused.value) for odd in ("\U0001f511", "\\u", "\\r", "\\t", "\r", "\t", password))


def test_credentials_of_any_characters_of_an_object_store(s3: S3) -> None:
    async def opens(secret: str) -> None:
        options = s3.options()
        options["storage_options"] |= {"access_key_id": USER, "secret_access_key": secret}
        async with connect(**options) as storage:
            await storage.set("key", secret)
            assert await storage.get("key") == secret
            assert secret not in repr(storage) + storage.url

    for secret in PASSWORDS + UNPREPARED:
        run(opens(secret))
