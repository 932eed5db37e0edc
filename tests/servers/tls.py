"""Certificates, good ones and others, and TLS in front of a server that has none."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

from .process import NOBODY

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

CERTIFICATES = {
    "good": ("localhost", 2),
    "expired": ("localhost", -1),
    "for-another-host": ("elsewhere.invalid", 2),
}
"""Name and days of each that the authority signs; `self-signed` it doesn't."""


def make_certificates(folder: Path) -> None:
    """Writes an authority `ca.pem`, and for each kind NAME.pem with NAME.key, which servers can read."""

    def openssl(arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments.split()], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    openssl(f"req -x509 {NEW_KEY} -keyout ca.key -out ca.pem -subj /CN=authority -days 2")
    openssl(
        f"req -x509 {NEW_KEY} -keyout self-signed.key -out self-signed.pem -subj /CN=localhost -days 2"
        " -addext subjectAltName=DNS:localhost"
    )
    for name, (host, days) in CERTIFICATES.items():
        openssl(f"req {NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={host}")
        (folder / "extensions").write_text(f"subjectAltName=DNS:{host}\nbasicConstraints=CA:FALSE\n")
        openssl(
            f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -out {name}.pem"
            " -extfile extensions"
        )


def install(source: Path, name: str, folder: Path) -> None:
    """Makes the certificate called `name` that of the server that has `folder`: tls.pem, tls.key."""
    for end in ("pem", "key"):
        file = folder / f"tls.{end}"
        file.write_bytes((source / f"{name}.{end}").read_bytes())
        file.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(file, NOBODY, NOBODY)


class TlsFront:
    """Listens on a free loopback port while it is a context: TLS outside, and what is inside passed on in the clear.

    Args:
        port: The server's.
        certificate: Without its ending.
    """

    def __init__(self, port: int, certificate: Path) -> None:
        self.target = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.with_suffix(".pem"), certificate.with_suffix(".key"))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # Whoever refuses the certificate hangs up.
        with (
            client,
            contextlib.suppress(OSError),
            self.context.wrap_socket(client, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", self.target)) as inside,
        ):
            back = threading.Thread(target=_pass_on, args=(inside, outside), daemon=True)
            back.start()
            _pass_on(outside, inside)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
