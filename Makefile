# The first Python that is new enough; python3 where there is no python3.11. PYTHON=... names another one.
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(or $(shell for python in python3.11 python3 python3.14 python3.13 python3.12; do \
	$$python -c '$(IS_NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

# Sources of the web interface, which is built into the installation.
WEB := $(shell find web -name node_modules -prune -o -type f ! -name '*.test.ts' ! -name '*.md' -print 2>/dev/null)

.PHONY: demo test lint bench format pages screenshots clean

$(VENV)/.installed: pyproject.toml $(WEB)
	@$(PYTHON) -c '$(IS_NEW_ENOUGH)' 2>/dev/null || { \
	  echo "jobtide needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing); name another one with PYTHON=..." >&2; exit 1; }
	@echo "jobtide and what it needs are installed into $(VENV): two or three minutes, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e .
	@test -f services/gateway/web/dist/index.html || echo "the web interface was not built: python web/pages.py build says why" >&2
	@touch $@

$(VENV)/.ready: $(VENV)/.installed
	$(BIN)/pip install --quiet -e '.[dev]'
	@touch $@

# Ctrl-C is for jobtide, which ends its parts one after the other; make only waits for it.
demo: $(VENV)/.installed
	@trap : INT; $(BIN)/jobtide up --data var --demo $(ARGS)

# What single tests need is fetched before their time limits begin: programs of Debian, tools of the web interface. Without one only
# those tests fail.
test: $(VENV)/.ready
	-@$(BIN)/python -m tests.support.debian
	-@$(BIN)/python web/pages.py install
	JOBTIDE_TEST_DOCKER=$(DOCKER) $(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python web/pages.py lint

bench: $(VENV)/.ready
	$(BIN)/python -m bench $(ARGS)

# The web interface alone, after a change of its sources: seconds.
pages: $(VENV)/.ready
	$(BIN)/python web/pages.py build

# docs/screenshots, of a demo site that is made for them: some minutes.
screenshots: $(VENV)/.ready
	$(BIN)/python -m tests.web.screenshots $(ARGS)

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python web/pages.py format

clean:
	rm -rf $(VENV) var web/node_modules services/gateway/web/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
