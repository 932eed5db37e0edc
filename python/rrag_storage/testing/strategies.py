"""Hypothesis strategies of keys and of every value that a storage takes."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from .cases import LONGEST_KEY

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

_TEXT = st.characters(exclude_categories=["Cs"])
_OFFSETS = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))


def keys(longest: int = LONGEST_KEY) -> st.SearchStrategy[str]:
    """Keys of at most `longest` bytes, with separators and wildcards more often than chance gives them."""
    pieces = st.one_of(
        st.text(_TEXT, max_size=8), st.sampled_from(["::", ":", "%", "_", "*", "?", "[", "]", " ", "\0"])
    )
    whole = st.lists(pieces, min_size=1, max_size=6).map("".join)
    return whole.filter(lambda key: 0 < len(key.encode()) <= longest)


def scalars() -> st.SearchStrategy[Any]:
    """Values without others in them, all hashable."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(2**200), 2**200),
        st.floats(),
        st.text(_TEXT),
        st.binary(),
        st.dates(),
        st.times(),
        st.datetimes(),
        st.datetimes(timezones=_OFFSETS),
        st.timedeltas(),
        st.decimals().filter(lambda number: not number.is_snan()),
        st.uuids(),
    )


def hashables() -> st.SearchStrategy[Any]:
    """Values that a set can hold."""
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(st.lists(inner, max_size=3).map(tuple), st.frozensets(inner, max_size=3)),
        max_leaves=5,
    )


def arrays() -> st.SearchStrategy[Any]:
    """numpy arrays of any supported dtype and shape; nothing where numpy is missing."""
    if numpy is None:
        return st.nothing()
    dtypes = st.sampled_from(
        ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"],
    )
    shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)

    def made(dtype: str, shape: tuple[int, ...], seed: int) -> Any:
        raw = numpy.random.default_rng(seed).bytes(int(numpy.prod(shape)) * numpy.dtype(dtype).itemsize)
        if dtype == "?":
            raw = bytes(byte % 2 for byte in raw)
        return numpy.frombuffer(raw, dtype=dtype).reshape(shape)

    return st.builds(made, dtypes, shapes, st.integers(0, 2**32))


def values() -> st.SearchStrategy[Any]:
    """Any value that a storage takes."""
    return st.recursive(
        st.one_of(scalars(), st.sets(hashables(), max_size=4), st.frozensets(hashables(), max_size=4), arrays()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=5),
            st.lists(inner, max_size=5).map(tuple),
            st.dictionaries(st.text(_TEXT), inner, max_size=5),
        ),
        max_leaves=20,
    )
