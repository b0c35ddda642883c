#!/usr/bin/env bash
# Makes sure that programs are there: `scripts/need.sh git curl node`.
# What is missing is installed where that needs no question (root on Debian or Ubuntu);
# otherwise the exact command is named and the script fails.
set -euo pipefail

package_of() {
  case $1 in
    node) echo nodejs ;;
    sshd | ssh-keygen) echo openssh-server ;;
    ssh) echo openssh-client ;;
    python3-venv) echo python3-venv ;;
    # gcc only recommends the headers and start files that it links with.
    cc) echo gcc libc6-dev ;;
    # They only recommend what https:// takes.
    git | curl) echo "$1" ca-certificates ;;
    mount | umount) echo mount ;;
    unshare | setpriv | nsenter | flock) echo util-linux ;;
    ip) echo iproute2 ;;
    cni) echo containernetworking-plugins ;;
    *) echo "$1" ;;
  esac
}

found() {
  case $1 in
    python3-venv) python3 -c 'import ensurepip, venv' >/dev/null 2>&1 ;;
    # The dynamic one would find no libraries in an image of its own.
    busybox-static) busybox=$(command -v busybox) && ! ldd "$busybox" >/dev/null 2>&1 ;;
    cni) [ -x /usr/lib/cni/ptp ] ;;
    *) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] ;;
  esac
}

missing=()
for program in "$@"; do
  if [ "$program" = cargo ]; then
    found cargo && continue
    echo "cargo is missing. Install Rust with: curl --proto '=https' -sSf https://sh.rustup.rs | sh" >&2
    exit 1
  fi
  if [ "$program" = go ]; then
    found go && continue
    echo "go is missing. Install Go 1.25 or newer: https://go.dev/doc/install" >&2
    exit 1
  fi
  if [ "$program" = cargo-clippy ] || [ "$program" = cargo-fmt ]; then
    component=${program#cargo-}
    [ "$component" = clippy ] || component=rustfmt
    found "$program" || rustup component add "$component"
    continue
  fi
  found "$program" && continue
  read -ra packages <<<"$(package_of "$program")"
  missing+=("${packages[@]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && found apt-get; then
  echo "installing ${missing[*]}"
  log=$(mktemp)
  if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  cat "$log" >&2
  rm -f "$log"
fi
echo "missing: ${missing[*]}. Install them with: sudo apt-get install -y ${missing[*]}" >&2
exit 1
