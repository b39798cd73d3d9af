"""Plays one request against a server.

Every load returns a dict with `requests` and `seconds`; and, where not all of the server's work
counts, with `processor`: its processor seconds before and after.
"""

import json
import os
import re
import subprocess
import tempfile

from payloads import AUTHORIZATION, http_request, signature
from processes import processor_seconds

# wrk's script: the request from files, and at the end one line of JSON.
WRK_SCRIPT = """
function init(arguments)
  local file = io.open(arguments[1], "rb")
  wrk.method, wrk.body = "POST", file:read("*a")
  file:close()
  wrk.headers["Authorization"] = arguments[2]
  wrk.headers["Content-Type"] = "application/json"
  if arguments[3] then
    wrk.headers["X-GitHub-Event"], wrk.headers["X-Hub-Signature-256"] = "push", arguments[3]
  end
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"seconds":%f,"errors":%d,"p50_us":%d,"p99_us":%d}\\n', summary.requests,
    summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""
MOST_ERRORS = 0.001  # of the requests


class LoadFailed(RuntimeError):
    pass


def _run(command, seconds):
    done = subprocess.run(command, capture_output=True, timeout=seconds + 60)
    if done.returncode != 0:
        raise LoadFailed(f"{command}: {done.stderr.decode()[-500:]}")
    return _checked(command, done.stdout.strip().splitlines()[-1])


def _checked(command, line):
    result = json.loads(line or "{}")
    if not result:
        raise LoadFailed(f"{command}: no result")
    if result["requests"] == 0 or result["errors"] > MOST_ERRORS * result["requests"]:
        raise LoadFailed(f"{command}: {result}")
    return result


def wrk(side, body, seconds, connections=32, signed=False):
    """Closed loop: every connection sends again as soon as it is answered. Whole seconds."""
    with tempfile.TemporaryDirectory() as at:
        script, file = os.path.join(at, "load.lua"), os.path.join(at, "body")
        with open(script, "w") as out:
            out.write(WRK_SCRIPT)
        with open(file, "wb") as out:
            out.write(body)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        command += ["--timeout", "20s", "-s", script, side.url(), "--", file, AUTHORIZATION]
        if signed:
            command.append(signature(body))
        return _run(command, seconds)


def handshakes(side, _, seconds):
    """TLS connections one after the other, none resumed: a handshake, and nothing is sent."""
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{side.port}", "-new"]
    seconds = max(1, round(seconds))
    command += ["-time", str(seconds)]
    done = subprocess.run(command, capture_output=True, timeout=seconds + 60)
    counts = re.findall(rb"(\d+) connections in \d+ real seconds", done.stdout)
    if not counts or int(counts[0]) == 0:
        raise LoadFailed(f"{command}: {done.stdout} {done.stderr}")
    return {"requests": int(counts[0]), "seconds": seconds}


def open_loop(side, body, seconds, rate, connections=64):
    """A fixed rate, whatever the server does. Latencies count from when a request was due."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(http_request(side.path, body))
        file.flush()
        command = ["tests/benchmarks/open_loop_load", str(side.port), file.name, str(connections)]
        command += [str(rate), str(seconds), "0.5"]
        load = subprocess.Popen(command, stdout=subprocess.PIPE)
        with load:
            load.stdout.readline()  # `begin`: it is connected and warm
            before = processor_seconds(side.pid)
            line = load.stdout.readline()
            after = processor_seconds(side.pid)
        result = _checked(command, line)
        return result | {"seconds": seconds, "processor": (before, after)}


def grpc(side, body, seconds, in_flight=32, streams=0):
    """Closed loop of Execute on one channel; with `streams`, so many in flight on each stream."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        command = ["tests/benchmarks/grpc_load", side.grpc, file.name, AUTHORIZATION]
        command += [str(seconds), str(in_flight), str(streams)]
        return _run(command, seconds)
