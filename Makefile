# make demo      two sample services and the proxy, and a request to each
# make test      the whole suite            (ARGS="tests/registry -k name" for a part, BUILD=compiled for that build)
# make bench     devproxy beside its peers  (ARGS="--only devproxy,nginx --rounds 3" for a quick look)
# make compiled  a wheel with the data path compiled, in .cache/compiled/wheel, and a venv that it is installed in
# make lint      ruff, mypy, import-linter
# make clean     everything that these made
#
# Each sets up what it needs in .venv, once, and again when pyproject.toml changes. PYTHON=… names another Python.
# The code in .venv is never compiled: what is edited runs. `devproxy --version` says which build is there. pip compiles
# on CPython 3.11 to 3.14 where there is a C compiler with its headers; DEVPROXY_BUILD=compiled or =interpreted forces either.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# A name can exist and not work (a version manager's shim), so each is tried by running it.
PYTHONS := $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14 python
# The compiled build is tested as it is installed: the wheel in a venv of its own, and the tests beside it in a tree
# that has no other devproxy. It is made anew whenever the code changes.
COMPILED := .cache/compiled
COMPILED_PY := $(COMPILED)/venv/bin/python
SOURCES := pyproject.toml LICENSE README.md $(wildcard packaging/*.py) \
  $(shell find devproxy -type f -not -path '*/__pycache__/*' -not -name '* *')
BUILD := interpreted
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help demo test test-interpreted test-compiled compiled-tree bench compiled lint clean
.DELETE_ON_ERROR:

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

demo: $(VENV)/.installed
	@$(PY) -m devproxy demo

test: test-$(BUILD)

test-interpreted: $(VENV)/.test
	$(PY) -m pytest -n 2 $(ARGS)

test-compiled: compiled-tree
	cd $(COMPILED)/tree && ../venv/bin/python -m pytest -n 2 $(ARGS)

compiled-tree: $(COMPILED)/.test
	@rm -rf $(COMPILED)/tree
	@mkdir $(COMPILED)/tree
	@cp -R .github tests config examples packaging pyproject.toml Makefile LICENSE *.md $(COMPILED)/tree
	@ln -s "$(CURDIR)/.cache" $(COMPILED)/tree/.cache
	@ln -s "$$($(COMPILED_PY) -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/devproxy" $(COMPILED)/tree

compiled: $(COMPILED)/.installed

bench: $(VENV)/.test compiled-tree
	@cd $(COMPILED)/tree && ../venv/bin/python -m tests.bench --interpreted "$(CURDIR)" $(ARGS)

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

$(COMPILED)/.installed: $(SOURCES) | $(VENV)/.pip
	@echo "Compiling devproxy into $(COMPILED), which takes a minute or more"
	@rm -rf $(COMPILED)
	@DEVPROXY_BUILD=compiled $(PIP) wheel --quiet --no-deps --wheel-dir $(COMPILED)/wheel .
	@$(PY) -m venv $(COMPILED)/venv
	@$(COMPILED_PY) -m pip --disable-pip-version-check install --quiet --upgrade "pip>=25.1"
	@$(COMPILED_PY) -m pip --disable-pip-version-check install --quiet $(COMPILED)/wheel/*.whl
	@touch $@

$(COMPILED)/.test: $(COMPILED)/.installed
	@echo "Installing what the tests need into $(COMPILED)/venv"
	@$(COMPILED_PY) -m pip --disable-pip-version-check install --quiet --group test
	@touch $@
