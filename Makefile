# make run: set up and do the main job · make test: set up and run every check · make check: lint and types only
# VENV=/path/to/venv reuses an environment (a full one is about 6 GB).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.gdbench-installed
JOBS ?= 2

.PHONY: run test check test-gpu clean

run: $(STAMP)
	$(BIN)/gdbench run --gan stylegan2 --method voynov

test: $(STAMP)
	$(MAKE) check
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile

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
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
