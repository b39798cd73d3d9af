"""Starts servers, ends them by their process id, and reads what the kernel says of them."""

import os
import pathlib
import socket
import subprocess
import time

SECONDS_TO_START = 30
SECONDS_TO_STOP = 10
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    """A port of 127.0.0.1 that nobody had a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Server:
    """A child process that listens on 127.0.0.1. What it writes goes to a file in its folder."""

    def __init__(self, arguments, port, folder, cwd=None, environment=None):
        self.port = port
        self.log = os.path.join(folder, "log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd,
                env=environment,
            )
        self._wait_until_it_listens()

    @property
    def pid(self):
        return self.process.pid

    def _wait_until_it_listens(self):
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        text = pathlib.Path(self.log).read_text(errors="replace")
        raise RuntimeError(f"{self.process.args[0]} does not listen: {text}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _family(pid):
    """The process and its children."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [one for child in children for one in _family(int(child))]


def processor_seconds(pid):
    """(user, system) of all threads of the process and its children, the ended ones among them."""
    user = system = 0
    for one in _family(pid):
        try:
            stat = pathlib.Path(f"/proc/{one}/stat").read_text()
        except FileNotFoundError:
            continue  # it ended meanwhile, and its parent's figures have it
        fields = stat.rsplit(")", 1)[1].split()
        user += int(fields[11]) + int(fields[13])
        system += int(fields[12]) + int(fields[14])
    return user / TICK, system / TICK


def memory_kib(pid, field="VmRSS"):
    """A line of /proc/PID/status: VmRSS, or VmHWM for the most there has been."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)
