# On a fresh machine with Python 3.11 or newer, make and git:
#   make repro   set up, run the whole pipeline, print the result
#   make test    set up, run the tests
#   make docs    set up, build the manual
#   make help    the other targets

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The stages run whatever `python` is first on the path; DVC must not phone home or touch the user's settings.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: repro setup test test-fast lint types docs generated help clean
.DEFAULT_GOAL := repro

repro: setup  ## Check the params, run what changed of the pipeline, print the result
	@reprotune check
	dvc repro
	@reprotune summary

setup: $(VENV)/.ready  ## Create the environment from pinned versions

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Reprotune needs Python 3.11 or newer: make PYTHON=python3.12 repro" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[test,lint,docs]'
	@touch $@

test: setup  ## Run every test
	pytest -n auto --dist loadfile

test-fast: setup  ## Run the tests without the slow ones
	pytest -n auto --dist loadfile -m 'not slow and not pipeline'

lint: setup  ## Check style, formatting, declared deps, generated pages, dead code, workflows
	ruff check .
	ruff format --check .
	reprotune deps --check
	python -m docs.generate --check
	deptry .
	vulture
	zizmor --offline --quiet .github/workflows

types: setup  ## Check types
	mypy

generated: setup  ## Write the generated pages of the manual again
	python -m docs.generate

docs: generated  ## Build the manual into docs/_build/html; a broken link or reference is an error
	sphinx-build --builder html --nitpicky --fail-on-warning --quiet docs docs/_build/html
	@echo "The manual is in docs/_build/html/index.html"

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*##\(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

clean:  ## Delete the environment, scratch files and the built manual; artifacts stay
	rm -rf $(VENV) docs/_build .reprotune .pytest_cache .mypy_cache .ruff_cache .hypothesis
