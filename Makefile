.PHONY: help setup run test browser lint format bench bench-pipeline bench-live bench-identity bench-crowds clean
.PHONY: train-setup train-detector train-embedder evaluate-models

PYTHON := .venv/bin/python
TRAIN_PYTHON := .venv-train/bin/python
# How many tests run at once; the files that take longest begin first (tests/conftest.py).
JOBS := 2
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

run: setup ## The demo: render a scene, play it live, hold it against the truth; Ctrl-C ends it
	@$(PYTHON) -m control_plane up --demo

lint: setup ## ruff, mypy --strict and the import rule
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -q tests/test_imports.py

format: setup ## Let ruff format and fix what it can
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

test: browser ## All tests, over the real parts; some: ARGS="tests/gst -k close"
	$(PYTHON) -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

browser: setup
	@[ -x /usr/bin/chromium ] || sh docker/install-system-packages.sh chromium \
		|| echo "There is no chromium: the tests of the live page will be skipped" >&2

bench: bench-pipeline bench-live bench-identity bench-crowds bench-storage bench-api ## All measurements

bench-pipeline: setup ## The whole path against its floor and a hand-written one (needs SPOTON_TEST_DATA)
	@$(PYTHON) -m benchmarks.pipeline

bench-live: setup ## Live fan-out: 200 clients, a stalled and a slow one, bare servers beside it
	@$(PYTHON) -m benchmarks.live

bench-identity: setup ## Matching a crowd, searching 100,000 persons, an hour of footage
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PYTHON) -m benchmarks.identity

bench-crowds: setup ## Ids in simulated rooms and a disturbed recording, beside nearest hand-over
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PYTHON) -m benchmarks.crowds

train-setup: setup .venv-train/.ready ## PyTorch, for training only

.venv-train/.ready: requirements/app.txt
	@/usr/bin/python3 -m venv .venv-train
	@$(TRAIN_PYTHON) -m pip install $(PIP_FLAGS) -r requirements/app.txt
	@$(TRAIN_PYTHON) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@touch $@

train-detector: train-setup ## Render scenes, train the bundled person detector, install it (hours)
	@$(PYTHON) -m training.detection render
	@$(TRAIN_PYTHON) -m training.detection train
	@$(TRAIN_PYTHON) -m training.detection export
	@$(PYTHON) -m training.detection card

train-embedder: train-setup ## Render crops, train the bundled person embedder, install it (hours)
	@$(PYTHON) -m training.reidentification render
	@$(TRAIN_PYTHON) -m training.reidentification train
	@$(TRAIN_PYTHON) -m training.reidentification export
	@$(PYTHON) -m training.reidentification install

evaluate-models: setup ## Bundled and open models side by side (real footage: SPOTON_TEST_DATA)
	@$(PYTHON) -m training.detection evaluate
	@$(PYTHON) -m training.reidentification evaluate

bench-storage: setup ## Ingest against a bare COPY, a day of ten million events; PARTS=export exports it
	@$(PYTHON) -m benchmarks.storage $(if $(PARTS),--parts $(PARTS))

bench-api: setup ## Rates of /live and a task's status beside a bare Litestar handler's
	@$(PYTHON) -m benchmarks.api

clean: ## Remove environments and caches; stored data in .spoton stays
	rm -rf .venv .venv-triton .venv-train .mypy_cache .ruff_cache .pytest_cache build *.egg-info
