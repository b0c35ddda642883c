#!/usr/bin/env bash
# Adds one to a counter that others add to as well: read, change, write under the ETag, and all of
# that again where somebody else was faster (412). Needs curl and jq.
#
#   STOWAGE_URL=http://127.0.0.1:8080 STOWAGE_TOKEN=... ./counter.sh kv|run-store NAME TIMES
set -euo pipefail
: "${STOWAGE_URL:?say where the Store is}" "${STOWAGE_TOKEN:?give a token}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# In a file, because arguments can be seen by every user of the machine.
(umask 077 && printf 'header = "Authorization: Bearer %s"\n' "$STOWAGE_TOKEN" >"$work/credentials")

# Prints the status; the head is left in $work/head, the body in $work/body.
call() {
  curl --silent --show-error --max-time 30 --config "$work/credentials" \
    --dump-header "$work/head" --output "$work/body" --write-out '%{http_code}' "$@"
}

field() {
  tr -d '\r' <"$work/head" | awk -v name="$1:" 'tolower($1) == name { sub(/^[^ ]* */, ""); print; exit }'
}

refused() {
  echo "$1: $(cat "$work/body")" >&2
  exit 1
}

# One attempt at the run document $1: prints the status of the write.
update_document() {
  local url=$STOWAGE_URL/run-stores/$1 status condition
  status=$(call "$url")
  case $status in
    200) condition="If-Match: $(field etag)" && cp "$work/body" "$work/old" ;;
    404) condition='If-None-Match: *' && echo '{}' >"$work/old" ;;
    *) refused "GET $url: $status" ;;
  esac
  jq '.count += 1' "$work/old" >"$work/new"
  call --request PUT --header "$condition" --header 'Content-Type: application/json' \
    --data-binary "@$work/new" "$url"
}

# One attempt at the namespace $1: prints the status of the write.
update_namespace() {
  local url="$STOWAGE_URL/api/storage?ns=$1" status
  status=$(call "$url")
  [ "$status" = 200 ] || refused "GET $url: $status"
  jq '[{op: "set", key: "count", value: ((.count // 0) + 1)}]' "$work/body" >"$work/new"
  call --request PATCH --header "If-Match: $(field etag)" --header 'Content-Type: application/json' \
    --header 'X-Thesara-App-Id: counter' --header 'Prefer: return=minimal' \
    --data-binary "@$work/new" "$url"
}

# Attempts until one wins; waits longer each time, for a time that differs between clients.
again() {
  local try status after most
  for ((try = 0; try < 30; try++)); do
    status=$("$@")
    case $status in
      2*) return ;;
      412 | 429 | 503) ;; # nothing was applied
      *) refused "$*: $status" ;;
    esac
    after=$(field retry-after)
    most=$((try < 7 ? 10 << try : 1000))
    sleep "$(awk -v ms=$((RANDOM % most)) -v after="${after:-0}" 'BEGIN { print after + ms / 1000 }')"
  done
  echo "given up: somebody else was faster each time" >&2
  exit 1
}

[ $# -eq 3 ] || { echo "usage: $0 kv|run-store NAME TIMES" >&2 && exit 1; }
case $1 in
  kv) update=update_namespace ;;
  run-store) update=update_document ;;
  *) echo "usage: $0 kv|run-store NAME TIMES" >&2 && exit 1 ;;
esac
for ((i = 0; i < $3; i++)); do
  again "$update" "$2"
done
echo "added $3"
