"""Starts servers, stops them by their process id, and reads what the kernel reports about them."""

import os
import pathlib
import resource
import socket
import subprocess
import time

SECONDS_TO_START = 30
SECONDS_TO_STOP = 10
TICK = os.sysconf("SC_CLK_TCK")


def allow_open_files(count):
    """For this process and all that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise RuntimeError(f"so many connections need `ulimit -Hn {count}`")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


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


def _processor_clock(pid):
    """Its CLOCK_PROCESS_CPUTIME_ID, as clock_getcpuclockid(3) has it: nanoseconds, not ticks."""
    return (~pid << 3) | 2


def processor_seconds(pid):
    """(all, of it user) of all threads of the process and its children, ended ones included."""
    total = user = 0
    for one in _family(pid):
        try:
            stat = pathlib.Path(f"/proc/{one}/stat").read_text()
            total += time.clock_gettime(_processor_clock(one))
        except OSError:
            continue  # it ended meanwhile, and its parent's figures have it
        fields = [int(field) for field in stat.rsplit(")", 1)[1].split()[11:15]]
        user += (fields[0] + fields[2]) / TICK
        total += (fields[2] + fields[3]) / TICK  # of children that ended
    return total, user


def memory_kib(pid, field="VmRSS"):
    """A line of /proc/PID/status: VmRSS, or VmHWM for the most there has been."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)
