# Two commands on a fresh machine that has Python 3.11, pip and make: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS_demo := --extra embedded --extra report
EXTRAS_dev := $(EXTRAS_demo) --extra peers --extra dev
DEMO_ARGS ?=
TEST_ARGS ?=

.PHONY: help demo test test-kafka lint bench lock clean
help:            ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/demo.stamp     ## watch real predictions flow through the real core
	$(BIN)/driftline demo $(DEMO_ARGS)

test: $(VENV)/dev.stamp      ## lint, types, import rules, doctests, all tests
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n auto --dist loadfile $(TEST_ARGS)

test-kafka: $(VENV)/dev.stamp ## what needs a broker (Java 17, Maven); not yet part of `make test`
	$(BIN)/python -m pytest -m kafka $(TEST_ARGS)

lint: $(VENV)/dev.stamp      ## ruff, mypy, import-linter, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.stamp     ## every benchmark, one JSON line each
	@for name in aggregate decode decision startup; do \
	  $(BIN)/python -m benchmarks.$$name --json $(BENCH_ARGS) || exit 1; done

lock: $(VENV)/dev.stamp      ## resolve the dependencies again
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" $(EXTRAS_demo) -o requirements/demo.lock pyproject.toml requirements/build.in
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" $(EXTRAS_dev) -o requirements/dev.lock pyproject.toml requirements/build.in

$(VENV)/%.stamp: requirements/%.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Driftline needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "installing the locked dependencies ($*) into $(VENV); about a minute the first time"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/$*.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:           ## remove what was built here
	rm -rf $(VENV) build dist *.egg-info demo-output
