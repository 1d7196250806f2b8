# make repro   set up the environment and run the whole pipeline on synthetic images
# make test    set up the environment and run the tests, without those that take long
# make lint    run ruff and mypy
# make check   run the pipeline, compare its results with the committed ones, run the tests that take long
# make real    make the committed results on real images; needs DEEPCOVID_MIRROR=FOLDER; leaves params.yaml as it was
# make replays train on whole nets as the released script does, on phantoms: twenty minutes
# make dials   run the audits on phantoms whose truth is set by two dials: a quarter of an hour
# make attack  kill the pipeline, damage its files, mutate its inputs, and record what happens: about an hour
# make picture draw the README's picture, docs/report.png, from the report on phantom; needs Chromium or Chrome on PATH
# make lock    pin today's versions of all packages, those that requirements bring along too; downloads 5 GB

PYTHON ?= python3
BIN := .venv/bin
# Stages run `python`. This makes it the environment's own, whether that is activated or not.
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
	@echo "The report is data/phantom/report.html. What git held and fitted was not run again; dvc repro -f runs all."

# All tests of a file run in one worker, so that what they share is made only once.
test: $(READY)
	python -m pytest -n 2 --dist loadfile

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy

# The stamp's time is the start of the run. It tells results of this run from those of skipped stages.
check: $(READY)
	touch .venv/.check
	dvc repro
	python -m deepcovid check --since .venv/.check
	python -m pytest -n 2 --dist loadfile -m pipeline

# `dvc exp run -S` writes its values into params.yaml. However the runs end, KEEPING puts the file back.
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

# It uses a fresh environment without constraints.txt, which would pin the old versions.
lock:
	$(PYTHON) -m venv --clear .venv/lock
	.venv/lock/bin/python -m pip install --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	.venv/lock/bin/python -m pip freeze > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt
	rm -r .venv/lock
