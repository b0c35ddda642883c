#!/usr/bin/env bash
# Fuzzes the targets of fuzz/, each for FUZZ_SECONDS (60): `scripts/fuzz.sh [TARGET...]`. An input
# that breaks one is left in fuzz/artifacts, and the script fails.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
cache=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}
version=0.13.2
tools=$cache/cargo-fuzz-$version
if [ ! -x "$tools/bin/cargo-fuzz" ]; then
  echo "Installing cargo-fuzz $version into $tools." >&2
  cargo install --quiet --locked --root "$tools" --target-dir "$cache/target/cargo-fuzz" --version "=$version" cargo-fuzz
fi
PATH=$tools/bin:$PATH
# A directory of its own: the code is built with the sanitizer and its coverage counted.
export CARGO_TARGET_DIR=$cache/target/fuzz
[ -d "$CARGO_TARGET_DIR" ] || echo "Building the targets. The first time, this takes some minutes." >&2
# The sanitizer's flags are of the nightly compiler; this lets the stable one take them.
export RUSTC_BOOTSTRAP=1
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(basename -s .rs targets/*.rs)
fi
for target in "${targets[@]}"; do
  corpus=$cache/fuzz/$target
  mkdir -p "$corpus"
  cargo fuzz run --fuzz-dir . "$target" "$corpus" "seeds/$target" -- \
    -max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -timeout=20 -rss_limit_mb=512 -malloc_limit_mb=64
done
