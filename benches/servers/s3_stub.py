"""The part of S3's protocol that clients of it need, in memory, as quickly as one thread of Python can.

Run as a script it prints its port and serves until its input ends. Objects with conditions, ranges, listings, batch
deletes and multipart uploads are served; signatures are not looked at, checksums neither asked for nor given.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import threading
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import cast
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

LAST_MODIFIED = formatdate(usegmt=True)
REASONS = {
    100: "Continue",
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    304: "Not Modified",
    404: "Not Found",
    412: "Precondition Failed",
    416: "Range Not Satisfiable",
    501: "Not Implemented",
}
LISTING_LIMIT = 1000


@dataclass(slots=True)
class Object:
    """A body, the tag of this version of it, and the headers that come back with it."""

    body: bytes | bytearray
    etag: str
    headers: str


@dataclass
class Bucket:
    """Objects by key, the keys in order, and uploads under way."""

    objects: dict[str, Object] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    uploads: dict[str, dict[int, bytes | bytearray]] = field(default_factory=dict)


class Answer(Exception):
    """An answer other than an object: status, body, and headers."""

    def __init__(self, status: int, body: str = "", headers: str = "") -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body.encode(), headers


def failure(status: int, code: str) -> Answer:
    """An error as S3 writes one."""
    return Answer(status, f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}</Message></Error>')


class Store:
    """All buckets: they exist when they are asked for."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.numbers = itertools.count(1)

    def bucket(self, name: str) -> Bucket:
        return self.buckets.setdefault(name, Bucket())

    def etag(self) -> str:
        return f'"{next(self.numbers):032x}"'

    def put(self, bucket: Bucket, key: str, body: bytes | bytearray, headers: dict[str, str]) -> Answer:
        current = bucket.objects.get(key)
        wanted, unwanted = headers.get("if-match"), headers.get("if-none-match")
        if (unwanted == "*" and current) or (wanted and (current is None or current.etag != wanted)):
            return failure(412, "PreconditionFailed") if current or unwanted else failure(404, "NoSuchKey")
        kept = "".join(
            f"{name}: {value}\r\n"
            for name, value in headers.items()
            if name.startswith("x-amz-meta-") or name == "content-type"
        )
        if current is None:
            insort(bucket.keys, key)
        etag = self.etag()
        bucket.objects[key] = Object(body, etag, f"ETag: {etag}\r\nLast-Modified: {LAST_MODIFIED}\r\n{kept}")
        return Answer(200, "", f"ETag: {etag}\r\n")

    def delete(self, bucket: Bucket, key: str) -> None:
        if bucket.objects.pop(key, None) is not None:
            del bucket.keys[bisect_left(bucket.keys, key)]

    def list(self, bucket: Bucket, query: dict[str, str]) -> Answer:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        limit = min(int(query.get("max-keys", LISTING_LIMIT)), LISTING_LIMIT)
        after = query.get("continuation-token") or query.get("start-after", "")
        place = max(bisect_left(bucket.keys, prefix), bisect_right(bucket.keys, after) if after else 0)
        parts: list[str] = []
        last, cut = "", False
        while place < len(bucket.keys) and bucket.keys[place].startswith(prefix):
            key = bucket.keys[place]
            if len(parts) == limit:
                cut = True
                break
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end >= 0:
                common = key[: end + len(delimiter)]
                last = f"{common}\U0010ffff"
                place = bisect_right(bucket.keys, last)
                if not after.startswith(common):
                    parts.append(f"<CommonPrefixes><Prefix>{escape(common)}</Prefix></CommonPrefixes>")
                continue
            found = bucket.objects[key]
            parts.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>{escape(found.etag)}</ETag><Size>{len(found.body)}</Size></Contents>"
            )
            last, place = key, place + 1
        more = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if cut else ""
        return Answer(
            200,
            f'<?xml version="1.0"?><ListBucketResult><KeyCount>{len(parts)}</KeyCount>'
            f"<IsTruncated>{str(cut).lower()}</IsTruncated>{more}{''.join(parts)}</ListBucketResult>",
        )

    def delete_many(self, bucket: Bucket, body: bytes | bytearray) -> Answer:
        keys = [each.text or "" for each in ElementTree.fromstring(bytes(body)).iter() if each.tag.endswith("Key")]
        for key in keys:
            self.delete(bucket, key)
        gone = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return Answer(200, f'<?xml version="1.0"?><DeleteResult>{gone}</DeleteResult>')

    def complete(self, bucket: Bucket, key: str, upload: str, headers: dict[str, str]) -> Answer:
        parts = bucket.uploads.pop(upload, None)
        if parts is None:
            return failure(404, "NoSuchUpload")
        done = self.put(bucket, key, b"".join(parts[number] for number in sorted(parts)), headers)
        if done.status != 200:
            return done
        etag = escape(bucket.objects[key].etag)
        return Answer(
            200,
            f'<?xml version="1.0"?><CompleteMultipartUploadResult><Key>{escape(key)}</Key><ETag>{etag}</ETag>'
            "</CompleteMultipartUploadResult>",
        )

    def serve(self, method: str, target: str, headers: dict[str, str], body: bytes | bytearray) -> Object | Answer:
        """The object that is asked for, or another answer."""
        path, _, text = target.partition("?")
        name, _, key = path.lstrip("/").partition("/")
        key = unquote(key)
        bucket = self.bucket(name)
        if not text and key:
            if method in ("GET", "HEAD"):
                return bucket.objects.get(key) or failure(404, "NoSuchKey")
            if method == "PUT" and "x-amz-copy-source" not in headers:
                return self.put(bucket, key, body, headers)
        query = {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
        query.pop("x-id", None)
        match method:
            case "GET" | "HEAD" if key:
                return bucket.objects.get(key) or failure(404, "NoSuchKey")
            case "GET" | "HEAD":
                return self.list(bucket, query)
            case "DELETE" if "everything" in query:
                self.buckets.pop(name, None)
                return Answer(204)
            case "DELETE" if key:
                bucket.uploads.pop(query.get("uploadId", ""), None)
                if "uploadId" not in query:
                    self.delete(bucket, key)
                return Answer(204)
            case "POST" if "delete" in query:
                return self.delete_many(bucket, body)
            case "POST" if "uploads" in query:
                upload = f"{next(self.numbers):x}"
                bucket.uploads[upload] = {}
                return Answer(
                    200,
                    '<?xml version="1.0"?><InitiateMultipartUploadResult>'
                    f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>",
                )
            case "PUT" if "partNumber" in query:
                bucket.uploads[query["uploadId"]][int(query["partNumber"])] = body
                return Answer(200, "", f"ETag: {self.etag()}\r\n")
            case "POST" if "uploadId" in query:
                return self.complete(bucket, key, query["uploadId"], headers)
            case "PUT" if "x-amz-copy-source" in headers:
                source = unquote(headers["x-amz-copy-source"]).lstrip("/").partition("/")
                found = self.bucket(source[0]).objects.get(source[2])
                if found is None:
                    return failure(404, "NoSuchKey")
                done = self.put(bucket, key, found.body, headers)
                etag = escape(bucket.objects[key].etag)
                return (
                    done
                    if done.status != 200
                    else Answer(200, f"<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>")
                )
            case "PUT" if not key:
                return Answer(200)
            case "PUT":
                return self.put(bucket, key, body, headers)
        return failure(501, "NotImplemented")


class Connection(asyncio.BufferedProtocol):
    """One keep-alive connection. A body is received into the very buffer that is then stored."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.scratch = bytearray(64 * 1024)
        self.pending = bytearray()
        self.body: bytearray | None = None
        self.filled = 0
        self.head: tuple[str, str, dict[str, str]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=1 << 30)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self.body is not None:
            return memoryview(self.body)[self.filled :]
        return memoryview(self.scratch)

    def buffer_updated(self, nbytes: int) -> None:
        if self.body is not None:
            self.filled += nbytes
            if self.filled == len(self.body):
                self.request_ends()
            return
        self.pending += memoryview(self.scratch)[:nbytes]
        while self.body is None and (end := self.pending.find(b"\r\n\r\n")) >= 0:
            self.request_begins(bytes(self.pending[:end]), end + 4)

    def request_begins(self, head: bytes, size: int) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        self.head = (method, target, headers)
        here = self.pending[size : size + length]
        del self.pending[: size + length]
        if len(here) == length:
            self.body, self.filled = here, length
            self.request_ends()
            return
        self.body, self.filled = bytearray(length), len(here)
        self.body[: len(here)] = here
        if headers.get("expect") == "100-continue" and not here:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def request_ends(self) -> None:
        assert self.head is not None
        assert self.body is not None
        method, target, headers = self.head
        body: bytes | bytearray = self.body
        self.head = self.body = None
        if headers.get("content-encoding", "").startswith("aws-chunked"):
            body = unchunked(bytes(body))
        try:
            answer = self.store.serve(method, target, headers, body)
        except Exception as error:  # noqa: BLE001 - the client is told; the next request is served
            print(f"{method} {target}: {error!r}", file=sys.stderr)
            answer = failure(501, "NotImplemented")
        if isinstance(answer, Object):
            self.send_object(answer, headers, bodiless=method == "HEAD")
        else:
            self.send(answer.status, answer.headers, answer.body, bodiless=method == "HEAD")

    def send_object(self, found: Object, headers: dict[str, str], *, bodiless: bool) -> None:
        if headers.get("if-none-match") == found.etag:
            self.send(304, found.headers, b"", bodiless=True)
            return
        if "if-match" in headers and headers["if-match"] != found.etag:
            self.send(412, "", failure(412, "PreconditionFailed").body, bodiless=bodiless)
            return
        body: bytes | bytearray | memoryview = found.body
        if not headers.get("range", "").startswith("bytes="):
            self.send(200, found.headers, body, bodiless=bodiless)
            return
        begin, _, end = headers["range"][6:].partition("-")
        first = int(begin) if begin else max(0, len(body) - int(end))
        last = min(int(end), len(body) - 1) if begin and end else len(body) - 1
        if first > last:
            self.send(416, f"Content-Range: bytes */{len(body)}\r\n", b"", bodiless=bodiless)
            return
        about = f"{found.headers}Content-Range: bytes {first}-{last}/{len(body)}\r\n"
        self.send(206, about, memoryview(body)[first : last + 1], bodiless=bodiless)

    def send(self, status: int, headers: str, body: bytes | bytearray | memoryview, *, bodiless: bool) -> None:
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
        if bodiless or status == 204:
            self.transport.write(head)
        elif len(body) < 16_384:
            self.transport.write(head + bytes(body))
        else:
            self.transport.write(head)
            self.transport.write(body)


def unchunked(framed: bytes) -> bytes:
    """The payload of a body in aws-chunked encoding."""
    parts, place = [], 0
    while True:
        end = framed.index(b"\r\n", place)
        size = int(framed[place:end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(framed[end + 2 : end + 2 + size])
        place = end + 4 + size


async def main() -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    store = Store()
    server = await loop.create_server(lambda: Connection(store), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    await ended.wait()


if __name__ == "__main__":
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main())
