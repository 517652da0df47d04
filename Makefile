# Two commands that need nothing but git, make and Python 3.11 or newer:
#   make demo   predict a dozen well-known compounds with the bundled model
#   make test   lint, types and all tests
# and one that takes five times as long: make test-everywhere, all tests as other machines run them

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-everywhere lint experiments clean

demo: $(VENV)/.gatlib
	$(BIN)/gatlib predict --input experiments/demo/compounds.csv --output predictions.csv

test: lint
	# A worker per core, one thread each; what is about threads asks for them itself.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -p no:randomly

test-everywhere: lint
	PYTHON=$(BIN)/python tests/everywhere

lint: $(VENV)/.gatlib-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

experiments: $(VENV)/.gatlib
	$(BIN)/gatlib experiment run tox21
	$(BIN)/gatlib experiment table

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "gatlib needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.gatlib: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.gatlib-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.gatlib

clean:
	rm -rf $(VENV) predictions.csv
