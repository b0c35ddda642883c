#!/usr/bin/env bash
# Lets the pods of a local cluster use what `make images` made:
# `scripts/cluster-images.sh STOWAGE_CLUSTER_BINARY`.
set -euo pipefail
cluster=$1
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml" | head -n 1)
images=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}/images
for name in stowage-operator stowage-sidecar stowage-sync stowage-git-server; do
  "$cluster" images import "$images/$name.tar"
done

# The examples take these from a registry, and there is none: what stands in for them has curl and a
# shell, and tar.
git_server=${IMAGE_REPOSITORY:-stowage.dev}/stowage-git-server:${IMAGE_TAG:-$version}
"$cluster" images tag "$git_server" docker.io/curlimages/curl:8.17.0
"$cluster" images tag stowage.test/busybox:1 docker.io/library/busybox:1.37
