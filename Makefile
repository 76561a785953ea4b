# `make demo` and `make test` each do all the set-up a fresh machine needs: cargo, make and python3
# with pip are enough. See README.md.

POLARITY := target/release/polarity
DEMO     := demo knowledge classes

.DEFAULT_GOAL := help
.PHONY: help setup build data demo bench bench-peers test lint clean

help:            ## Say what each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

setup:           ## Fetch libtorch (once, 540 MB); instant when it is there
	@python3 tools/libtorch.py

build: setup     ## Build the program
	cargo build --release --locked

data: build      ## Fetch the demo's data (30 MB); instant when they are there
	$(POLARITY) data fetch fashion-mnist

demo: data       ## The main job on real data: three experiments, their tables and figures
	@for name in $(DEMO); do $(POLARITY) run experiments/$$name.yaml || exit $$?; done
	@for name in $(DEMO); do $(POLARITY) report experiments/$$name.yaml || exit $$?; done
	@for name in $(DEMO); do $(POLARITY) plot experiments/$$name.yaml || exit $$?; done

bench: build     ## Optimizers and a training step beside libtorch's own (five minutes, an idle machine)
	$(POLARITY) bench

bench-peers: build ## The same beside PyTorch and JAX, which are installed apart (several GB)
	python3 benches/peers/run.py --program $(POLARITY)

test: setup      ## Every test
	cargo test --release --locked

lint: setup      ## Formatting and lints; warnings are errors
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps --quiet

clean:           ## Remove what was built; libtorch, data and results stay
	cargo clean
