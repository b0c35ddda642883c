#!/usr/bin/env bash
# Puts the pinned programs of scripts/NAME.txt into the cache, once, and prints the folder that they
# are in: `scripts/python-tools.sh NAME`.
set -euo pipefail
cd "$(dirname "$0")"
list=$1.txt
cache=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}
version=$(sha256sum "$list" | cut -c1-12)
tools=$cache/$1-$version
if [ ! -e "$tools/ready" ]; then
  rm -rf "$tools"
  mkdir -p "$cache"
  python3 -m venv "$tools" >&2
  "$tools/bin/pip" install --quiet --disable-pip-version-check -r "$list" >&2
  touch "$tools/ready"
fi
echo "$tools/bin"
