# `make demo` and `make test` each do all the set-up a fresh machine needs: cargo, make and python3
# with pip are enough. See README.md.

POLARITY := target/release/polarity
DEMO     := demo knowledge classes
XOR      := xor5d xor5d-reset xor5d-epsilon

# SCALE=paper runs the published grid, for a GPU, in place of what two cores carry. Its source is given as
# ARGS="source.weights=FILE".
SCALE    := cpu
TRANSFER_cpu   := transfer-fashion transfer-own source-age transfer-own-mnist
TRANSFER_paper := paper/transfer-fashion
TRANSFER := $(TRANSFER_$(SCALE))
ARGS     :=

# The versions of PyTorch that `make test-python` runs beside: the oldest that is supported, and the one that the
# Rust side is built on. Any others of the registry will do: make test-python TORCH="2.6.0 2.15.0"
TORCH    := 2.2.2 2.11.0

# How many inputs each reader is handed by `make fuzz`.
RUNS     := 100000
WHEEL    := target/python/wheel

.DEFAULT_GOAL := help
.PHONY: help setup build data demo xor transfer figures audit bench bench-peers bench-cuda bench-pytorch python wheel test test-python test-slurm test-cuda fuzz torture lint lint-deep clean

help:            ## Say what each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

setup:           ## Fetch libtorch (once, 540 MB); instant when it is there. DEVICE=cuda: the one with CUDA (2.7 GB)
	@python3 tools/libtorch.py $(DEVICE)

build: setup     ## Build the program
	cargo build --release --locked

data: build      ## Fetch the demo's data (30 MB); instant when they are there
	$(POLARITY) data fetch fashion-mnist

demo: data       ## The main job on real data: three experiments, their tables and figures
	@for name in $(DEMO); do $(POLARITY) run experiments/$$name.yaml || exit $$?; done
	@for name in $(DEMO); do $(POLARITY) report experiments/$$name.yaml || exit $$?; done
	@for name in $(DEMO); do $(POLARITY) plot experiments/$$name.yaml || exit $$?; done

transfer: data   ## The transfer experiments: runs, tables and figures; SCALE=paper for the published grid
	$(POLARITY) data fetch mnist
	$(POLARITY) data fetch alexnet-imagenet
	@for name in $(TRANSFER); do for command in run report plot; do \
	  $(POLARITY) $$command experiments/$$name.yaml $(ARGS) || exit $$?; done; done

figures: build   ## Every figure and report again, from the tables that are in results/
	@for name in $(DEMO) $(XOR) $(TRANSFER_cpu); do test ! -e results/$$name/trials.csv || \
	  for command in report plot; do $(POLARITY) $$command experiments/$$name.yaml || exit $$?; done; done

audit: build     ## Recompute every number of the reports with SciPy and lifelines (minutes; STUDY=demo for one)
	@python3 tools/audit/test_audit.py
	@python3 tools/audit/run.py --program $(POLARITY) $(addprefix --study ,$(STUDY))

bench: build     ## Optimizers, training and XOR nets beside libtorch's own (minutes, an idle machine)
	$(POLARITY) bench

bench-peers: build ## The same beside PyTorch and JAX, which are installed apart (several GB)
	python3 benches/peers/run.py --program $(POLARITY)

bench-cuda: build ## A training step on a GPU, part by part, held and free, and PyTorch's beside it (an idle GPU, several GB)
	$(POLARITY) bench --device cuda:0
	python3 benches/peers/run.py --gpu cuda:0

bench-pytorch: python ## Ways to hold signs in PyTorch, ours and those by hand (minutes, an idle machine, 8 GB)
	python/.venv/bin/python benches/pytorch/run.py --write

xor: build       ## The paper's XOR study at its published size: minutes on two cores, no data needed
	@for name in $(XOR); do $(POLARITY) run experiments/$$name.yaml || exit $$?; done
	@for name in $(XOR); do $(POLARITY) report experiments/$$name.yaml || exit $$?; done
	@for name in $(XOR); do $(POLARITY) plot experiments/$$name.yaml || exit $$?; done

wheel:
	@rm -rf $(WHEEL)
	python3 -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(WHEEL) ./python

python: wheel    ## The Python package in an environment of its own, python/.venv (PyTorch: 550 MB, once)
	@python3 tools/pytorch.py $(lastword $(TORCH)) python/.venv
	@python/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall $(WHEEL)/*.whl
	@echo "python/.venv/bin/python has polarity_torch beside PyTorch $(lastword $(TORCH))"

test: setup      ## Every test of Rust but those on a real cluster, test-slurm
	cargo test --workspace --exclude polarity-torch --release --locked

test-python: wheel ## The Python package's tests, one wheel beside each PyTorch of TORCH="2.2.2 2.11.0"
	@for version in $(TORCH); do home=target/python/torch-$$version; \
	  python3 tools/pytorch.py $$version $$home || exit $$?; \
	  $$home/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall \
	    $(WHEEL)/*.whl || exit $$?; \
	  echo "polarity_torch beside PyTorch $$version"; \
	  $$home/bin/python -m pytest --quiet --no-header python/tests || exit $$?; done
	@echo "polarity_torch without its compiled part"
	@POLARITY_TORCH_TESTS=fallback target/python/torch-$(lastword $(TORCH))/bin/python -m pytest --quiet --no-header python/tests \
	  --ignore python/tests/test_bench.py --ignore python/tests/test_examples.py

test-slurm: setup ## The tests of `polarity slurm` on a real cluster of two nodes here (root; Debian's packages)
	@tests/slurm/packages.sh
	cargo test --release --locked --test slurm --test shards -- --ignored --nocapture

test-cuda: setup ## What needs a GPU: agreement with the CPU, a small study (says "skipped: no device" where there is none)
	cargo test --release --locked --test cuda -- --nocapture --test-threads 1

KILLS    := 50
torture: setup   ## Kills, full disks and shards by the hundred, and what came of them (KILLS=50 of each study)
	@python3 tools/torture.py --kills $(KILLS) $(ARGS)

fuzz: setup      ## Fuzz every reader of strangers' files: RUNS=100000 executions each, FORMATS="npy npz" for some
	@python3 fuzz/run.py --runs $(RUNS) $(addprefix --only ,$(FORMATS))

lint: setup      ## Formatting and lints; warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --release --locked --no-deps --quiet
	@if ! cargo deny --version > /dev/null 2>&1; then \
	  echo "lint: no cargo-deny here, so advisories are not checked; \`cargo install cargo-deny\`"; \
	elif test -d "$${CARGO_HOME:-$$HOME/.cargo}/advisory-dbs"; then cargo deny --offline --locked check; \
	else echo "lint: no database of advisories here; \`cargo deny fetch\`"; \
	  cargo deny --offline --locked check licenses bans sources; fi

# Miri sees more, and the portable path only; valgrind sees what runs, AVX2 at most: it hides AVX-512.
lint-deep:       ## The core's tests, its kernels' unsafe code among them, under Miri or valgrind (minutes)
	@if cargo +nightly miri --version > /dev/null 2>&1; then \
	  echo "lint-deep: the kernels' tests under Miri, portable path"; \
	  PROPTEST_CASES=2 MIRIFLAGS=-Zmiri-disable-isolation \
	    cargo +nightly miri test --package polarity-core --lib --locked kernel; \
	elif command -v valgrind > /dev/null; then \
	  echo "lint-deep: no Miri here; polarity-core's tests under $$(valgrind --version) memcheck, up to AVX2"; \
	  PROPTEST_CASES=4 cargo test --package polarity-core --lib --release --locked \
	    --config 'target."cfg(all())".runner = ["valgrind", "--quiet", "--error-exitcode=9"]'; \
	else \
	  echo "lint-deep: neither Miri nor valgrind is here; install one: \`rustup +nightly component add miri\`" \
	    "or \`apt-get install valgrind\`" >&2; exit 1; \
	fi

clean:           ## Remove what was built; libtorch, data and results stay
	cargo clean
