# Two commands do everything on a fresh machine with Python 3.11 or newer, make and git:
#   make repro   set up, run the whole pipeline, print the result
#   make test    set up, run the tests

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The stages run whatever `python` is first on the path; DVC must not phone home or touch the user's settings.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: repro setup test test-fast lint types deps clean
.DEFAULT_GOAL := repro

repro: setup  ## Run what changed of the pipeline and print the result
	dvc repro
	@reprotune summary

setup: $(VENV)/.ready  ## Create the environment from pinned versions

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Reprotune needs Python 3.11 or newer: make PYTHON=python3.12 repro" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[test,lint]'
	@touch $@

test: setup  ## Run every test
	pytest -n auto --dist loadfile

test-fast: setup  ## Run the tests without the slow ones
	pytest -n auto --dist loadfile -m 'not slow and not pipeline'

lint: setup  ## Check style, formatting and declared dependencies
	ruff check .
	ruff format --check .
	reprotune deps --check

types: setup  ## Check types
	mypy

clean:  ## Delete the environment and scratch files; artifacts stay
	rm -rf $(VENV) .reprotune .pytest_cache .mypy_cache .ruff_cache .hypothesis
