"""An S3 server: s3_server.py, in an interpreter of its own."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any, ClassVar

from .process import PASSWORD, STARTING, USER, Server

BUCKET = "bucket"


class S3(Server):
    """A server that keeps its objects in files. It makes no attempt to survive a power cut."""

    package: ClassVar[str] = "python3"
    place_option: ClassVar[str] = "place"
    one_key_at_a_time: ClassVar[bool] = True
    as_nobody: ClassVar[bool] = False

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}"

    def options(self, **options: Any) -> dict[str, Any]:
        where = super().options()
        own = {"endpoint": f"http://127.0.0.1:{self.port}", "region": "us-east-1"}
        login = {"access_key_id": USER, "secret_access_key": PASSWORD}
        where["url"] += f"/{where.pop(self.place_option)}"
        return {**where, "storage_options": {**own, **login}, "allow_http": True, **options}

    def prepare(self) -> None:
        (self.folder / "data" / BUCKET).mkdir(parents=True)

    def command(self) -> list[str]:
        program = Path(__file__).with_name("s3_server.py")
        return [sys.executable, str(program), str(self.folder / "data"), str(self.port)]

    def answers(self) -> bool:
        try:
            return self._request("PUT", f"/{BUCKET}") == 200
        except OSError:
            return False

    def connections(self) -> int:
        own, established = f"0100007F:{self.port:04X}", "01"
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1] == own and row[3] == established for row in rows)

    def cut(self) -> None:
        # The next request is done and not answered, the one after it is not even done.
        faults = [{"fault": fault} for fault in ("lost", "drop")]
        assert self._request("PUT", "/-/faults", json.dumps(faults)) == 200

    def _request(self, method: str, path: str, body: str = "") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=STARTING)
        try:
            connection.request(method, path, body)
            return connection.getresponse().status
        finally:
            connection.close()
