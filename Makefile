# The commands of README.md. Each sets up what it needs, says what it does, and is cheap to run again.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc)
BUILD := build
PRODUCTS := dsocrd dsocrctl dsocr-runner dsocr_agent

.PHONY: help setup configure build run test soak venv bundle clean check

help:  ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 16

setup:  ## System packages and LibTorch
	@tools/dev/setup.sh $(BUILD)

configure: setup
	@tools/dev/configure.sh $(BUILD)

build: configure  ## A release of all programs into build/bin
	@echo "== building $(PRODUCTS)"
	@cmake --build $(BUILD) -j$(JOBS) --target $(PRODUCTS)

run: build  ## The main job: DeepSeek-OCR at full size, predicted beside measured
	@echo "== running DeepSeek-OCR at full size under the profiler"
	@$(BUILD)/bin/dsocrctl run $(ARGS)

venv: setup  ## A Python with torch and transformers, for the tests with Python jobs
	@tools/dev/venv.sh $(BUILD)

test: venv configure  ## All tests
	@echo "== building everything"
	@cmake --build $(BUILD) -j$(JOBS)
	@tools/dev/run_tests.sh $(BUILD)

soak: venv configure  ## The floors at full length: records, sessions, injections, attaching; in about a quarter of an hour
	@echo "== building"
	@cmake --build $(BUILD) -j$(JOBS) --target $(PRODUCTS) gpu_soak session_soak attach_soak python_session
	@echo "== the agent into 40 processes that do nothing but malloc and free"
	@$(BUILD)/tests/attach_soak 40
	@echo "== 200 sessions in one busy job"
	@$(BUILD)/tests/session_soak 200
	@echo "== 50 Pythons that end while they are attached to"
	@DSOCR_AGENT_LIBRARY=$(CURDIR)/$(BUILD)/bin/libdsocr_agent.so $(BUILD)/venv/bin/python tests/cupti/agent/python_exit_test.py 50
	@echo "== PyTorch jobs: first records, what hooks cost, what is left after 200 attaches, 20 daemons killed meanwhile"
	@DSOCR_SOURCE_DIR=$(CURDIR) DSOCR_BIN_DIR=$(CURDIR)/$(BUILD)/bin DSOCR_TEST_PYTHON=$(CURDIR)/$(BUILD)/venv/bin/python \
	  python3 tests/integration/attach_soak.py 200 60 20
	@echo "== what hooks on stages cost"
	@$(BUILD)/venv/bin/python tests/benchmark/hook_cost.py $(BUILD)/tests/libpython_session.so
	@echo "== 100 million records of a fake GPU at a million a second"
	@$(BUILD)/tests/gpu_soak 100

bundle: build  ## The programs with their shared libraries, without LibTorch, in build/bundle
	@cmake --build $(BUILD) -j$(JOBS) --target trace_operations
	@tools/packaging/bundle.sh $(BUILD)

check:  ## What a change must pass before it is committed
	@tools/dev/check.sh

clean:  ## Remove build/
	@rm -rf $(BUILD)
