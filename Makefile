# Everything a developer runs. `make` alone lists the targets; the work is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-deb contract docs man check build debug deb template kernel bench fuzz doctor start stop restart status format prerequisites clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

quickstart: ## Install, build, start the server and run the demonstration (as root)
	@scripts/quickstart

test: ## Install what tests need, build, check, and run all tests (as root)
	@scripts/test

contract: ## Hold a built server to its OpenAPI document (as root; scripts/contract)
	@scripts/contract

docs: ## Bring what is made from the document and the commands up to date
	@scripts/docs

man: build ## Make the manual page out/man/nightjar.1
	@mkdir -p out/man && out/bin/nightjar reference man >out/man/nightjar.1 && echo "out/man/nightjar.1"

check: ## Format, module graph, project hygiene, scripts: no build
	@scripts/check

build: ## Build release programs into out/bin
	@scripts/build release

debug: ## Build debug programs into out/debug
	@scripts/build debug

deb: ## Build a Debian package into out/
	@scripts/build-deb

test-deb: ## Install, upgrade and remove the package under a real systemd
	@scripts/test-deb

template: ## Build the base template into /var/lib/nightjar
	@scripts/build-template base

kernel: ## Make the kernel of sandboxes that have one of their own
	@scripts/build-kernel

bench: ## Measure latencies against their baselines (as root; needs a quiet machine)
	@scripts/bench

fuzz: ## Fuzz each target for a minute (scripts/fuzz TARGET SECONDS for longer)
	@scripts/fuzz all 60

doctor: ## Check each prerequisite and say how to mend it
	@scripts/doctor

start: ## Start the server in the background
	@scripts/server start

stop: ## Stop that server; sandboxes go on
	@scripts/server stop

restart: ## Restart it, for example after a build
	@scripts/server restart

status: ## Tell whether a server runs
	@scripts/server status

format: ## Format the Swift code in place
	@scripts/format

prerequisites: ## Install what running and building need
	@scripts/install-prerequisites run build

clean: ## Remove build products (not data in /var/lib/nightjar)
	rm -rf .build .build-guest out
