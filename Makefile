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

# The page needs Node and npm. All the rest works without.
HAVE_NODE := node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' \
	2>/dev/null && command -v npm >/dev/null
NO_NODE := no Node 20.19 or newer with npm is installed
# What a machine lacks is said, and is no failure but where everything is to be tested.
UNLESS_CI := test "$$CI" != true
WEB_MODULES := web/node_modules/.ready
WEB_PAGE := web/dist/index.html
WEB_SOURCES := $(shell find web/src web/public -type f 2>/dev/null) web/index.html web/vite.config.ts

.PHONY: help setup run bench test faults fuzz check audit format docs contracts verify-pact release-contracts lock clean \
	web test-web check-web screenshots

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install the locked dependencies

run: $(STAMP) ## Start everything on this machine and say where to open it
	@if $(HAVE_NODE); then $(MAKE) --no-print-directory --silent web \
		|| echo "The page could not be built."; \
	else echo "The page is not built, since $(NO_NODE)."; fi
	@$(BIN)/python -m sandbox

bench: $(STAMP) ## Measure everything (15 min); ARGS=--short: coarsely (1 min), ARGS=--profile: step by step
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v rabbitmq-server >/dev/null \
		|| .ci/apt-install rabbitmq-server
	@$(BIN)/python -m benchmarks $(ARGS)

test: $(STAMP) ## Run the tests; ARGS="..." goes to pytest
	@$(HAVE_SERVERS) || .ci/apt-install rabbitmq-server || true
ifeq ($(ARGS),)
	@{ $(HAVE_NODE); } || .ci/apt-install nodejs npm || true
	@if $(HAVE_NODE); then $(MAKE) --no-print-directory test-web; \
	else echo "NOT TESTED: the page, since $(NO_NODE)." >&2; $(UNLESS_CI); fi
endif
	@$(BIN)/python -m pytest $(ARGS)

faults: $(STAMP) ## Hurt a running service FAULTS times (200); FAULT_SEED=... draws the same again
	@{ [ -e /usr/lib/*/faketime/libfaketime.so.1 ] \
		&& PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v rabbitmq-server >/dev/null; } \
		|| .ci/apt-install rabbitmq-server libfaketime || true
	FAULTS=$${FAULTS:-200} $(BIN)/python -m pytest --timeout 0 -s tests/faults -k cluster $(ARGS)

fuzz: $(STAMP) ## Send FUZZ_RUNS (1,000,000) hostile webhooks to what reads them
	FUZZ_RUNS=$${FUZZ_RUNS:-1000000} $(BIN)/python -m pytest --timeout 0 tests/fuzz $(ARGS)

check: $(STAMP) ## Lint, check formatting, types, import rules and generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python -m pytest --quiet tests/unit/test_contracts.py \
		tests/unit/test_released_contracts.py tests/unit/test_docs.py tests/pacts/test_users_service.py
	@if $(HAVE_NODE); then $(MAKE) --no-print-directory check-web; \
	else echo "NOT CHECKED: the page, since $(NO_NODE)." >&2; fi

audit: $(STAMP) ## Look for known holes in dependencies and for secrets in files
	@$(BIN)/python .ci/audit.py

format: $(STAMP) ## Fix what ruff can fix and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	@if $(HAVE_NODE); then $(MAKE) --no-print-directory $(WEB_MODULES) && cd web && npm run --silent format; \
	else echo "NOT FORMATTED: the page, since $(NO_NODE)." >&2; fi

web: $(WEB_PAGE) ## Build the page

test-web: $(WEB_PAGE) ## Test the page: its parts, its size, its looks in Chromium where there is one
	cd web && npm run --silent test && npm run --silent size && npm run --silent build:lib \
		&& npm run --silent example
	@command -v chromium >/dev/null || .ci/apt-install chromium || true
	@if command -v chromium >/dev/null; then cd web && npm run --silent states; \
	else echo "NOT TESTED: the page in a browser, since no chromium is installed." >&2; $(UNLESS_CI); fi

check-web: $(WEB_MODULES) ## Lint the page, check its formatting and types
	cd web && npm run --silent check

screenshots: $(WEB_MODULES) ## Take a picture of every state of the page: web/screenshots
	cd web && npm run --silent screenshots

docs: $(STAMP) ## Write the tables in the documents anew
	$(BIN)/python -m docs.generate

contracts: $(STAMP) ## Write the contract files anew
	$(BIN)/python -m contracts.generate
	$(BIN)/python -m tests.pacts.users_service
	@if $(HAVE_NODE); then $(MAKE) --no-print-directory $(WEB_MODULES) && cd web && npm run --silent types; \
	else echo "NOT WRITTEN: the types of the page, since $(NO_NODE)." >&2; fi

verify-pact: $(STAMP) ## Verify a consumer's pact against the running service: PACT=path
	@$(HAVE_SERVERS) || .ci/apt-install rabbitmq-server || true
	@PACT="$(PACT)" $(BIN)/python -m pytest tests/pacts/test_provider.py -k published

release-contracts: $(STAMP) ## Keep the contracts of a release, to compare later ones with
	$(BIN)/python -m contracts.release

lock: $(STAMP) ## Resolve the locks again; LOCK_ARGS=--upgrade moves every version
	$(UV_COMPILE) --output-file requirements.lock pyproject.toml
	$(UV_COMPILE) --output-file requirements-build.lock --group build --constraint requirements.lock
	$(UV_COMPILE) --output-file requirements-dev.lock --constraint requirements.lock --group dev pyproject.toml
	$(UV_COMPILE) --output-file benchmarks/peers/dj_stripe/requirements.lock \
		benchmarks/peers/dj_stripe/requirements.txt
	@if command -v npm >/dev/null; then cd benchmarks/peers/sync_engine && npm install --silent \
		--package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund; \
	else echo "NOT LOCKED: a peer of the benchmark, since no npm is installed." >&2; fi

clean: ## Remove everything that is generated
	rm -rf web/node_modules web/dist web/dist-lib web/screenshots web/.example
	rm -rf .venv .sandbox .bench dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(WEB_MODULES): web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB_PAGE): $(WEB_MODULES) $(WEB_SOURCES)
	cd web && npm run --silent build -- --logLevel warn

$(STAMP): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer among $(CANDIDATES): install one," \
		"or name it with make PYTHON=..." >&2; exit 1; }
# Debian and Ubuntu package ensurepip, which venv needs, separately from Python.
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/apt-install python3-venv
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
