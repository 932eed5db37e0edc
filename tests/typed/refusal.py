"""What a refusal of a typed view says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rrag_storage import InvalidValueError


def refused(key: str, *words: str) -> Any:
    """The refusal of a value under `key`: its message has these words, in this order."""
    return pytest.raises(InvalidValueError, match="(?s)" + ".*".join(map(re.escape, (f"key {key!r}", *words))))
