#!/usr/bin/env python3
"""Adds one to a counter that others add to as well: read, change, write under the ETag, and all of
that again where somebody else was faster (412).

    STOWAGE_URL=http://127.0.0.1:8080 STOWAGE_TOKEN=... python3 counter.py kv|run-store NAME TIMES
"""
import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

TRIES = 30


class Conflict(Exception):
    """Nothing was written; the earliest time, in seconds from now, at which to try again."""

    def __init__(self, after=0.0):
        super().__init__("somebody else was faster each time")
        self.after = after


def call(method, path, headers=None, body=None):
    """Sends a request; gives the status, the ETag and the body. A refusal is an error with its text."""
    request = urllib.request.Request(
        os.environ["STOWAGE_URL"].rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": "Bearer " + os.environ["STOWAGE_TOKEN"],
            "Content-Type": "application/json",
            **(headers or {}),
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers["ETag"], json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404 and method == "GET":
                return 404, None, None
            if error.code in (412, 429, 503):  # nothing was applied
                raise Conflict(float(error.headers.get("Retry-After") or 0)) from None
            detail = error.read().decode(errors="replace")
            raise SystemExit(f"{method} {path}: {error.code} {detail}") from None


def update_document(name, change):
    """Changes the run document `name`; `change` takes what stands there, None where nothing does."""
    path = "/run-stores/" + urllib.parse.quote(name, safe="")
    status, etag, document = call("GET", path)
    condition = {"If-None-Match": "*"} if status == 404 else {"If-Match": etag}
    call("PUT", path, condition, change(document))


def update_namespace(name, change):
    """Changes keys of the namespace `name`; `change` takes all of them and gives the operations."""
    path = "/api/storage?ns=" + urllib.parse.quote(name, safe="")
    _, etag, keys = call("GET", path)
    call("PATCH", path, {"If-Match": etag, "X-Thesara-App-Id": "counter", "Prefer": "return=minimal"}, change(keys))


def again(attempt):
    """Attempts until one wins; waits longer each time, for a time that differs between clients."""
    for number in range(TRIES):
        try:
            return attempt()
        except Conflict as conflict:
            last = conflict
            time.sleep(max(conflict.after, random.uniform(0, min(1.0, 0.01 * 2**number))))
    raise SystemExit(f"given up after {TRIES} tries: {last}")


def add_to_document(document):
    return {**(document or {}), "count": (document or {}).get("count", 0) + 1}


def add_to_namespace(keys):
    return [{"op": "set", "key": "count", "value": keys.get("count", 0) + 1}]


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("kv", "run-store"):
        raise SystemExit("usage: counter.py kv|run-store NAME TIMES")
    contract, name, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
    for _ in range(times):
        if contract == "kv":
            again(lambda: update_namespace(name, add_to_namespace))
        else:
            again(lambda: update_document(name, add_to_document))
    print(f"added {times}")


if __name__ == "__main__":
    main()
