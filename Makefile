# The one entry point, here and in CI. A fresh machine needs Python >= 3.11, Rust >= 1.95 and a C compiler.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO_HOME ?= $(HOME)/.cargo
export PATH := $(CURDIR)/.venv/bin:$(CARGO_HOME)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# One target directory for pip and cargo, so that nothing is optimised twice.
export CARGO_TARGET_DIR ?= $(CURDIR)/rust_ext/target

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3.14 python3,$(shell command -v $(p) 2>/dev/null)))
PY := .venv/bin/python
CARGO := nice cargo
MANIFEST := --manifest-path rust_ext/Cargo.toml
INSTALL := $(PY) -m pip install --quiet --no-build-isolation --no-deps --editable .

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

run: .venv/package ## build what is missing and start the demo: a gateway before example origins
	$(PY) -m fastgate demo

dev: .venv/deps ## build both compiled modules in place; FASTGATE_PROFILE=dev for the quick build
	nice $(INSTALL)
	@touch .venv/package

test: .venv/deps tools ## run every test, Rust and Python
	$(CARGO) test $(MANIFEST) --workspace --exclude fastgate-py --locked
	$(MAKE) --no-print-directory dev bins FASTGATE_PROFILE=release
	FASTGATE_TEST_PRIVATE_DESCRIPTORS=1 $(PY) -m pytest -q tests/integration -k "http1 or lifecycle"
	$(PY) -m pytest

oldest: .venv/package ## the config, the command line and the hooks with the oldest versions that the metadata allows
	test -d .venv-oldest || $(PY) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-oldest/bin/python -m pip install --quiet --constraint tests/oldest.txt --group test \
	  $$($(PY) -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'])")
	cd $(CURDIR) && PYTHONPATH=src .venv-oldest/bin/python -m pytest -q -W ignore::DeprecationWarning \
	  tests/unit/config tests/unit/cli tests/unit/test_testing.py tests/integration/test_hooks.py

lint: .venv/deps ## ruff, mypy, rustfmt, clippy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	cargo fmt $(MANIFEST) --all --check
	$(CARGO) clippy $(MANIFEST) --workspace --all-targets --locked -- -D warnings

bench: .venv/package bins ## gateways side by side under load, as a table
	$(PY) -m pip install --quiet --group peers
	$(CARGO) build $(MANIFEST) --release --locked --package fastgate-loadgen --bin fastgate-load --features tls
	$(PY) -m bench.load
	$(PY) -m bench.load.policies

bench-realtime: .venv/package bins ## WebSocket hubs side by side: rooms, bursts, Redis, 100,000 connections
	@[ -x "$$(command -v npm)" ] && npm install --silent --prefix bench/realtime/peers || echo "no npm: uWebSockets is left out"
	@[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || echo "no libnginx-mod-nchan (Debian): nchan is left out"
	$(PY) -m bench.realtime

bench-micro: .venv/package ## the compiled parts beside their peers in the Python world
	$(PY) -m pip install --quiet --group micro
	$(PY) -m pytest bench/micro --benchmark-enable --benchmark-only

fuzz: ## fuzz every parser (those of the codec on nightly Rust), FUZZ_SECONDS (20) each; `make test` replays the stored corpus
	rust_ext/fuzz/fuzz.sh run
	$(PY) tools/fuzz_config.py --seconds $${FUZZ_SECONDS:-20}

fuzz-coverage: ## what the stored corpus reaches of the codec; below FUZZ_COVERAGE (95) % it fails
	rust_ext/fuzz/fuzz.sh coverage

docs: .venv/deps ## build the documentation; a broken link fails
	$(PY) -m mkdocs build --strict

bins: ## the engine without Python, the load client, the test origin and the floor
	$(CARGO) build $(MANIFEST) --release --locked --bins --package fastgate-engine --package fastgate-loadgen

tools: # peers and probes that some tests use (COMMAND or COMMAND=PACKAGE): optional, installed only as root
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=; for tool in nginx haproxy redis-server strace valgrind curl zsh fish chromium chromedriver=chromium-driver; do \
	    PATH="$$PATH:/usr/sbin" command -v $${tool%=*} >/dev/null || missing="$$missing $${tool#*=}"; done; \
	  if [ -n "$$missing" ]; then apt-get update -qq >/dev/null || true; for package in $$missing; do \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$package >/dev/null \
	      || echo "not installed: $$package; the tests that need it are skipped"; done; fi; fi

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is not on the PATH"; exit 1; }
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "fastgate needs Python 3.11 or newer, not " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv

# The package's own dependencies come from its metadata, so that they stand in one place.
.venv/deps: pyproject.toml | .venv/bin/python
	$(PY) -m pip install --quiet --upgrade 'pip>=25.1'
	$(PY) -m pip install --quiet --group dev $$($(PY) -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'])")
	@touch $@

.venv/package: | .venv/deps
	$(MAKE) --no-print-directory dev

clean: ## remove what was built
	rm -rf build dist .venv .venv-oldest rust_ext/target src/fastgate/*.so src/*.egg-info

.PHONY: help run dev test oldest lint bench bench-realtime bench-micro fuzz fuzz-coverage docs bins tools clean
