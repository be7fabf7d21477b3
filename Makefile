# Every target does its own set-up, says what it does, and is quick when nothing changed.
# A machine needs Python 3.11 to 3.13, git and make; the rest is fetched or built, once, into
# ~/.cache/track-tree-audio (XDG_CACHE_HOME is honoured), so that a second clone starts warm.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# What the targets of the images take, each if given: make images REGISTRY=... TAG=1.2.3
IMAGE_OPTIONS = $(if $(REGISTRY),--registry '$(REGISTRY)') $(if $(TAG),--tag '$(TAG)') \
	$(if $(BASE),--base '$(BASE)') $(if $(ENGINE),--engine '$(ENGINE)') \
	$(if $(SOURCE),--source '$(SOURCE)') $(if $(filter undefined,$(origin MODELS)),,--build-arg MODELS='$(MODELS)') \
	$(if $(TORCH_BACKEND),--build-arg TORCH_BACKEND='$(TORCH_BACKEND)')

# NODE=containers: a real kubelet and the service's own images (Linux, root).
ON_NODE := $(if $(filter containers,$(NODE)),--containers)

# What mypy knows of the libraries of a lock file, which takes most of its first run in a clone: the
# first clone's, copied once for all later ones. It looks anew at each file that differs.
TYPES := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/track-tree-audio/mypy-$(firstword $(shell cksum requirements.lock))

# Some container images set it; every run of the tests would compile all of them again, in each of
# its processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast property-tests chaos lint format bench cluster e2e-containers release-check docs images audit \
	licences release train-demo-model generate lock clean

help: ## explain the targets
	@echo "usage: make TARGET"; echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "make demo SONG=path    separate a song of yours instead of the synthesised one"
	@echo "make demo KEEP=1       keep the cluster up afterwards, to look around with kubectl"
	@echo "make demo NODE=containers    the same with a real kubelet (Linux, root); so does cluster"
	@echo "make bench ONLY=name   one benchmark (QUICK=1 make bench ONLY=engine tries its code)"

demo: $(READY) ## separate a song on a real cluster on this machine, and check every step
	$(BIN)/track-tree-audio local demo --out demo-out $(if $(value SONG),--song='$(subst ','\'',$(value SONG))') $(if $(KEEP),--keep) $(ON_NODE)

# The checks run beside the tests, which mostly wait; what they find is told at the end.
test: $(READY) ## run every check and every test, and name the twenty slowest
	@$(MAKE) --no-print-directory --silent lint > $(VENV)/lint.log 2>&1 & lint=$$!; \
	TEST_EXAMPLES=0.4 $(BIN)/python -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder --durations 20; tests=$$?; \
	wait $$lint; lint=$$?; [ $$lint = 0 ] && echo "checks: nothing found" || cat $(VENV)/lint.log; \
	exit $$((tests | lint))

test-fast: $(READY) ## try the code between two edits, within a minute: no cluster, helm, docs, types, slow songs
	@TEST_EXAMPLES=0.2 $(BIN)/python -m pytest tests/unit -m 'not slow' --numprocesses 2 --dist worksteal --quiet

# Tests of hypothesis with fifty times the examples that `make test` has; about three quarters of an hour.
property-tests: $(READY) ## the operator's random lives, parsers, chart values, calls with 50 times the examples
	TEST_EXAMPLES=20 $(BIN)/python -m pytest tests/unit tests/contract/test_values_agree.py tests/contract/test_openapi.py \
		tests/integration/worker \
		-m 'hypothesis or storm' --numprocesses 2 --dist worksteal --timeout 3600 --durations 20

chaos: $(READY) ## faults at random on a real cluster under load: is anything lost? (SEED=, MINUTES=, STORMS=, SONG_EVERY=, REAL=1)
	$(BIN)/python -m chaos $(if $(SEED),--seed '$(SEED)') $(if $(MINUTES),--minutes '$(MINUTES)') $(if $(STORMS),--storms '$(STORMS)') $(if $(SONG_EVERY),--song-every '$(SONG_EVERY)') $(if $(REAL),--real)

lint: $(READY) ## check format, style, types, import rules and spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@[ -d .mypy_cache ] || [ ! -d '$(TYPES)' ] || cp -R '$(TYPES)' .mypy_cache
	$(BIN)/mypy
	@[ -d '$(TYPES)' ] || { mkdir -p '$(dir $(TYPES))' && cp -R .mypy_cache '$(TYPES).'$$$$ && mv '$(TYPES).'$$$$ '$(TYPES)'; }
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(READY) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# ONLY: a part of the run, as for pytest's -k.
# The images are built before the first test, for as long as that takes; the limit is each test's.
ON_CONTAINERS := --node containers --numprocesses 0 --timeout 1500 --override-ini timeout_func_only=true --no-header -q
e2e-containers: $(READY) ## try the service as containers on a real kubelet (Linux, root)
	$(BIN)/python -m pytest tests/containers $(ON_CONTAINERS) $(if $(ONLY),-k '$(ONLY)')
	$(if $(ONLY),,$(BIN)/python -m pytest tests/e2e/test_faults.py $(ON_CONTAINERS))

release-check: ## all that has to pass before a release: every test, then the run as containers
	$(MAKE) test
	$(MAKE) e2e-containers

bench: $(READY) ## measure, print each figure, write bench/out/results.json
	$(BIN)/python -m bench $(ONLY)

cluster: $(READY) ## a shell on a cluster on this machine with the service installed
	$(BIN)/track-tree-audio local shell $(ON_NODE)

docs: $(READY) ## build the documentation into site/, and check every link
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "==> site/index.html"

images: $(READY) ## build the container images, print their sizes (REGISTRY=, TAG=, BASE=, ENGINE=)
	$(BIN)/python -m splitjob_local.images build $(IMAGES) $(IMAGE_OPTIONS) $(if $(PUSH),--push)

audit: $(READY) ## look for known vulnerabilities of the locked packages (needs the internet)
	$(BIN)/python -m splitjob_local.images.audit

licences: $(READY) ## check the licences of all packages, write docs/licences.md
	$(BIN)/python -m splitjob_local.images.licences

release: $(READY) ## images, bills of materials, chart by digest into dist/release (PUBLISH=1 pushes)
	$(BIN)/python -m splitjob_local.images.release $(IMAGES) $(IMAGE_OPTIONS) $(if $(PUBLISH),--publish)

train-demo-model: $(READY) ## train the demo model (hours; goes on where it stopped)
	$(BIN)/python -m training.train

generate: $(READY) ## write the CustomResourceDefinition into the chart
	$(BIN)/python -m splitjob.crd > charts/track-tree-audio/files/crd.yaml

lock: $(READY) ## resolve the dependencies anew into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet --upgrade \
		--output-file requirements.lock

clean: ## remove what these targets made in the checkout (not the cache)
	rm -rf $(VENV) demo-out site bench/out .mypy_cache .ruff_cache .pytest_cache .hypothesis

# uv comes from the lock file itself, so that it is pinned by hash like everything else. An
# environment that was not finished has a Python, but no pip that works: it is made anew. Bytecode
# is written at once: pods of a cluster here run as users that cannot write beside what they import.
$(READY): requirements.lock pyproject.toml
	@echo "==> Python environment in $(VENV) (the first time on a machine: about 3 GB, 1 to 5 minutes)"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else \
		f"Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	@$(BIN)/python -m pip install --help > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { \
		echo "$(VENV) cannot be made. On Debian and Ubuntu it needs: apt install python3-venv"; exit 1; }
	@awk '/^uv==/{on=1} on{print} on && !/\\$$/{exit}' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip sync --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
