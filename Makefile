# Each target sets up what it needs in .venv; nothing outside this folder is touched but
# PREVIEWDROP_HOME, and for tests the machine's Docker.

PYTHON ?= python3
export UV_CACHE_DIR ?= $(CURDIR)/.venv/cache
export UV_PYTHON_DOWNLOADS := never
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE
UV := .venv/bin/uv
RUN := $(UV) run --frozen --no-sync

.PHONY: demo docker github browser test lint bench clean

demo: .venv/ready  ## four branches of the example, live at the same time
	@$(RUN) previewdrop demo

docker: .venv/ready  ## a Docker Engine and the base images that tests build on
	@tests/docker/prepare.sh

github: .venv/ready  ## what GitHub publishes of its API, for the stand-in that tests talk to
	@.venv/bin/python tests/github_standin/prepare.py

browser:  ## a Chromium for the tests of pages
	@tests/browser/prepare.sh

test: .venv/ready docker github browser  ## every test, real PostgreSQL, Valkey and Caddy included
	@$(RUN) pytest --numprocesses=2 --dist=loadfile

lint: .venv/ready  ## format, style, types, and which way imports point
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) pyright
	@$(RUN) lint-imports

bench: .venv/ready github  ## PreviewDrop against the bare tools, as JSON, a table and a picture
	@$(UV) sync --frozen --quiet --group bench
	@benchmarks/tools.sh
	@$(RUN) python -m benchmarks

clean:
	rm -rf .venv

.venv/ready: pyproject.toml uv.lock | $(UV)
	@echo "Installing what PreviewDrop needs into .venv …"
	@$(UV) sync --frozen --quiet
	@touch $@

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "PreviewDrop needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making .venv …"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check uv
