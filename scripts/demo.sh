#!/usr/bin/env bash
# The main job, printed request by request: real resources, a real Git repository, real requests.
# Each request says which status it expects; another one ends the demo with 1.
set -euo pipefail
cd "$(dirname "$0")/.."
stowage=$1

tmp=$(mktemp -d "${TMPDIR:-/tmp}/stowage-demo.XXXXXX")
server=
cleanup() {
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' off=$'\e[0m'; else bold='' dim='' off=''; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
fail() {
  printf '\nThe demo failed: %s\n' "$*" >&2
  [ ! -s "$tmp/log" ] || { echo "The server's log:" >&2; tail -n 40 "$tmp/log" >&2; }
  exit 1
}

# wait_for SECONDS WHAT COMMAND…: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "waited too long for $what"
    [ -z "$server" ] || kill -0 "$server" 2>/dev/null || fail "the server ended while waiting for $what"
    sleep 0.1
  done
}

# request STATUS 'CURL ARGUMENTS': prints the curl line and the answer, and keeps the ETag.
etag=
request() {
  local expected=$1 line=$2 answer status
  # shellcheck disable=SC2016 # printed as it stands: the token stays out of the output
  printf '\n%s$ curl -i -H "Authorization: Bearer $STOWAGE_TOKEN" %s%s\n' "$bold" "$line" "$off"
  # The line is a literal of this script, printed as a person would paste it. Of an upload curl also
  # shows the 100 that asks for the body.
  answer=$(eval "curl -sS -i -H \"Authorization: Bearer \$STOWAGE_TOKEN\" $line" | tr -d '\r' | sed '1{/ 100 /{N;d;};}')
  status=$(awk 'NR == 1 {print $2}' <<<"$answer")
  etag=$(awk 'tolower($1) == "etag:" {print $2; exit}' <<<"$answer")
  awk -v dim="$dim" -v off="$off" '
    body {print "  " $0; next}
    NR == 1 {print "  " $0; next}
    $0 == "" {body = 1; next}
    tolower($1) ~ /^(etag|x-stowage-revision|content-type):$/ {print "  " dim $0 off}
  ' <<<"$answer"
  [ "$status" = "$expected" ] || fail "expected $expected, got $status"
}

start() {
  rm -f "$tmp/ready.json"
  "$stowage" up -f "$tmp/manifests" --data "$tmp/data" --listen 127.0.0.1:0 \
    --ready-file "$tmp/ready.json" >"$tmp/out" 2>"$tmp/log" &
  server=$!
  wait_for 30 "the store to be ready" test -s "$tmp/ready.json"
  STOWAGE_URL=$(sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' "$tmp/ready.json" | head -n 1)
  export STOWAGE_URL
}

commit() {
  git -C "$tmp/work" add -A
  git -C "$tmp/work" -c user.name=ETL -c user.email=etl@example.com commit --quiet -m "$1"
  git -C "$tmp/work" push --quiet origin main
}

served_revision() {
  curl -sS -o /dev/null -D - -H "Authorization: Bearer $STOWAGE_TOKEN" "$STOWAGE_URL/runtimes/etl/main" |
    tr -d '\r' | awk 'tolower($1) == "x-stowage-revision:" {print $2}'
}
serves() { [ "$(served_revision)" = "$1" ]; }

mkdir "$tmp/manifests"
scripts/quickstart-repository.sh "$tmp/etl.git"
git clone --quiet "$tmp/etl.git" "$tmp/work"
cp examples/quickstart/*.yaml "$tmp/manifests/"
sed -i "s|file:///tmp/stowage-quickstart/etl.git|file://$tmp/etl.git|" "$tmp/manifests/source.yaml"
STOWAGE_TOKEN=$(sed -n 's/^ *admin: *"\{0,1\}\([^" #]*\).*/\1/p' "$tmp/manifests/store.yaml")
export STOWAGE_TOKEN

say "1. Three resources, applied: a Store, a StoreNamespace, a RuntimeConfigSource"
sed 's/^/  /' "$tmp/manifests/store.yaml" "$tmp/manifests/namespace.yaml" "$tmp/manifests/source.yaml"
printf '\n%s$ stowage up -f manifests/%s\n' "$bold" "$off"
start
sed 's/^/  /' "$tmp/out"

say "2. A document under compare-and-swap"
request 200 "-X PUT \$STOWAGE_URL/run-stores/nightly -H 'If-None-Match: *' -H 'Content-Type: application/json' -d '{\"run\": 1, \"state\": \"started\"}'"
first=$etag
request 200 "\$STOWAGE_URL/run-stores/nightly"
request 304 "\$STOWAGE_URL/run-stores/nightly -H 'If-None-Match: $first'"
request 200 "-X PUT \$STOWAGE_URL/run-stores/nightly -H 'If-Match: $first' -H 'Content-Type: application/json' -d '{\"run\": 1, \"state\": \"finished\"}'"
second=$etag
say "   A second writer still holds the first ETag: it loses the race, and nothing is overwritten"
request 412 "-X PUT \$STOWAGE_URL/run-stores/nightly -H 'If-Match: $first' -H 'Content-Type: application/json' -d '{\"run\": 1, \"state\": \"lost\"}'"

say "3. A namespace of keys: several of them change under one version, or none"
request 201 "-X PATCH \"\$STOWAGE_URL/api/storage?ns=cart\" -H 'If-Match: 0' -H 'X-Thesara-App-Id: shop' -H 'Content-Type: application/json' -d '[{\"op\":\"set\",\"key\":\"apples\",\"value\":3},{\"op\":\"set\",\"key\":\"pears\",\"value\":1}]'"
request 200 "-X PATCH \"\$STOWAGE_URL/api/storage?ns=cart\" -H 'If-Match: \"1\"' -H 'X-Thesara-App-Id: shop' -H 'Content-Type: application/json' -d '[{\"op\":\"set\",\"key\":\"apples\",\"value\":4},{\"op\":\"del\",\"key\":\"pears\"},{\"op\":\"set\",\"key\":\"coupon\",\"value\":{\"code\":\"TEN\",\"off\":0.10}}]'"
request 200 "\"\$STOWAGE_URL/api/storage?ns=cart&key=coupon\""

say "4. Configs of a Git branch, served with their commit"
head=$(git -C "$tmp/work" rev-parse HEAD)
wait_for 30 "the first commit" serves "$head"
request 200 "\$STOWAGE_URL/runtimes/etl/main/jobs/orders.runtime.yaml"

say "   A second commit arrives"
sed -i 's/workers: 4/workers: 16/' "$tmp/work/jobs/orders.runtime.yaml"
commit "Sixteen workers for the orders"
head=$(git -C "$tmp/work" rev-parse HEAD)
printf '\n%s$ git commit -am "Sixteen workers for the orders" && git push    # now at %.7s%s\n' "$bold" "$head" "$off"
kill -HUP "$server"
wait_for 30 "the second commit" serves "$head"
request 200 "\$STOWAGE_URL/runtimes/etl/main/jobs/orders.runtime.yaml"

say "   An invalid commit is refused, with file and reason; the old set stays"
sed -i 's/engine: pandas/engine: abacus/' "$tmp/work/jobs/refunds.runtime.yaml"
commit "Refunds on the abacus"
printf '\n%s$ git commit -am "Refunds on the abacus" && git push    # now at %.7s%s\n' "$bold" "$(git -C "$tmp/work" rev-parse HEAD)" "$off"
kill -HUP "$server"
wait_for 30 "the refusal" grep -q 'refunds.runtime.yaml' "$tmp/out"
grep -A 2 -m 1 -B 1 'refunds.runtime.yaml' "$tmp/out" | sed 's/^/  /'
request 200 "\$STOWAGE_URL/runtimes/etl/main/jobs/refunds.runtime.yaml"
serves "$head" || fail "the set moved although the commit is invalid"

say "5. The archive of a build, and what became of it"
tar -czf "$tmp/site.tar.gz" -C "$tmp/work" jobs
request 201 "-T $tmp/site.tar.gz \$STOWAGE_URL/sites/blog/artifacts/b-1 -H 'If-None-Match: *'"
archive=$etag
request 412 "-T $tmp/site.tar.gz \$STOWAGE_URL/sites/blog/artifacts/b-1 -H 'If-None-Match: *'"
request 201 "\$STOWAGE_URL/sites/blog/logs -H 'Content-Type: application/json' -d '{\"build_id\":\"b-1\",\"action\":\"deploy\",\"status\":\"success\"}'"
request 200 "\$STOWAGE_URL/sites/blog/versions"

say "6. Killed without warning, started again: everything that was acknowledged is there"
printf '\n%s$ kill -9 %s; stowage up -f manifests/%s\n' "$bold" "$server" "$off"
# Without the shell's own line about it.
{ kill -KILL "$server"; wait "$server"; } 2>/dev/null || true
start
request 200 "\$STOWAGE_URL/run-stores/nightly"
[ "$etag" = "$second" ] || fail "the document's ETag was $second and is $etag"
request 200 "\"\$STOWAGE_URL/api/storage?ns=cart\""
[ "$etag" = '"2"' ] || fail "the namespace was at version \"2\" and is at $etag"
serves "$head" || fail "the configs of $head are gone"
request 200 "\$STOWAGE_URL/runtimes/etl/main/jobs/orders.runtime.yaml"
request 200 "-I \$STOWAGE_URL/sites/blog/artifacts/b-1"
[ "$etag" = "$archive" ] || fail "the archive's ETag was $archive and is $etag"
curl -fsS -H "Authorization: Bearer $STOWAGE_TOKEN" "$STOWAGE_URL/sites/blog/artifacts/b-1" |
  cmp - "$tmp/site.tar.gz" || fail "the archive is not the one that was sent"

kill -TERM "$server"
wait "$server" || fail "the server did not end with 0"
server=
say "Done. 'make up' serves the same until Ctrl-C."
