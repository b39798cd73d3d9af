"""Runs the built host as a user would, on ports that the system chooses."""

import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import tempfile

HOST_STUB = "host_stub/host_stub"
PLUGIN = "plugin/webhook_plugin.so"
SECONDS_TO_START = 30
SECONDS_TO_STOP = 30

# No other process uses this address, so a port that is free on it stays free.
OWN_ADDRESS = "127." + ".".join(str(random.SystemRandom().randint(1, 254)) for _ in range(3))


def listen_ports(count):
    """The parameters of that many free listen ports: the documents want a number, not 0."""
    servers = [socket.create_server((OWN_ADDRESS, 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return [{"longRunningPort": str(port), "bind_address": OWN_ADDRESS} for port in ports]


def listen_port():
    return listen_ports(1)[0]


def all_open(instances):
    """The configuration of an XSOAR 6 with these instances, name -> parameters, all reachable from
    outside. It adds a listen port to each."""
    for parameters, port in zip(instances.values(), listen_ports(len(instances))):
        parameters.update(port)
    return {
        "platform": {"product": "XSOAR_6", "url": "https://my.xsoar.live"},
        "serverConfiguration": {f"instance.execute.external.{name}": "true" for name in instances},
        "instances": [
            {"name": name, "configuration": parameters} for name, parameters in instances.items()
        ],
    }


def configuration(product="XSOAR_8_ON_PREM", name="webhook", url="https://my.xsoar.live", **parameters):
    """One instance with the documented parameters, reachable from outside. The default platform
    requires no parameter; XSOAR_6 and engines require listen_port()."""
    return {
        "platform": {"product": product, "url": url},
        "serverConfiguration": {f"instance.execute.external.{name}": "true"},
        "instances": [{"name": name, "configuration": parameters}],
    }


def parsed(incident):
    """An incident as the host prints it, with its details parsed, and kept in details_text."""
    incident["details_text"] = incident["details"]
    incident["details"] = json.loads(incident["details_text"])
    return incident


class HostProcess:
    """`host_stub serve` with a data folder of its own. Use as a context manager."""

    def __init__(self, config, *options, data_dir=None, plugin=PLUGIN, http="127.0.0.1:0"):
        # A unix socket's path has at most 107 characters, and the test's own folder is longer.
        self.own_folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")
        self.data_dir = data_dir or os.path.join(self.own_folder, "data")
        self.config_file = os.path.join(self.own_folder, "config.json")
        pathlib.Path(self.config_file).write_text(json.dumps(config))
        self.arguments = ["--plugin", plugin, "--http", http, "--grpc", "127.0.0.1:0", *options]
        if "--admin" not in options:
            self.arguments += ["--admin", "127.0.0.1:0"]
        self.process = None
        self.restore_signals = True  # as in subprocess.Popen
        self.environment = None  # likewise, as `env`
        self.prefix = []  # a command that runs the host
        self.http = self.grpc = self.control = self.admin = None

    def give_bad_disk(self, **environment):
        """Before the start: what tests/support/bad_disk.c does, by these variables."""
        self.environment = os.environ | environment | {
            "LD_PRELOAD": os.path.abspath("tests/support/bad_disk.so"),
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
        }

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.own_folder, ignore_errors=True)

    def spawn(self):
        self.errors = open(os.path.join(self.own_folder, "stderr"), "ab")
        self.process = subprocess.Popen(
            self.prefix
            + [HOST_STUB, "serve", "--config", self.config_file, "--data-dir", self.data_dir]
            + self.arguments,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            stdin=subprocess.DEVNULL,
            restore_signals=self.restore_signals,
            env=self.environment,
        )

    def start(self):
        self.spawn()
        readable, _, _ = select.select([self.process.stdout], [], [], SECONDS_TO_START)
        line = self.process.stdout.readline().decode() if readable else ""
        if not line.startswith("ready "):
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"no ready line but {line!r}; stderr: {self.stderr()}")
        fields = dict(field.split("=", 1) for field in line.split()[1:])
        self.http, self.grpc, self.control = fields["http"], fields["grpc"], fields["control"]
        self.admin = fields["admin"]

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        try:
            return self.process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
            self.errors.close()

    def kill(self):
        """SIGKILL: the host writes and says nothing more."""
        self.process.kill()
        self.wait()

    def stderr(self):
        return pathlib.Path(self.own_folder, "stderr").read_text(errors="replace")

    def url(self, path="/xsoar/instance/execute/webhook"):
        return f"http://{self.http}{path}"

    def run(self, *arguments, stdin=None):
        """A host_stub command over the control socket."""
        return subprocess.run(
            [HOST_STUB, *arguments, "--connect", self.control],
            input=stdin,
            capture_output=True,
            timeout=60,
        )

    def run_json(self, *arguments):
        done = self.run(*arguments, "--json")
        if done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.stdout!r} {done.stderr!r}")
        return json.loads(done.stdout)

    def incident(self, incident_id):
        """One incident of the store, as parsed() makes it."""
        return parsed(self.run_json("incidents", "get", str(incident_id)))

    def follow(self, count):
        """The store's first incidents, oldest first, as the bytes that `incidents follow --json`
        prints. One command reads them all; incident() starts one for each."""
        command = [HOST_STUB, "incidents", "follow", "--after", "0", "--json"]
        with subprocess.Popen(command + ["--connect", self.control], stdout=subprocess.PIPE) as follow:
            lines = [follow.stdout.readline() for _ in range(count)]
            follow.terminate()
        return lines
