# make repro   set up and run the whole pipeline on the embedded data set
# make test    set up and pass the tests
# make lint    ruff and mypy
# make check   run the pipeline and compare its metrics with the committed ones
# make real    the paper's own images; wants DEEPCOVID_MIRROR=FOLDER, or a network
# make lock    pin today's versions of everything that the requirements bring along

PYTHON ?= python3
BIN := .venv/bin
# The stages' `python` is the environment's, activated or not.
export PATH := $(CURDIR)/$(BIN):$(PATH)
READY := .venv/.ready

.PHONY: repro test lint check real lock
.DELETE_ON_ERROR:

$(READY): requirements.txt requirements-dev.txt constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: Python 3.11 or newer is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -r requirements.txt -r requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --editable .
	touch $@

repro: $(READY)
	dvc repro

test: $(READY)
	python -m pytest

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy

check: repro
	python -m tools.check_reproduction

real: $(READY)
	dvc exp run -S 'datasets=[covid-xray-5k]' -S 'models=[resnet18,squeezenet1_0,resnet50]'

lock: $(READY)
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt
