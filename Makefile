# make run: set up and do the main job · make test: set up and run every check · make check: lint and types only
# make test-slow: what takes over a minute by nature (under an hour) · make coverage: which lines no test reaches
# TESTS=tests/boards narrows coverage to a folder.
# VENV=/path/to/venv reuses an environment (a full one is about 6 GB).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.gdbench-installed
JOBS ?= 2
SHELL := /bin/bash

.PHONY: run test browser test-slow soak coverage check test-gpu clean

run: $(STAMP)
	$(BIN)/gdbench run --gan stylegan2 --method voynov

test: $(STAMP) browser
	$(MAKE) check
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n $(JOBS) --dist worksteal --durations=10

# The tests of pages drive a real browser, and are skipped with a line where there is none and apt installs none.
browser:
	-@command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 || echo "no chromium, and apt installs none: tests in a browser are skipped"

test-slow: $(STAMP)
	set -o pipefail; OMP_NUM_THREADS=1 $(BIN)/pytest -m slow -n $(JOBS) --dist worksteal --durations=10 -o timeout=1800 -o faulthandler_timeout=1740 | sed -u '/^rootdir:/d' | tee results/test-slow.txt

# 300 cells, 50 kills, a full disk and a clock that jumps, as root (a small disk is mounted): an hour on two busy cores.
soak: $(STAMP)
	set -o pipefail; OMP_NUM_THREADS=1 $(BIN)/python tests/soak.py --jobs $(JOBS) | tee results/soak.txt

coverage: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n $(JOBS) --dist worksteal --cov --cov-report=term --cov-report=html:build/coverage $(TESTS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-gpu: $(STAMP)
	$(BIN)/pytest -m gpu -rs

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "gdbench needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf .venv build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
