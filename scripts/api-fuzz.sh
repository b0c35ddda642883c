#!/usr/bin/env bash
# Holds a running server against its own description: requests are made from docs/openapi.json by
# Schemathesis, good ones and bad ones, and every answer must be one that is described there, none
# a 5xx. What it needs is installed into the cache.
#
# API_FUZZ_EXAMPLES (40) is how many requests an operation gets at most in each phase;
# API_FUZZ_SEED (1) makes another row of them.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
sidecar=$(realpath "${1:?the program stowage-sidecar}")
tools=$("$here/python-tools.sh" api-fuzz-tools)

work=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT

cat > "$work/store.yaml" <<YAML
store: api-fuzz
listen: 127.0.0.1:0
managementListen: 127.0.0.1:0
backend: {volume: {path: $work/data}}
debug: true
YAML
"$sidecar" serve --config "$work/store.yaml" --insecure-no-auth --ready-file "$work/ready" 2> "$work/log" &
server=$!
for _ in $(seq 300); do
  [ -s "$work/ready" ] && break
  kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.1
done
url=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["url"])' "$work/ready")

# Whether bad requests are refused and good ones taken is for the tests of the contracts: what a
# description says of a request is less than what the contract does.
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks+=,response_schema_conformance,unsupported_method,allow_header_conformance
# Paths with a server of their own stand at the second port.
mapfile -t elsewhere < <(python3 -c '
import json, sys
for path, item in json.load(open(sys.argv[1]))["paths"].items():
    if "servers" in item:
        print("--exclude-path", path, sep="\n")' "$here/../docs/openapi.json")
cd "$work"
"$tools/schemathesis" run "$here/../docs/openapi.json" --url "$url" --checks "$checks" --phases examples,coverage,fuzzing \
  --max-examples "${API_FUZZ_EXAMPLES:-40}" --seed "${API_FUZZ_SEED:-1}" --workers 1 \
  "${elsewhere[@]}" --continue-on-failure --warnings off
kill -0 "$server" || { echo "the server has ended:" >&2; tail -20 "$work/log" >&2; exit 1; }
if grep -q "a handler panicked" "$work/log"; then
  echo "a handler panicked:" >&2
  grep "a handler panicked" "$work/log" >&2
  exit 1
fi
