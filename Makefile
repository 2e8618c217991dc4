PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
# On all processors, which pip does on one; what is written for another Python fails here, and nobody imports it.
COMPILE := $(BIN)/python -m compileall -q -j 0 -x /tests/ $(VENV)/lib >/dev/null || true

.PHONY: demo test lint up down status clean

demo: $(VENV)/.examples examples/data/.written ## install, and run the first example to a registered champion
	$(BIN)/carousel run examples/tourism.yaml

test: $(VENV)/.development examples/data/.written ## run all tests, in three processes: many wait for servers and clocks
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.development ## check style, types and layers
	$(BIN)/ruff check --no-cache
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

up: $(VENV)/.examples ## start Prefect, MLflow and a worker on 127.0.0.1
	$(BIN)/carousel up

down: $(VENV)/.examples ## stop them
	$(BIN)/carousel down

status: $(VENV)/.examples ## show what runs, the champions, the schedules and what failed last
	$(BIN)/carousel status

clean: ## remove all state of local runs, but not the installation
	rm -rf mlruns

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.examples: $(VENV)/.created pyproject.toml constraints.txt
	$(INSTALL) --editable '.[examples]'
	$(COMPILE)
	touch $@

$(VENV)/.development: $(VENV)/.created pyproject.toml constraints.txt
	$(INSTALL) --editable '.[dev,examples,postgresql,ray,s3]'
	$(COMPILE)
	touch $@ $(VENV)/.examples

examples/data/.written: $(VENV)/.examples examples/make_data.py $(wildcard examples/data_sources/*.py)
	$(BIN)/python examples/make_data.py
	touch $@
