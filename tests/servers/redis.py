"""A Redis server, and a cluster of three."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, ClassVar

from .process import PASSWORD, STARTING, USER, Places, Server, program

if TYPE_CHECKING:
    from typing_extensions import Self

SLOTS = 16_384

ALL = ("~*", "&*", "+@all")
"""Every permission. Redis reads its append-only file as the default user, even where nobody may sign in as that: without
permissions it would leave out all transactions, silently."""


class Redis(Server):
    """Redis; with `durable` each write is on the disk before it is answered."""

    package: ClassVar[str] = "redis-server"
    place_option: ClassVar[str] = "key_prefix"

    def __init__(self, *options: str, durable: bool = True) -> None:
        self.program = program("redis-server", self.package)
        super().__init__(durable=durable)
        self.settings = options

    @property
    def url(self) -> str:
        return f"redis://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        durability = ["--appendonly", "yes", "--appendfsync", "always"] if self.durable else ["--appendonly", "no"]
        return [
            self.program,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--save", "", "--user", "default", "off", *ALL, "--user", USER, "on", f">{PASSWORD}", *ALL),
            *durability,
            *self.settings,
        ]

    def answers(self) -> bool:
        try:
            return bool(self.ask("PING") == "PONG")
        except (OSError, RuntimeError):  # not yet there; or still loading what it holds
            return False

    def ask(self, *words: object) -> Any:
        """The server's answer to one command, on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=STARTING) as connection:
            stream = connection.makefile("rwb")
            for command in (("AUTH", USER, PASSWORD), words):
                encoded = [str(word).encode() for word in command]
                stream.write(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded))
            stream.flush()
            _answer(stream)
            return _answer(stream)

    def connections(self) -> int:
        return len(self._clients())

    def cut(self) -> None:
        for number in self._clients():
            self.ask("CLIENT", "KILL", "ID", number)

    def _clients(self) -> list[str]:
        """The ids of the clients' connections, the one that asks and those of a cluster's nodes left out."""
        rows = [dict(word.split("=", 1) for word in row.split()) for row in self.ask("CLIENT", "LIST").splitlines()]
        return [row["id"] for row in rows if row["cmd"] != "client|list" and "M" not in row["flags"]]


def _answer(stream: Any) -> Any:
    line = stream.readline()
    if not line:
        raise ConnectionError("the server closed the connection")
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"-":
        raise RuntimeError(rest)
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode(errors="replace")
    if kind == b"*":
        return [_answer(stream) for _ in range(int(rest))]
    return rest


class RedisCluster(Places):
    """Three masters, no replicas."""

    place_option: ClassVar[str] = "key_prefix"

    def __init__(self, *, durable: bool = True) -> None:
        super().__init__()
        options = (
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
            "--cluster-require-full-coverage",
            "no",
        )
        self.nodes = [Redis(*options, durable=durable) for _ in range(3)]

    @property
    def url(self) -> str:
        return self.nodes[0].url.replace("redis://", "redis+cluster://")

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            share = -(-SLOTS // len(self.nodes))
            for number, node in enumerate(self.nodes):
                node.ask("CLUSTER", "ADDSLOTSRANGE", number * share, min((number + 1) * share, SLOTS) - 1)
                node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
            self.wait()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.close()

    def wait(self) -> None:
        """Waits until every node knows all the others."""
        end = time.monotonic() + STARTING
        while not all(self._knows_all(node) for node in self.nodes):
            assert time.monotonic() < end, self.nodes[0].ask("CLUSTER", "NODES")
            time.sleep(0.01)

    def _knows_all(self, node: Redis) -> bool:
        state = node.ask("CLUSTER", "INFO")
        linked = node.ask("CLUSTER", "NODES").count(" connected ")
        return "cluster_state:ok" in state and f"cluster_slots_ok:{SLOTS}" in state and linked == len(self.nodes)

    def kill(self) -> None:
        """Kills every node."""
        for node in self.nodes:
            node.kill()

    def terminate(self) -> None:
        """Asks every node to end."""
        for node in self.nodes:
            node.terminate()

    def restart(self) -> None:
        """Starts every node again."""
        for node in self.nodes:
            node.restart()
        self.wait()

    def stop(self) -> None:
        """Freezes every node."""
        for node in self.nodes:
            node.stop()

    def cont(self) -> None:
        """Lets every node go on."""
        for node in self.nodes:
            node.cont()

    def connections(self) -> int:
        """How many connections clients have open, all nodes together."""
        return sum(node.connections() for node in self.nodes)

    def cut(self) -> None:
        """Has every node close its clients' connections."""
        for node in self.nodes:
            node.cut()
