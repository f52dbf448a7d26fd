# Every target sets up what it needs: a virtual environment in .venv, pinned by constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
# Uncompiled: what is imported is compiled then and kept, and the rest, most of torch, never.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-compile \
  --constraint constraints.txt
# PyPI's Linux wheel of torch brings gigabytes of CUDA; this index has the CPU build. Where it cannot
# be reached, or CPU=0 is given, torch comes from wherever pip finds it.
CPU ?= 1
CPU_TORCH := https://download.pytorch.org/whl/cpu
TORCH := $(shell grep '^torch==' constraints.txt)

STATIC := src/convscope/server/static/index.html
PAGE := $(shell find web -path web/node_modules -prune -o -type f -print) docs/glossary.md
# The page's types, made from the server's schema; they change only where the schema does.
TYPES := web/src/api/types.ts
SERVER := $(shell find src/convscope -name '*.py')

.PHONY: demo test quick check fix web bench docs wheel clean help code types page fetched
SORTED := $(if $(filter output-sync,$(.FEATURES)),-O) # macOS' make 3.81 has no -O
# Side by side, the longest first; what each one prints comes when it has ended.
PARTS := $(MAKE) --no-print-directory -j2 $(SORTED) types page code

help:
	@echo "make demo    train, evaluate and use two classifiers on Fashion-MNIST (about 5 minutes)"
	@echo "make test    check, then all tests        make quick   tests without the slow ones"
	@echo "make check   style, types, layers, sizes  make fix     mend style"
	@echo "make web     the explorer's page, built into the package (needs Node.js)"
	@echo "make bench   benchmarks against peers     make docs    the documentation, into site/"
	@echo "make wheel   build the wheel and try it in an empty environment"

demo: .venv/runtime $(STATIC)
	@tools/get-fashion-mnist
	@tools/demo

test: .venv/dev $(STATIC)
	+@$(PARTS) fetched
	$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report=

quick: .venv/dev $(STATIC)
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

check: .venv/dev $(TYPES)
	+@$(PARTS)

code: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python tools/check_sizes.py

types: .venv/dev
	$(BIN)/pyright

page: .venv/dev $(TYPES)
	tools/check-page

fetched: .venv/dev
	@$(BIN)/python tools/get-corpora
	@tools/get-chromium

fix: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/file_map.py
	cd web && npm run --silent format

web: $(STATIC)

bench: .venv/dev
	@tools/get-fashion-mnist
	$(BIN)/python -m benchmarks

docs: .venv/docs
	$(BIN)/typer convscope.cli.app utils docs --name convscope --output docs/reference/cli.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: .venv/dev $(STATIC)
	PYTHON=$(PYTHON) TORCH="$(TORCH)" CPU_TORCH=$(CPU_TORCH) tools/try-wheel

clean:
	rm -rf .venv .peers build dist site web/node_modules $(dir $(STATIC)) $(TYPES) .stamps/schema

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@command -v npm >/dev/null || { \
	  echo "the explorer's page is built with Node.js 20 or newer; on Debian: apt-get install npm" >&2; exit 2; }
	cd web && npm ci --silent --no-audit --no-fund
	@touch $@

.stamps/schema: $(SERVER) tools/make-schema web/node_modules/.package-lock.json | .venv/runtime
	@tools/make-schema
	@mkdir -p $(@D) && touch $@

# Of the same schema the file stays as it is, and nothing is built again.
$(TYPES): .stamps/schema
	@test -f $@ || tools/make-schema

$(STATIC): web/node_modules/.package-lock.json $(TYPES) $(PAGE)
	cd web && npm run --silent build -- --logLevel warn
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "convscope needs Python 3.11 or newer; give it as make PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; apt-get -qq install -y python3-venv; \
	  $(PYTHON) -m venv .venv; } || { rm -rf .venv; \
	  echo "python3-venv is missing and cannot be installed; on Debian: apt-get install python3-venv" >&2; \
	  exit 2; }

.venv/torch: constraints.txt | .venv/bin/python
	@test "$(CPU)" = 0 || $(PIP) --no-deps --retries 0 --timeout 15 --index-url $(CPU_TORCH) \
	  "$(TORCH)" || echo "no CPU build of torch to be had there; taking the default one"
	@$(PIP) "$(TORCH)"
	@touch $@

.venv/runtime: pyproject.toml constraints.txt .venv/torch
	$(PIP) --editable ".[tensorboard]"
	@touch $@

.venv/dev: pyproject.toml constraints.txt .venv/torch
	$(PIP) --editable ".[tensorboard,dev]"
	$(PIP) --no-deps torchvision timm huggingface_hub
	@touch $@ .venv/runtime

.venv/docs: pyproject.toml constraints.txt .venv/torch
	$(PIP) --editable ".[docs]"
	@touch $@
