"""What goes in comes back equal and of the same type, or is refused with its place in the value."""

from __future__ import annotations

import copy
import datetime as dt
import enum
import math
import subprocess
import sys
import uuid
from collections import OrderedDict, namedtuple
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rrag_storage import CorruptedDataError, MemoryValue

np = pytest.importorskip("numpy")


def back(value: object) -> object:
    return MemoryValue.from_python(value).to_python()


def same(a: object, b: object) -> bool:
    """Equal, of the same type, all the way down, to the bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, Decimal):
        return a.as_tuple() == b.as_tuple()
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (set, frozenset)):
        return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)
    if isinstance(a, (dt.datetime, dt.time)):
        fields = a.replace(tzinfo=None) == b.replace(tzinfo=None) and a.fold == b.fold
        return fields and a.utcoffset() == b.utcoffset() and (a.tzinfo is None) == (b.tzinfo is None)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, np.generic):
        return a.tobytes() == b.tobytes()
    return bool(a == b)


offsets = st.timedeltas(
    min_value=dt.timedelta(hours=-24, microseconds=1), max_value=dt.timedelta(hours=24, microseconds=-1)
).map(dt.timezone)
zones = st.none() | st.just(dt.timezone.utc) | offsets
folds = st.integers(0, 1)
datetimes = st.builds(lambda value, zone, fold: value.replace(tzinfo=zone, fold=fold), st.datetimes(), zones, folds)
times = st.builds(lambda value, zone, fold: value.replace(tzinfo=zone, fold=fold), st.times(), zones, folds)
dtypes = st.sampled_from(["?", "u1", "i1", *(o + t for o in "<>" for t in ("u2", "i4", "u8", "i8", "f2", "f4", "f8"))])
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def arrays(draw: st.DrawFn) -> object:
    dtype, shape = np.dtype(draw(dtypes)), draw(shapes)
    count = math.prod(shape)
    if dtype.kind == "b":
        array = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=bool)
    else:
        size = count * dtype.itemsize
        array = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype=dtype)
    array = array.reshape(shape)
    return draw(st.sampled_from([array, np.asfortranarray(array), array[..., ::-1] if shape else array]))


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(),
    st.text(),
    st.binary(),
    datetimes,
    st.dates(),
    times,
    st.timedeltas(),
    st.decimals(),
    st.uuids(),
)
hashable = st.one_of(
    st.booleans(), st.integers(), st.text(), st.binary(), st.dates(), st.uuids(), st.tuples(st.integers(), st.text())
)
values = st.recursive(
    scalars | arrays() | st.sets(hashable) | st.frozensets(hashable),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(), inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
    ),
    max_leaves=20,
)


@given(values)
def test_any_value_comes_back(value: object) -> None:
    assert same(back(value), value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_json_document_comes_back(document: object) -> None:
    value = MemoryValue.json(document)
    assert value.kind == "json"
    assert same(value.to_python(), document)
    assert same(value.as_json(), document)


@given(scalars, scalars)
def test_equal_values_hash_alike(a: object, b: object) -> None:
    one, other = MemoryValue.from_python(a), MemoryValue.from_python(b)
    assert one == MemoryValue.from_python(a)
    if not (isinstance(a, Decimal) and a.is_snan()):
        assert hash(one) == hash(MemoryValue.from_python(a))
    if same(a, b):
        assert one == other
    elif type(a) is not type(b):
        assert one != other
        assert one != b


EXTREMES = [
    10**10_000,
    -(10**10_000),
    1 << 1_000_000,
    -(1 << 1_000_000),
    *(sign * (2**bits + more) for bits in (8, 16, 32, 63, 64) for sign in (1, -1) for more in (-1, 0, 1)),
    math.nan,
    math.inf,
    -math.inf,
    -0.0,
    5e-324,
    dt.datetime.min,
    dt.datetime.max,
    dt.datetime.max.replace(tzinfo=dt.timezone.utc),
    dt.date.min,
    dt.date.max,
    dt.time.max,
    dt.timedelta.min,
    dt.timedelta.max,
    dt.timedelta(microseconds=1),
    dt.timedelta(microseconds=-1),
    *map(
        Decimal, ["NaN", "sNaN", "-sNaN7", "Infinity", "-Infinity", "-0.00", "0E+3", "1E+1000", "1E-999999999999999999"]
    ),
    Decimal("9" * 1000),
    Decimal("9" * 1001),
    Decimal("-" + "9" * 5000 + "E-70"),
    "",
    "\x00",
    "a\u0301 \U0001f600 ::%_*",
    b"",
    [],
    {},
    (),
    set(),
    frozenset(),
    {"": {"": []}},
    [[[]], ((),)],
    uuid.UUID(int=0),
    uuid.UUID(int=2**128 - 1),
]


@pytest.mark.parametrize("value", EXTREMES, ids=lambda value: repr(value)[:30] if not isinstance(value, int) else "int")
def test_extremes_come_back(value: object) -> None:
    assert same(back(value), value)
    assert same(back([value]), [value])
    # Whatever the program has set up for decimals is none of our business.
    with localcontext() as context:
        context.prec, context.capitals = 1, 0
        assert same(back(value), value)


@pytest.mark.parametrize(
    "array",
    [
        np.array(1.5),
        np.array(True),
        np.zeros((0, 3), dtype="f2"),
        np.zeros((3, 0, 2), dtype=">i8"),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(20)[::-3],
        np.broadcast_to(np.float32(2.0), (3, 2)),
        np.arange(4, dtype=">u4"),
        np.arange(6, dtype=">f4").reshape(2, 3).T,
        np.frombuffer(b"\x00\x01\x02\x03", dtype="u1"),
        np.array([2, 0, 1], dtype="u1").view(bool),
        np.zeros((1,) * 20),
        np.array([math.nan, -0.0, math.inf]),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_come_back(array: object) -> None:
    again = back({"a": [array]})["a"][0]
    assert type(again) is np.ndarray
    assert again.dtype == array.dtype
    assert again.dtype.byteorder == array.dtype.byteorder
    assert again.shape == array.shape
    assert np.array_equal(again, array, equal_nan=array.dtype.kind == "f")
    assert again.flags.owndata
    assert again.flags.writeable


@pytest.mark.parametrize(
    "name", "bool_ uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64".split()
)
def test_scalars_come_back(name: str) -> None:
    value = getattr(np, name)(1)
    assert same(back(value), value)
    assert MemoryValue.from_python(value).kind == "array"
    assert MemoryValue.from_python(value) == value
    assert MemoryValue.from_python(value) != value.item()


class Text(str):
    __slots__ = ()


class Number(enum.IntEnum):
    ONE = 1


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "place", "what"),
    [
        (object(), "value", "object"),
        (1j, "value", "complex"),
        (bytearray(), "value", "bytearray"),
        (memoryview(b""), "value", "memoryview"),
        (range(3), "value", "range"),
        (len, "value", "builtin_function_or_method"),
        (Text("a"), "value", "Text"),
        ([Number.ONE], "value[0]", "Number"),
        ({"a": Point(1, 2)}, 'value["a"]', "Point"),
        ({"a": [OrderedDict()]}, 'value["a"][0]', "collections.OrderedDict"),
        ({1: 2}, "value", "a dict key of type int"),
        ({"a": {Text("b"): 2}}, 'value["a"]', "a dict key of type"),
        (({1j},), "value[0]{…}", "complex"),
        ("\ud800", "value", "a str with a lone surrogate"),
        (["\udfff"], "value[0]", "a str with a lone surrogate"),
        ({"\ud800": 1}, "value", "a dict key with a lone surrogate"),
        (np.zeros(1, dtype=object), "value", "numpy.ndarray of dtype object"),
        (np.zeros(1, dtype="i4,f4"), "value", "numpy.ndarray of dtype [('f0', '<i4'), ('f1', '<f4')]"),
        (np.zeros(1, dtype="M8[s]"), "value", "numpy.ndarray of dtype datetime64[s]"),
        (np.zeros(1, dtype="U1"), "value", "numpy.ndarray of dtype <U1"),
        (np.zeros(1, dtype="c16"), "value", "numpy.ndarray of dtype complex128"),
        (np.zeros(1, dtype=np.longdouble), "value", "numpy.ndarray of dtype"),
        (np.longdouble(1), "value", "numpy.longdouble"),
        (np.str_("a"), "value", "numpy.str_"),
        (np.datetime64("2024-01-01"), "value", "numpy.datetime64"),
        (np.ma.masked_array([1]), "value", "numpy.ma"),
        (np.zeros((1, 1)).view(np.matrix), "value", "numpy.matrix"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_stored_is_refused_with_its_place(value: object, place: str, what: str) -> None:
    with pytest.raises(TypeError) as caught:
        MemoryValue.from_python(value)
    message = str(caught.value)
    assert message.startswith(f"{place}: ")
    assert what in message
    assert message.endswith(" is not supported")


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_nesting_is_bounded() -> None:
    assert back(nested(128)) == nested(128)
    with pytest.raises(TypeError, match="nesting deeper than 128"):
        MemoryValue.from_python(nested(129))
    with pytest.raises(TypeError, match="nesting deeper than 128"):
        MemoryValue.json(nested(129))
    cycle: dict = {}
    cycle["self"] = [(cycle,)]
    with pytest.raises(TypeError, match="nesting deeper than 128"):
        MemoryValue.from_python(cycle)


def test_shared_structure_has_a_bounded_cost() -> None:
    value: list = []
    for _ in range(100):
        value = [value, value]
    with pytest.raises(TypeError, match="16,777,216"):
        MemoryValue.from_python(value)
    shared = [0] * 10
    assert back([shared] * 1_000) == [shared] * 1_000


class Zone(dt.tzinfo):
    """A tzinfo that does something else when it is asked."""

    def __init__(self, act: object) -> None:
        self.act = act

    def utcoffset(self, _: object) -> dt.timedelta | None:
        return self.act()

    def dst(self, _: object) -> None:
        return None


def test_an_offset_that_raises_or_is_missing() -> None:
    def fail() -> None:
        raise LookupError("no such zone")

    value = dt.datetime(2024, 1, 1, tzinfo=Zone(fail))
    for within in (value, [value], {"a": (value,)}):
        with pytest.raises(LookupError, match="no such zone"):
            MemoryValue.from_python(within)
    for value in (dt.datetime(2024, 1, 1, tzinfo=Zone(lambda: None)), dt.time(1, tzinfo=Zone(lambda: None))):
        with pytest.raises(TypeError, match="gives no UTC offset"):
            MemoryValue.from_python([value])
    with pytest.raises(TypeError):
        MemoryValue.from_python([dt.datetime(2024, 1, 1, tzinfo=Zone(lambda: 3600))])
    with pytest.raises(ValueError):
        MemoryValue.from_python([dt.datetime(2024, 1, 1, tzinfo=Zone(lambda: dt.timedelta(days=2)))])


def test_a_zone_of_the_user_becomes_a_fixed_offset() -> None:
    zone = Zone(lambda: dt.timedelta(hours=2, seconds=7, microseconds=9))
    value = dt.datetime(2024, 1, 1, 12, tzinfo=zone)
    again = back({"a": [value, {1}, value]})["a"][2]
    assert again == value
    assert again.utcoffset() == value.utcoffset()
    assert type(again.tzinfo) is dt.timezone
    assert back(dt.datetime.now(dt.timezone.utc)).tzinfo is dt.timezone.utc


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda when: [when, 1, 2], lambda value: value.clear()),
        (lambda when: [when, 1, 2], lambda value: value.append(3)),
        (lambda when: [1, when, 2], lambda value: value.__setitem__(0, "other")),
        (lambda when: {"a": when, "b": 1}, lambda value: value.clear()),
        (lambda when: {"a": when, "b": 1}, lambda value: value.update({str(n): n for n in range(1000)})),
        (lambda when: {"a": when, "b": 1}, lambda value: value.pop("b", None)),
        (lambda when: {"a": when, "b": 1}, lambda value: value.update(b=2)),
        (
            lambda when: {"a": when, "z": 1},
            lambda value: (value.pop("z", 0), value.pop("a", 0), value.update(y=1, a=2)),
        ),
        (lambda when: {when, 1, 2}, lambda value: value.clear()),
        (lambda when: {when, 1, 2}, lambda value: value.update(range(100))),
    ],
)
def test_a_value_that_changes_while_it_is_read_is_refused(make: object, change: object) -> None:
    def act() -> dt.timedelta:
        if armed:
            change(value)
        return dt.timedelta(hours=1)

    armed: list = []
    value = make(dt.datetime(2024, 1, 1, tzinfo=Zone(act)))
    armed.append(True)
    with pytest.raises(RuntimeError, match="changed while it was being encoded"):
        MemoryValue.from_python(value)


def test_what_was_encoded_is_independent() -> None:
    value = {"a": [1, np.zeros(2)]}
    stored = MemoryValue.from_python(value)
    value["a"][1][0] = 9
    value["a"].append(2)
    first = stored.to_python()
    first["a"][1][0] = 7
    first["b"] = 1
    assert same(stored.to_python(), {"a": [1, np.zeros(2)]})


def test_integers_need_no_decimal_digits() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert back(7**5000) == 7**5000
        assert "bytes>" in repr(MemoryValue.from_python(1 << 100_000))
    finally:
        sys.set_int_max_str_digits(before)


def test_accessors_answer_for_their_kind_alone() -> None:
    samples = {"as_string": "x", "as_integer": 10**30, "as_float": 0.5, "as_boolean": False, "as_bytes": b"x"}
    for name in samples:
        for owner, sample in samples.items():
            expected = sample if name == owner else None
            assert same(getattr(MemoryValue.from_python(sample), name)(), expected)
    assert MemoryValue.from_python([1]).as_json() is None
    assert MemoryValue.json([1]).as_json() == [1]


def test_equality_is_by_type_too() -> None:
    assert MemoryValue.from_python(1) == 1
    assert MemoryValue.from_python(1) != True  # noqa: E712
    assert MemoryValue.from_python(1) != 1.0
    assert MemoryValue.from_python([1, {"a": 2}]) == [1, {"a": 2}]
    assert MemoryValue.from_python([1]) != (1,)
    assert MemoryValue.from_python({"a": 1, "b": 2}) == {"b": 2, "a": 1}
    assert MemoryValue.from_python({3, 1, 2}) == {1, 2, 3}
    assert MemoryValue.from_python({1: 1}.keys() | {2}) == {2, 1}
    assert MemoryValue.from_python(1) != object()
    assert MemoryValue.json([1]) == [1]
    assert MemoryValue.json([1]) != (1,)
    assert MemoryValue.json(1) != MemoryValue.from_python(1)
    assert MemoryValue.json({"a": (1,)}) == MemoryValue.json({"a": [1]})


def test_hash_and_repr() -> None:
    assert hash(MemoryValue.from_python((1, "a"))) == hash((1, "a"))
    with pytest.raises(TypeError, match="unhashable"):
        hash(MemoryValue.from_python([1]))
    assert repr(MemoryValue.from_python([1, 2])) == "MemoryValue.from_python([1, 2])"
    assert repr(MemoryValue.json({"a": None})) == "MemoryValue.json({'a': None})"
    assert len(repr(MemoryValue.from_python("x" * 1_000))) < 300
    assert len(repr(MemoryValue.from_python("x" * 1_000_000))) < 300


@pytest.mark.parametrize(
    "document", [math.nan, -math.inf, [math.inf], b"", {1: 2}, {1, 2}, dt.date.today(), np.float64(1)]
)
def test_what_json_cannot_hold_is_refused(document: object) -> None:
    with pytest.raises(TypeError, match="not supported"):
        MemoryValue.json(document)


def test_json_makes_lists_of_tuples() -> None:
    assert same(MemoryValue.json({"a": (1, (2,))}).to_python(), {"a": [1, [2]]})


def test_a_set_with_an_element_twice_is_damaged() -> None:
    make, (body,) = MemoryValue.from_python({7}).__reduce__()
    header, tag = body[:4], body[4:7]
    assert make(header + tag + b"\x82\x07\x08").to_python() == {7, 8}
    for elements in (b"\x82\x07\x07", b"\x84\xfb\x7f\xf8\0\0\0\0\0\0\x01\x01\xf5"):
        with pytest.raises(CorruptedDataError, match="element twice"):
            make(header + tag + elements).to_python()
    # What is equal in Python alone is no damage.
    assert make(header + tag + b"\x82\x01\xf5").to_python() == {1}


@given(st.binary(max_size=200), st.integers(1, 19))
def test_any_bytes_are_a_value_or_an_error(payload: bytes, kind: int) -> None:
    make, _ = MemoryValue.from_python(None).__reduce__()
    try:
        make(bytes([1, kind, 0, 0]) + payload).to_python()
    except Exception as error:  # noqa: BLE001
        assert "damaged" in str(error)


@given(values, st.data())
def test_damaged_bytes_are_a_value_or_an_error(value: object, data: st.DataObject) -> None:
    make, (body,) = MemoryValue.from_python(value).__reduce__()
    damaged = bytearray(body)
    damaged[data.draw(st.integers(4, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        make(bytes(damaged[: data.draw(st.integers(4, len(body)))])).to_python()
    except Exception as error:  # noqa: BLE001
        assert "damaged" in str(error)


def test_without_numpy() -> None:
    code = f"""
import sys
sys.modules["numpy"] = None
from rrag_storage import MemoryValue
make, _ = MemoryValue.from_python([1]).__reduce__()
try:
    make({MemoryValue.from_python(np.zeros(2)).__reduce__()[1][0]!r}).to_python()
except ImportError as error:
    assert "pip install numpy" in str(error)
else:
    raise AssertionError
try:
    MemoryValue.from_python(object())
except TypeError:
    pass
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numpy_is_not_imported_by_encoding() -> None:
    code = """
import sys
from rrag_storage import MemoryValue
MemoryValue.from_python({"a": [1, {2}, b""]})
try:
    MemoryValue.from_python(object())
except TypeError:
    pass
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_large_bytes_are_copied_once() -> None:
    if sys.platform != "linux":
        pytest.skip("the peak is read from /proc")
    # VmHWM and not ru_maxrss: the latter begins at what the parent had.
    code = """
from rrag_storage import MemoryValue
data = bytes(200_000_000)
value = MemoryValue.from_python(data)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
assert int(peak.split()[1]) * 1024 < 500_000_000
assert value.to_python() == data
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_values_cannot_be_changed() -> None:
    value = MemoryValue.from_python([1])
    with pytest.raises(AttributeError):
        value.kind = "map"
    assert copy.deepcopy(value) == value
