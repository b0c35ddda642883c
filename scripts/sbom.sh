#!/usr/bin/env bash
# Writes what a binary is made of, in CycloneDX: `scripts/sbom.sh PACKAGE FILE`. Taken from the lock
# file by cargo-cyclonedx, which is pinned here and built into the cache once.
set -euo pipefail
package=$1
file=$2
cd "$(dirname "$0")/.."
version=0.5.9
cache=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}
tool=$cache/cargo-cyclonedx-$version
mkdir -p "$cache"
if [ ! -x "$tool/bin/cargo-cyclonedx" ]; then
  echo "building cargo-cyclonedx $version, once; this takes about two minutes" >&2
  making=$(mktemp -d "$tool.XXXXXX")
  CARGO_TARGET_DIR="$making/target" cargo install --quiet --locked --no-track --root "$making" "cargo-cyclonedx@$version" >&2
  rm -rf "$making/target"
  # Where another build was first, its tool is the same.
  mv -T "$making" "$tool" 2>/dev/null || rm -rf "$making"
fi

# It writes beside each manifest: into a copy, so that the checkout stays as it is.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
find . \( -name target -o -name .git -o -name .cargo \) -prune -o \
  \( -name Cargo.toml -o -name Cargo.lock -o -name '*.rs' \) -type f -print0 | tar --null -T - -cf - | tar -xf - -C "$copy"
manifest=$(cargo metadata --format-version 1 --no-deps --locked --manifest-path "$copy/Cargo.toml" |
  jq -r --arg package "$package" '.packages[] | select(.name == $package) | .manifest_path')
SOURCE_DATE_EPOCH=0 "$tool/bin/cargo-cyclonedx" cyclonedx --quiet --manifest-path "$manifest" --format json \
  --describe binaries --spec-version 1.5 --no-build-deps --target "$(rustc -vV | sed -n 's/^host: //p')"
sed "s|path+file://$copy|path+file:///stowage|g" "$(dirname "$manifest")/${package}_bin.cdx.json" >"$file"
