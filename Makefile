# `make demo` and `make test` do all the set-up by themselves: a virtual environment in .venv and
# what they need, by plain pip. PYTHON names another interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check docs clean

demo: .venv/viz
	$(BIN)/cryojax-het demo -o demo

test: .venv/dev
	$(BIN)/python -m pytest -n 2

check: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

# Needs no network once it is installed. The site is in site/; its search needs a server:
# python -m http.server -d site
docs: .venv/docs
	$(BIN)/python docs/generate.py
	$(BIN)/python -m zensical build --clean --strict

clean:
	rm -rf .venv demo site .cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv || { echo "On Debian: apt install python3-venv"; exit 1; }

.venv/viz: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[viz]'
	@touch $@

.venv/dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@ .venv/viz

.venv/docs: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	@touch $@
