# shellcheck shell=bash
# Programs of the system's own package registry without installing them: what the system has is used
# as it is, everything else is unpacked below a directory. Sourced by the scripts that fetch peers.

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

# A program of the packages unpacked below $2 finds the libraries beside it. The process stays the
# same one.
wrapper() {
  local libraries
  libraries=$(find "$2" -type d -path '*/lib/*-linux-gnu' | paste -sd:)
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$libraries" "$1"
}

# Puts the program $1 into $2/bin: the system's own, or the one of the package $3, unpacked below
# $2/root.
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
  wrapper "$found" "$into/root" >"$into/bin/$program"
  chmod +x "$into/bin/$program"
}
