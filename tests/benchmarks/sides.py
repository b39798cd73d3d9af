"""The servers that are compared. Each is started afresh for every turn, by its name in SIDES."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from host_process import HostProcess, configuration
from payloads import SIGNING_SECRET
from peers import free_ports, make_certificate
from processes import Server

HERE = os.path.dirname(os.path.abspath(__file__))
IO_THREADS = os.cpu_count()  # of the host; the nginx beside it gets as many workers
MANY = 1_000_000_000
HOST_LIMITS = {
    "connections": 20_000,
    "connections_from_one_address": 20_000,
    "requests_of_a_connection": MANY,
    "idle_timeout_ms": 3_600_000,
}
# As long as what the host answers to the documented example.
ANSWER = (
    '[{"id":"1","name":"incident created via generic webhook","type":"Phishing",'
    '"occurred":"2024-05-01T10:00:00.123Z","created":"2024-05-01T10:00:00.124111Z",'
    '"sourceBrand":"Generic Webhook","sourceInstance":"webhook"}]'
)


@dataclasses.dataclass
class Side:
    """A server at work."""

    pid: int
    port: int
    path: str = "/"
    tls: bool = False
    grpc: str = ""  # HOST:PORT

    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{self.path}"


@contextlib.contextmanager
def folder(parent=None):
    path = tempfile.mkdtemp(prefix="gw-benchmark-", dir=parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def server(arguments, port, at, **keywords):
    started = Server(arguments, port, at, **keywords)
    try:
        yield started
    finally:
        started.stop()


@contextlib.contextmanager
def nginx(workers, tls=False):
    """A static 200: it reads the body, and does nothing with it."""
    port = free_ports(1)[0]
    with folder() as at:
        if tls:
            make_certificate(at)
        certificate = (
            f"ssl_certificate {at}/certificate.pem; ssl_certificate_key {at}/key.pem;"
            " ssl_protocols TLSv1.2 TLSv1.3;"  # as ours; its default ends at 1.2
        )
        user = "user root;" if os.geteuid() == 0 else ""
        pathlib.Path(at, "nginx.conf").write_text(f"""
            daemon off; pid {at}/pid; error_log {at}/error; worker_processes {workers}; {user}
            worker_rlimit_nofile 20000;
            events {{ worker_connections 16384; }}
            http {{
              access_log off; client_max_body_size 0;
              keepalive_requests {MANY}; keepalive_timeout 3600s;
              client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
              fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
              {certificate if tls else ""}
              server {{
                listen 127.0.0.1:{port} backlog=4096 reuseport {"ssl" if tls else ""};
                default_type application/json;
                location / {{ return 200 '{ANSWER}'; }}
              }}
            }}""")
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        with server([program, "-p", at, "-c", f"{at}/nginx.conf"], port, at) as started:
            yield Side(started.pid, port, tls=tls)


@contextlib.contextmanager
def fastapi(*options):
    port = free_ports(1)[0]
    python = "/usr/bin/python3"  # whose packages are Debian's
    command = [python, "-B", "-m", "uvicorn", "fastapi_webhook:app", "--port", str(port), *options]
    with folder() as at, server(command, port, at, cwd=os.path.join(HERE, "peer")) as started:
        yield Side(started.pid, port)


@contextlib.contextmanager
def adnanh_webhook():
    """Debian's `webhook`: it runs a command for each request, here /bin/true, and waits for it."""
    port = free_ports(1)[0]
    with folder() as at:
        hook = {"id": "webhook", "execute-command": "/bin/true"}
        hook["include-command-output-in-response"] = True  # that is, wait for it
        hooks = os.path.join(at, "hooks.json")
        pathlib.Path(hooks).write_text(json.dumps([hook]))
        command = ["webhook", "-hooks", hooks, "-ip", "127.0.0.1", "-port", str(port)]
        with server(command, port, at) as started:
            yield Side(started.pid, port, "/hooks/webhook")


class Disk:
    """Where data folders are made: a real disk, for what is measured there is its sync."""

    parent = "/var/tmp"


@contextlib.contextmanager
def host(
    store,
    limits=None,
    tls=False,
    instances=1,
    data_dir=None,
    prefix=(),
    environment=None,
    signed=False,
):
    """Ours. With `tls` the load goes to the listen port, which the plugin serves itself. With
    `signed` the source is github, and a request that comes again is created again."""
    with folder(Disk.parent) as at:
        parameters = {"username": "user", "password": "pass", "incidentType": "Phishing"}
        if signed:
            parameters = {"source": "github", "signing_secrets": SIGNING_SECRET.decode()}
            parameters["replay_check"] = False
        if tls:
            make_certificate(at)
            parameters |= {
                "longRunningPort": str(free_ports(1)[0]),
                "bind_address": "127.0.0.1",
                "certificate_file": f"{at}/certificate.pem",
                "key_file": f"{at}/key.pem",
            }
        config = configuration("XSOAR_6" if tls else "XSOAR_8_ON_PREM", **parameters)
        config["limits"] = HOST_LIMITS | (limits or {})
        config["instances"] += [
            {"name": f"webhook{i}", "configuration": parameters} for i in range(1, instances)
        ]
        process = HostProcess(config, "--store", store, data_dir=data_dir or f"{at}/data")
        process.prefix, process.environment = list(prefix), environment
        with process:
            pid, path = process.process.pid, "/xsoar/instance/execute/webhook"
            if tls:
                yield Side(pid, int(parameters["longRunningPort"]), "/", tls)
            else:
                yield Side(pid, int(process.http.rsplit(":", 1)[1]), path, grpc=process.grpc)


@contextlib.contextmanager
def grpc_echo():
    process = subprocess.Popen(
        ["tests/benchmarks/grpc_echo_server"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        line = process.stdout.readline().decode()
        yield Side(process.pid, 0, grpc=line.strip().rsplit("=", 1)[1])
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


# name -> (what the report calls it, how it is started)
SIDES = {
    "nginx": (f"nginx, static 200, {IO_THREADS} workers", lambda: nginx(IO_THREADS)),
    "nginx-1": ("nginx, static 200, 1 worker", lambda: nginx(1)),
    "nginx-tls": (
        f"nginx, static 200, TLS, {IO_THREADS} workers",
        lambda: nginx(IO_THREADS, tls=True),
    ),
    "memory": ("this host, memory store", lambda: host("memory")),
    "sqlite": ("this host, SQLite, durable", lambda: host("sqlite")),
    "signed": ("this host, memory store, source github", lambda: host("memory", signed=True)),
    "signed-sqlite": ("this host, SQLite, source github", lambda: host("sqlite", signed=True)),
    "tls": ("this plugin's listen port, TLS, memory store", lambda: host("memory", tls=True)),
    "fastapi-best": (
        "FastAPI, uvloop, httptools, no access log",
        lambda: fastapi("--loop", "uvloop", "--http", "httptools", "--no-access-log"),
    ),
    "fastapi-shipped": (
        "FastAPI, asyncio, h11, access log",
        lambda: fastapi("--loop", "asyncio", "--http", "h11"),
    ),
    "webhook": ("adnanh/webhook, runs /bin/true", adnanh_webhook),
    "grpc-echo": ("empty echo, gRPC callback API", grpc_echo),
}
