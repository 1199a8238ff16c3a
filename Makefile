# Everything a developer or CI runs. Needs Python 3.11 or newer, make and a shell; the rest
# is installed into .venv from the hashed locks.

SHELL := /bin/sh
.DEFAULT_GOAL := help

CANDIDATES := python3.11 python3.12 python3.13 python3
# An executable may be a shim for a version that is absent, so each candidate has to answer.
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)
BIN := .venv/bin
STAMP := .venv/.ready
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV_COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links $(LOCK_ARGS)

# Tests need a container engine or a RabbitMQ of their own; pytest says what is missing.
HAVE_SERVERS := { [ "$$TEST_SERVERS" != private ] && docker version >/dev/null 2>&1; } \
	|| [ "$$TEST_SERVERS" = containers ] \
	|| PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v rabbitmq-server >/dev/null

.PHONY: help setup run test check format docs contracts lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install the locked dependencies

run: $(STAMP) ## Start everything on this machine and say where to open it
	@$(BIN)/python -m sandbox

test: $(STAMP) ## Run the tests; ARGS="..." goes to pytest
	@$(HAVE_SERVERS) || .ci/apt-install rabbitmq-server || true
	@$(BIN)/python -m pytest $(ARGS)

check: $(STAMP) ## Lint, check formatting, types, import rules and generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python -m pytest --quiet tests/unit/test_contracts.py tests/unit/test_docs.py

format: $(STAMP) ## Fix what ruff can fix and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(STAMP) ## Write the tables in the README anew
	$(BIN)/python -m docs.generate

contracts: $(STAMP) ## Write the contract files anew
	$(BIN)/python -m contracts.generate

lock: $(STAMP) ## Resolve the locks again; LOCK_ARGS=--upgrade moves every version
	$(UV_COMPILE) --output-file requirements.lock pyproject.toml
	$(UV_COMPILE) --output-file requirements-dev.lock --constraint requirements.lock --group dev pyproject.toml

clean: ## Remove everything that is generated
	rm -rf .venv .sandbox dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer among $(CANDIDATES): install one," \
		"or name it with make PYTHON=..." >&2; exit 1; }
# Debian and Ubuntu package ensurepip, which venv needs, separately from Python.
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/apt-install python3-venv
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
