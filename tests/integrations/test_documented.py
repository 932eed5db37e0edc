"""Every example in docs/integrations runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import run_script

PAGES = sorted((Path(__file__).parents[2] / "docs" / "integrations").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert examples
    for example in examples:
        run_script(f"import os; os.chdir({str(tmp_path)!r})\n{example}")
