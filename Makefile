PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench format clean

$(VENV)/.installed: pyproject.toml
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
