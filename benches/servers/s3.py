"""An object store in a process of its own, which answers at once: what is measured is the client."""

from __future__ import annotations

import http.client
import subprocess
import sys
from pathlib import Path

from .base import STOPPING, Server

KEY_ID = "bench"
SECRET = "bench-secret"
REGION = "us-east-1"


class ObjectStore(Server):
    """The stub. It runs as this process's user: its interpreter may be out of reach for another."""

    name = "S3 stub"

    def start(self) -> None:
        stub = Path(__file__).with_name("s3_stub.py")
        self.process = subprocess.Popen(
            [sys.executable, str(stub)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def fresh(self, contender: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=STOPPING)
        connection.request("DELETE", f"/bench-{contender}?everything")
        connection.getresponse().read()
        connection.close()
        return f"s3://bench-{contender}"

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def version(self) -> str:
        return "the stub in benches/servers: objects in memory, signatures not checked, no delay"
