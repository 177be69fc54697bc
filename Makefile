# People and CI share these targets. Everything is built into .venv and the user's cache folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check compare accuracy faults cost versions startup bench fuzz soak docs dashboards rules deploy kind image release lock audit clean

demo: $(VENV)/.installed  ## the main job against an embedded, simulated apiserver
	$(BIN)/watchslo demo

test: check  ## every test; with Go present also against a real kube-apiserver and etcd
	scripts/test

check: $(VENV)/.installed  ## style, types and the rooms' walls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

compare: $(VENV)/.installed  ## the obvious method beside ours, on a real kube-apiserver
	$(BIN)/python -m tests.live.compare

accuracy: $(VENV)/.installed  ## truth against measurement in every trouble: writes docs/accuracy.md (25 minutes)
	$(BIN)/python -m tests.accuracy

faults: $(VENV)/.installed  ## makes every fault and asks what it is: writes docs/faults-measured.md (six hours; needs Go; see --only, --strength, --setting, --hour)
	$(BIN)/python -m tests.faults

cost: $(VENV)/.installed  ## what watchslo costs an apiserver, by a real kube-apiserver's own metrics (eight minutes)
	$(BIN)/python -m tests.live.cost

versions: $(VENV)/.installed  ## on kube-apiserver 1.34 to 1.37 and on kine: writes docs/support.md (forty minutes, with the builds; needs Go)
	$(BIN)/python -m tests.versions

startup: $(VENV)/.installed  ## starts of 2 000 pods on a cluster of real parts beside the truth: writes docs/pod-startup.md (five minutes, with the builds twenty; needs Go)
	$(BIN)/python -m tests.startup

bench: $(VENV)/.installed  ## what an event costs us, and others: writes docs/performance.md (a quarter of an hour; Go for client-go's rows)
	$(BIN)/python -m tests.speed

fuzz: $(VENV)/.installed  ## a million mutated inputs for whatever takes bytes from elsewhere (half an hour); CI takes ten thousand
	$(BIN)/python -m tests.fuzz

soak: $(VENV)/.installed  ## an hour of churn and bad company before the real servers: does it stay flat? writes docs/soak.md (an hour)
	$(BIN)/python -m tests.soak

docs: $(VENV)/.installed  ## write the reference pages from the tables in the code
	scripts/docs

dashboards: $(VENV)/.installed  ## write what Grafana reads from the plans beside it
	$(BIN)/python -m dashboards.build

rules: $(VENV)/.installed  ## write the alerts and the objective's other formats from deploy/generator
	scripts/rules

deploy:  ## copy rules and dashboards into the chart and render the plain manifests from it
	scripts/manifests

kind:  ## a cluster in Docker with three control planes, watchslo, Prometheus and Grafana
	scripts/kind

image: $(VENV)/.installed  ## the container image watchslo:VERSION, with docker, podman or buildah, and into dist/ what is in it and of what it is made
	scripts/image build

release: $(VENV)/.installed  ## wheel, chart, image, bill of materials and checksums into dist/, of a clean and tagged commit; publishes nothing
	scripts/release

lock:  ## pin what pyproject.toml asks for, with hashes, into requirements/
	scripts/lock

audit:  ## what an advisory database knows against the locked packages: fails also where none can be asked, and says so
	$(PYTHON) scripts/audit.py

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -m exporter.python_version
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
