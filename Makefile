# Lockgate's tasks. `make` alone lists them.
#
# Each target makes what it needs: a virtual environment with the project in it (editable), rebuilt only when
# pyproject.toml changes. PYTHON=python3.13 picks the interpreter; without it tools/find-python takes the first of
# python3.13, python3.12, python3.11, python3 and pyenv's versions that is 3.11 or newer and can make virtual
# environments.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?=
JOBS ?= 2
ARGS ?=

# .venv belongs to the default Python; a Python that is asked for by name gets .venv-3.13 beside it, unless
# it is the one that .venv has. So changing to and fro rebuilds nothing.
ifeq ($(strip $(PYTHON)),)
VENV := .venv
else
MINOR := $(shell tools/find-python --minor "$(PYTHON)")
ifeq ($(MINOR),)
$(error PYTHON=$(PYTHON) cannot be used)
endif
VENV := $(shell grep -qs '^version = $(MINOR)\.' .venv/pyvenv.cfg && echo .venv || echo .venv-$(MINOR))
endif
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help serve test lint format unit test-lowest conformance fuzz bench bench-idle bench-crowd soak peers peers-clean clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

serve: $(VENV)/.serve-stamp ## run a protected server on this machine (ARGS="--config lockgate.toml", or a folder)
	@$(BIN)/lockgate serve $(ARGS)

test: lint ## everything that must be green: lint, types, import rules, all tests, the conformance table
	$(BIN)/pytest -n $(JOBS) --conformance=check $(ARGS)

lint: $(VENV)/.test-stamp ## format check, ruff, mypy --strict, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports

format: $(VENV)/.test-stamp ## put the sources into the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

unit: $(VENV)/.test-stamp ## the tests without other people's programs
	$(BIN)/pytest -n $(JOBS) -m "not interop" $(ARGS)

test-lowest: ## the tests without other programs, with the oldest libraries that pyproject.toml allows
	@python=$$(tools/find-python $(PYTHON)) && "$$python" tools/lowest-versions > .lowest-constraints.txt \
		&& { test -x .venv-lowest/bin/python || "$$python" -m venv .venv-lowest; }
	.venv-lowest/bin/python -m pip --disable-pip-version-check install --quiet \
		--constraint .lowest-constraints.txt --editable '.[test]'
	.venv-lowest/bin/pytest -n $(JOBS) -m "not interop" $(ARGS)

conformance: $(VENV)/.test-stamp ## run all tests and write docs/conformance.md anew
	$(BIN)/pytest -n $(JOBS) --conformance=write $(ARGS)

fuzz: $(VENV)/.test-stamp ## the property tests with many more examples and a new seed
	$(BIN)/pytest -n $(JOBS) -m hypothesis --hypothesis-profile=fuzz --timeout=3600 $(ARGS)

bench: $(VENV)/.test-stamp ## this server beside the peers that are installed; prints a table
	$(BIN)/python bench/bench.py $(ARGS)

bench-idle: $(VENV)/.test-stamp ## what 5,000 idle protected sessions cost (ARGS="--sessions 500 --peers vsftpd")
	$(BIN)/python bench/idle.py $(ARGS)

bench-crowd: $(VENV)/.test-stamp ## NOOP's latency beside 1,000 slow uploads (ARGS="--uploads 500 --piece-bytes 4096")
	$(BIN)/python bench/crowd.py $(ARGS)

soak: $(VENV)/.test-stamp ## everything at once for ten minutes, then verdicts (ARGS="--seconds 180 --seed 2")
	$(BIN)/python tests/soak/soak.py $(ARGS)

peers: ## other people's servers and clients for the interop tests (Debian, root)
	@python=$$(tools/find-python $(PYTHON)) && exec "$$python" tools/peers.py install

peers-clean: ## take away what `make peers` put down, packages of the system excepted
	@python=$$(tools/find-python $(PYTHON)) && exec "$$python" tools/peers.py remove

clean: ## caches and build products
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov dist build
	find src tests bench tools -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and the virtual environments
	rm -rf .venv .venv-*

# The environment itself is made once; `make distclean` takes it away when its Python is gone.
$(VENV)/.made:
	@python=$$(tools/find-python $(PYTHON)) && echo "Making $(VENV) with $$python" && "$$python" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.serve-stamp: pyproject.toml | $(VENV)/.made
	@echo "Installing the server into $(VENV)"
	@$(PIP) --editable '.[server,cli]'
	@touch $@

$(VENV)/.test-stamp: pyproject.toml | $(VENV)/.made
	@echo "Installing the server and the development tools into $(VENV)"
	@$(PIP) --editable '.[test]'
	@touch $(VENV)/.serve-stamp $@
