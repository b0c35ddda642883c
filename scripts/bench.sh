#!/usr/bin/env bash
# Measures the release binaries in a directory beside their peers: `scripts/bench.sh target/release`.
# The settings are those of docs/benchmarks.md. Nothing is left of what it starts and writes but the
# results, not even after Ctrl-C.
set -euo pipefail

binaries=$1
export BENCH_DIR=${BENCH_DIR:-bench/out}
peers=$("$(dirname "$0")/bench-peers.sh")

clean() {
  # Many at a time: each of a million files takes as long as the disk does to free its block.
  find "$BENCH_DIR"/scratch-* -type f -print0 2>/dev/null | xargs -0 -r -n 1000 -P 16 rm -f || true
  # A server that ends with the benchmark may write until it has ended.
  for _ in 1 2 3 4 5; do
    rm -rf "$BENCH_DIR"/scratch-* 2>/dev/null && return
    sleep 1
  done
  echo "something is left in $BENCH_DIR" >&2
}
trap clean EXIT
"$binaries/stowage-bench" "$binaries" "$peers"
