# The two commands of the README are `make demo` and `make test`; the rest stands beside them.
# Every target but `lock` works with an empty environment save HOME and PATH.

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test check bench bench-full overload faults rehearsal mutants fuzz pictures lock
.NOTPARALLEL:
# Python is started hundreds of times: each time it would compile what it could have kept.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
# Tests mostly wait for servers: three processes, each with servers of its own, keep two cores busy.
PYTEST := $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
# Installs what some tests check with, where that is allowed, and says what is missing where not.
CHECKERS := $(BIN)/python -m tests.support.checkers
# Installs what wabus is compared with.
COMPARED := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
STAMP := $(VENV)/.set-up
UV ?= uv
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --no-config --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## build .venv/ from the hashed lock, with wabus in it

$(STAMP): pyproject.toml requirements-dev.lock deploy/venv.sh
	@sh deploy/venv.sh $(VENV)
	@touch $(STAMP)

demo: setup ## start everything, play a day in a minute, stop everything
	@$(BIN)/wabus demo

up: setup ## start everything and leave it running
	@$(BIN)/wabus demo --up

down: ## end what `make up` started, and remove its data
	@if [ -x $(BIN)/wabus ]; then $(BIN)/wabus demo --down; $(BIN)/wabus stack down; fi

test: setup ## all tests, on servers of their own
	@$(CHECKERS)
	@$(PYTEST)

check: setup ## what CI runs: format, lint, types, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(CHECKERS)
	@$(PYTEST)

bench: setup ## wabus beside FastStream, Celery, Dramatiq and each server alone, on this machine (20 minutes)
	@$(COMPARED)
	@$(BIN)/python -m tests.bench $(if $(JSON),--json $(JSON))

bench-full: setup ## that, and sizes of a batch, replicas, ten million messages, what one's trouble costs others
	@$(COMPARED)
	@$(BIN)/python -m tests.bench --full $(if $(JSON),--json $(JSON))

overload: setup ## a backlog of 50,000 and a slow Cloud API: what agents' replies feel of it
	@$(BIN)/python -m tests.bench.overload

faults: setup ## kill, cut and starve what runs, under load: 20 seeds, or one (SEED=7)
	@$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED))

rehearsal: setup ## upgrade from the last release and roll back, under load: what is lost, sent twice, waits
	@$(BIN)/python -m tests.faults.upgrade

mutants: setup ## break every promise once, in a copy, and see that a test notices (ONLY=text)
	@$(BIN)/python -m tests.mutants $(if $(ONLY),--only "$(ONLY)")

fuzz: setup ## ten minutes of a coverage-guided fuzzer over every decoder (MINUTES=10)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),10)

pictures: setup ## draw the dashboards from what a Prometheus scraped of working workers (5 minutes)
	@$(CHECKERS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-pictures.lock
	@$(BIN)/python -m tests.pictures

lock: ## renew the lock files from pyproject.toml (needs uv)
	@$(COMPILE) --upgrade --output-file requirements.lock pyproject.toml
	@$(COMPILE) --upgrade --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	@$(COMPILE) --upgrade --extra fuzz --constraint requirements-dev.lock --output-file requirements-fuzz.lock pyproject.toml
	@$(COMPILE) --upgrade --extra pictures --constraint requirements-dev.lock --output-file requirements-pictures.lock pyproject.toml
	@$(COMPILE) --upgrade --extra bench --constraint requirements-dev.lock --output-file requirements-bench.lock pyproject.toml
