"""Without its framework an adapter says what to install."""

from __future__ import annotations

import pytest
from support import run_script


@pytest.mark.parametrize(
    ("adapter", "framework", "extra"),
    [
        ("haystack", "haystack", "haystack"),
        ("key_value", "key_value", "key-value"),
        ("llama_index", "llama_index", "llama-index"),
        ("openai_agents", "agents", "openai-agents"),
        ("opentelemetry", "opentelemetry", "opentelemetry"),
    ],
)
def test_the_extra_is_named(adapter: str, framework: str, extra: str) -> None:
    said = run_script(
        f"""
        import sys
        sys.modules["{framework}"] = None
        try:
            import rrag_storage.integrations.{adapter}
        except ImportError as error:
            print(error)
        """
    )
    assert f"pip install 'rrag-storage[{extra}]'" in said
