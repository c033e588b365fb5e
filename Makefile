# Every target creates .venv first if it is missing: with uv if installed, otherwise with venv and pip.
VENV := .venv
PYTHON_BIN := $(VENV)/bin/python
PORT ?= 3000
# STRICT=1: gates of severity `warn` fail, too. PLAN=1: make compare only shows what it would make.
FLAGS := $(if $(filter-out 0 no off,$(STRICT)),--strict) $(if $(filter-out 0 no off,$(PLAN)),--plan)

# Dagster starts many processes. Without cached bytecode, each of them would compile its libraries
# for five seconds. The caches are in .venv and in this folder.
export PYTHONDONTWRITEBYTECODE :=
# Keeps the order that tests/conftest.py sets.
PARALLEL := -n logical --dist loadfile --no-loadscope-reorder

.PHONY: help demo run compare refine release ui test coverage test-services test-train test-model lint docs bench clean lock \
  pictures snapshot dictionary sbom audit-dependencies

help:
	@echo "make demo              nine tasks with the simulator, then one table and the reports"
	@echo "make run TASK=rte      all tables of one task"
	@echo "make compare BASE=rte  a task and all tasks that extend it, where missing or older; PLAN=1 only plans"
	@echo "make refine TASK=rte   rows that close the gaps that the report shows [ROUNDS=3] [BUDGET=1.00]"
	@echo "make release TASK=rte  an immutable folder of the task's current tables, if all gates pass"
	@echo "                       STRICT=1 makes failed gates of severity 'warn' an error"
	@echo "make ui                the Dagster UI on http://127.0.0.1:$(PORT)"
	@echo "make test              the tests       make lint    style, types, layers"
	@echo "make test-train        what needs PyTorch and real weights, in an environment of its own"
	@echo "make test-services     a real backfill on PostgreSQL, Redis, S3 and two Celery workers"
	@echo "make coverage          lines and branches that the tests cover, also as htmlcov/index.html"
	@echo "make test-model        runs with a small real model on llama.cpp's server, built from source once"
	@echo "make docs              the documentation as a site, build/site/index.html"
	@echo "make bench             performance figures as JSON"
	@echo "make clean             remove caches and builds; data, runs and .venv stay"

$(VENV)/.ready: requirements.lock pyproject.toml deploy/local/setup.sh
	@sh deploy/local/setup.sh $(VENV)

# PyTorch takes gigabytes, so it has its own environment, created on first use.
.venv-train/.ready-train: requirements.lock pyproject.toml deploy/local/setup.sh
	@sh deploy/local/setup.sh .venv-train train,embeddings,spacy,weights

demo: $(VENV)/.ready
	@$(PYTHON_BIN) -m dagster_project.run $(FLAGS) --demo

run: $(VENV)/.ready
	@$(PYTHON_BIN) -m dagster_project.run $(FLAGS) $(if $(TASK),"$(TASK)")

compare: $(VENV)/.ready
	@$(PYTHON_BIN) -m dagster_project.run $(FLAGS) --compare $(if $(BASE),"$(BASE)")

refine: $(VENV)/.ready
	@$(PYTHON_BIN) -m dagster_project.run $(FLAGS) --refine "$(TASK)" $(if $(ROUNDS),--rounds "$(ROUNDS)") \
	  $(if $(BUDGET),--budget "$(BUDGET)")

release: $(VENV)/.ready
	@$(PYTHON_BIN) -m dagster_project.run $(FLAGS) --release "$(TASK)"

ui: $(VENV)/.ready
	@exec $(PYTHON_BIN) -m dagster_project.ui "$(PORT)"

test: $(VENV)/.ready
	@$(PYTHON_BIN) -m pytest $(PARALLEL)

# CONTRIBUTING.md says which lines and branches are not covered, and why.
coverage: $(VENV)/.ready
	@$(PYTHON_BIN) -m pytest $(PARALLEL) --cov --cov-report=term --cov-report=html

test-train: .venv-train/.ready-train
	@.venv-train/bin/python -m pytest tests/training

test-services: $(VENV)/.ready
	@deploy/local/services.sh
	@$(PYTHON_BIN) -m tests.services

test-model: $(VENV)/.ready
	@deploy/local/model.sh build
	@TARGEN_TEST_MODEL=1 $(PYTHON_BIN) -m pytest tests/model

lint: $(VENV)/.ready
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

# Warnings, such as a broken link or a page without an entry in the navigation, are errors.
docs: $(VENV)/.ready
	@NO_MKDOCS_2_WARNING=1 PYTHONDONTWRITEBYTECODE=1 $(PYTHON_BIN) -m mkdocs build --strict --quiet
	@echo "build/site/index.html (its search needs a server: python -m http.server --directory build/site)"

bench: $(VENV)/.ready
	@$(PYTHON_BIN) -m bench

clean:
	@rm -rf build dist htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache *.egg-info
	@find targen simulator resources assets dagster_project tests -name __pycache__ -type d -prune \
	  -exec rm -rf {} +

# For maintainers: make the README's pictures again, from a new demo.
pictures: $(VENV)/.ready
	@TARGEN_PICTURES=docs/pictures $(PYTHON_BIN) -m pytest tests/browser

# For maintainers: accept the current Dagster definitions as the snapshot that the tests compare with.
snapshot: $(VENV)/.ready
	@TARGEN_SNAPSHOT=1 $(PYTHON_BIN) -m pytest tests/dagster_project/test_snapshot.py

# For maintainers: write docs/data.md from the tables, and the metrics into docs/quality.md.
dictionary: $(VENV)/.ready
	@$(PYTHON_BIN) -m assets.dictionary

# For maintainers: lock the newest versions that pyproject.toml allows, without the large extras.
lock:
	uv pip compile pyproject.toml --extra dev --extra docs --extra production --extra datasets --extra huggingface \
	  --universal --python-version 3.11 --no-header --no-annotate --upgrade -o requirements.lock

# Both tools bring 25 packages, one of which slows down every import of Great Expectations.
.venv-security/.ready: pyproject.toml
	@$(PYTHON_BIN) -m venv .venv-security
	@.venv-security/bin/python -m pip install --quiet "cyclonedx-bom>=7" "pip-audit>=2.9"
	@touch $@

# A CycloneDX bill of materials, and a check for known vulnerabilities.
sbom: $(VENV)/.ready .venv-security/.ready
	@mkdir -p build && .venv-security/bin/cyclonedx-py environment $(PYTHON_BIN) -o build/sbom.json
	@echo build/sbom.json

audit-dependencies: .venv-security/.ready
	@.venv-security/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip
