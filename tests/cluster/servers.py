"""A PostgreSQL primary with a synchronous standby, and proxies before them that cut connections."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

PROGRAM = "tools/postgres-server"
SOCKET = ".s.PGSQL.5432"
SECONDS_TO_START = 30
OPTIONS = {
    "shared_buffers": "16MB",
    "max_connections": "80",
    "wal_keep_size": "256MB",
    "wal_receiver_status_interval": "1",
    "wal_retrieve_retry_interval": "100ms",
}


def programs():
    """The folder of the newest version, as tools/postgres-server finds it."""
    found = [path for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin") if path.is_dir()]
    if not found:
        raise AssertionError("PostgreSQL is not installed: run tools/install-packages test")
    return max(found, key=lambda path: int(path.parent.name))


def alone(command):
    """PostgreSQL's programs refuse to run as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--", *command]


def children(pid):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(path.parent.name))
    return found


def signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Server:
    """One PostgreSQL in a folder. Call on the main thread: a server ends with its starter."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.process = None
        self.stopped = []

    def start(self):
        self.folder.mkdir(exist_ok=True)
        options = [part for one in OPTIONS.items() for part in ("-c", "=".join(one))]
        with open(f"{self.folder}.log", "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, self.folder, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + SECONDS_TO_START
        while True:
            with contextlib.suppress(subprocess.CalledProcessError):
                return self.sql("SELECT 1", database="postgres")
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"PostgreSQL does not start: see {self.folder}.log")
            time.sleep(0.02)

    def sql(self, statement, database="webhook"):
        """The lines that it gives."""
        done = subprocess.run(
            [programs() / "psql", "-XqAt", "-F", " ", "-v", "ON_ERROR_STOP=1", "-h", self.folder]
            + ["-U", "webhook", "-d", database],
            input=statement,
            capture_output=True,
            check=True,
            text=True,
            env=os.environ | {"PGCONNECT_TIMEOUT": "5", "PGOPTIONS": "-c statement_timeout=20000"},
        )
        return done.stdout.splitlines()

    def stop(self):
        """As an administrator would, with the connections cut."""
        self.go_on()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(SECONDS_TO_START)

    def kill(self):
        """As if its machine were gone; waits until nothing of it is left."""
        left = children(self.process.pid)
        self.process.kill()
        self.process.wait()
        signal_all(left, signal.SIGKILL)
        self.stopped = []
        while any(os.path.exists(f"/proc/{pid}") for pid in left):
            time.sleep(0.01)

    def hold(self):
        """Stops it and all of its processes until go_on."""
        self.stopped = [self.process.pid, *children(self.process.pid)]
        signal_all(self.stopped, signal.SIGSTOP)

    def go_on(self):
        signal_all(self.stopped, signal.SIGCONT)
        self.stopped = []


class Pair:
    """Use as a context manager. The primary and the standby change places with each failover."""

    def __init__(self, folder):
        self.servers = [Server(f"{folder}/{name}") for name in "ab"]
        self.primary, self.standby = self.servers

    def __enter__(self):
        self.primary.start()
        self.primary.sql("CREATE DATABASE webhook", database="postgres")
        return self

    def require_standby(self):
        """From now on, at this primary and those that come after it."""
        self.primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.sql("SELECT pg_reload_conf()")
        self.replicate()

    def __exit__(self, *_):
        for server in self.servers:
            if server.process and server.process.poll() is None:
                server.go_on()
                server.kill()

    def replicate(self):
        """A new standby, whose disk each commit of the primary waits for."""
        shutil.rmtree(self.standby.folder, ignore_errors=True)
        self.standby.folder.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.standby.folder, "nobody")
        copy = [programs() / "pg_basebackup", "-h", self.primary.folder, "-U", "webhook"]
        copy += ["-D", self.standby.folder / "data", "-R", "-X", "stream", "-c", "fast", "-N"]
        subprocess.run(alone(copy), check=True, capture_output=True, timeout=60)
        self.standby.start()
        self.await_standby()

    def await_standby(self):
        end = time.monotonic() + SECONDS_TO_START
        asked = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"
        while True:
            with contextlib.suppress(subprocess.CalledProcessError):  # it recovers
                if self.primary.sql(asked, database="postgres"):
                    return
            if time.monotonic() > end:
                raise AssertionError("the standby does not follow the primary")
            time.sleep(0.02)

    def fail_over(self):
        """The primary is gone, the standby takes its place, and gets a standby of its own."""
        self.primary.kill()
        self.primary, self.standby = self.standby, self.primary
        self.primary.sql("SELECT pg_promote()", database="postgres")
        self.replicate()


class CuttingProxy:
    """Stands between one host and both servers, on unix sockets. Sound until told otherwise."""

    def __init__(self, folder, servers, rng):
        self.rng = rng
        self.cuts = 0.0  # how probable it is that a connection is cut within a piece of data
        self.delay = 0.0  # of each piece, at most, in seconds
        self.open = threading.Event()  # nothing goes through while it is clear
        self.open.set()
        self.count = 0  # of cuts
        self.listeners = []
        self.folders = []
        for server in servers:
            at = pathlib.Path(f"{folder}{server.folder.name}")
            at.mkdir()
            self.folders.append(at)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(at / SOCKET))
            listener.listen(64)
            self.listeners.append(listener)
            target = str(server.folder / SOCKET)
            threading.Thread(target=self.accept, args=(listener, target), daemon=True).start()

    def heal(self):
        self.cuts = self.delay = 0.0
        self.open.set()

    def close(self):
        self.heal()
        for listener in self.listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def accept(self, listener, target):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(target)
            except OSError:
                near.close()
                continue
            for ways in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=ways, daemon=True).start()

    def pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.open.wait()
                if self.delay:
                    time.sleep(self.rng.uniform(0, self.delay))
                    self.open.wait()
                if self.rng.random() < self.cuts:
                    # Before it, after it, or within.
                    end = self.rng.choice((0, len(data), self.rng.randrange(len(data))))
                    self.count += 1
                    sink.sendall(data[:end])
                    break
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
