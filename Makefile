# Everything there is to set up: `make demo` to see vislab, `make test` to test it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test check lint bench docs clean

help:
	@echo "make demo    set up and run the tour, offline"
	@echo "make test    set up and run the tests"
	@echo "make check   what CI does: style, types, tests with coverage"
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

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

check: lint
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered

bench: setup
	$(BIN)/python benchmarks/all.py

docs: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .hypothesis
