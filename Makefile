# Everything starts here; `make` alone lists what there is. Each target does its own set-up.
PYTHON ?= python3
BIN := .venv/bin
TESTS ?=
# A choice may leave one of the two runs of `make test` without tests (exit status 5).
NONE_IS_FINE = $(if $(TESTS),|| test $$? -eq 5)
# Bytecode is kept, whatever the shell says: compiling what torch imports anew is a third or more of each start of a
# program, and tests start hundreds.
export PYTHONDONTWRITEBYTECODE :=
# Two local clusters side by side, the tests of a file on one of them; a cluster that somebody else runs is one.
CLUSTERS = -n $(if $(DISTILL_TEST_KUBECONFIG),0,2) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint verify generate bench-quality bench-operator bench-trainer bench-memory bench-compile up down status clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-14s %s\n", $$1, $$2}'

setup: ## install the Python packages and build Kubernetes, side by side
	@$(PYTHON) local/bootstrap.py

demo: setup ## the main job on real data, on a real Kubernetes on this machine
	@$(BIN)/distill demo

test: setup lint ## lint, then every test, two at a time: those that need no cluster, then the others on two clusters
	@$(BIN)/python -m pytest -n 2 -m "not cluster and not kserve" $(TESTS) $(NONE_IS_FINE)
	@$(BIN)/python -m pytest $(CLUSTERS) -m "cluster or kserve" $(TESTS) $(NONE_IS_FINE)

test-fast: setup ## the tests that need no cluster
	@$(BIN)/python -m pytest -n 2 -m "not cluster and not kserve" $(TESTS) $(NONE_IS_FINE)

lint: setup ## ruff, mypy --strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

generate: setup ## write what is made from code: CRDs, reference, dashboards
	@$(BIN)/python -m distill_api
	@$(BIN)/python charts/dashboards

verify: setup ## fail where generated files differ from what the code says
	@$(BIN)/python -m distill_api --check
	@$(BIN)/python charts/dashboards --check

bench-quality: setup ## does distilling help? students with and without a teacher, several seeds
	@$(BIN)/python tests/bench/quality.py

bench-operator: setup ## apply to Job: how long, and how many API requests
	@$(BIN)/python tests/bench/operator_cost.py

bench-trainer: setup ## time and memory of losses and of whole epochs, beside Liger, TRL, torchdistill and plain loops
	@$(BIN)/python tests/bench/trainer_losses.py; losses=$$?; $(BIN)/python tests/bench/trainer_epochs.py && exit $$losses

bench-memory: setup ## is the trainer's memory flat from 10⁴ to 10⁶ samples?
	@$(BIN)/python tests/bench/trainer_memory.py

bench-compile: setup ## what training.compile changes in an epoch
	@$(BIN)/python tests/bench/trainer_compile.py

up: setup ## start the local Kubernetes with KServe and leave it running
	@$(BIN)/distill up --with kserve

down: ## stop the local Kubernetes; nothing of it stays
	@if [ -x $(BIN)/distill ]; then $(BIN)/distill down; fi

status: setup ## what runs
	@$(BIN)/distill status

clean: down ## remove the virtual environment and what was built here
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
