# Every target brings what it needs on a bare Debian 12 with Python 3.11+, and is quick when
# nothing changed. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
LOCK := $(shell cat requirements/dev.txt pyproject.toml 2>/dev/null | sha256sum | cut -c1-16)
VENV := .venv/.locked-$(LOCK)
KEEP ?=
PYTEST_ARGS ?=

.PHONY: help demo test check bench controlplane packages venv lock format generate clean

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: venv packages controlplane ## The main job on embedded defaults, start to end (KEEP=1 leaves it running)
	@$(BIN)/python -m eatool demo $(if $(KEEP),--keep)

test: venv packages controlplane ## Every test, on real parts
	@$(BIN)/pytest $(PYTEST_ARGS)

check: venv ## Lint, types, layers, generated files up to date
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml
	@$(BIN)/eatool crds --check

bench: venv packages controlplane ## Benchmarks beside raw drivers and what a user would pick instead
	@$(BIN)/python -m benchmarks

controlplane: ## Build kube-apiserver, etcd, kubectl and helm once (10-15 minutes with Go)
	@tools/controlplane || { code=$$?; test $$code -eq 3; }

packages: ## Debian packages: PostgreSQL, Mosquitto, promtool
	@tools/packages

venv: $(VENV)

$(VENV):
	@echo "Installing the locked Python dependencies into .venv ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f .venv/.locked-*
	@touch $@

lock: ## Renew requirements/*.txt from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --extra postgres --extra solace --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --no-annotate --quiet -o requirements/runtime.txt
	@uv pip compile pyproject.toml --all-extras --group dev --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --no-annotate --quiet -o requirements/dev.txt

format: venv ## Format and fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: venv ## Regenerate crds/ and what derives from the kinds
	@$(BIN)/eatool crds

clean: ## Remove what builds left in the tree
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
