# Every command of the project; .ci/run only calls these. On a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo-run
SLURM_PACKAGES := slurm-wlm slurmdbd munge mariadb-server
BROWSER_PACKAGES := chromium
DATA_PACKAGES := dataset-fashion-mnist
FONT_PACKAGES := fonts-ipafont-gothic
SERVER_PACKAGES := iproute2 openssh-server openssh-client glusterfs-client faketime rsync

.PHONY: install constraints demo test test-commands test-clusters long cold test-fast lint bench bench-train bench-gpu bench-second-order bench-slurm bench-slices latex hangs until zoo foreign foreign-readers chaos lab-chaos mirror-runs mutants packages clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -C editable_mode=compat -e .
	touch $@

# Every package that is installed, with the hashes of all its published files, for every platform and Python from 3.11.
# Renews all of them; `make constraints UPGRADE=` keeps the versions there are and adds what pyproject.toml newly asks for.
UPGRADE ?= --upgrade
constraints: install
	$(BIN)/uv pip compile --quiet --universal --generate-hashes $(UPGRADE) --python-version 3.11 --extra dev --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command 'make constraints' pyproject.toml --output-file constraints.txt

# Exactly what a new user types, on real images, in a folder of its own.
demo: install
	mkdir -p $(DEMO)
	cd $(DEMO) && export PATH="$(CURDIR)/$(BIN):$$PATH" && \
	  orch submit random-baseline --seeds 10 --preset demo --wait && orch status && orch table --out table2.md && cat table2.md

# Debian's packages for the SLURM tests, the pretend servers, the browser test, Fashion-MNIST and a Japanese font, where this
# user may install them.
packages:
	@if ! command -v slurmctld >/dev/null && ! test -x /usr/sbin/slurmctld; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SLURM_PACKAGES) >/dev/null; \
	  else echo "!!! tests/slurm will NOT run: SLURM is not here. Get it with: sudo apt-get install -y --no-install-recommends $(SLURM_PACKAGES)"; fi; fi
	@for file in /usr/sbin/sshd /usr/sbin/glusterfs /usr/bin/faketime /usr/bin/ssh /usr/bin/rsync /bin/ip; do \
	  if test -x $$file; then continue; fi; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SERVER_PACKAGES) >/dev/null; \
	  else echo "!!! tests/lab will NOT run: $$file is not here. Get it with: sudo apt-get install -y $(SERVER_PACKAGES)"; fi; break; done
	@if ! test -d /usr/share/datasets/fashion-mnist; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DATA_PACKAGES) >/dev/null; \
	  else echo "!!! Fashion-MNIST's own files will NOT be tested. Get them with: sudo apt-get install -y $(DATA_PACKAGES)"; fi; fi
	@if ! command -v chromium >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(BROWSER_PACKAGES) >/dev/null; \
	  else echo "!!! the browser test will NOT run. Get it with: sudo apt-get install -y $(BROWSER_PACKAGES)"; fi; fi

	@if ! find /usr/share/fonts -name 'ipag*' 2>/dev/null | grep -q .; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(FONT_PACKAGES) >/dev/null; \
	  else echo "!!! figures in Japanese will NOT be drawn. Get a font with: sudo apt-get install -y $(FONT_PACKAGES)"; fi; fi

# Two at once where tests wait or compute alone. The SLURM tests share one cluster, so they go one by one, beside the commands:
# they wait most of their time.
test: install packages
	$(BIN)/pytest -n 2 --dist worksteal tests/simulation tests/fuzz tests/unit tests/integration
	$(MAKE) --no-print-directory -j 2 --output-sync=target test-commands test-clusters

test-commands:
	$(BIN)/pytest -n 2 --dist worksteal tests/e2e tests/rehearse/test_command.py tests/rehearse/test_house.py

test-clusters:
	$(BIN)/pytest tests/slurm tests/lab

# What is left out of make test for its minutes.
long: install packages
	$(BIN)/pytest -m long tests/slurm

# Every command of tests/e2e as a new interpreter; make test forks most of them from one that has imported orch.
cold: install packages
	ORCH_TEST_COLD=1 $(BIN)/pytest -n 2 --dist worksteal tests/e2e

test-fast: install
	$(BIN)/pytest tests/unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The parts of docs/architecture.md that are made from the code.
docs: install
	$(BIN)/python -m tests.house

bench: install
	$(BIN)/python -m benchmarks.bench

bench-train: install
	$(BIN)/python -m benchmarks.bench_train

bench-second-order: install
	$(BIN)/python -m benchmarks.bench_second_order

bench-gpu: install
	$(BIN)/python -m benchmarks.bench_gpu

bench-slurm: install packages
	$(BIN)/python -m benchmarks.bench_slurm

bench-warm: install
	$(BIN)/python -m benchmarks.bench_warm

# Ten seeds in slices against one piece each, on two pretend clusters under the same load (docs/slices.md); half an hour of waiting.
bench-slices: install packages
	$(BIN)/python -m benchmarks.bench_slices

# Every table that orch writes, typeset (apt-get install texlive-latex-recommended). Not in CI: LaTeX is 100 MB.
latex: install
	$(BIN)/python -m benchmarks.latex

# Programs that nobody here wrote, as they are (docs/foreign.md): FOREIGN="--from FOLDER --python PYTHON". Not in CI.
foreign: install
	$(BIN)/python -m benchmarks.foreign $(FOREIGN)

# What is taken for a hang, against ten thousand simulated histories (docs/hangs.md). CI runs a few hundred.
hangs: install
	ORCH_HISTORIES=10000 $(BIN)/pytest -q -s --timeout 3600 tests/simulation/test_hangs.py

# Rules that say when there are enough seeds, on ten thousand simulated studies of each kind (docs/statistics.md). CI runs a
# hundred.
until: install
	ORCH_STUDIES=$(or $(STUDIES),10000) $(BIN)/pytest -q -s --timeout 7200 tests/simulation/test_enough.py

# Puts small faults into copies of the code, one at a time: each must be noticed by the fast part of make test.
mutants: install
	$(BIN)/python -m tests.mutants

# orch export --to wandb-offline and mlflow-files, read back by the tools' own readers. Not in make test: their packages take a
# minute to install. W&B's reader in Python (DataStore) left with 0.24 or so; the format stayed, so an older one reads.
foreign-readers: install
	$(PYTHON) -m venv build/tracking && build/tracking/bin/pip install --quiet --disable-pip-version-check 'mlflow-skinny>=3' 'wandb>=0.31'
	$(PYTHON) -m venv build/wandb-reader && build/wandb-reader/bin/pip install --quiet --disable-pip-version-check 'wandb==0.19.11'
	$(BIN)/python -m benchmarks.foreign_readers build/tracking build/wandb-reader

# The house's own kinds, and small trainers with one fault each, twenty times over and once on a pretend SLURM cluster: every one must get its verdict and its
# reason (docs/rehearse.md).
ZOO ?= 20
ZOO_SLURM ?= 1
zoo: install packages
	$(BIN)/pytest tests/rehearse
	$(BIN)/python -m tests.rehearse --rounds $(ZOO) --at-once 2
	$(BIN)/python -m tests.rehearse --rounds $(ZOO_SLURM) --at-once 2 --slurm

# Longer and harsher than make test.
chaos: install packages
	ORCH_SCHEDULES=10000 $(BIN)/pytest tests/simulation
	ORCH_FUZZ_FILES=20000 ORCH_FUZZ_COMMANDS=1000 ORCH_FUZZ_MINDS=1000 $(BIN)/pytest -s tests/fuzz
	ORCH_CHAOS_MINUTES=5 $(BIN)/pytest -s tests/e2e/test_chaos.py
	ORCH_CHAOS_MINUTES=15 ORCH_CHAOS_JOBS=200 $(BIN)/pytest tests/slurm -k chaos

# Table 2 on pretend servers while one of them is hurt twice, every other harm, an unpacked SLURM, and what is no lab
# (docs/lab.md); 35 minutes on two busy cores.
lab-chaos: install packages
	$(BIN)/pytest -s tests/lab/table2.py
	$(BIN)/pytest -s tests/lab/harms.py tests/lab/unpacked.py
	$(BIN)/pytest tests/lab/refusals.py

# The store's disk is lost at a random moment of a running study, a hundred times (docs/mirror.md).
mirror-runs: install packages
	ORCH_MIRROR_RUNS=$(or $(RUNS),100) $(BIN)/pytest -n 2 --dist worksteal tests/e2e/test_lost_store.py

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info benchmarks/out
