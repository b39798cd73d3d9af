"""The requests that are played, as data. All are our own; `push` is like a forge's push event."""

import hmac
import json

from peers import basic

AUTHORIZATION = basic("user:pass")
SIGNING_SECRET = b"a secret of the benchmark alone"

DOCUMENTED = (
    b'{"name":"incident created via generic webhook","rawJson":{"some_field":"some_value"}}'
)


def _commit(number):
    person = {"name": f"Developer {number}", "email": f"developer{number}@example.com"}
    digest = f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" * 2 + "0badcafe"
    return {
        "id": digest,
        "tree_id": digest[::-1],
        "distinct": number % 2 == 0,
        "message": f"Mend the retry of queue {number}\n\nIt waited for \"ever\" where 1.5 s do.",
        "timestamp": f"2024-05-01T10:{number:02}:00+02:00",
        "url": f"https://git.example.com/acme/storage/commit/{digest}",
        "author": person,
        "committer": person | {"username": f"dev{number}"},
        "added": [f"src/queue/retry_{number}.cc"],
        "removed": [],
        "modified": ["src/queue/queue.cc", "docs/changes.md"],
    }


def _repository():
    api = "https://api.example.com/repos/acme/storage/"
    parts = "commits issues pulls branches tags hooks forks keys labels releases events".split()
    return {
        "id": 186853002,
        "full_name": "acme/storage",
        "private": False,
        "owner": {"login": "acme", "id": 21031067, "site_admin": False, "type": "Organization"},
        "description": None,
        "size": 81_402,
        "score": 0.8125,
        **{part + "_url": api + part + "{/number}" for part in parts},
        "topics": ["storage", "queue", "caf\u00e9"],
    }


def _push_event():
    event = {
        "ref": "refs/heads/main",
        "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "forced": False,
        "repository": _repository(),
        "pusher": {"name": "dev1", "email": "developer1@example.com"},
        "commits": [],
    }
    while len(json.dumps(event)) < 6_800:
        event["commits"].append(_commit(len(event["commits"]) + 1))
    return json.dumps(event, separators=(",", ":")).encode()


def _array(count):
    return json.dumps(
        [
            {
                "name": f"incident {i}",
                "type": "Phishing",
                "rawJson": {"source": "10.0.0.1", "severity": i % 5},
            }
            for i in range(count)
        ],
        separators=(",", ":"),
    ).encode()


def large(size):
    """One incident of nearly so many bytes, not more: push events in a list."""
    event = _push_event()
    count = (size - 100) // (len(event) + 1)
    return b'{"name":"large","rawJson":{"events":[' + b",".join([event] * count) + b"]}}"


PAYLOADS = {
    "documented": DOCUMENTED,
    "push": _push_event(),
    "batch": _array(80),
    "array": _array(1_000),
    "array of 10,000": _array(10_000),
}


def signature(body):
    """As GitHub signs."""
    return "sha256=" + hmac.new(SIGNING_SECRET, body, "sha256").hexdigest()


def http_request(path, body, close=False, signed=False):
    """Head and body as bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: {AUTHORIZATION}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ] + (["Connection: close"] if close else [])
    if signed:
        lines += ["X-GitHub-Event: push", f"X-Hub-Signature-256: {signature(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
