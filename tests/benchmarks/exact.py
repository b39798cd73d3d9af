"""Counts that repeat: instructions (callgrind: user space only) and allocations of one request.

Both are differences between a long and a short run, so that the cost of start and end drops out.
"""

import collections
import os
import pathlib
import re
import socket
import struct
import subprocess

import sides
from payloads import http_request

SHORT_RUN, LONG_RUN = 200, 800
LARGE_BODY = 50_000  # of these a twentieth will do
PRELOAD = "tests/benchmarks/count_allocations.so"


def _receive_answer(connection):
    answer = b""
    while True:
        answer += connection.recv(1 << 20)
        head, end, body = answer.partition(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"not answered: {answer[:300]}")
        if end and len(body) >= int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
            return


def send(side, body, count, instances=1, signed=False):
    """One request after the other on one connection, to one instance after the other."""
    names = ["webhook"] + [f"webhook{i}" for i in range(1, instances)]
    paths = [side.path.replace("webhook", name) for name in names]
    requests = [http_request(path, body, signed=signed) for path in paths]
    with socket.create_connection(("127.0.0.1", side.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(count):
            connection.sendall(requests[number % len(requests)])
            _receive_answer(connection)


def _callgrind(body, count, store, instances=1, **options):
    """Plays so many requests; function -> instructions of the whole run."""
    with sides.folder() as at:
        out = os.path.join(at, "callgrind.out")
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        with sides.host(store, prefix=valgrind, instances=instances, **options) as side:
            if instances > 1:
                send(side, body, instances, instances)  # the first request of each costs more
            send(side, body, count, instances, options.get("signed", False))
        annotate = ["callgrind_annotate", "--threshold=100", "--auto=no", "--show-percs=no", out]
        text = subprocess.run(annotate, capture_output=True, check=True).stdout.decode()
    functions = collections.Counter()
    for number, name in re.findall(r"^ *([\d,]+)  (\S.*)$", text, re.MULTILINE):
        functions[_short_name(name)] += int(number.replace(",", ""))
    if not functions["PROGRAM TOTALS"]:
        raise RuntimeError(f"callgrind told no total: {text[:500]}")
    return functions


def _short_name(name):
    """`file:function(arguments) [object]` -> `function`."""
    name = re.sub(r" \[[^]]*\]$", "", name)
    name = re.sub(r"^[^ :]*:(?=[^:])", "", name)
    return re.sub(r"(?<!operator)\((?!anonymous).*", "", name).strip()


def profile(body, store="memory", **options):
    """function -> instructions of one request, from the socket to the socket; and their total."""
    divisor = 20 if len(body) >= LARGE_BODY else 1
    short = _callgrind(body, SHORT_RUN // divisor, store, **options)
    long = _callgrind(body, LONG_RUN // divisor, store, **options)
    requests = (LONG_RUN - SHORT_RUN) // divisor
    functions = {name: (long[name] - short[name]) / requests for name in long}
    total = functions.pop("PROGRAM TOTALS")
    # How long threads wait for one another is up to the scheduler.
    waiting = [name for name in functions if re.search(r"\b(MutexDelay|UnlockSlow|LockSlow\w*)$", name)]
    return total - sum(functions.pop(name) for name in waiting), functions


def instructions(body, store="memory", **options):
    return profile(body, store, **options)[0]


def _strace(body, count, store):
    """Plays so many requests; system call -> how many the host made in the whole run."""
    with sides.folder() as at:
        out = os.path.join(at, "strace.out")
        os.mkfifo(out)  # read to its end, the summary is whole
        with subprocess.Popen(["cat", out], stdout=subprocess.PIPE) as reader:
            # -D: the host is our child, and gets our signals.
            strace = ["strace", "-D", "-f", "-qq", "-c", "-U", "calls,name", "-o", out]
            with sides.host(store, prefix=strace) as side:
                send(side, body, count)
            text = reader.stdout.read().decode()
    calls = {name: int(number) for number, name in re.findall(r"^ *(\d+) (\w+)$", text, re.MULTILINE)}
    if not calls.get("total"):
        raise RuntimeError(f"strace told no total: {text[:500]}")
    return collections.Counter(calls)


def system_calls(body, store="memory"):
    """system call -> how many one request takes; and their sum. Threads that wait for each other
    make as many as they happen to, so futex is left out."""
    short, long = _strace(body, SHORT_RUN, store), _strace(body, LONG_RUN, store)
    names = set(long) - {"total", "futex"}
    calls = {name: (long[name] - short[name]) / (LONG_RUN - SHORT_RUN) for name in names}
    return sum(calls.values()), calls


def allocations(body, store="memory"):
    """Allocations of one request, by the whole host with its store, once it is warm."""
    with sides.folder() as at:
        file = os.path.join(at, "count")
        pathlib.Path(file).write_bytes(bytes(8))
        count = lambda: struct.unpack("q", pathlib.Path(file).read_bytes())[0]
        environment = os.environ | {"LD_PRELOAD": PRELOAD, "ALLOCATION_COUNT_FILE": file}
        with sides.host(store, environment=environment) as side:
            send(side, body, SHORT_RUN)
            before = count()
            send(side, body, LONG_RUN)
            return (count() - before) / LONG_RUN


def fill(data_dir, incidents, batch, batch_size):
    """Stores at least so many incidents, through the front."""
    with sides.host("sqlite", data_dir=data_dir) as side:
        send(side, batch, -(-incidents // batch_size))
