"""LangGraph's conformance suite for savers, over our storages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES
from rrag_storage.integrations.langgraph import RragSaver

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rrag_storage import Storage


@pytest.mark.parametrize("capability", sorted(capability.value for capability in ALL_CAPABILITIES))
async def test_conformance(any_storage: Storage, capability: str) -> None:
    @checkpointer_test(name="RragSaver")
    async def saver() -> AsyncGenerator[RragSaver, None]:
        yield RragSaver(any_storage)

    report = await validate(saver, capabilities={capability})
    result = report.results[capability]
    assert result.failures in (None, [])
    assert result.detected
    assert result.tests_failed == 0
