#!/bin/sh
# Makes the Git repository that examples/quickstart/source.yaml names: a bare one to fetch from,
# with a schema and two configs on the branch main. Does nothing where it stands already. For any
# POSIX shell: it runs in a pod too.
set -eu
bare=$1
[ ! -d "$bare" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/schema" "$work/jobs"

cat >"$work/schema/runtime.json" <<'JSON'
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["engine", "workers"],
  "properties": {
    "engine": {"enum": ["pandas", "polars", "spark"]},
    "workers": {"type": "integer", "minimum": 1, "maximum": 64}
  }
}
JSON
cat >"$work/jobs/orders.runtime.yaml" <<'YAML'
# One job of the ETL team. What stands under `runtime` is checked against schema/runtime.json.
runtime:
  engine: polars
  workers: 4
  source: s3://lake/orders/
YAML
cat >"$work/jobs/refunds.runtime.yaml" <<'YAML'
runtime:
  engine: pandas
  workers: 1
  source: s3://lake/refunds/
YAML

git init --quiet --initial-branch=main "$work"
git -C "$work" add .
git -C "$work" -c user.name=ETL -c user.email=etl@example.com commit --quiet -m "Orders and refunds"
mkdir -p "$(dirname "$bare")"
git clone --quiet --bare "$work" "$bare"
