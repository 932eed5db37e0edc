"""Exports as Parquet files, in row groups of bounded size. pyarrow comes with the extra `parquet`.

=============  ================================  ===================================================
column         type
=============  ================================  ===================================================
`key`          string
`value`        string                            the value, as docs/cli.md writes it
`kind`         string                            for those who query the file; not read
`created_at`   timestamp of microseconds, UTC    the same
`updated_at`   timestamp of microseconds, UTC    the same
`expires_at`   timestamp of milliseconds, UTC    null where it never expires
=============  ================================  ===================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

from . import notation
from .exits import CommandError
from .records import BadRecordError, CutOffError, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .. import MemoryEntry

GROUP_ROWS = 5_000
GROUP_BYTES = 16 * 1024 * 1024
_BATCH = 500
_COLUMNS = ["key", "value", "expires_at"]


def _arrow(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise CommandError(f"Parquet needs an extra: pip install 'rrag-storage[parquet]' ({error})") from None


def _schema() -> Any:
    arrow = _arrow("pyarrow")
    microseconds, milliseconds = (arrow.timestamp(unit, tz="UTC") for unit in ("us", "ms"))
    return arrow.schema(
        [
            arrow.field("key", arrow.string(), nullable=False),
            arrow.field("value", arrow.string(), nullable=False),
            arrow.field("kind", arrow.string(), nullable=False),
            arrow.field("created_at", microseconds, nullable=False),
            arrow.field("updated_at", microseconds, nullable=False),
            arrow.field("expires_at", milliseconds),
        ],
        metadata={"rrag-storage": "1"},
    )


class ParquetWriter:
    """Writes an export to a binary stream; `finish` makes it whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._schema = _schema()
        self._writer = _arrow("pyarrow.parquet").ParquetWriter(stream, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def write(self, entry: MemoryEntry) -> None:
        """Adds an entry."""
        value = notation.dumps(entry.value, entry.kind)
        names = ("key", "kind", "created_at", "updated_at", "expires_at")
        self._rows.append({"value": value, **{name: getattr(entry, name) for name in names}})
        self._bytes += len(entry.key) + len(value)
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        """Writes what is left and the file's end."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            table = _arrow("pyarrow").Table.from_pylist(self._rows, schema=self._schema)
            self._writer.write_table(table, row_group_size=len(self._rows))
            self._rows, self._bytes = [], 0


def read_parquet(stream: IO[bytes]) -> Iterator[Record | BadRecordError]:
    """The records of a file, and in their places the rows that are none.

    Raises:
        CutOffError: it is no such file, or a part of it is damaged.
    """
    arrow = _arrow("pyarrow")
    try:
        with _arrow("pyarrow.parquet").ParquetFile(stream) as file:
            missing = set(_COLUMNS) - set(file.schema_arrow.names)
            if missing:
                raise CutOffError(f"the file has no column {sorted(missing)[0]!r}: it is no export")
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=_COLUMNS):
                for row in batch.to_pylist():
                    number += 1
                    yield _record(f"row {number}", **row)
    except (arrow.ArrowException, OSError) as error:
        raise CutOffError(f"the Parquet file can't be read: {error}") from None


def _record(place: str, key: Any, value: Any, expires_at: Any) -> Record | BadRecordError:
    if type(key) is not str or type(value) is not str:
        return BadRecordError(place, "its key or its value is no text")
    try:
        return Record(place, key, notation.loads(value), expires_at, len(key) + len(value))
    except notation.NotationError as error:
        return BadRecordError(place, str(error))
