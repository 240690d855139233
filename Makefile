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
BENCH_ARGS ?=
# What did not run is counted by cause at the end, instead of listed test by test.
REPORT := -rfE

.PHONY: help demo test check bench proof conformance controlplane controlplane-if-possible hivemq \
	hivemq-if-possible mosquitto packages venv lock format generate clean

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: venv mosquitto controlplane-if-possible ## The main job on real parts, start to end (KEEP=1 leaves it running)
	@$(BIN)/eatool demo $(if $(KEEP),--keep)

test: venv packages controlplane-if-possible hivemq-if-possible ## Every test, on real parts (PYTEST_ARGS='-k relay')
	@$(if $(PYTEST_ARGS),,tools/lanes) $(BIN)/pytest $(REPORT) $(PYTEST_ARGS)

check: venv ## Lint, types, layers, generated files up to date
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml
	@$(BIN)/eatool crds --check
	@$(BIN)/eatool asyncapi --check

bench: venv packages controlplane-if-possible ## Benchmarks beside raw drivers and what a user would pick instead (BENCH_ARGS=--quick)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

proof: venv packages controlplane-if-possible ## 20,000 events to two brokers, one of which suffers; both beside the landscape
	@$(BIN)/pytest $(REPORT) -s tests/proofs $(PYTEST_ARGS)

conformance: venv packages hivemq-if-possible ## The MQTT adapter on four real brokers; writes docs/mqtt-conformance.md
	@EATOOL_WRITE_CONFORMANCE=1 $(BIN)/pytest $(REPORT) tests/conformance $(PYTEST_ARGS)

hivemq: packages ## HiveMQ CE from Maven Central, for the conformance tests
	@tools/hivemq/build >/dev/null

hivemq-if-possible: # without Maven its tests say so
	@tools/hivemq/build >/dev/null || test $$? -eq 3

controlplane: ## Build kube-apiserver, etcd, kubectl and helm once (10-15 minutes with Go)
	@tools/controlplane

controlplane-if-possible: # without Go, what needs it says so and does without
	@tools/controlplane >/dev/null || test $$? -eq 3

mosquitto:
	@tools/packages mosquitto

packages: ## Debian packages: PostgreSQL, promtool, MQTT brokers, Maven
	@tools/packages

venv: $(VENV) ## The locked Python dependencies in .venv

$(VENV):
	@tools/venv $(PYTHON) $@

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
	@$(BIN)/eatool asyncapi --update

clean: ## Remove what builds left in the tree
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
