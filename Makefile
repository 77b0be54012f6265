# Everything is made from a fresh clone with Python >= 3.11 (with venv) and no other package of the system.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
    $$p -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
EXAMPLES ?= 2000
SEED   ?= 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format bench oracle clean

help: ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: $(VENV)/.run ## the tour: Bookinfo's services, the proxy, and requests to try
	$(BIN)/meshproxy demo

test: $(VENV)/.test ## all tests
	$(BIN)/pytest -n $(JOBS)

lint: $(VENV)/.lint ## ruff, mypy, the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.lint ## put the source in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench ## CPU time per request, next to a real Envoy (ARGS='--quick --only small')
	$(BIN)/python -m benchmarks $(ARGS)

oracle: $(VENV)/.test ## the same requests to meshproxy and to a real Envoy, at length (EXAMPLES=2000 SEED=1)
	MESHPROXY_ORACLE_EXAMPLES=$(EXAMPLES) MESHPROXY_ORACLE_SEED=$(SEED) $(BIN)/pytest tests/conformance

clean: ## remove what was made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp per set of extras, so that the second run installs nothing.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python >= 3.11 with venv is needed (make PYTHON=/path/to/python)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.bench: $(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@ $(VENV)/.run
