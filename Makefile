# make open      the course in JupyterLab          make test      unit and parity tests, then every notebook
# make outputs   run notebooks, store what they show (NOTEBOOKS="00 01": only those)
# make lint      code and notebooks                make address   stamp the repository's address: REPO=owner/name
PYTHON ?= python3
BIN := .venv/bin
AS_ROOT = $(if $(shell id -u | grep -x 0),--allow-root)

.PHONY: open test outputs lint address
.DELETE_ON_ERROR:

open: .venv/.opens
	@$(BIN)/jupyter lab $(AS_ROOT) --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb

test: .venv/.tests
	$(BIN)/python -m pytest

outputs: .venv/.opens
	$(BIN)/python -m vit_course notebooks outputs $(NOTEBOOKS)

lint: .venv/.tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m vit_course notebooks lint

address: .venv/.opens
	$(BIN)/python -m vit_course notebooks address $(REPO)

# A stamp is touched only when pip has finished, so an installation that broke off is taken up again.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/.opens: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

.venv/.tests: requirements-test.txt .venv/.opens
	$(BIN)/python -m pip install --quiet --requirement requirements-test.txt
	@touch $@
