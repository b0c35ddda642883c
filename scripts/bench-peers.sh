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

hash=$({ cat scripts/{bench-peers,packages}.sh e2e/tools/go.{mod,sum} bench/peers/go.{mod,sum} && go env GOVERSION GOARCH; } | sha256sum | cut -c1-16)
cache=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}
peers=$cache/bench-peers-$hash

# shellcheck source=scripts/packages.sh
source scripts/packages.sh

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
