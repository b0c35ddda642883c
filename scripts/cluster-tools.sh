#!/usr/bin/env bash
# Prints the directory of the test cluster's programs, and builds those that are missing:
#   scripts/cluster-tools.sh control-plane   API server, etcd, kubectl and helm: what controller tests need
#   scripts/cluster-tools.sh node            these, and everything that runs pods
# e2e/tools/go.mod pins them. The directory is named after what decides its content, so that a fresh
# clone finds it warm; each program is renamed into it when it is whole. Two builders wait for each other.
set -euo pipefail

control_plane=(
  go.etcd.io/etcd/server/v3
  helm.sh/helm/v3/cmd/helm
  k8s.io/kubernetes/cmd/kube-apiserver
  k8s.io/kubernetes/cmd/kubectl
)
node=(
  github.com/coredns/coredns
  github.com/rancher/local-path-provisioner
  k8s.io/kubernetes/cmd/kube-controller-manager
  k8s.io/kubernetes/cmd/kube-proxy
  k8s.io/kubernetes/cmd/kube-scheduler
  k8s.io/kubernetes/cmd/kubelet
)

case ${1:-} in
  control-plane) wanted=("${control_plane[@]}") minutes=3 ;;
  node) wanted=("${control_plane[@]}" "${node[@]}") minutes=6 ;;
  *)
    echo "usage: $0 control-plane|node" >&2
    exit 64
    ;;
esac

repository=$(cd "$(dirname "$0")/.." && pwd)
"$repository/scripts/need.sh" go flock setpriv >&2
cd "$repository/e2e/tools"

version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)
IFS=. read -r major minor _ <<<"${version#v}"
# Without these, the API server reports v0.0.0, and Helm refuses charts that name a kubeVersion.
ldflags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  ldflags+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
done
# Only these decide what comes out, whatever the caller's environment says.
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=readonly"
unset GOOS GOARCH

hash=$({ cat go.mod go.sum && printf '%s\n' "$ldflags" && go env GOVERSION GOARCH; } | sha256sum | cut -c1-16)
cache=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}
tools=$cache/cluster-tools-$hash

# etcd's command is the package `server/v3`; its program goes by its usual name.
program() {
  case $1 in
    go.etcd.io/*) echo etcd ;;
    *) basename "$1" ;;
  esac
}

missing() {
  for package in "${wanted[@]}"; do
    [ -x "$tools/$(program "$package")" ] || echo "$package"
  done
}

if [ -n "$(missing)" ]; then
  mkdir -p "$tools"
  exec {lock}>"$tools/.lock"
  if ! flock --nonblock "$lock"; then
    echo "waiting for another build of the local cluster's programs" >&2
    flock "$lock"
  fi
  mapfile -t packages < <(missing)
  if [ ${#packages[@]} -gt 0 ]; then
    echo "building Kubernetes $version for the local cluster: ${#packages[@]} programs, the first time about $minutes minutes" >&2
    started=$SECONDS
    # Under the lock, what an interrupted build left is nobody's.
    rm -rf "$tools/.build"
    mkdir "$tools/.build"
    for package in "${packages[@]}"; do
      name=$(program "$package")
      echo "  $name" >&2
      # Hundreds of lines that name what is downloaded would hide the one that names what is built.
      go build -trimpath -ldflags "$ldflags" -o "$tools/.build/$name" "$package" \
        2> >(grep --line-buffered -v '^go: downloading ' >&2)
      mv "$tools/.build/$name" "$tools/$name"
    done
    rm -rf "$tools/.build"
    echo "built in $((SECONDS - started)) s" >&2
  fi
fi
echo "$tools"
