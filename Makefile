# make demo    two sample services and the proxy, and a request to each
# make test    the whole suite            (ARGS="tests/registry -k name" for a part)
# make bench   devproxy beside its peers  (ARGS="--only devproxy,nginx --rounds 3" for a quick look)
# make lint    ruff, mypy, import-linter
# make clean   everything that these made
#
# Each sets up what it needs in .venv, once, and again when pyproject.toml changes. PYTHON=… names another Python.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# A name can exist and not work (a version manager's shim), so each is tried by running it.
PYTHONS := $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14 python
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint clean
.DELETE_ON_ERROR:

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

demo: $(VENV)/.installed
	@$(PY) -m devproxy demo

test: $(VENV)/.test
	$(PY) -m pytest -n 2 $(ARGS)

bench: $(VENV)/.test
	@$(PY) -m tests.bench $(ARGS)

lint: $(VENV)/.test $(VENV)/.lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

clean:
	rm -rf $(VENV) .cache .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@for python in $(PYTHONS); do \
	  if $$python -c '$(USABLE)' 2>/dev/null; then \
	    echo "Setting up $(VENV) with $$($$python --version)"; \
	    $$python -m venv --clear $(VENV) && exit 0; \
	  fi; \
	done; \
	echo "No Python 3.11 or newer with venv was found (tried: $(strip $(PYTHONS)))." >&2; \
	echo "Install one (Debian: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
	exit 1

$(VENV)/.pip: | $(PY)
	@$(PIP) install --quiet --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.pip
	@echo "Installing devproxy into $(VENV)"
	@$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.installed
	@echo "Installing what the tests need into $(VENV)"
	@$(PIP) install --quiet --group test
	@touch $@

$(VENV)/.lint: pyproject.toml $(VENV)/.pip
	@echo "Installing the linters into $(VENV)"
	@$(PIP) install --quiet --group lint
	@touch $@
