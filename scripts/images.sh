#!/usr/bin/env bash
# Builds the container images from release binaries: `scripts/images.sh BIN_DIR [NAME…]`.
# Settings, from the environment:
#   IMAGE_REPOSITORY  where the images will live (stowage.dev)
#   IMAGE_TAG         their tag (the version of the workspace)
#   BASE              public: the bases that the Containerfiles name; local: made out of Debian
#                     packages; auto (the default): public where they can be pulled, else local
#   ENGINE            docker, podman or buildah (the first that works)
#   PUSH              1: push the images as well
# Each image is also written to $STOWAGE_CACHE/images/NAME.tar, for `ctr images import`, and what is
# in it to NAME.cdx.json. Cached by content: binary, Containerfile, base, revision and name.
set -euo pipefail
binaries=$(cd "$1" && pwd)
shift
names=("$@")
[ $# -gt 0 ] || names=(stowage-operator stowage-sidecar stowage-sync stowage-git-server)
cd "$(dirname "$0")/.."

cache=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}
out=$cache/images
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
repository=${IMAGE_REPOSITORY:-stowage.dev}
tag=${IMAGE_TAG:-$version}
base=${BASE:-auto}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision=$revision-dirty

scripts/need.sh jq flock >&2
mkdir -p "$out"
# Two builds at a time would write the same files.
exec 9>"$out/lock"
flock 9
# What a killed build left; under the lock it is nobody's.
rm -rf "$out"/work.* "$out"/base.*
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { echo "images: $*" >&2; }

choose_engine() {
  # A client without its daemon is no engine.
  if [ -n "${ENGINE:-}" ]; then
    echo "$ENGINE"
  elif docker info >/dev/null 2>&1; then
    echo docker
  elif podman info >/dev/null 2>&1; then
    echo podman
  else
    scripts/need.sh buildah >&2 && echo buildah
  fi
}
engine=$(choose_engine)

# Root without an engine may be root in a container: what buildah then needs least is a chroot and
# plain directories, and those go away with this script.
buildah_=(buildah)
isolation=()
if [ "$engine" = buildah ] && [ "$(id -u)" = 0 ]; then
  buildah_=(buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs)
  isolation=(--isolation chroot)
fi

quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2 && return 1; }; }
pull() {
  case $engine in
    buildah) timeout 300 "${buildah_[@]}" pull --quiet "$1" ;;
    *) timeout 300 "$engine" pull --quiet "$1" >/dev/null && "$engine" image inspect --format '{{.Id}}' "$1" ;;
  esac 2>"$work/pull.log"
}
build() { # IMAGE CONTAINERFILE CONTEXT [--build-arg A=B]…
  local image=$1 containerfile=$2 context=$3
  shift 3
  case $engine in
    buildah) quietly "${buildah_[@]}" bud "${isolation[@]}" --timestamp 0 --tag "$image" --file "$containerfile" "$@" "$context" ;;
    *) quietly "$engine" build --tag "$image" --file "$containerfile" "$@" "$context" ;;
  esac
}
archive() { # IMAGE FILE
  case $engine in
    buildah) quietly "${buildah_[@]}" push "$1" "docker-archive:$2:$1" ;;
    podman) quietly podman save --format docker-archive --output "$2" "$1" ;;
    *) quietly docker save --output "$2" "$1" ;;
  esac
}
push() { # IMAGE FILE
  case $engine in
    buildah) quietly "${buildah_[@]}" pull "docker-archive:$2" && quietly "${buildah_[@]}" push "$1" ;;
    *) quietly "$engine" load --input "$2" && quietly "$engine" push "$1" ;;
  esac
}

default_base() { sed -n 's/^ARG BASE=//p' "images/$1.Containerfile"; }
fallback=
if [ "$base" = auto ]; then
  base=public
  for name in "${names[@]}"; do
    pull "$(default_base "$name")" >/dev/null && continue
    fallback="$(default_base "$name") cannot be pulled: the bases are made out of Debian packages (BASE=local)"
    base=local
    break
  done
fi
case $base in
  local)
    { command -v apt-get && command -v dpkg-deb; } >/dev/null || { say "BASE=local makes bases out of Debian packages, and this is no Debian or Ubuntu" && exit 1; }
    ;;
  public) ;;
  *) say "BASE is public, local or auto, not '$base'" && exit 64 ;;
esac

declare -A base_of base_id
# Sets base_of (what FROM takes) and base_id (what identifies its content) of an image.
find_base() {
  local name=$1 kind=cc
  case $name in
    stowage-sync) kind=git ;;
    stowage-git-server) kind=tools ;;
  esac
  if [ "$base" = local ]; then
    base_id[$name]=$(scripts/base-image.sh "$kind" "$out")
    base_of[$name]=localhost/$(basename "${base_id[$name]}" .tar):local
  else
    base_of[$name]=$(default_base "$name")
    base_id[$name]=$(pull "${base_of[$name]}") || { cat "$work/pull.log" >&2 && say "without that registry, use BASE=local" && exit 1; }
  fi
}
# A local base becomes an image once, where one is built on it.
import_base() {
  [ "$base" = local ] && [ ! -e "$work/imported-$(basename "$1")" ] || return 0
  local context
  context=$work/imported-$(basename "$1")
  mkdir "$context"
  cp "$1" "$context/base.tar"
  printf 'FROM scratch\nADD base.tar /\n' >"$context/Containerfile"
  build "$2" "$context/Containerfile" "$context"
  rm "$context/base.tar"
}

# Bytes of all layers, unpacked.
size_of() {
  local layer total=0 bytes
  while IFS= read -r layer; do
    bytes=$(tar -xOf "$1" "$layer" | { gzip -dcf 2>/dev/null || true; } | wc -c)
    total=$((total + bytes))
  done < <(tar -xOf "$1" manifest.json | jq -r '.[0].Layers[]')
  echo "$total"
}

current=()
for name in "${names[@]}"; do
  binary=$name
  [ "$name" != stowage-sync ] || binary=stowage-sidecar
  image=$repository/$name:$tag
  find_base "$name"
  key=$({ sha256sum <"$binaries/$binary" && cat "images/$name.Containerfile" Cargo.lock && echo "$image $revision ${base_id[$name]} $engine"; } | sha256sum | cut -c1-16)
  if [ "$(cat "$out/$name.key" 2>/dev/null)" = "$key" ] && [ -e "$out/$name.tar" ]; then
    current+=("$name")
  else
    [ -z "$fallback" ] || { say "$fallback" && fallback=; }
    rm -f "$out/$name.key"
    context=$work/context-$name
    mkdir -p "$context/sbom"
    install -m 0755 "$binaries/$binary" "$context/$binary"
    scripts/sbom.sh "$binary" "$context/sbom/$binary.cdx.json"
    chmod 0644 "$context/sbom/$binary.cdx.json"
    import_base "${base_id[$name]}" "${base_of[$name]}"
    build "$image" "images/$name.Containerfile" "$context" --build-arg "BASE=${base_of[$name]}" \
      --build-arg "VERSION=$version" --build-arg "REVISION=$revision"
    archive "$image" "$work/$name.tar"
    cp "$context/sbom/$binary.cdx.json" "$out/$name.cdx.json"
    mv "$work/$name.tar" "$out/$name.tar"
    echo "$key" >"$out/$name.key"
    say "$image built with $engine: $(size_of "$out/$name.tar" | awk '{printf "%.1f MB", $1 / 1e6}') ($out/$name.tar)"
  fi
  if [ "${PUSH:-}" = 1 ]; then
    push "$image" "$out/$name.tar"
    say "$image pushed"
  fi
done
[ ${#current[@]} = 0 ] || say "up to date in $out: ${current[*]} ($repository, $tag)"
