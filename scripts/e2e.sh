#!/usr/bin/env bash
# Runs tests inside of a cluster: `scripts/e2e.sh STOWAGE_CLUSTER_BINARY TEST… [-- ARGUMENT…]`, with
# the arguments handed on to each test's program.
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

# On a local cluster, pods may use what `make images` made. Elsewhere the images come from
# IMAGE_REPOSITORY.
export IMAGE_REPOSITORY=${IMAGE_REPOSITORY:-stowage.dev}
if [ -z "${KUBECONFIG:-}" ] || [ -n "${STOWAGE_CLUSTER:-}" ]; then
  "$(dirname "$0")/cluster-images.sh" "$cluster"
fi

# cargo runs each test executable by way of this: inside of the node's namespaces, where its
# addresses can be reached.
host=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(tr '[:lower:]-' '[:upper:]_' <<<"$host")_RUNNER
arguments=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  arguments+=(--test "$1")
  shift
done
env "$runner=$cluster run --" cargo test --workspace "${arguments[@]}" "$@"
