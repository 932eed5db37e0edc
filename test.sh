#!/bin/sh
# Builds everything and runs all tests: those of the crate alone, then those of the Python package.
# Up to four processes share the tests, one a core; `-n 0` runs them one after the other. Arguments go to pytest.
# VENV names the virtual environment (.venv unless told), which is made where it is missing.
set -eu
cd "$(dirname "$0")"
venv=${VENV:-.venv}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet '.[test,integrations-test]'
cargo test --quiet --no-default-features
exec "$venv/bin/python" -m pytest -n auto --maxprocesses 4 --dist loadscope "$@"
