"""Passwords and keys: where they come from, and that they are never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from conftest import place_on
from rrag_storage.cli import commands
from rrag_storage.cli.masking import masked, with_password
from servers import PASSWORD, free_port

if TYPE_CHECKING:
    from conftest import Command
    from servers import Postgres, Redis

HARD = "p/w@:%?# é"
"""A password with everything that means something in a url."""


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("postgres://ada@h/db?sslmode=require", "postgres://ada:{}@h/db?sslmode=require"),
        ("postgresql://h", "postgresql://:{}@h"),
        ("mysql://ada@h:1/db", "mysql://ada:{}@h:1/db"),
        ("mariadb://ada@h/db", "mariadb://ada:{}@h/db"),
        ("REDIS://h:1", "REDIS://:{}@h:1"),
        ("rediss://ada@h", "rediss://ada:{}@h"),
        ("redis+cluster://a:1,b:2", "redis+cluster://:{}@a:1,b:2"),
        ("valkey://h", "valkey://:{}@h"),
        ("unix:///run/r.sock", "unix:///run/r.sock?pass={}"),
        ("unix:///run/r.sock?db=1", "unix:///run/r.sock?db=1&pass={}"),
        ("unix:///run/r.sock?pass=x", "unix:///run/r.sock?pass=x"),
        ("redis://:own@h", "redis://:own@h"),
        ("postgres://ada:own@h/db", "postgres://ada:own@h/db"),
        ("sqlite:a@b.db", "sqlite:a@b.db"),
        ("s3://bucket/x", "s3://bucket/x"),
        ("memory://", "memory://"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_url_without_a_password_gets_one(url: str, made: str) -> None:
    assert with_password(url, HARD) == made.format(quote(HARD, safe=""))
    assert with_password(url, None) == with_password(url, "") == url


def test_the_environment_has_the_password(cli: Command, postgres: Postgres, redis: Redis) -> None:
    for server in (postgres, redis):
        where = place_on(server)
        url = where.url.replace(f":{PASSWORD}@", "@")
        environment = {"RRAG_STORAGE_PASSWORD": PASSWORD}
        cli("set", url, *where.option, "key", "value", env=environment)
        assert cli("get", url, *where.option, "key", env=environment).stdout == "value\n"
        done = cli("get", url, *where.option, "key", env={"RRAG_STORAGE_PASSWORD": PASSWORD + "x"}, code=3)
        assert done.stdout == ""
        assert '"url":' in cli("stats", *where.arguments, "--json").stdout
    # Each of two storages has its own: neither server is told the other's.
    source, target = place_on(postgres), place_on(redis)
    urls = [place.url.replace(f":{PASSWORD}@", "@") for place in (source, target)]
    both = {"RRAG_STORAGE_PASSWORD": PASSWORD, "RRAG_STORAGE_TARGET_PASSWORD": PASSWORD}
    with source.storage().sync as storage:
        storage.set("key", "value")
    arguments = ("copy", *urls, *source.option, *(word.replace("--", "--target-") for word in target.option))
    assert "1 copied" in cli(*arguments, env=both).stdout
    assert "no password" in cli(*arguments, env={"RRAG_STORAGE_PASSWORD": PASSWORD}, code=2).stderr


def bad_urls() -> list[str]:
    port = free_port()
    return [
        f"postgres://ada:{PASSWORD}@127.0.0.1:{port}/x",
        f"mysql://ada:{PASSWORD}@127.0.0.1:{port}/x",
        f"redis://ada:{PASSWORD}@127.0.0.1:{port}",
        f"redis+cluster://ada:{PASSWORD}@127.0.0.1:{port}",
        f"oracle://ada:{PASSWORD}@127.0.0.1/x",
        f"postgres://ada:{PASSWORD}@127.0.0.1:port/x",
        f"postgres://ada:a/{PASSWORD}@127.0.0.1:{port}/x",
        f"postgres://ada:a b@{PASSWORD}@127.0.0.1:{port}/x",
        f"redis://:'{PASSWORD}\\@127.0.0.1:{port}",
        f"unix:///nowhere?pass={PASSWORD}",
    ]


def test_no_message_shows_a_url_s_password(cli: Command, sqlite: Any) -> None:
    """The fixture looks for it in everything that was printed."""
    cli("set", sqlite.url, "key", "value")
    for url in bad_urls():
        for arguments in (("stats", url, "--timeout", "0.5"), ("copy", sqlite.url, url, "--target-timeout", "0.5")):
            done = cli(*arguments, code=None)
            assert done.exit_code in (2, 3)
            assert done.stderr.startswith("rrag-storage: ")


def test_no_usage_error_repeats_one(cli: Command) -> None:
    for url in bad_urls():
        cli(url, code=2)
        cli("stats", "sqlite:x.db", url, code=2)
        cli("stats", url, "--no-such-option", code=2)
        cli("stats", f"--no-such-option={url}", code=2)
        cli("stats", url, f"--timeout={url}", code=2)
        cli("watch", url, "--count", url, code=2)
        cli("set", url, "key", "--type", url, code=2)


def test_a_fault_shows_a_traceback_without_one(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    url = bad_urls()[0]

    def fail(*_: object) -> None:
        password = PASSWORD  # a local, which no traceback shows
        raise RuntimeError(f"no idea what to do with {url}", len(password))

    monkeypatch.setattr(commands.stats.__globals__["output"], "say_json", fail)
    monkeypatch.setattr("rrag_storage.cli.places.connect", fail)
    done = cli("stats", url, "--json", code=70)
    assert "RuntimeError" in done.stderr
    assert "postgres://***@127.0.0.1" in done.stderr


@pytest.mark.parametrize(
    ("text", "arguments", "shown"),
    [
        ("no 'redis://:a/b@c@h'", ["redis://:a/b@c@h"], "no 'redis://***@h'"),
        ("no 'redis://:a\\\\b@h'", ["redis://:a\\b@h"], "no 'redis://***@h'"),
        ("no --x=pg://u:p@h", ["--x=pg://u:p@h"], "no --x=pg://***@h"),
        ("at postgres://u:p@h/d", [], "at postgres://***@h/d"),
        ("at unix:///s?db=1&pass=p", [], "at unix:///s?db=1&pass=***"),
        ("a@b and c://d", ["a@b"], "a@b and c://d"),
    ],
)
def test_masking(text: str, arguments: list[str], shown: str) -> None:
    assert masked(text, arguments) == shown
