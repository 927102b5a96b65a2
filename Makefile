# make help lists the targets. Everything installs into .venv; nothing else on the machine is touched.
PYTHON ?= python3
SERVE ?= 1
PORT ?= 8501
BIN := .venv/bin
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed
SOURCES := backend dashboard tests benchmarks docs
# One more than two cores, for the tests wait for browsers and killed processes.
PROCESSES ?= 3
# Files stay whole, for their fixtures are dear, and in the order of tests/conftest.py: the longest first.
PARALLEL := --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder
# Where this is set, every process compiles the sources and rewrites the tests anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-fast check format lint type imports house audit test-faults coverage mutants \
	reference screenshots constraints clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(RUNTIME)  ## set up .venv with what the program needs

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv

$(RUNTIME): requirements.txt constraints.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement requirements-dev.txt
	@touch $@

demo: $(RUNTIME)  ## quick plan on synthetic avocados, dashboard beside it (SERVE=0: only tune)
ifeq ($(SERVE),0)
	$(BIN)/python -m backend.tune --plan quick
else
	@$(BIN)/python -m streamlit run dashboard/app.py --server.port $(PORT) --server.headless true & server=$$!; \
	trap "kill $$server 2>/dev/null" EXIT; \
	echo "dashboard: http://127.0.0.1:$(PORT)  (Ctrl-C ends it)"; \
	$(BIN)/python -m backend.tune --plan quick; \
	echo "the plan is done; the dashboard stays at http://127.0.0.1:$(PORT) until Ctrl-C"; \
	wait $$server
endif

test: $(DEV)  ## every test, the browser's too
	$(BIN)/python -m pytest $(PARALLEL)

test-fast: $(DEV)  ## without the slow ones and the browser
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not browser"

check: lint type imports house audit  ## lint (security too), types, import contracts, documents, vulnerabilities

lint: $(DEV)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

type: $(DEV)
	$(BIN)/mypy
	$(BIN)/mypy benchmarks/*.py docs/reference.py

imports: $(DEV)
	$(BIN)/lint-imports

house: $(DEV)  # documents say what the code does, links lead somewhere, no circle of imports
	$(BIN)/python -m pytest --quiet tests/house/test_docs.py tests/house/test_imports.py

audit: $(DEV)
	$(BIN)/python .ci/audit

test-faults: $(DEV)  ## the long fault tests: 25 kills, 10 minutes of readers, 2,000 runs (an hour on two cores)
	AVOCADO_KILLS=25 AVOCADO_FAULT_SECONDS=600 AVOCADO_DRIVEN=2000 $(BIN)/python -m pytest tests/faults --timeout 3600
	AVOCADO_NODES="2 4" $(BIN)/python -m pytest tests/backend/training/test_ray_executor.py --timeout 3600

coverage: $(DEV)  ## lines of backend and charts that the tests run: 90 % at least
	$(BIN)/python -m pytest $(PARALLEL) -m "not browser" --cov --cov-report=term

mutants: $(DEV)  ## break the code that numbers rest on: its tests have to notice (an hour)
	$(BIN)/python .ci/mutants

reference: $(DEV)  ## write docs/reference.md from the code
	$(BIN)/python docs/reference.py

format: $(DEV)  ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

screenshots: $(DEV)  ## pictures of every page, light and dark, into docs/images
	$(BIN)/python benchmarks/sample_screenshots.py docs/images

constraints: $(DEV)  ## pin what is installed now
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:  ## remove caches of tools; results in runs/ stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage htmlcov
