# Two commands are enough: `make demo` shows what warprefine does, `make test` checks it.
# Both make .venv on their first call, and install again only when what is to be installed changes.

PYTHON ?= python3
WORKERS ?= 2

BIN := .venv/bin
CORE := .venv/.installed-core
DEV := .venv/.installed-dev
DOCS := .venv/.installed-docs
DEMO := runs/demo
# What decides what is installed; the version stands in the last one.
INSTALLED := pyproject.toml constraints.txt src/warprefine/__init__.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-everywhere fuzz faults coverage lint format docs clean

help: ## List these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-15s %s\n", $$1, $$2}' Makefile

demo: $(CORE) ## Label a procedural street from a few of its frames, and report how good the labels are.
	$(BIN)/warprefine demo --out $(DEMO)
	@echo "Open $(DEMO)/report.html in a browser."

test: $(DEV) ## Run the tests.
	$(BIN)/pytest -n $(WORKERS)

test-everywhere: $(DEV) ## Run the tests as other machines would: threads, processors, locales, paths, Pythons.
	WORKERS=$(WORKERS) tests/everywhere.sh

fuzz: $(DEV) ## Read 100,000 damaged and hostile files; takes an hour or two.
	WARPREFINE_FUZZ=100000 $(BIN)/pytest -n $(WORKERS) --timeout 0 tests/fuzz

faults: $(DEV) ## Kill commands, and let the disk fail, at thousands of moments; takes several hours.
	WARPREFINE_FAULTS=200 $(BIN)/pytest -n $(WORKERS) --timeout 0 tests/faults

coverage: $(DEV) ## Run the tests, and show which lines they reach; build/coverage/index.html has the details.
	$(BIN)/pytest -n $(WORKERS) --cov --cov-report=term --cov-report=html:build/coverage

lint: $(DEV) ## Check form, types and layers.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(DEV) ## Mend the form of the code, as far as a tool can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS) ## Build the documentation as a site; open build/site/index.html.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## Remove .venv, the demo's run, what was built and every cache.
	rm -rf .venv $(DEMO) build .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(CORE): $(INSTALLED) | $(BIN)/pip
	@echo "Installing warprefine into .venv; the first time this takes a minute or more."
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(DEV): $(INSTALLED) | $(BIN)/pip
	@echo "Installing warprefine and its test tools into .venv; the first time this takes a minute or more."
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $(CORE) $@

$(DOCS): $(INSTALLED) | $(BIN)/pip
	@echo "Installing warprefine and what builds its documentation into .venv; this takes a minute or more."
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $(CORE) $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "warprefine needs Python 3.11 or newer, which '$(PYTHON)' is not; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; \
	}
	@$(PYTHON) -m venv .venv
