"""Urls that smuggle: options that no url takes, the same one twice, separators in code, lines and NULs, a second host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rrag_storage import ConfigurationError, DatabaseStorage, ObjectStorage, RedisStorage, connect

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2"

SQL = [
    "HOST/db?host=/tmp",
    "HOST/db?user=root",
    "HOST/db?socket=/run/mysqld.sock",
    "HOST/db?options=-csearch_path=x",
    "HOST/db?sslrootcert=/etc/passwd",
    "HOST/db?SSLMODE=disable",
    "HOST/db?sslmode",
    "HOST/db?sslmode=",
    "HOST/db?sslmode=verify-full&sslmode=disable",
    "HOST/db?ssl-mode=verify_identity&sslmode=disable",
    "HOST/db?&sslmode=require&&sslmode=require",
    "HOST/db?sslmode=verify-full;sslmode=disable",
    "HOST/db?sslmode=verify-full%26sslmode=disable",
    "HOST/db?sslmode%3Ddisable",
    "HOST/db?%73slmode=disable",
    "HOST/db?sslmode=require\n",
    "HOST/db?sslmode=require#sslmode=disable",
    "HOST/db#x",
    "HOST/db/other",
    "HOST/db%2Fother",
    "HOST/db\n",
    "HOST/db%0a",
    "HOST/db\0",
    "HOST/db%00",
    "HOST/db%",
    "HOST/db%c3%28",
    "HOST",
    "HOST/",
    "HOST?sslmode=require",
    "HOST;x/db",
    "HOST,other/db",
    "HOST\n/db",
    "HOST%0d%0a/db",
    "HOST%2Ftmp/db",
    "HOST%3A1:2/db",
    "HOST%40other/db",
    "HOST:1:2/db",
    "HOST:0/db",
    "HOST:65536/db",
    "HOST:+1/db",
    "HOST: 1/db",
    "HOST@other/db",
    "%2Ftmp/db",
    "[::1]x/db",
    "[::1]x:5432/db",
    "[::1/db",
    "/db",
]
"""What stands behind the login, where HOST is a host."""

REDIS = [
    "HOST/0?db=1",
    "HOST?ssl_cert_reqs=none",
    "HOST/0/1",
    "HOST/-1",
    "HOST/1.0",
    "HOST/0%00",
    "HOST/%30",
    "HOST/99999999999",
    "HOST#insecure",
    "HOST#x",
    "HOST\r\nFLUSHALL",
    "HOST%0d%0aFLUSHALL",
    "HOST%23insecure",
    "HOST%2F1",
    "HOST;x",
    "HOST,other",
    "HOST,",
    "HOST:0",
    "HOST:65536",
    "HOST:1:2",
    "HOST:+1",
    "HOST@other",
    "[::1]x",
    "[::1]x:6379",
    "[::1",
    "/0",
    "",
]

OTHERS = [
    f"rediss://ada:{SECRET}@h#INSECURE",
    f"rediss://ada:{SECRET}@h#insecure#insecure",
    f"rediss://ada:{SECRET}@h/0#insecure?db=1",
    f"redis+cluster://ada:{SECRET}@a:1,,b:2",
    f"redis+cluster://ada:{SECRET}@a:1,b:2/1",
    f"redis+cluster://ada:{SECRET}@a:1@b:2",
    f"redis://{SECRET}@h",
    f"redis://ada:{SECRET}%zz@h",
    f"redis://ada:{SECRET}%c3%28@h",
    f"unix:///s?pass={SECRET}&pass=",
    "unix:///s?db=1&db=2",
    "unix:///s?DB=1",
    f"unix:///s?pass={SECRET}&path=/etc",
    "unix:///s%00",
    "unix://host/s",
    f"postgres:///db?user=ada&password={SECRET}",
    f"postgres:ada:{SECRET}@h/db",
    f"postgres:/ada:{SECRET}@h/db",
    f" postgres://ada:{SECRET}@h/db",
    f"postgres\n://ada:{SECRET}@h/db",
    f"postgres+psycopg://ada:{SECRET}@h/db",
    f"postgres://:{SECRET}@h/db",
    f"postgres://ada%00:{SECRET}@h/db",
    f"mysql://ada:{SECRET}%00@h/db",
    f"s3://{SECRET}@bucket/x",
    f"s3://ada:{SECRET}@bucket/x",
    f"s3://bucket:{SECRET}/x",
    f"s3://bucket/x?secret={SECRET}",
    f"s3://bucket/x#{SECRET}",
    "s3://bucket/../other",
    "s3://bucket/x/./y",
    "s3://bucket/x\n",
    "s3://bucket/x\0",
    "s3://bucket%2Fother/x",
    "s3://bucket\n/x",
    "s3://",
    "file:///x?allow=1",
    "file:///x\0",
    "file:///",
    "file://host/x",
    "file:x",
    "sqlite:x.db?mode=ro",
    "sqlite:x.db?immutable=1&mode=memory",
    "sqlite:file:x.db?vfs=unix-none",
    "sqlite:x.db\0.txt",
    "memory://?max_keys=1",
    "memory:///",
    "memory:// ",
    "memory://#",
]


def refused() -> list[str]:
    """Every url that is refused."""
    servers = [("postgres", SQL), ("mysql", SQL), ("redis", REDIS), ("redis+cluster", REDIS)]
    urls = [f"{scheme}://ada:{SECRET}@{rest.replace('HOST', 'h')}" for scheme, table in servers for rest in table]
    # Several hosts are what a cluster's url is for.
    urls.remove(f"redis+cluster://ada:{SECRET}@h,other")
    return urls + OTHERS


@pytest.mark.parametrize("url", refused(), ids=repr)
def test_what_smuggles_is_refused_unopened(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as error:
        connect(url)
    for text in (str(error.value), repr(error.value), repr(error.value.__cause__), repr(error.value.__context__)):
        assert SECRET not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgres://ada:{SECRET}@h/db%3Fsslmode=disable", "postgres://h:5432/db?sslmode=disable"),
        (f"postgres://ada:{SECRET}@h/db;x=1", "postgres://h:5432/db;x=1"),
        (f"postgres://ada:{SECRET}%0aSELECT@h/db?", "postgres://h:5432/db"),
        (f"mysql://ada%40host:{SECRET}%3Fx%26y%23z%2F@[fe80::1%25eth0]/db", "mysql://[fe80::1%eth0]:3306/db"),
        (f"redis://ada%3Ax:{SECRET}%0d%0aFLUSHALL%00@h", "redis://h:6379/0"),
        ("s3://bucket/%2e%2e/x;y=1", "s3://bucket/%2e%2e/x;y=1"),
        ("file:///x%00#y;z=1", "file:///x%00#y;z=1"),
    ],
)
def test_what_is_encoded_stays_in_its_place(url: str, shown: str) -> None:
    storage = connect(url)
    assert storage.url == shown
    assert SECRET not in repr(storage)
    assert isinstance(storage, DatabaseStorage | RedisStorage | ObjectStorage)


@pytest.mark.parametrize(
    "name", ["a?b", "a?b=c?d", "a#b=c", "a;mode=ro", "a%3Fmode=ro", "file:a", "a\nb", "a?%6dode=ro"]
)
def test_a_path_names_a_file_and_no_options(name: str, tmp_path: Path) -> None:
    with DatabaseStorage(f"sqlite:{tmp_path}/{name}").sync as storage:
        storage.set("key", 1)
    with ObjectStorage(f"file://{tmp_path}/objects-{name}").sync as objects:
        objects.set("key", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"objects-{name}"])
