"""Passwords: from the environment into a url that has none, and out of everything that is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

PASSWORD = "RRAG_STORAGE_PASSWORD"
"""The environment variable with the password of a url that has none."""
TARGET_PASSWORD = "RRAG_STORAGE_TARGET_PASSWORD"
"""The same of the storage that `copy` writes to: no server is told the password of another."""

_SERVERS = re.compile(r"(postgres(?:ql)?|mysql|mariadb|rediss?(?:\+cluster)?|valkeys?(?:\+cluster)?)://", re.IGNORECASE)
_SOCKETS = re.compile(r"(?:redis\+)?unix://", re.IGNORECASE)


def with_password(url: str, password: str | None) -> str:
    """`url` with `password` in it where it leads to a server and has none of its own."""
    if not password:
        return url
    secret = quote(password, safe="")
    if _SOCKETS.match(url):
        path, _, query = url.partition("?")
        options = [option for option in query.split("&") if option]
        if any(option.startswith("pass=") for option in options):
            return url
        return f"{path}?{'&'.join([*options, f'pass={secret}'])}"
    scheme = _SERVERS.match(url)
    if scheme is None:
        return url
    rest = url[scheme.end() :]
    login, _, place = rest.rpartition("@")
    if ":" in login:
        return url
    return f"{scheme.group()}{login}:{secret}@{place}"


def masked(text: str, arguments: Iterable[str]) -> str:
    """`text` without the logins of urls: those among `arguments`, as they stand there, and whatever else looks like one."""
    for argument in arguments:
        scheme, _, rest = argument.partition("://")
        _, at, place = rest.rpartition("@")
        if not at:
            continue
        for shown in (argument, repr(argument)[1:-1]):
            text = text.replace(shown, f"{scheme}://***@{place}")
    text = re.sub(r"(\w://)[^\s@/]+@", r"\1***@", text)
    return re.sub(r"([?&]pass(?:word)?=)[^&\s'\")]+", r"\1***", text)
