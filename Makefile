# make demo: the main job end to end, from a fresh clone.   make test: all tests.   Both set everything up first.
# Needs Python 3.11-3.13, git and make. Behind a package mirror set POETRY_PYPI_MIRROR_URL to its "simple" index.

SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
POETRY := .poetry/bin/poetry
RUN := .venv/bin/python
INSTALLED := .venv/.installed
DEMO ?= demo
EXTRAS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check format install install-cpu benchmark results clean

help:
	@echo "make demo         sets up, makes a procedural steel-strip set, runs a small zoo on it, predicts, recommends"
	@echo "make test         sets up, runs all tests"
	@echo "make check        ruff (lint, format) and mypy"
	@echo "make install      the environment alone; EXTRAS='--extras ray' adds what a sweep over several machines needs"
	@echo "make install-cpu  an environment without CUDA: make install-cpu TORCH_INDEX=<index with CPU wheels of torch>"
	@echo "make benchmark    speed and prediction quality anew: make benchmark TABLES=<folder> DATASET=<folder>"
	@echo "make results      the tables of docs/results.md and the completed matrix of data/als, from the run records"
	@echo "make clean        removes .venv, .poetry, .cache and $(DEMO)/"

$(POETRY):
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found; install one, or pass PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv .poetry
	.poetry/bin/python -m pip install --quiet --disable-pip-version-check "poetry>=2.1,<3" poetry-plugin-pypi-mirror

# Poetry as it is; with POETRY_PYPI_MIRROR_URL its plugin asks the mirror. Where the package index cannot be read by
# Poetry alone, the index that pip itself uses is tried once as a mirror.
$(INSTALLED): poetry.lock pyproject.toml poetry.toml | $(POETRY)
	@export PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring; unset VIRTUAL_ENV; \
	test -x .venv/bin/python || $(PYTHON) -m venv .venv; \
	$(POETRY) install --no-interaction $(EXTRAS) || { \
		test -z "$$POETRY_PYPI_MIRROR_URL" || { echo "error: poetry install failed, see above" >&2; exit 2; }; \
		echo "Poetry alone could not read the package index: once more through the index that pip uses"; \
		POETRY_PYPI_MIRROR_URL=$$($(PYTHON) -c 'from pip._internal.models.index import PyPI; import subprocess, sys; \
			own = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True).stdout.strip(); \
			print(own or PyPI.simple_url)') $(POETRY) install --no-interaction $(EXTRAS) \
		|| { echo "error: poetry install failed; behind a package mirror set POETRY_PYPI_MIRROR_URL to its simple index" >&2; exit 2; }; }
	@touch $(INSTALLED)

install: $(INSTALLED)

# The locked versions, but torch and torchvision from an index of CPU wheels, and none of the CUDA packages.
install-cpu: poetry.lock
	@test -n "$(TORCH_INDEX)" || { echo "error: pass TORCH_INDEX=<index with CPU wheels>: pytorch.org, Get Started, Compute Platform CPU names it" >&2; exit 2; }
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found" >&2; exit 2; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PYTHON) scripts/locked_requirements.py --only torch --only torchvision > .venv/torch.txt
	$(PYTHON) scripts/locked_requirements.py --without-cuda > .venv/rest.txt
	$(RUN) -m pip install --no-deps --index-url "$(TORCH_INDEX)" -r .venv/torch.txt
	$(RUN) -m pip install --no-deps -r .venv/rest.txt
	$(RUN) -m pip install --no-deps -e .
	@touch $(INSTALLED)

demo: $(INSTALLED)
	$(RUN) scripts/demo.py --folder $(DEMO)

# In as many processes as there are cores, eight at most; a file's tests stay together.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(INSTALLED)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# TABLES: a folder of score tables (CSV); DATASET: a folder of images.
benchmark: $(INSTALLED)
	@test -n "$(TABLES)" -a -n "$(DATASET)" || { echo "error: pass TABLES=<folder of score tables> DATASET=<folder of images>" >&2; exit 2; }
	$(RUN) benchmarks/completion.py speed
	$(RUN) benchmarks/completion.py quality $(filter-out %features.csv,$(wildcard $(TABLES)/*.csv))
	$(RUN) benchmarks/new_rows.py $(TABLES)
	$(RUN) benchmarks/features.py --dataset $(DATASET)
	$(RUN) benchmarks/heads.py --dataset $(DATASET)

results: $(INSTALLED)
	$(RUN) scripts/als.py train --epoch=10
	$(RUN) scripts/zoo.py results --to docs/results.md

clean:
	rm -rf .venv .poetry .cache $(DEMO)
