# Two commands matter: `make run` flies a mission, `make test` proves the rest. Both set themselves up.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ONLY   ?=
ARCH   ?= arm64 amd64
PY     ?= 3.11
ARGS   ?=
CHECKS ?=
MINUTES ?= 10
SEED   ?= $(shell git rev-parse HEAD 2>/dev/null || echo 1)

.DEFAULT_GOAL := help
.PHONY: help run test lint bench hil campaign rig mutate docs lock wheelhouse clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.run: pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON): install Python 3.11 or newer, or name one: make run PYTHON=python3.11"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: name a newer one, e.g. make run PYTHON=python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "setting up the test tools (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

run: $(VENV)/.run  ## fly the default mission on the embedded rig (ARGS="--seed 7 --realtime")
	@$(BIN)/qiki run $(ARGS)

test: $(VENV)/.dev  ## run every test and every scenario
	@$(BIN)/python -m pytest -n auto -m "not alone" $(ARGS)
	@$(BIN)/python -m pytest -m alone $(ARGS) || [ $$? = 5 ]

lint: $(VENV)/.dev  ## style, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# What the figures stand beside; without their own requirements, which would put the locked versions back.
$(VENV)/.peers: $(VENV)/.dev
	@echo "setting up the benchmarks' peers (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps bsk==2.12.1 daqp==0.11.0 colorama==0.4.6 tqdm==4.67.3 pycose==1.1.0 ecdsa==0.19.1 six==1.17.0 certvalidator==0.11.1 asn1crypto==1.5.1 oscrypto==1.3.0 noiseprotocol==0.3.1 stonesoup==1.9.1 filterpy==2.0.0 narwhals==2.29.0 ordered-set==4.1.0 plotly==7.1.0 pymap3d==3.2.0 rtree==1.4.1 ruamel.yaml==0.19.1 utm==0.9.0 || echo "no peers here: their columns stay empty"
	@touch $@

bench: $(VENV)/.peers  ## measure every figure beside its reference (ONLY=spine for one subject)
	@$(BIN)/python -m bench $(ONLY)

hil: $(VENV)/.dev  ## fly every scenario of the suite on the rig
	@$(BIN)/python -m pytest tests/scenarios $(ARGS)

campaign: $(VENV)/.dev  ## fly faults against the software for MINUTES=10 on all cores, other ones with every commit
	@$(BIN)/qiki hil campaign --slice $(MINUTES) --seed $(SEED) $(ARGS)

# A guest with a real kernel and systemd (docs/guide/kernel-in-the-loop.md): user-mode Linux unless ARCH names another.
RIG_ARCH = $(if $(filter command environment,$(firstword $(origin ARCH))),$(ARCH),uml)

rig: $(VENV)/.run  ## install, fly and break the project on a real kernel (ARCH=uml|amd64|arm64, CHECKS=boot,kill-flight)
	@$(BIN)/python -m hil.kernel.rig --arch $(RIG_ARCH) --checks "$(CHECKS)" $(ARGS)

# The tool that changes the safety core piece by piece (docs/decisions/0019).
$(VENV)/.mutate: $(VENV)/.dev
	@echo "setting up the mutation tool (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check mutmut==3.8.1
	@touch $@

mutate: $(VENV)/.mutate  ## hold the tests of fdir/ against mutants of it (20 minutes; MUTATE=fdir/recovery.py for some)
	@MUTATE=$(MUTATE) $(BIN)/python -m bench mutation

docs: $(VENV)/.run  ## print docs/chips.md, docs/reference and docs/protocols/nbl.md from the tables
	@$(BIN)/qiki docs

lock:  ## write down the exact versions that a fresh install takes
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/pip install --quiet --disable-pip-version-check .
	@build/lock/bin/pip freeze --exclude qiki-flight > requirements.lock
	@build/lock/bin/pip install --quiet --disable-pip-version-check '.[board]' pip
	@build/lock/bin/pip freeze --all --exclude qiki-flight --exclude setuptools --exclude wheel > firmware_py/install/board.lock
	@build/lock/bin/pip install --quiet --disable-pip-version-check '.[dev]'
	@build/lock/bin/pip freeze --exclude qiki-flight > requirements-dev.lock
	@rm -rf build

wheelhouse: $(VENV)/.run  ## everything that an offline install needs (ARCH=arm64, PY="3.11 3.13")
	@$(BIN)/python -m firmware_py.install.wheelhouse --arch $(ARCH) --python $(PY)

clean:  ## remove the virtual environment and what flights left
	@rm -rf $(VENV) flights build wheelhouse *.egg-info
