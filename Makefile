# Every command of the project; .ci/run only calls these. On a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo-run
SLURM_PACKAGES := slurm-wlm slurmdbd munge mariadb-server
BROWSER_PACKAGES := chromium
DATA_PACKAGES := dataset-fashion-mnist

.PHONY: install demo test test-fast lint bench bench-train bench-gpu bench-slurm chaos packages clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check setuptools -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check torch torchvision -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation -C editable_mode=compat -e '.[dev]' -c constraints.txt
	touch $@

# Exactly what a new user types, on real images, in a folder of its own.
demo: install
	mkdir -p $(DEMO)
	cd $(DEMO) && export ORCH_PRESET=demo PATH="$(CURDIR)/$(BIN):$$PATH" && \
	  orch submit random-baseline --seeds 10 --wait && orch status && orch table --out table2.md && cat table2.md

# Debian's packages for the SLURM tests, the browser test and Fashion-MNIST, where this user may install them.
packages:
	@if ! command -v slurmctld >/dev/null && ! test -x /usr/sbin/slurmctld; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SLURM_PACKAGES) >/dev/null; \
	  else echo "!!! tests/slurm will NOT run: SLURM is not here. Get it with: sudo apt-get install -y --no-install-recommends $(SLURM_PACKAGES)"; fi; fi
	@if ! test -d /usr/share/datasets/fashion-mnist; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DATA_PACKAGES) >/dev/null; \
	  else echo "!!! Fashion-MNIST's own files will NOT be tested. Get them with: sudo apt-get install -y $(DATA_PACKAGES)"; fi; fi
	@if ! command -v chromium >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(BROWSER_PACKAGES) >/dev/null; \
	  else echo "!!! the browser test will NOT run. Get it with: sudo apt-get install -y $(BROWSER_PACKAGES)"; fi; fi

# Two at once where tests wait or compute alone; the SLURM tests share one cluster, so they go one by one.
test: install packages
	$(BIN)/pytest -n 2 --dist worksteal tests/simulation tests/unit tests/integration
	$(BIN)/pytest -n 2 --dist worksteal tests/e2e
	$(BIN)/pytest tests/slurm

test-fast: install
	$(BIN)/pytest tests/unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks.bench

bench-train: install
	$(BIN)/python -m benchmarks.bench_train

bench-gpu: install
	$(BIN)/python -m benchmarks.bench_gpu

bench-slurm: install packages
	$(BIN)/python -m benchmarks.bench_slurm

# Longer and harsher than make test.
chaos: install packages
	ORCH_SCHEDULES=10000 $(BIN)/pytest tests/simulation
	ORCH_CHAOS_MINUTES=15 $(BIN)/pytest tests/slurm -k chaos

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info benchmarks/out
