"""The tables: values that come back exactly, values that are refused with their path, keys that are easy to get wrong."""

from __future__ import annotations

import array
import collections
import enum
import math
import sys
import types
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from . import unsupported

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEEPEST = 128
"""The deepest nesting of containers that is stored."""


class Value(NamedTuple):
    """A value that comes back equal and of the same type, and the kind that it is stored as."""

    name: str
    value: Any
    kind: str


class Refused(NamedTuple):
    """What makes a value that is refused, where in it the reason is, and a word that the message holds."""

    name: str
    make: Callable[[], Any]
    path: str
    word: str


def nested(depth: int, innermost: Any = 0, wrap: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    """`innermost` in `depth` containers."""
    value = innermost
    for _ in range(depth):
        value = wrap(value)
    return value


def _mixed(inner: Any) -> Any:
    return {"in": inner} if isinstance(inner, list) else [inner]


def _zone(**offset: float) -> timezone:
    return timezone(timedelta(**offset))


SCALARS = [
    Value("none", None, "null"),
    Value("true", True, "boolean"),
    Value("false", False, "boolean"),
    *(
        Value(f"int-{name}", number, "integer")
        for name, number in {
            "0": 0,
            "1": 1,
            "minus-1": -1,
            "23": 23,
            "24": 24,
            "255": 255,
            "256": 256,
            "i32-max": 2**31 - 1,
            "past-2-to-53": 2**53 + 1,
            "i64-max": 2**63 - 1,
            "i64-min": -(2**63),
            "past-i64-max": 2**63,
            "past-i64-min": -(2**63) - 1,
            "u64-max": 2**64 - 1,
            "past-u64-max": 2**64,
            "minus-u64-max": -(2**64),
            "past-minus-u64": -(2**64) - 1,
            "10000-digits": 10**10_000 - 1,
            "minus-10000-digits": 1 - 10**10_000,
        }.items()
    ),
    *(
        Value(f"float-{number!r}", number, "float")
        for number in (0.0, -0.0, 1.0, 0.1, -2.5, 1e300, 5e-324, sys.float_info.max, sys.float_info.min, 2.0**53)
    ),
    Value("float-nan", math.nan, "float"),
    Value("float-inf", math.inf, "float"),
    Value("float-minus-inf", -math.inf, "float"),
    Value("str-empty", "", "string"),
    Value("str-ascii", "value", "string"),
    Value("str-nul", "a\0b\0", "string"),
    Value("str-blanks", " \t\r\n trailing ", "string"),
    Value("str-composed", "caf\u00e9", "string"),
    Value("str-decomposed", "cafe\u0301", "string"),
    Value("str-scripts", "αβγ жзи 漢字 かな العربية עברית हिन्दी 한국어", "string"),
    Value("str-astral", "😀👩‍👩‍👧‍👦\U0010ffff", "string"),
    Value("str-noncharacters", "\ufffe\uffff\ufeff\u202e", "string"),
    Value("str-like-json", '{"a": [1, null]}', "string"),
    Value("str-long", "long " * 20_000, "string"),
    Value("bytes-empty", b"", "bytes"),
    Value("bytes-all", bytes(range(256)), "bytes"),
    Value("bytes-like-pickle", b"\x80\x04cos\nsystem\n", "bytes"),
    Value("bytes-long", bytes(100_000), "bytes"),
    Value("date", date(2024, 2, 29), "date"),
    Value("date-min", date.min, "date"),
    Value("date-max", date.max, "date"),
    Value("time", time(23, 59, 59, 999_999), "time"),
    Value("time-min", time.min, "time"),
    Value("datetime-naive", datetime(2024, 2, 29, 12, 30, 15, 123_456), "datetime"),
    Value("datetime-naive-min", datetime.min, "datetime"),
    Value("datetime-naive-max", datetime.max, "datetime"),
    Value("datetime-before-epoch", datetime(1901, 12, 13, 20, 45, 52, 1), "datetime"),
    Value("datetime-utc", datetime(2024, 2, 29, 12, 30, 15, 1, tzinfo=timezone.utc), "datetime"),
    Value("datetime-utc-min", datetime.min.replace(tzinfo=timezone.utc), "datetime"),
    Value("datetime-utc-max", datetime.max.replace(tzinfo=timezone.utc), "datetime"),
    Value("datetime-offset", datetime(2024, 7, 1, 9, 0, tzinfo=_zone(hours=5, minutes=45)), "datetime"),
    Value("datetime-minus-offset", datetime(2024, 7, 1, 9, 0, tzinfo=_zone(hours=-9, minutes=-30)), "datetime"),
    Value("datetime-offset-of-seconds", datetime(1890, 1, 1, tzinfo=_zone(seconds=3208)), "datetime"),
    Value("datetime-offset-of-a-day", datetime(2024, 7, 1, tzinfo=_zone(hours=23, minutes=59)), "datetime"),
    Value("timedelta-zero", timedelta(0), "timedelta"),
    Value("timedelta-microsecond", timedelta(microseconds=1), "timedelta"),
    Value("timedelta-minus-microsecond", timedelta(microseconds=-1), "timedelta"),
    Value("timedelta-min", timedelta.min, "timedelta"),
    Value("timedelta-max", timedelta.max, "timedelta"),
    *(
        Value(f"decimal-{text}", Decimal(text), "decimal")
        for text in (
            "0",
            "-0",
            "0.00",
            "1.10",
            "-1.5",
            "1E+5",
            "1E-400",
            "123456789012345678901234567890.123456789",
            "Infinity",
            "-Infinity",
            "NaN",
        )
    ),
    Value("uuid", UUID("12345678-1234-5678-9abc-def012345678"), "uuid"),
    Value("uuid-nil", UUID(int=0), "uuid"),
    Value("uuid-max", UUID(int=2**128 - 1), "uuid"),
]
"""Values without others in them."""

CONTAINERS = [
    Value("list-empty", [], "list"),
    Value("list", [None, True, 1, 1.0, "1", b"1", [1], {"1": 1}], "list"),
    Value("list-of-lists", [[], [[]], [[[]]]], "list"),
    Value("list-long", list(range(10_000)), "list"),
    Value("list-of-floats", [0.5, -0.0, math.nan, math.inf], "list"),
    Value("map-empty", {}, "map"),
    Value("map-order", {"z": 1, "a": 2, "m": 3, "": 4, "\0": 5}, "map"),
    Value("map-nested", {"docs": [{"text": "…", "meta": {"tags": ("a", "b"), "at": date(2024, 1, 2)}}]}, "map"),
    Value("map-like-a-tag", {"$type": "int", "__class__": "os.system", "__reduce__": None}, "map"),
    Value("map-of-many", {f"key-{number}": number for number in range(1_000)}, "map"),
    Value("tuple-empty", (), "tuple"),
    Value("tuple", (1, "a", None, (2.5, [3])), "tuple"),
    Value("set-empty", set(), "set"),
    Value("set", {1, "1", b"1", None, (1, 2), frozenset({3})}, "set"),
    Value("set-of-true", {True, 0}, "set"),
    Value("frozenset-empty", frozenset(), "frozenset"),
    Value("frozenset", frozenset({1.5, "a", date(2024, 1, 2), Decimal("1.10")}), "frozenset"),
    Value("deepest-list", nested(DEEPEST), "list"),
    Value("deepest-map", nested(DEEPEST, wrap=lambda inner: {"in": inner}), "map"),
    Value("deepest-tuple", nested(DEEPEST, wrap=lambda inner: (inner,)), "tuple"),
    Value("deepest-mixed", nested(DEEPEST, wrap=_mixed), "map"),
]
"""Values of values."""


def _array_values() -> Iterable[Value]:
    if numpy is None:
        return
    for dtype in (
        "bool",
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *(f"float{bits}" for bits in (16, 32, 64)),
    ):
        yield Value(f"array-{dtype}", numpy.array([[0, 1, 2], [3, 4, 5]]).astype(dtype), "array")
        yield Value(f"scalar-{dtype}", numpy.dtype(dtype).type(1), "array")
    floats = numpy.array([math.nan, math.inf, -math.inf, -0.0, 5e-324])
    grid = numpy.arange(24, dtype="int32").reshape(2, 3, 4)
    read_only = numpy.arange(3)
    read_only.flags.writeable = False
    yield from (
        Value("array-special-floats", floats, "array"),
        Value("array-extremes", numpy.array([2**63 - 1, -(2**63)]), "array"),
        Value("array-unsigned-extremes", numpy.array([2**64 - 1, 0], dtype="uint64"), "array"),
        Value("array-no-dimension", numpy.array(2.5), "array"),
        Value("array-empty", numpy.array([], dtype="float32"), "array"),
        Value("array-empty-shape", numpy.zeros((3, 0, 2), dtype="int16"), "array"),
        Value("array-three-dimensions", grid, "array"),
        Value("array-fortran", numpy.asfortranarray(grid), "array"),
        Value("array-transposed", grid.T, "array"),
        Value("array-strided", grid[:, ::2, 1:], "array"),
        Value("array-reversed", grid[::-1, :, ::-1], "array"),
        Value("array-broadcast", numpy.broadcast_to(numpy.float32(1.5), (4, 3)), "array"),
        Value("array-read-only", read_only, "array"),
        Value("array-embedding", numpy.linspace(-1, 1, 1536, dtype="float32"), "array"),
        Value("scalar-nan", numpy.float32("nan"), "array"),
        Value("scalar-false", numpy.bool_(False), "array"),
        Value("list-of-scalars", [numpy.float32(0.5), numpy.int8(-1)], "list"),
        Value("map-of-arrays", {"vector": numpy.ones(3, dtype="float32"), "text": "…"}, "map"),
    )


ARRAYS = list(_array_values())
"""numpy's, where it is installed."""

VALUES = [*SCALARS, *CONTAINERS, *ARRAYS]
"""Every value that comes back exactly."""


def _either() -> Iterable[Value]:
    yield Value("time-with-offset", time(12, 0, tzinfo=timezone.utc), "time")
    yield Value("datetime-offset-of-microseconds", datetime(2024, 1, 1, tzinfo=_zone(microseconds=1)), "datetime")
    yield Value("decimal-signalling-nan", Decimal("sNaN"), "decimal")
    yield Value("decimal-nan-payload", Decimal("-NaN123"), "decimal")
    yield Value("decimal-huge-exponent", Decimal("1E+999999999999999999"), "decimal")
    yield Value("decimal-10000-digits", Decimal("1." + "3" * 10_000), "decimal")
    if numpy is not None:
        yield Value("array-big-endian", numpy.arange(3, dtype=">i4"), "array")
        yield Value("array-big-endian-floats", numpy.arange(3, dtype=">f8"), "array")
        yield Value("array-long-double", numpy.arange(3, dtype="longdouble"), "array")
        yield Value("scalar-long-double", numpy.longdouble(1.5), "array")
        yield Value("array-32-dimensions", numpy.zeros((1,) * 32), "array")


EXACT_OR_REFUSED = list(_either())
"""At the edges: each comes back exactly, or is refused; nothing is stored changed."""


class HostileZone(tzinfo):
    """Changes the list that is being read when it is asked for its offset."""

    def __init__(self, victim: list[Any]) -> None:
        self.victim = victim

    def utcoffset(self, _when: datetime | None) -> timedelta:
        self.victim.clear()
        return timedelta(hours=1)


class RaisingZone(tzinfo):
    """Raises when it is asked for its offset."""

    def utcoffset(self, _when: datetime | None) -> timedelta:
        raise ZeroDivisionError("no offset today")


@dataclass
class Record:
    """A dataclass: not a value, whatever its fields."""

    text: str = "text"


class Colour(enum.Enum):
    """An enumeration's members are not values."""

    RED = 1


class Level(enum.IntEnum):
    """Nor are those that are ints as well."""

    LOW = 1


Pair = collections.namedtuple("Pair", "left right")  # a tuple's subclass is what is wanted


def _cyclic_list() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


def _cyclic_map() -> dict[str, Any]:
    value: dict[str, Any] = {"a": {"b": []}}
    value["a"]["b"].append(value)
    return value


REFUSED = [
    Refused("object", object, "value", "object"),
    Refused("function", lambda: len, "value", "builtin_function_or_method"),
    Refused("class", lambda: dict, "value", "type"),
    Refused("module", lambda: types, "value", "module"),
    Refused("generator", lambda: (number for number in range(3)), "value", "generator"),
    Refused("ellipsis", lambda: ..., "value", "ellipsis"),
    Refused("exception", lambda: ValueError("x"), "value", "ValueError"),
    Refused("complex", lambda: 1j, "value", "complex"),
    Refused("fraction", lambda: Fraction(1, 3), "value", "Fraction"),
    Refused("range", lambda: range(3), "value", "range"),
    Refused("bytearray", lambda: bytearray(b"x"), "value", "bytearray"),
    Refused("memoryview", lambda: memoryview(b"x"), "value", "memoryview"),
    Refused("array.array", lambda: array.array("d", [1.0]), "value", "array"),
    Refused("path", lambda: PurePosixPath("x"), "value", "PurePosixPath"),
    Refused("dataclass", Record, "value", "Record"),
    Refused("enum", lambda: Colour.RED, "value", "Colour"),
    Refused("int-enum", lambda: Level.LOW, "value", "Level"),
    Refused("namedtuple", lambda: Pair(1, 2), "value", "Pair"),
    Refused("ordered-dict", lambda: collections.OrderedDict(a=1), "value", "OrderedDict"),
    Refused("defaultdict", lambda: collections.defaultdict(int), "value", "defaultdict"),
    Refused("counter", lambda: collections.Counter("aab"), "value", "Counter"),
    Refused("deque", lambda: collections.deque([1]), "value", "deque"),
    Refused("mapping-proxy", lambda: types.MappingProxyType({}), "value", "mappingproxy"),
    Refused("dict-keys", lambda: {"a": 1}.keys(), "value", "dict_keys"),
    *(Refused(f"subclass-of-{name}", make, "value", name) for name, make in unsupported.SUBCLASSES.items()),
    Refused("nested-in-list", lambda: [1, [2, object()]], "value[1][1]", "object"),
    Refused("nested-in-map", lambda: {"docs": [0, 1, 2, {"when": object()}]}, 'value["docs"][3]["when"]', "object"),
    Refused("nested-in-tuple", lambda: (1, (2, 3j)), "value[1][1]", "complex"),
    Refused("nested-in-set", lambda: {Fraction(1, 3)}, "value", "Fraction"),
    Refused("nested-in-frozenset", lambda: [frozenset({1j})], "value[0]", "complex"),
    Refused("nested-str-subclass", lambda: {"a": [unsupported.Str("x")]}, 'value["a"][0]', "Str"),
    Refused("key-int", lambda: {1: "a"}, "value", "int"),
    Refused("key-none", lambda: {"a": {None: "a"}}, 'value["a"]', "NoneType"),
    Refused("key-bool", lambda: {True: "a"}, "value", "bool"),
    Refused("key-bytes", lambda: {b"a": "a"}, "value", "bytes"),
    Refused("key-tuple", lambda: [{("a", "b"): 1}], "value[0]", "tuple"),
    Refused("key-str-subclass", lambda: {unsupported.Str("a"): 1}, "value", "Str"),
    Refused("surrogate", lambda: "a\ud800b", "value", "surrogate"),
    Refused("surrogate-nested", lambda: {"a": ["\udfff"]}, 'value["a"][0]', "surrogate"),
    Refused("surrogate-in-a-key", lambda: {"\ud800": 1}, "value", "surrogate"),
    Refused("surrogate-pair-of-two", lambda: "\ud83d\ude00", "value", "surrogate"),
    Refused("cycle-list", _cyclic_list, "value", ""),
    Refused("cycle-map", _cyclic_map, "value", ""),
    Refused("too-deep-list", lambda: nested(DEEPEST + 1), "value", "128"),
    Refused("too-deep-empty", lambda: nested(DEEPEST, []), "value", "128"),
    Refused("too-deep-map", lambda: nested(DEEPEST + 1, wrap=lambda inner: {"in": inner}), "value", "128"),
    Refused("too-deep-tuple", lambda: nested(DEEPEST + 1, wrap=lambda inner: (inner,)), "value", "128"),
    Refused("too-deep-frozenset", lambda: nested(DEEPEST + 1, wrap=lambda inner: frozenset({inner})), "value", "128"),
    Refused("too-deep-mixed", lambda: nested(DEEPEST + 1, wrap=_mixed), "value", "128"),
    Refused("far-too-deep", lambda: nested(100_000), "value", "128"),
    *(Refused(f"numpy-{name}", make, "value", word) for name, (make, word) in unsupported.ARRAYS.items()),
]
"""Values that raise `UnsupportedTypeError`, which names the path in the value."""

DOCUMENTS = [
    ("null", None, None),
    ("true", True, True),
    ("int", 12, 12),
    ("int-beyond-u64", 2**70, 2**70),
    ("float", -2.5, -2.5),
    ("minus-zero", -0.0, -0.0),
    ("str", "caf\u00e9 😀", "caf\u00e9 😀"),
    ("list", [1, "a", None, [True]], [1, "a", None, [True]]),
    ("map", {"z": 1, "a": {"b": [1.5]}}, {"z": 1, "a": {"b": [1.5]}}),
    ("tuple", {"a": (1, 2)}, {"a": [1, 2]}),
    ("empty-list", [], []),
    ("empty-map", {}, {}),
]
"""Documents for `MemoryValue.json`, and the Python that each comes back as."""

NOT_DOCUMENTS = [
    ("nan", math.nan),
    ("inf", [math.inf]),
    ("bytes", {"a": b"x"}),
    ("set", {1}),
    ("date", date(2024, 1, 2)),
    ("decimal", Decimal(1)),
    ("int-key", {1: "a"}),
    ("object", object()),
    ("surrogate", "\ud800"),
]
"""What `MemoryValue.json` refuses."""

LONGEST_KEY = 2048
"""The contract's limit, in bytes of UTF-8."""

KEYS = [
    "key",
    "KEY",
    "Key",
    " ",
    "key ",
    " key",
    "key  ",
    "key\t",
    "key\n",
    "\0",
    "a\0b",
    "a\0",
    "%",
    "a%b",
    "a%%b",
    "%25",
    "_",
    "a_b",
    "axb",
    "*",
    "a*b",
    "?",
    "[",
    "[a]",
    "a[b]c",
    "]",
    "\\",
    "a\\b",
    "a\\%b",
    "'",
    "''",
    '"',
    '""',
    "`",
    "'; DROP TABLE rrag_storage; --",
    "$1",
    ":name",
    "{key}",
    "{key}::x",
    "#",
    "..",
    "../key",
    "/",
    "/etc/passwd",
    "a/b",
    "a//b",
    "a/./b",
    "caf\u00e9",
    "cafe\u0301",
    "CAF\u00c9",
    "stra\u00dfe",
    "strasse",
    "ﬁ",
    "fi",
    "İ",
    "ı",
    "αβγ",
    "жзи",
    "漢字",
    "かな",
    "العربية",
    "עברית",
    "हिन्दी",
    "한국어",
    "😀",
    "👩‍👩‍👧‍👦",
    "\u200b",
    "\u202e",
    "\ufeff",
    "\ufeffkey",
    "\ufffd",
    "\uffff",
    "\U00010000",
    "\U0010ffff",
    "\x7f",
    "\x80",
    "\u00a0",
    "\u07ff",
    "\u0800",
    "\ue000",
    ":",
    "::",
    ":::",
    "::::",
    "::x",
    "x::",
    "x:y",
    "x::y",
    "x:::y",
    "x::::y",
    "x::y::",
    "x::y::z",
    "X::y",
    "x ::y",
    "x%::y",
    "x_::y",
    "None",
    "null",
    "0",
    "-0",
    "00",
    "1e3",
    "true",
]
"""Distinct keys that some backend would take for one another, or for something else."""

PREFIXES = [
    "",
    "a",
    "a%",
    "a_",
    "a\\",
    "a*",
    "a[",
    "a\0",
    "%",
    "_",
    "*",
    "?",
    "[",
    "'",
    '"',
    "\\",
    "key",
    "KEY",
    "key ",
    "caf",
    "cafe",
    "caf\u00e9",
    "cafe\u0301",
    "stra",
    ":",
    "::",
    "x::",
    "x:::",
    "x:",
    "x",
    "X",
    "\u0800",
    "\uffff",
    "\U0010ffff",
    "😀",
    "漢",
    "no such prefix",
]
"""Prefixes that are literal, whatever they hold."""

PATTERNS = [
    "*",
    "?",
    "??",
    "a*",
    "*b",
    "a*b",
    "a?b",
    "key*",
    "KEY*",
    "*::*",
    "x::*",
    "*::y",
    "x:*:y",
    "[a-z]*",
    "[!a-z]*",
    "[kK]ey",
    "[abc]*",
    "a[%_]b",
    "a[*]b",
    "[[]a]",
    "a[",
    "[",
    "[*",
    "caf?",
    "cafe?",
    "cafe??",
    "*\u00e9",
    "[à-ÿ]*",
    "*[à-ÿ]",
    "a%*",
    "a\\*",
    "*'*",
    "*\0*",
    "漢*",
    "?字",
    "😀*",
    "a",
    "a%",
    "x::",
    "caf",
    "",
    "*?*?*",
    "****",
    "[!]*",
    "[]]",
]
"""Patterns: globs where they hold `*`, `?` or `[`, else literal prefixes."""

NOT_KEYS = [None, 1, 1.5, True, b"key", ["key"], ("key",), object()]
"""What is no key at all: TypeError."""


def invalid_keys(longest: int = LONGEST_KEY) -> dict[str, tuple[str, str]]:
    """Keys that raise `InvalidKeyError` where `longest` bytes are allowed, each with a pattern that the message matches.

    The limit that a message names is the storage's, which a view's prefix counts towards, or the contract's.
    """
    limit = f"{LONGEST_KEY}|{longest}"
    return {
        "empty": ("", "empty"),
        "one-byte-too-long": ("k" * (longest + 1), limit),
        "much-too-long": ("k" * 10_000_000, limit),
        "too-long-in-bytes": ("\u00e9" * (longest // 2) + "k" * (longest % 2 + 1), limit),
        "surrogate": ("a\ud800b", "surrogate"),
        "surrogate-last": ("a\udfff", "surrogate"),
    }
