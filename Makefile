# All it takes is Python 3.11 or later and make. `make` alone lists the targets.

PYTHON ?= python3
BIN := .venv/bin
SOURCES := setup.py gateway normalizers tests docs benchmarks

.PHONY: help demo test test-compiled check fuzz soak bench bench-limits mutants image-test docs lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 21

demo: .venv/runtime ## the sandbox vendors and the gateway over them, on loopback; Ctrl-C ends it
	@exec $(BIN)/errgate demo

test: .venv/dev ## the tests on two cores, with branch coverage; one of them: make test ARGS="-k name --no-cov"
	$(BIN)/pytest -n 2 --cov $(ARGS)

test-compiled: .venv/dev .compiled/wheel/ready ## what a request passes through, compiled: its tests, about three minutes and two for the compiler
	@mkdir -p .compiled/checkout
	@rm -rf .compiled/checkout/*
	@cp -r pyproject.toml setup.py tests .compiled/checkout
	@$(BIN)/python -m zipfile -e .compiled/wheel/errgate-*.whl .compiled/checkout
	cd .compiled/checkout && PYTHONPATH=$(CURDIR)/.compiled/checkout $(CURDIR)/$(BIN)/pytest -p tests.compiled -n 2 -k "not httpx" $(PATH_TESTS) $(ARGS)

check: .venv/dev ## format, lint and types, then the tests: what must pass before a push
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(MAKE) test

fuzz: .venv/fuzz ## coverage-guided fuzzing, a minute a target; otherwise: make fuzz ARGS="--seconds 600 settings"
	$(BIN)/python -m tests.fuzz.run $(ARGS)

soak: .venv/dev ## chaos for five minutes, then slow callers; prints what was seen
	$(BIN)/python -m tests.soak.chaos
	$(BIN)/python -m tests.soak.slow

bench: .venv/runtime .bench/python/ready .bench/node/ready ## errgate beside its peers, about ten minutes; a short look: make bench ARGS=--quick
	-$(MAKE) --no-print-directory .bench/errgate/ready
	$(BIN)/python -m benchmarks $(ARGS)

bench-limits: .venv/runtime ## what a decision over three limits costs, in one process and in shared memory
	$(BIN)/python -m benchmarks.limits $(ARGS)

mutants: .venv/dev ## breaks thirty rules of the wire, one at a time, and shows that a test of each fails
	$(BIN)/python -m tests.mutate $(ARGS)

image-test: ## builds the image and runs it on a read-only root as 65532, about two minutes; root, buildah, runc, mmdebstrap
	$(PYTHON) .ci/try_image.py

docs: .venv/dev ## writes the generated tables of README.md, docs and the chart anew
	$(BIN)/python docs/generate.py
	$(BIN)/python -m docs.references
	$(BIN)/python -m docs.chart
	$(BIN)/python -m docs.speed
	$(BIN)/python -m tests.wire_rules --write

lock: .venv/lock ## writes the seven lock files anew from pyproject.toml
	$(COMPILE) requirements.lock pyproject.toml
	$(COMPILE) requirements-dev.lock pyproject.toml --group dev --constraint requirements.lock
	$(COMPILE) requirements-fuzz.lock --group fuzz
	$(COMPILE) requirements-build.lock --group build --constraint requirements-dev.lock
	$(COMPILE) requirements-bench.lock --group bench
	$(COMPILE) requirements-otel.lock pyproject.toml --extra otel --constraint requirements.lock
	$(COMPILE) requirements-image.lock --group image --constraint requirements-build.lock

clean: ## removes .venv and everything that tools have left
	rm -rf .venv .bench .compiled build dist *.egg-info .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf tests/e2e/typescript/node_modules
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# --- What stands behind them -----------------------------------------------------------------------------------------

# One lock for every Python from 3.11 on (--universal), without index addresses: each machine has its own.
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links --output-file

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("errgate needs Python 3.11 or later; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

# The checkout itself, as the command .venv/bin/errgate. The pinned build backend makes it without asking an index.
.venv/runtime: requirements.lock requirements-build.lock pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements.lock -r requirements-build.lock
	$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev: requirements-dev.lock .venv/runtime
	$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

.venv/fuzz: requirements-fuzz.lock .venv/dev
	$(BIN)/pip install --disable-pip-version-check --only-binary :all: --require-hashes -r requirements-fuzz.lock
	@touch $@

# The compiled wheel (docs/decisions/0009-compiled.md). What was made of other sources is removed first, so that neither
# the tests nor the benchmark meet it where the compiler then fails.
PACKAGE := setup.py pyproject.toml requirements-build.lock \
	$(shell find gateway normalizers -name __pycache__ -prune -o -type f -print)

.compiled/wheel/ready: $(PACKAGE) | .venv/runtime
	rm -rf .compiled/wheel .bench/errgate build
	ERRGATE_COMPILE=1 $(BIN)/pip wheel --disable-pip-version-check --quiet --no-deps --no-build-isolation \
		--wheel-dir .compiled/wheel .
	@touch $@

# The suites over what setup.py compiles, with the engine that it compiles; the rest asks for modules that are plain
# Python in either form.
PATH_TESTS := tests/normalizers tests/e2e/wire $(addprefix tests/gateway/,headers limits upstream) \
	$(patsubst %,tests/gateway/test_%.py,admission answers app callers codings identity jobs known lanes metrics \
		problems recent reload replies resilience streams tally target tracing) \
	$(patsubst %,tests/e2e/test_%.py,churn holds jobs memory overload requests retries secrets tls vendor_faults)

# What the benchmark measures: that wheel as it is installed, away from the sources.
.bench/errgate/ready: .compiled/wheel/ready requirements.lock
	$(BIN)/python -m venv --clear .bench/errgate
	.bench/errgate/bin/pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	.bench/errgate/bin/pip install --disable-pip-version-check --quiet --no-deps .compiled/wheel/errgate-*.whl
	@touch $@

# The benchmark's peers, in environments of their own. One that cannot be installed is named by the benchmark.
.bench/python/ready: requirements-bench.lock
	$(PYTHON) -m venv .bench/python
	-.bench/python/bin/pip install --disable-pip-version-check --quiet --only-binary :all: --require-hashes -r $<
	@touch $@

.bench/node/ready: benchmarks/peers/node/package-lock.json
	mkdir -p .bench/node
	cp benchmarks/peers/node/package.json $< .bench/node/
	-cd .bench/node && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

.venv/lock: | $(BIN)/pip
	$(BIN)/pip install --disable-pip-version-check 'uv>=0.13,<0.14'
	@touch $@
