#!/usr/bin/env bash
# Runs tests inside of a cluster: `scripts/e2e.sh STOWAGE_CLUSTER_BINARY TEST…`.
# Brings the cluster up first, and down again where it was not there before.
set -euo pipefail
cluster=$1
shift

# Only a cluster that answers counts; and one that KUBECONFIG names stays anyway.
if ! "$cluster" run -- kubectl get --raw=/readyz >/dev/null 2>&1; then
  trap '"$cluster" down' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
fi
"$cluster" up

# What `make images` made, pods may use. Elsewhere they come from IMAGE_REPOSITORY.
images=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}/images
if [ -z "${KUBECONFIG:-}${IMAGE_REPOSITORY:-}" ] || [ -n "${STOWAGE_CLUSTER:-}" ]; then
  for archive in "$images"/stowage-*.tar; do
    [ ! -e "$archive" ] || "$cluster" images import "$archive"
  done
fi

# cargo runs each test executable by way of this: inside of the node's namespaces, where its
# addresses can be reached.
host=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(tr '[:lower:]-' '[:upper:]_' <<<"$host")_RUNNER
arguments=()
for test in "$@"; do
  arguments+=(--test "$test")
done
env "$runner=$cluster run --" cargo test --package stowage-e2e "${arguments[@]}"
