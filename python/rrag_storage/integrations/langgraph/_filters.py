"""The filters of a search in LangGraph's store: `{"score": {"$gt": 1}, "author": {"name": "Ada"}}`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_OPERATORS = ("$eq", "$ne", *_ORDERS)


def check_filter(wanted: Any) -> None:
    """Refuses a filter that no value could be compared with.

    Raises:
        ValueError: an operator that there isn't, or one beside the name of a field.
    """
    if not isinstance(wanted, Mapping):
        return
    operators = [name for name in wanted if isinstance(name, str) and name.startswith("$")]
    for name in operators:
        if name not in _OPERATORS:
            raise ValueError(f"Unsupported operator: {name}. There are {', '.join(_OPERATORS)}")
    if operators and len(operators) < len(wanted):
        raise ValueError(f"a filter has operators or names of fields, not both: {', '.join(map(str, wanted))}")
    for value in wanted.values() if not operators else ():
        check_filter(value)


def matches(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether all of the filter `wanted` holds for an item's value."""
    return all(_holds(value.get(name), expected) for name, expected in wanted.items())


def _holds(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        if any(isinstance(name, str) and name.startswith("$") for name in wanted):
            return all(_compares(found, name, operand) for name, operand in wanted.items())
        return isinstance(found, Mapping) and matches(found, wanted)
    if isinstance(wanted, list | tuple):
        return isinstance(found, list | tuple) and len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted)


def _compares(found: Any, name: str, operand: Any) -> bool:
    if name == "$eq":
        return bool(found == operand)
    if name == "$ne":
        return bool(found != operand)
    order = _ORDERS[name]
    try:
        return order(float(found), float(operand))
    except (TypeError, ValueError):
        pass
    try:
        return bool(order(found, operand))
    except TypeError:  # such as text with a number: neither is greater
        return False
