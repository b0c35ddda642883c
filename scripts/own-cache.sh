#!/usr/bin/env bash
# Makes the build cache this checkout's: `scripts/own-cache.sh DIR`, the directory that cargo
# builds in. Cargo tells by the times of the files whether a package of the workspace is up to
# date, and the same package of another checkout looks the same to it. So what the last checkout
# built of the workspace is forgotten where it was another one; dependencies stay.
set -euo pipefail
cache=$1
checkout=$(cd "$(dirname "$0")/.." && pwd -P)
mkdir -p "$cache"
[ "$(cat "$cache/checkout" 2>/dev/null || true)" = "$checkout" ] && exit 0
rm -rf "$cache"/*/.fingerprint/stowage*
echo "$checkout" >"$cache/checkout"
