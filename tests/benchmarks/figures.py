"""What is not compared in turns: latency, memory, start, growth, and single steps."""

import contextlib
import json
import os
import socket
import subprocess
import time

import exact
import load
import sides
from measure import spread, tell
from payloads import DOCUMENTED, PAYLOADS, http_request, large
from processes import memory_kib

MIB = 1 << 20
MICRO_BENCHMARKS = (
    "plugin/core/credentials_benchmark",
    "plugin/core/incidents_benchmark",
    "plugin/core/answer_benchmark",
    "plugin/http/head_benchmark",
    "host_stub/store/sqlite/sqlite_store_benchmark",
)


def reachable_rate(names, seconds):
    """Requests a second of the slowest of these."""
    reached = []
    for name in names:
        with sides.SIDES[name][1]() as side:
            reached.append(load.wrk(side, DOCUMENTED, seconds, connections=64))
    return min(one["requests"] / one["seconds"] for one in reached)


def latency(names, rate, turns, seconds):
    """Open loop: name -> [figures]."""
    results = {name: [] for name in names}
    for turn in range(turns):
        tell(f"latency: turn {turn + 1} of {turns}, {rate:.0f} requests a second")
        for name in names:
            with sides.SIDES[name][1]() as side:
                results[name].append(load.open_loop(side, DOCUMENTED, seconds, rate))
    return results


def idle_memory(connections):
    """(RSS in MiB without a connection, bytes of RSS for each idle one). Each was used once."""
    with sides.host("memory") as side, contextlib.ExitStack() as stack:
        time.sleep(0.5)
        idle = memory_kib(side.pid)
        # So that what the first requests of all cost is not counted.
        exact.send(side, DOCUMENTED, 100)
        warm = memory_kib(side.pid)
        request = http_request(side.path, b"[]")
        for _ in range(connections):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", side.port)))
            one.sendall(request)
            one.recv(4096)
        return idle / 1024, (memory_kib(side.pid) - warm) * 1024 / connections


def body_memory(size, store):
    """The peak of RSS that one body of that size costs, over its size."""
    limits = {"body_bytes": 64 * MIB, "bytes_in_flight": 2 * 64 * MIB}
    body = large(size)
    with sides.host(store, limits) as side:
        exact.send(side, DOCUMENTED, 100)
        before = memory_kib(side.pid)
        exact.send(side, body, 1)
        return (memory_kib(side.pid, "VmHWM") - before) * 1024 / len(body)


def start_milliseconds(store):
    """From the start of the process to its ready line."""
    begin = time.monotonic()
    with sides.host(store):
        return (time.monotonic() - begin) * 1e3


def growth_of_store(incidents):
    """Instructions of a durable request with 1,000 stored incidents, and with that many."""
    counts = []
    for stored in (1_000, incidents):
        tell(f"growth: {stored:,} incidents")
        with sides.folder(sides.Disk.parent) as at:
            data_dir = os.path.join(at, "data")
            batch_size = min(stored, 10_000)
            batch = PAYLOADS["array" if batch_size == 1_000 else "array of 10,000"]
            exact.fill(data_dir, stored, batch, batch_size)
            counts.append(exact.instructions(DOCUMENTED, "sqlite", data_dir=data_dir))
    return counts


def growth_of_instances(instances):
    tell(f"growth: {instances:,} instances")
    return [exact.instructions(DOCUMENTED, instances=count) for count in (1, instances)]


def micro_benchmarks(least_seconds, repetitions):
    """name -> {cpu_ns, real_ns, and what counters there are}, medians of the repetitions."""
    figures = "cpu_time real_time bytes_per_second items_per_second p50_us p99_us".split()
    found = {}
    for program in MICRO_BENCHMARKS:
        tell(program)
        command = [program, f"--benchmark_min_time={least_seconds}", "--benchmark_format=json"]
        command += [f"--benchmark_repetitions={repetitions}"]
        command += ["--benchmark_enable_random_interleaving=true"]
        environment = os.environ | {"TEST_TMPDIR": sides.Disk.parent}
        done = subprocess.run(command, capture_output=True, check=True, env=environment)
        runs = {}
        for run in json.loads(done.stdout)["benchmarks"]:
            if run["run_type"] == "iteration":
                runs.setdefault(run["run_name"], []).append(run)
        for name, repeated in runs.items():
            found[name] = {
                key: spread(run[key] for run in repeated) for key in figures if key in repeated[0]
            }
    return found
