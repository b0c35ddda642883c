#!/usr/bin/env bash
# Prints the directory of the programs that `make bench` compares with, and fetches those that are
# missing: redis-server and nginx from the system's own package registry, etcd and nats-server from the
# Go module proxy (e2e/tools/go.mod and bench/peers/go.mod pin them).
# Nothing is installed: packages are unpacked below the cache, and what the system has is used as it is.
# The directory is named after what decides its content; it is used once it is whole.
set -euo pipefail

repository=$(cd "$(dirname "$0")/.." && pwd)
"$repository/scripts/need.sh" go flock >&2
cd "$repository"

go_flags=(-trimpath -ldflags "-s -w")
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=readonly"
unset GOOS GOARCH

hash=$({ cat scripts/bench-peers.sh e2e/tools/go.{mod,sum} bench/peers/go.{mod,sum} && go env GOVERSION GOARCH; } | sha256sum | cut -c1-16)
cache=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}
peers=$cache/bench-peers-$hash

# Unpacks the named packages and what the system lacks of their dependencies into the directory $1.
unpack() {
  local into=$1 names
  shift
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "install $* by your package manager, then try again: they are fetched by apt-get only" >&2
    return 1
  fi
  # The resolver needs the lists of packages, which an image may come without.
  if ! apt-cache show "$@" >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    apt-get update >/dev/null
  fi
  mapfile -t names < <(apt-get install --print-uris --yes --no-install-recommends -o Debug::NoLocking=1 "$@" |
    sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p")
  if [ ${#names[@]} -eq 0 ]; then
    echo "apt-get knows no package for: $*" >&2
    return 1
  fi
  (cd "$into" && apt-get -o APT::Sandbox::User=root download "${names[@]}" >/dev/null)
  for package in "$into"/*.deb; do
    dpkg-deb --extract "$package" "$into"
    rm "$package"
  done
}

# A program of the unpacked packages finds the libraries beside it. The process stays the same one.
wrapper() {
  local libraries
  libraries=$(find "$peers/root" -type d -path '*/lib/*-linux-gnu' | paste -sd:)
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$libraries" "$1"
}

# Gives $2 the program $1: the system's own, or the one of the package $3.
take() {
  local program=$1 into=$2 package=$3 found
  found=$(command -v "$program" || true)
  [ -n "$found" ] || { [ -x "/usr/sbin/$program" ] && found=/usr/sbin/$program; } || true
  if [ -n "$found" ]; then
    ln -sf "$found" "$into/bin/$program"
    return
  fi
  unpack "$into/root" "$package"
  found=$(find "$into/root/usr" -path "*bin/$program" | head -n 1)
  wrapper "$peers${found#"$into"}" >"$into/bin/$program"
  chmod +x "$into/bin/$program"
}

if [ ! -e "$peers/ready" ]; then
  mkdir -p "$cache"
  exec {lock}>"$cache/bench-peers.lock"
  flock "$lock"
  if [ ! -e "$peers/ready" ]; then
    echo "fetching the peers of the benchmark; the first time, this takes a few minutes" >&2
    rm -rf "$peers"
    mkdir -p "$peers"/{bin,root}
    take redis-server "$peers" redis-server
    take nginx "$peers" nginx
    go build -C e2e/tools "${go_flags[@]}" -o "$peers/bin/etcd" go.etcd.io/etcd/server/v3
    go build -C bench/peers "${go_flags[@]}" -o "$peers/bin/nats-server" github.com/nats-io/nats-server/v2
    touch "$peers/ready"
  fi
fi
echo "$peers"
