"""An S3 server: s3_server.py, in an interpreter of its own."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path
from typing import Any, ClassVar

from .process import PASSWORD, USER, Server

BUCKET = "bucket"


class S3(Server):
    """A server that keeps its objects in files. It makes no attempt to survive a power cut."""

    package: ClassVar[str] = "python3"
    place_option: ClassVar[str] = "place"
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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("PUT", f"/{BUCKET}")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
