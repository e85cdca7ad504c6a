# The first Python that is new enough; python3 where there is no python3.11. PYTHON=... names another one.
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(or $(shell for python in python3.11 python3 python3.14 python3.13 python3.12; do \
	$$python -c '$(IS_NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench format clean

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c '$(IS_NEW_ENOUGH)' 2>/dev/null || { \
	  echo "jobtide needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing); name another one with PYTHON=..." >&2; exit 1; }
	@echo "jobtide and what it needs are installed into $(VENV): a minute or two, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e .
	@touch $@

$(VENV)/.ready: $(VENV)/.installed
	$(BIN)/pip install --quiet -e '.[dev]'
	@touch $@

# Ctrl-C is for jobtide, which ends its parts one after the other; make only waits for it.
demo: $(VENV)/.installed
	@trap : INT; $(BIN)/jobtide up --data var --demo $(ARGS)

# The directory server of the sign-in tests is fetched before their time limits begin; without it only they fail.
test: $(VENV)/.ready
	-@$(BIN)/python -m tests.support.slapd
	JOBTIDE_TEST_DOCKER=$(DOCKER) $(BIN)/pytest -n 2 --dist worksteal $(ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready
	$(BIN)/python -m bench $(ARGS)

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis
