# Everything there is to set up: `make demo` to see vislab, `make test` to test it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The tests start some hundred processes: where the environment forbids .pyc files, each of them
# would compile torch and all of vislab anew.
export PYTHONDONTWRITEBYTECODE :=

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2

.PHONY: help setup demo test slow check lint bench docs clean

help:
	@echo "make demo    set up and run the tour, offline"
	@echo "make test    set up and run the tests, but for the slow ones"
	@echo "make slow    the slow tests: kills, whole tours, several processes"
	@echo "make check   all of it: style, types, all tests with coverage"
	@echo "make bench   measure against the named peers; writes benchmarks/results/"
	@echo "make docs    build the pages into site/"
	@echo "make setup   only set up $(VENV)"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: setup
	$(BIN)/vislab tour

# Two workers of one thread each: tiny networks gain nothing from threads that wait for one another.
test: setup
	$(PYTEST) -m "not slow"

slow: setup
	$(PYTEST) -m slow

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

check: lint
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

bench: setup
	$(BIN)/python benchmarks/all.py

docs: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .hypothesis
