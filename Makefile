# Two commands on a fresh machine that has Python 3.11, pip and make: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS_stages :=
EXTRAS_demo := --extra embedded
EXTRAS_report := $(EXTRAS_demo) --extra report
EXTRAS_dev := $(EXTRAS_report) --extra peers --extra dev
EXTRAS_mutate := $(EXTRAS_dev) --extra mutate
# `make demo EXTRA=report` also installs evidently, for its page beside the demo's report.
EXTRA ?= demo
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEMO_ARGS ?=
TEST_ARGS ?=
# A file at a time, in the order of tests/conftest.py. One worker more than there are cores:
# many tests wait for a broker (22 minutes with two workers on two cores, 17 with three).
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
WARM := $(BIN)/python -m tests.support.worlds.warm_kernels
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help demo test test-kafka fuzz mutate lint bench up down lock clean
help:            ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/$(EXTRA).stamp ## run the demo: three injected faults in packaged data
	$(BIN)/driftline demo $(DEMO_ARGS)

test: $(VENV)/dev.stamp      ## lint, types, import rules, doctests, all tests
	$(MAKE) --no-print-directory lint
	$(WARM)
	$(PYTEST) $(TEST_ARGS)

test-kafka: $(VENV)/dev.stamp ## the tests on Kafka only (Java 17, Maven); part of `make test`
	$(WARM)
	$(PYTEST) -m kafka $(TEST_ARGS)

# As `make test` has it, with many more inputs: FUZZ_INPUTS=100000 FUZZ_SEED=7 make fuzz
FUZZ_INPUTS ?= 20000
FUZZ_SEED ?= 1
fuzz: $(VENV)/dev.stamp      ## mutated messages for every reader, for an hour
	DRIFTLINE_FUZZ_INPUTS=$(FUZZ_INPUTS) DRIFTLINE_FUZZ_SEED=$(FUZZ_SEED) \
	  $(PYTEST) --timeout=0 tests/fuzz $(TEST_ARGS)

# Two mutants at a time, at the lowest priority: MUTATE_ARGS='--only core/drift --json' make mutate
mutate: $(VENV)/mutate.stamp ## a sample of small faults in core and detectors; do tests detect them?
	nice -n 19 $(BIN)/python -m tests.mutation $(MUTATE_ARGS)

lint: $(VENV)/dev.stamp      ## ruff, mypy, import-linter, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.stamp     ## all benchmarks, one line of JSON each
	@for name in aggregate decode shapes decision panes closing startup; do \
	  $(BIN)/python -m benchmarks.$$name --json $(BENCH_ARGS) || exit 1; done

up:              ## Kafka, ClickHouse, Grafana and the stages in Docker
	@deploy/docker/make-env.sh
	docker compose up --detach --build

down:            ## stop them; `docker compose down --volumes` also deletes the data
	docker compose down

lock: $(VENV)/dev.stamp      ## resolve and pin the dependencies again
	$(PIP) uv
	$(call resolve,uv,requirements/uv.in)
	$(call resolve,stages,pyproject.toml requirements/build.in)
	$(call resolve,demo,pyproject.toml requirements/build.in)
	$(call resolve,report,pyproject.toml requirements/build.in)
	$(call resolve,dev,pyproject.toml requirements/build.in)
	$(call resolve,mutate,pyproject.toml requirements/build.in)
define resolve
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" $(EXTRAS_$(1)) -o requirements/$(1).lock $(2)
endef

# uv installs in a sixth of pip's time: the one on the path, else the locked one, from pip's index.
# Where it fails (a proxy, credentials that only pip knows), pip installs the same files.
define install
	@locked="--require-hashes --no-deps -r requirements/$(1).lock"; \
	index=$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || echo https://pypi.org/simple)}; \
	uv=$$(command -v uv) || { $(PIP) --require-hashes -r requirements/uv.lock 2>/dev/null && uv=$(BIN)/uv; }; \
	{ test -n "$$uv" && UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}" UV_NATIVE_TLS=1 \
	  "$$uv" pip install --quiet --python $(BIN)/python $$locked; } || \
	{ echo "installing with pip"; $(PIP) $$locked; }
endef

$(VENV)/%.stamp: requirements/%.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Driftline needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "installing the locked dependencies ($*) into $(VENV)"
	$(call install,$*)
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

clean:           ## remove build outputs
	rm -rf $(VENV) build dist *.egg-info demo-output
