"""What the parts of a check find."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Status(str, Enum):
    """How a part of a check ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """The result of one part of a check.

    Attributes:
        name: what was looked at.
        status: whether it is as it should be.
        detail: a sentence for people.
        figures: the same for programs: what stands beside `name`, `status` and `detail` in the JSON.
    """

    name: str
    status: Status
    detail: str
    figures: dict[str, Any] = field(default_factory=dict)
