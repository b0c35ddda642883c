#!/usr/bin/env bash
# Puts the pinned lint tools into the cache, once, and prints the folder of their programs.
set -euo pipefail
cd "$(dirname "$0")"
cache=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}
version=$(sha256sum lint-tools.txt | cut -c1-12)
tools=$cache/lint-$version
if [ ! -e "$tools/ready" ]; then
  rm -rf "$tools"
  mkdir -p "$cache"
  python3 -m venv "$tools" >&2
  "$tools/bin/pip" install --quiet --disable-pip-version-check -r lint-tools.txt >&2
  touch "$tools/ready"
fi
echo "$tools/bin"
