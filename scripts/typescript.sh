#!/usr/bin/env bash
# Puts the pinned TypeScript compiler and Node's types into the cache, once, and prints the folder
# that holds their node_modules.
set -euo pipefail
packages=(typescript@5.9.3 @types/node@20.19.25)

"$(dirname "$0")/need.sh" npm >&2
cache=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}
folder=$cache/typescript-$(sha256sum <<<"${packages[*]}" | cut -c1-12)
if [ ! -e "$folder/ready" ]; then
  mkdir -p "$cache"
  # Tests of several processes may ask at once.
  exec {lock}>"$folder.lock"
  flock "$lock"
  if [ ! -e "$folder/ready" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" "${packages[@]}" >&2
    touch "$folder/ready"
  fi
fi
echo "$folder"
