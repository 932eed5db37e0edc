"""Prints what the extras that users install require, for pip-audit: everything but the tools of development."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXTRAS = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
OURS = {"dev", "docs", "integrations-test", "test"}

for requirement in sorted({line for extra, lines in EXTRAS.items() if extra not in OURS for line in lines}):
    if not requirement.startswith("rrag-storage"):
        print(requirement)
