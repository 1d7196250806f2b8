# make repro   set up and run the whole pipeline on the embedded data set
# make test    set up and pass the tests, but for those that run the pipeline
# make lint    ruff and mypy
# make check   run the pipeline, compare its results with the committed ones, pass the tests that run the pipeline
# make real    the committed results on real images; wants DEEPCOVID_MIRROR=FOLDER; params.yaml stays as it is
# make replays the released script on whole nets, on phantoms: ten minutes
# make dials   what the audits read on phantoms whose truth is set by two dials: a quarter of an hour
# make attack  kill it, damage its files, feed it mutated inputs, and record how that ends: about an hour
# make picture the README's picture, docs/report.png, of the report on phantom; wants Chromium or Chrome on PATH
# make lock    pin today's versions of everything that the requirements bring along; downloads it all (5 GB)

PYTHON ?= python3
BIN := .venv/bin
# The stages' `python` is the environment's, activated or not.
export PATH := $(CURDIR)/$(BIN):$(PATH)
READY := .venv/.ready

.PHONY: repro test lint check real replays dials picture attack lock
.DELETE_ON_ERROR:

$(READY): requirements.txt requirements-dev.txt constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: Python 3.11 or newer is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -r requirements.txt -r requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --editable .
	touch $@

repro: $(READY)
	dvc repro

# A test file has a worker to itself, so that what its tests share is made once.
test: $(READY)
	python -m pytest -n 2 --dist loadfile

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy

# The stamp says when the run began, so that results of skipped stages can be told from those that it made.
check: $(READY)
	touch .venv/.check
	dvc repro
	python -m deepcovid check --since .venv/.check
	python -m pytest -m pipeline

# `dvc exp run -S` writes its values into params.yaml; however the runs end, the file is put back.
KEEPING := cp params.yaml .venv/params.yaml; trap 'cp .venv/params.yaml params.yaml' EXIT; trap 'exit 130' INT TERM;
REPLAYS := -S 'replays=[failed-reproduction-replayed,failed-reproduction-balanced,released-code-replayed,failed-reproduction-cropped]'
REAL := -S 'models=[resnet18,squeezenet1_0,resnet50]' -S 'audited_models=[resnet18,squeezenet1_0,resnet50]' -S 'test_sets=[cohen]'
real: $(READY)
	$(KEEPING) dvc exp run -S 'datasets=[covid-xray-5k]' $(REPLAYS) $(REAL) && \
	dvc exp run -S 'datasets=[cohen-chexpert]' $(REAL)

replays: $(READY)
	$(KEEPING) dvc exp run -S 'datasets=[phantom-whole]' -S 'models=[resnet18]' -S 'test_sets=[]' $(REPLAYS)

dials: $(READY)
	$(KEEPING) dvc exp run -S 'dialled=[phantom]' dials

attack: $(READY)
	python -m benchmarks.attack --record

picture: repro
	@browser=$$(command -v chromium || command -v chromium-browser || command -v google-chrome) || \
	{ echo "error: no Chromium or Chrome on PATH; install one" >&2; exit 1; }; \
	"$$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1 \
		--window-size=1280,2600 --screenshot=docs/report.png "file://$(CURDIR)/data/phantom/report.html"

# A fresh environment, without constraints.txt: otherwise that file would pin what it is to renew.
lock:
	$(PYTHON) -m venv --clear .venv/lock
	.venv/lock/bin/python -m pip install --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	.venv/lock/bin/python -m pip freeze > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt
	rm -r .venv/lock
