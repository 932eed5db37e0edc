"""A TCP proxy in front of a server, that can keep the server's answers to itself, or close in the middle of one."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

CHUNK = 65_536


class Proxy:
    """Listens on a free loopback port while it is a context, and passes all bytes on to another port and back.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.passing: int | None = None
        self.swallowed = 0
        self.answered = 0
        self.remaining: int | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Closing alone would not wake up who waits for a connection.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def options(self, options: dict[str, Any]) -> dict[str, Any]:
        """A storage's arguments, with the proxy in the server's place."""
        real, own = (f"127.0.0.1:{port}" for port in (self.target, self.port))
        changed = {**options, "url": options["url"].replace(real, own)}
        if "storage_options" in options:
            changed["storage_options"] = {k: v.replace(real, own) for k, v in options["storage_options"].items()}
        return changed

    def swallow(self, after: int = 0) -> None:
        """From now on the server gets what it is asked, and nobody gets its answers, but for so many of them."""
        self.swallowed = 0
        self.passing = after

    def break_after(self, count: int) -> None:
        """Of what the server answers from now on so many bytes arrive; with the next one its connection is closed."""
        with self.lock:
            self.remaining = count

    @property
    def breaks(self) -> bool:
        """Whether a connection is still to be closed, as `break_after` said."""
        return self.remaining is not None

    def cut(self) -> None:
        """Closes all connections; new ones are as they were at first."""
        self.passing = self.remaining = None
        self.close_all()

    def close_all(self) -> None:
        """Closes all connections."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # it is down
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((client, server))
            asked = threading.Event()
            threading.Thread(target=self._ask, args=(client, server, asked), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client, asked), daemon=True).start()

    def _ask(self, source: socket.socket, target: socket.socket, asked: threading.Event) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                asked.set()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def _answer(self, source: socket.socket, target: socket.socket, asked: threading.Event) -> None:
        kept = False
        with source, contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                # What comes before the next question belongs to the same answer.
                if asked.is_set():
                    asked.clear()
                    kept = self._keeps()
                if kept:
                    continue
                passed = self._passed(data)
                target.sendall(passed)
                if len(passed) < len(data):
                    break
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def _keeps(self) -> bool:
        """Whether an answer that has arrived is kept from whom it is for."""
        with self.lock:
            if self.passing is None:
                return False
            if self.passing > 0:
                self.passing -= 1
                return False
            self.swallowed += 1
            return True

    def _passed(self, data: bytes) -> bytes:
        """As much of an answer as arrives."""
        with self.lock:
            self.answered += len(data)
            if self.remaining is None:
                return data
            passed = data[: self.remaining]
            self.remaining = self.remaining - len(data) if len(passed) == len(data) else None
            return passed
