.PHONY: help setup run test lint format bench bench-pipeline clean

PYTHON := .venv/bin/python
PIP_FLAGS := --quiet --disable-pip-version-check --require-hashes

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: .venv/.ready .venv-triton/.ready ## Install everything that is needed (quick the second time)

.venv/.ready: requirements/dev.txt pyproject.toml docker/install-system-packages.sh
	@sh docker/install-system-packages.sh
	@echo "Setting up the application's environment in .venv"
	@/usr/bin/python3 -m venv --system-site-packages .venv
	@$(PYTHON) -m pip install $(PIP_FLAGS) -r requirements/dev.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv-triton/.ready: requirements/triton.txt docker/install-system-packages.sh
	@sh docker/install-system-packages.sh
	@echo "Setting up the embedded Triton server in .venv-triton"
	@/usr/bin/python3 -m venv .venv-triton
	@.venv-triton/bin/python -m pip install $(PIP_FLAGS) --no-deps -r requirements/triton.txt
	@touch $@

run: setup ## Start everything and play four cameras live; Ctrl-C ends it
	@$(PYTHON) -m tests.try_out

lint: setup ## ruff, mypy --strict and the import rule
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -q tests/test_imports.py

format: setup ## Let ruff format and fix what it can
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

test: setup ## All tests, over the real parts
	$(PYTHON) -m pytest

bench: bench-pipeline ## All measurements

bench-pipeline: setup ## The whole path against its floor and a hand-written one (needs SPOTON_TEST_DATA)
	@$(PYTHON) -m benchmarks.pipeline

clean: ## Remove environments and caches; stored data in .spoton stays
	rm -rf .venv .venv-triton .mypy_cache .ruff_cache .pytest_cache build *.egg-info
