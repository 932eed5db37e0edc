# One door to everything that .ci/run runs, and to the benchmarks. `make help` lists it.
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help dev format check test ci bench docs wheels clean

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

dev: ## a virtual environment with the package, built for release, and all tools
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[dev]'

format: ## format Rust and Python
	cargo fmt
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: ## formats, lints and types; after `make dev`
	cargo fmt --check
	cargo clippy --all-targets --no-default-features -- -D warnings
	cargo clippy --all-targets --features python -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict tests/typing examples python/rrag_storage/*.py
	$(BIN)/pyright tests/typing
	$(BIN)/python -m mypy.stubtest rrag_storage._native --allowlist .ci/stubtest-allowlist.txt

test: ## build and run all tests
	./test.sh

ci: ## all that CI does
	.ci/run

bench: ## the benchmarks, into docs/benchmarks.md
	$(BIN)/python benches/run.py

docs: ## the documentation as a site, into site/
	$(BIN)/pip install --quiet -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

wheels: ## the sdist, and wheels made of it, with every CPython that pyenv has
	.ci/wheels

clean: ## remove what was built
	cargo clean
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
