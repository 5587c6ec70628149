built := $(or $(CARGO_TARGET_DIR),target)/debug

.DEFAULT_GOAL := help
.PHONY: help build demo test lint bench

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

build: ## every program and test
	cargo build --workspace --all-targets

demo: ## messages of all five providers, sent before your eyes (BROKER=amqp://… for RabbitMQ instead of a file)
	@deploy/demo/run.sh $(BROKER)

test: build ## everything, on real brokers (ARGS='…' goes to the test runner)
	tests/install-rabbitmq && tests/install-tools && tests/in-memory $(built)/with-rabbitmq tests/run $(ARGS)

lint: ## format, clippy, docs, dependencies
	cargo fmt --all --check && cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --quiet
	if command -v cargo-deny >/dev/null; then cargo deny --log-level error check bans licenses sources; fi

bench: ## throughput against a plain loop of lapin and reqwest, on RabbitMQ
	cargo build --release -p tidings-worker -p tidings-sandbox -p tidings && cargo build --release -p tidings-tests --bins
	cargo run --release -p tidings-tests --bin bench -- $(ARGS)
