# Tessera: `make demo` and `make test` are the two commands; `make help` lists the rest.
#
# Everything installs into $(VENV) from the pins in constraints.txt; stamp files make repeated calls instant.
# TORCH_ARGS reaches the torch install, for example an --index-url with the small CPU wheels on Linux.

PYTHON     ?= python3
VENV       ?= .venv
TORCH_ARGS ?=
PIP        := $(VENV)/bin/python -m pip --disable-pip-version-check
INSTALLED  := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing

.DEFAULT_GOAL := help
.PHONY: help install demo test mutations lint types clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED)  ## make the virtual environment and install the pinned package into it

demo: $(INSTALLED)  ## train the scale model through three stages, evaluate, write a report (10 minutes)
	$(VENV)/bin/tessera demo

test: $(DEVELOPING)  ## run the whole suite on all cores: offline, CPU, under 10 minutes on two
	$(VENV)/bin/python -m pytest -n auto --dist loadfile

mutations: $(DEVELOPING)  ## damaged media, records and checkpoints, all examples (half a minute)
	TESSERA_MUTATIONS=full $(VENV)/bin/python -m pytest tests/mutation

lint: $(DEVELOPING)  ## ruff
	$(VENV)/bin/ruff check .

types: $(DEVELOPING)  ## mypy, strict on the pure rooms
	$(VENV)/bin/mypy

clean:  ## remove the virtual environment and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist

# torch first and pinned: the resolver must never pick another (or a CUDA) build on its own.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:3]; sys.exit(v < (3, 11, 5) and \
	  "Python %d.%d.%d is too old: Tessera needs 3.11.5 or newer; name one with: make PYTHON=python3.12 ..." % v)'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q $(TORCH_ARGS) 'torch==2.13.0' -c constraints.txt
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(DEVELOPING): $(INSTALLED)
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@
