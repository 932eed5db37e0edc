"""A small S3 server for tests: the requests that the object store engine sends, with their conditions.

    python s3_server.py FOLDER [PORT]

prints the port that it listens on, serves each folder below FOLDER as a bucket, and keeps its objects there: killed and
started again it has all that it acknowledged. It checks no signature. `PUT /BUCKET` makes a bucket.

`PUT /-/faults` takes a JSON list of faults for the next requests, first come, first served:
``{"method": "PUT", "contains": "name", "fault": "lost"}``. A fault is ``lost`` (done, and the connection cut before
the answer), ``drop`` (cut before anything is done), ``slow`` (503, nothing done), ``late`` (done
after half a second) or ``hang`` (no answer for 60 s).
`GET /-/requests` gives how many requests of which kind there were since the last time.
"""

from __future__ import annotations

import bisect
import collections
import hashlib
import http.client
import json
import os
import re
import socket
import sys
import threading
import time
import urllib.parse
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 1000


class Refusal(Exception):
    """What is answered instead."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Store:
    """Objects as files; the name and the ETag of each are its first line."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        self.cached: dict[tuple[str, str], tuple[str, bytes, float]] = {}
        self.names: dict[str, list[bytes]] = collections.defaultdict(list)
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.faults: list[dict[str, str]] = []
        self.requests: collections.Counter[str] = collections.Counter()
        for file in root.glob("*/*.object"):
            head, body = file.read_bytes().split(b"\n", 1)
            name, etag = json.loads(head)
            self.cached[file.parent.name, name] = (etag, body, file.stat().st_mtime)
            self.names[file.parent.name].append(name.encode())
        for names in self.names.values():
            names.sort()

    def bucket(self, name: str) -> None:
        if not name or not (self.root / name).is_dir():
            raise Refusal(404, "NoSuchBucket")

    def file(self, bucket: str, name: str) -> Path:
        return self.root / bucket / f"{hashlib.sha256(name.encode()).hexdigest()}.object"

    def get(self, bucket: str, name: str) -> tuple[str, bytes, float] | None:
        self.bucket(bucket)
        return self.cached.get((bucket, name))

    def check(self, bucket: str, name: str, headers: Any) -> None:
        now = self.get(bucket, name)
        if headers.get("If-None-Match") == "*" and now is not None:
            raise Refusal(412, "PreconditionFailed")
        wanted = headers.get("If-Match")
        if wanted is not None:
            if now is None:
                raise Refusal(404, "NoSuchKey")
            if now[0] != wanted:
                raise Refusal(412, "PreconditionFailed")

    def put(self, bucket: str, name: str, body: bytes, etag: str) -> None:
        file = self.file(bucket, name)
        staged = file.with_suffix(f".{threading.get_ident()}")
        staged.write_bytes(json.dumps([name, etag]).encode() + b"\n" + body)
        os.replace(staged, file)
        if (bucket, name) not in self.cached:
            bisect.insort(self.names[bucket], name.encode())
        self.cached[bucket, name] = (etag, body, time.time())

    def delete(self, bucket: str, name: str) -> None:
        self.bucket(bucket)
        if self.cached.pop((bucket, name), None) is not None:
            names = self.names[bucket]
            del names[bisect.bisect_left(names, name.encode())]
            self.file(bucket, name).unlink(missing_ok=True)

    def list(self, bucket: str, prefix: str, after: str) -> Iterator[str]:
        """The names that start with `prefix` and follow `after`, in order."""
        self.bucket(bucket)
        names, start = self.names[bucket], prefix.encode()
        at = max(bisect.bisect_left(names, start), bisect.bisect_right(names, after.encode()))
        while at < len(names) and names[at].startswith(start):
            yield names[at].decode()
            at += 1


class Headers(dict[str, str]):
    """Headers by their names, in any case."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    # One write for head and body, at once on its way.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_any(self) -> None:
        store = self.server.store
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        bucket, _, name = path.removeprefix("/").partition("/")
        if bucket == "-":
            return self.control(name, body)
        kind = self.kind(name, query)
        fault = self.fault()
        with store.lock:
            store.requests[kind] += 1
        if fault == "drop":
            return self.cut()
        if fault == "hang":
            time.sleep(60)
            return self.cut()
        if fault == "late":
            time.sleep(0.5)
        if fault == "slow":
            return self.refuse(Refusal(503, "SlowDown"))
        try:
            with store.lock:
                answer = self.answer(kind, bucket, name, query, body)
        except Refusal as refusal:
            if fault == "lost":
                return self.cut()
            return self.refuse(refusal)
        if fault == "lost":
            return self.cut()
        return self.send(*answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815  # http.server's names

    def parse_request(self) -> bool:
        """Much less thorough than the standard library's, and ten times as fast."""
        self.command, self.path, self.request_version = self.raw_requestline.decode().split()
        headers = Headers()
        while line := self.rfile.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        self.headers = headers  # type: ignore[assignment]
        self.close_connection = headers.get("Connection", "").lower() == "close"
        return True

    def kind(self, name: str, query: dict[str, str]) -> str:
        if not name:
            return {"GET": "list", "POST": "delete_many", "PUT": "create"}.get(self.command, self.command)
        if "uploadId" in query:
            return {"PUT": "part", "POST": "complete", "DELETE": "abort"}.get(self.command, self.command)
        if "uploads" in query:
            return "start"
        return self.command.lower()

    def fault(self) -> str | None:
        store = self.server.store
        with store.lock:
            for at, fault in enumerate(store.faults):
                if fault.get("method", self.command) == self.command and fault.get(
                    "contains", ""
                ) in urllib.parse.unquote(self.path):
                    return store.faults.pop(at)["fault"]
        return None

    def answer(
        self, kind: str, bucket: str, name: str, query: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        store = self.server.store
        if kind == "create":
            (store.root / bucket).mkdir(exist_ok=True)
            return 200, {}, b""
        if kind == "list":
            return 200, {"Content-Type": "application/xml"}, self.listing(bucket, query)
        if kind in ("get", "head"):
            return self.object(bucket, name)
        if kind == "put":
            store.check(bucket, name, self.headers)
            etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
            store.put(bucket, name, body, etag)
            return 200, {"ETag": etag}, b""
        if kind == "delete":
            store.delete(bucket, name)
            return 204, {}, b""
        if kind == "delete_many":
            names = [urllib.parse.unquote(key) for key in re.findall(r"<Key>(.*?)</Key>", body.decode())]
            for each in names:
                store.delete(bucket, each)
            gone = "".join(f"<Deleted><Key>{escape(each)}</Key></Deleted>" for each in names)
            return 200, {}, f"<DeleteResult>{gone}</DeleteResult>".encode()
        return self.multipart(kind, bucket, name, query, body)

    def multipart(
        self, kind: str, bucket: str, name: str, query: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        store = self.server.store
        store.bucket(bucket)
        if kind == "start":
            upload = f"upload-{len(store.uploads)}-{time.monotonic_ns()}"
            store.uploads[upload] = {}
            document = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            return 200, {}, document.encode()
        upload = query["uploadId"]
        if upload not in store.uploads:
            raise Refusal(404, "NoSuchUpload")
        if kind == "part":
            store.uploads[upload][int(query["partNumber"])] = body
            return 200, {"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'}, b""
        if kind == "abort":
            del store.uploads[upload]
            return 204, {}, b""
        store.check(bucket, name, self.headers)
        parts = store.uploads.pop(upload)
        if any(len(parts[number]) < 5 * 1024 * 1024 for number in sorted(parts)[:-1]):
            raise Refusal(400, "EntityTooSmall")
        whole = b"".join(parts[number] for number in sorted(parts))
        etag = f'"{hashlib.md5(whole, usedforsecurity=False).hexdigest()}-{len(parts)}"'
        store.put(bucket, name, whole, etag)
        return (
            200,
            {},
            f"<CompleteMultipartUploadResult><ETag>{escape(etag)}</ETag></CompleteMultipartUploadResult>".encode(),
        )

    def object(self, bucket: str, name: str) -> tuple[int, dict[str, str], bytes]:
        found = self.server.store.get(bucket, name)
        if found is None:
            raise Refusal(404, "NoSuchKey")
        etag, body, at = found
        if self.headers.get("If-Match") not in (None, etag):
            raise Refusal(412, "PreconditionFailed")
        headers = {"ETag": etag, "Last-Modified": formatdate(at, usegmt=True), "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not asked:
            return 200, headers, body
        start, end = int(asked[1]), min(int(asked[2]) + 1 if asked[2] else len(body), len(body))
        if start >= len(body):
            raise Refusal(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
        return 206, headers, body[start:end]

    def listing(self, bucket: str, query: dict[str, str]) -> bytes:
        store = self.server.store
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("start-after", "")
        limit = min(int(query.get("max-keys", PAGE)), PAGE)
        entries, seen, last, more = [], set(), "", False
        for name in store.list(bucket, prefix, after):
            rest = name[len(prefix) :]
            common = prefix + rest.split(delimiter)[0] + delimiter if delimiter and delimiter in rest else None
            if common is not None and (common in seen or after.startswith(common)):
                continue
            if len(entries) >= limit:
                more = True
                break
            last = name
            if common is not None:
                seen.add(common)
                entries.append(f"<CommonPrefixes><Prefix>{escape(common)}</Prefix></CommonPrefixes>")
                last = common + "\U0010ffff"
                continue
            etag, body, at = store.cached[bucket, name]
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at))
            entries.append(
                f"<Contents><Key>{escape(name)}</Key><LastModified>{stamp}</LastModified>"
                f"<ETag>{escape(etag)}</ETag><Size>{len(body)}</Size></Contents>"
            )
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
        return f"<ListBucketResult>{''.join(entries)}{token}</ListBucketResult>".encode()

    def control(self, name: str, body: bytes) -> None:
        store = self.server.store
        with store.lock:
            if name == "faults":
                store.faults = json.loads(body)
                return self.send(200, {}, b"")
            counted = json.dumps(store.requests).encode()
            store.requests.clear()
        return self.send(200, {}, counted)

    def refuse(self, refusal: Refusal) -> None:
        body = f"<Error><Code>{refusal.code}</Code><Message>as asked</Message></Error>".encode()
        self.send(refusal.status, {"Content-Type": "application/xml"}, body)

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status} {http.client.responses[status]}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode()
        self.wfile.write(head if self.command == "HEAD" else head + body)
        self.wfile.flush()

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.store = Store(folder)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


def main() -> None:
    server = Server(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
