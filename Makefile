# The front door. Every target installs what it needs; `make help` lists them.
#
#   USE_CURRENT_CONTEXT=1   use the cluster of your kubeconfig instead of a local one
#   JOBS=3                  end-to-end tests that run side by side
#   TESTS=...               arguments for pytest, e.g. TESTS="-k a03"

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

UV_VERSION := 0.13.8
UV := $(shell command -v uv || echo .cache/uv/bin/uv)
export UV
PYTHON := .venv/bin/python
DEVCLUSTER := $(PYTHON) -m devcluster
E2E := $(PYTHON) -m tests.e2e.undisturbed $(PYTHON) -m pytest tests/e2e
# What pytest exits with if TESTS chooses nothing, which only one of the two runs may find.
NONE_CHOSEN := [ $$? -eq 5 ]
JOBS ?= 3
TESTS ?=

.PHONY: help demo test test-unit test-e2e test-long bench lint lint-install generate reviewable image \
	cluster-up cluster-down clean coverage release

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What everything needs

.cache/uv/bin/uv:
	@echo "installing uv $(UV_VERSION)"
	@python3 -m venv .cache/uv
	@.cache/uv/bin/pip install --quiet uv==$(UV_VERSION)

.venv/.stamp: pyproject.toml uv.lock $(filter .cache/uv/bin/uv,$(UV))
	@$(UV) sync --locked --quiet
	@touch $@

# For people

demo: image ## Bring up a cluster, install the operator, show it at work
	@$(PYTHON) -m examples.demo

cluster-up: .venv/.stamp ## Start the development cluster (see docs/adr)
	@$(DEVCLUSTER) up

cluster-down: .venv/.stamp ## Stop it and leave nothing behind
	@$(DEVCLUSTER) down
	@[ $$(id -u) -ne 0 ] || $(DEVCLUSTER) down --scale

image: cluster-up ## Build the images and give them to the cluster
	@$(DEVCLUSTER) build
	@$(DEVCLUSTER) load

# Tests

test: ## Everything: unit tests and coverage, end-to-end tests on a real cluster, what the roles grant
	@$(MAKE) cluster-up
	@$(MAKE) test-unit
	@$(MAKE) coverage
	@$(MAKE) test-e2e
	@$(if $(TESTS),,$(PYTHON) -m tests.audit)

test-unit: .venv/.stamp ## Unit and property tests, in seconds
	@$(PYTHON) -m pytest tests/unit -n auto --cov --cov-report= $(TESTS)

test-e2e: image ## End-to-end tests on the development cluster, side by side, few of them alone
	@chosen=no; \
	$(E2E) -m "not alone" -n $(JOBS) --dist worksteal $(TESTS) && chosen=yes || $(NONE_CHOSEN); \
	$(E2E) -m alone $(TESTS) && chosen=yes || $(NONE_CHOSEN); \
	[ $$chosen = yes ] || { echo "no end-to-end test was chosen by TESTS"; exit 1; }

test-long: image ## What takes longer: 300,000 requests, 60 rollbacks, 60 verdicts, swaps, many kills, half an hour of idling
	@$(PYTHON) -m tests.e2e.undisturbed $(PYTHON) -m tests.long
	@for round in 1 2 3 4 5; do \
		$(PYTHON) -m tests.e2e.undisturbed $(PYTHON) -m pytest tests/e2e/test_resilience.py $(TESTS); \
	done
	@$(DEVCLUSTER) up --scale
	@$(DEVCLUSTER) enter --scale -- $(PYTHON) -m tests.bench --soak 30 --json .cache/bench/soak.json

coverage: .venv/.stamp ## Coverage of the unit tests that ran, lines and branches apart
	@$(PYTHON) -m tests.coverage_gate

bench: image ## Benchmarks: 1,000 Agents on fake nodes, swaps of a model under load; JSON in .cache
	@$(DEVCLUSTER) up --scale
	@$(DEVCLUSTER) enter --scale -- $(PYTHON) -m tests.bench
	@$(PYTHON) -m tests.e2e.undisturbed $(PYTHON) -m tests.long --only models-swaps models-weights models-pairs

# Code

lint: .venv/.stamp ## Style, types, layers
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache >/dev/null || .venv/bin/lint-imports --no-cache

lint-install: .venv/.stamp ## What kubeconform, kube-score and checkov find in chart and manifests
	@$(PYTHON) -m tests.installing

generate: .venv/.stamp ## Write the generated files anew: CRDs, reference, manifests, chart
	@$(PYTHON) -m agentherd.api
	@$(PYTHON) -m agentherd.engine
	@$(PYTHON) -m manifests

reviewable: generate ## What a commit should have been through
	@.venv/bin/ruff format
	@$(MAKE) lint test-unit

release: .venv/.stamp ## Build what is handed out into dist/: chart, image, plugin, bills of materials, notes
	@$(PYTHON) -m release

clean: ## Stop the clusters and remove all that was built
	@if [ -x $(PYTHON) ]; then $(MAKE) cluster-down; fi
	@rm -rf .cache .venv dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
