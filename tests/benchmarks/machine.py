"""The machine and the versions, for the report."""

import os
import pathlib
import platform
import re
import subprocess

PACKAGES = (
    "nginx", "wrk", "webhook", "python3-fastapi", "python3-uvicorn", "python3-uvloop",
    "python3-httptools", "libgrpc++1.51", "libsimdjson14", "libsqlite3-0", "libssl3",
    "libboost1.81-dev", "libbenchmark1debian", "valgrind", "g++",
)


def _line_of(command):
    done = subprocess.run(command, capture_output=True)
    return done.stdout.decode().strip()


def _field(file, name):
    match = re.search(rf"^{name}\s*:\s*(.*)$", pathlib.Path(file).read_text(), re.MULTILINE)
    return match.group(1) if match else "unknown"


def description(disk):
    """(title, text) pairs."""
    memory = int(_field("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    source = _line_of(["git", "-C", os.path.dirname(__file__), "describe", "--always", "--dirty"])
    return [
        ("processor", f"{_field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} logical cores"),
        ("memory", f"{memory:.0f} GiB"),
        ("data folders on", _line_of(["findmnt", "-nr", "-o", "FSTYPE,SOURCE", "-T", disk])),
        ("system", f"{_field_of_release()}, Linux {platform.release()}"),
        ("this source", source or "unknown"),
        ("versions", ", ".join(f"{name} {version}" for name, version in _versions())),
    ]


def _field_of_release():
    return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")


def _versions():
    for name in PACKAGES:
        version = _line_of(["dpkg-query", "-W", "-f=${Version}", name])
        if version:
            yield name, version


def load_average():
    return os.getloadavg()[0]


def processor_times():
    """(all, stolen by other guests of the host machine), in ticks."""
    ticks = [int(n) for n in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[7]
