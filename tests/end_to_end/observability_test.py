"""What an operator can see of a host: metrics, health, refusals, status, the log."""

import base64
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from host_process import HostProcess, all_open, configuration
from peers import address_of, ask, basic, free_ports, make_certificate, openssl

PASSWORD = "planted-password-7f3a"
GOOD = basic("user:" + PASSWORD)
SECRET = "planted-signing-secret-91c2"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def get(address, path, **headers):
    """(status, body) of a GET."""
    request = urllib.request.Request(f"http://{address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def sample(metrics, series, /, **labels):
    """The value of one series, or 0 if there is none."""
    for line in metrics.splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if match is None or match[1] != series:
            continue
        found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
        if all(found.get(key) == value for key, value in labels.items()):
            return float(match[3])
    return 0.0


def request(path, *lines, method="POST", body=b"{}", host="Host: localhost", length=None):
    fields = [line for line in (host, *lines) if line]
    if length is None:
        length = f"Content-Length: {len(body)}"
    if length:
        fields.append(length)
    head = [f"{method} {path} HTTP/1.1", *fields, "Connection: close", "", ""]
    return "\r\n".join(head).encode("latin-1") + body


# What is refused before an instance is asked: reason -> (status, the request for that path).
OF_HTTP = {
    "bad_request": (400, lambda path: request(path, "Broken header")),
    "bad_host": (400, lambda path: request(path, host=None)),
    "version": (505, lambda path: b"POST " + path.encode() + b" HTTP/2.1\r\nHost: a\r\n\r\n"),
    "target_too_long": (414, lambda path: request(path + "?" + "a" * 20_000)),
    "header_too_large": (431, lambda path: request(path, "X-Long: " + "a" * 70_000)),
    "transfer_coding": (501, lambda path: request(path, "Transfer-Encoding: gzip, chunked", length="")),
    "expectation": (417, lambda path: request(path, "Expect: magic")),
    "timeout_head": (408, lambda path: b"POST " + path.encode() + b" HTTP/1.1\r\n"),
}

AUTHORIZED = "Authorization: " + GOOD

# What the instance refuses: reason -> (status, instance, the request).
OF_INSTANCES = {
    "method": (405, "webhook", lambda path: request(path, AUTHORIZED, method="DELETE")),
    "credentials": (401, "webhook", lambda path: request(path, "Authorization: " + basic("user:x"))),
    "address": (403, "elsewhere", lambda path: request(path, AUTHORIZED)),
    "body_too_large": (
        413,
        "webhook",
        lambda path: request(path, AUTHORIZED, length="Content-Length: 99999999999"),
    ),
    "timeout_body": (
        408,
        "webhook",
        lambda path: request(path, AUTHORIZED, length="Content-Length: 100"),
    ),
    "content_encoding": (
        415,
        "webhook",
        lambda path: request(path, AUTHORIZED, "Content-Encoding: zip"),
    ),
    "charset": (
        415,
        "webhook",
        lambda path: request(path, AUTHORIZED, "Content-Type: application/json; charset=koi8-r"),
    ),
    "malformed_json": (400, "webhook", lambda path: request(path, AUTHORIZED, body=b"{")),
    "too_many_incidents": (
        413,
        "webhook",
        lambda path: request(path, AUTHORIZED, body=b"[" + b"{}," * 50 + b"{}]"),
    ),
    "signature": (401, "github", lambda path: signed(path, b"{}", signature="sha256=" + "0" * 64)),
    "rate": (503, "limited", lambda path: request(path, AUTHORIZED)),
    "slowdown": (503, "guessed", lambda path: request(path, "Authorization: " + basic("user:x"))),
}


def signed(path, body, *lines, signature):
    fields = ("X-Hub-Signature-256: " + signature, "X-GitHub-Event: push", "X-GitHub-Delivery: 1")
    return request(path, *lines, *fields, body=body)


class ReasonsTest(unittest.TestCase):
    """Each reason, at each door where it can happen, is seen in the counter, the list and the log."""

    @classmethod
    def setUpClass(cls):
        account = {"username": "user", "password": PASSWORD}
        instances = {
            "webhook": dict(account),
            "elsewhere": account | {"allow": "203.0.113.0/24"},
            "limited": account | {"requests_per_second": "1"},
            "guessed": dict(account),
            "github": {"source": "github", "signing_secrets": SECRET},
            "inside": dict(account),
        }
        config = all_open(instances)
        del config["serverConfiguration"]["instance.execute.external.inside"]
        config["limits"] = {
            "head_timeout_ms": 300,
            "body_timeout_ms": 300,
            "incidents_of_a_request": 50,
        }
        cls.host = HostProcess(config, "--store", "memory")
        cls.addClassCleanup(cls.host.__exit__)
        cls.host.start()
        cls.listen = {
            name: (one["bind_address"], int(one["longRunningPort"])) for name, one in instances.items()
        }

    def way(self, door, instance):
        """(address, path) of an instance at a door."""
        if door == "listen":
            return self.listen[instance], "/"
        return address_of(self.host.http), "/instance/execute/" + instance

    def check(self, door, instance, reason, status, octets):
        name = instance or "_unknown"
        before = sample(self.metrics(), "generic_webhook_refused_total", instance=name, reason=reason)
        address, path = self.way(door, instance or "webhook")
        self.assertEqual(ask(address, octets(path)).status, status, (door, reason))
        after = sample(self.metrics(), "generic_webhook_refused_total", instance=name, reason=reason)
        self.assertEqual(after, before + 1, (door, reason))
        arguments = [instance] if instance else []
        kept = self.host.run_json("refusals", *arguments, "--reason", reason, "--limit", "1")
        self.assertEqual(len(kept), 1, (door, reason))
        self.assertEqual((kept[0]["via"], kept[0]["status"]), (door, status), reason)
        self.assertTrue(kept[0]["detail"], (door, reason))
        where = f"[{instance}] " if instance else ""
        self.assertRegex(self.host.stderr(), rf"WARNING {re.escape(where)}a .*\({status} {reason}")

    def metrics(self):
        status, text = get(self.host.admin, "/metrics")
        self.assertEqual(status, 200)
        return text

    def test_malformed_requests(self):
        for reason, (status, octets) in OF_HTTP.items():
            # The front does not know for which instance it is.
            self.check("front", "", reason, status, octets)
            self.check("listen", "webhook", reason, status, octets)

    def test_requests_that_an_instance_refuses(self):
        for reason, (status, instance, octets) in OF_INSTANCES.items():
            for door in ("front", "listen"):
                address, path = self.way(door, instance)
                if reason == "rate":
                    ask(address, request(path, AUTHORIZED))
                if reason == "slowdown":
                    for _ in range(101):
                        ask(address, octets(path))
                self.check(door, instance, reason, status, octets)

    def test_requests_without_an_instance(self):
        self.check("front", "", "unknown_path", 404, lambda path: request("/nowhere"))
        inside = lambda path: request("/instance/execute/inside")
        before = self.host.run_json("refusals", "inside", "--reason", "external_key_missing")
        self.assertEqual(ask(address_of(self.host.http), inside("")).status, 403)
        after = self.host.run_json("refusals", "--reason", "external_key_missing")
        self.assertEqual((len(before), len(after)), (0, 1))

    def test_no_secret_is_shown_anywhere(self):
        address, path = self.way("front", "webhook")
        wrong = basic("user:planted-guess-5d1e")
        octets = request(path + "?token=planted-query-11aa", "Authorization: " + wrong, "X-Key: planted-header-22bb")
        self.assertEqual(ask(address, octets).status, 401)
        shown = [self.host.stderr(), self.metrics()]
        shown += [self.host.run(*command).stdout.decode() for command in (["refusals"], ["refusals", "--json"], ["status"])]
        self.assertIn("X-Key", shown[3])
        for text in shown:
            self.assertNotIn("planted", text)
            self.assertNotIn(base64.b64encode(b"user:planted").decode()[:12], text)


class OtherDoorsTest(unittest.TestCase):
    """What is refused at gRPC, by TLS, and before anything is read."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        make_certificate(temporary.name)
        cls.port = free_ports(1)[0]
        config = configuration(
            "XSOAR_6",
            longRunningPort=str(cls.port),
            bind_address="127.0.0.1",
            username="user",
            password=PASSWORD,
            certificate_file=os.path.join(temporary.name, "certificate.pem"),
            key_file=os.path.join(temporary.name, "key.pem"),
        )
        config["limits"] = {"connections_from_one_address": 2, "first_byte_timeout_ms": 60_000}
        cls.host = HostProcess(config, "--store", "memory")
        cls.addClassCleanup(cls.host.__exit__)
        cls.host.start()

    def last(self, reason):
        """The last refusal with that reason, once there is one."""
        deadline = time.monotonic() + 30
        while not (kept := self.host.run_json("refusals", "--reason", reason, "--limit", "1")):
            self.assertLess(time.monotonic(), deadline, reason)
            time.sleep(0.05)
        return kept[0]

    def test_grpc(self):
        done = subprocess.run(
            ["host_stub/host_stub", "execute", "webhook", "-u", "user:x", "-d", "{}"]
            + ["--connect", self.host.grpc],
            capture_output=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 1, done.stderr)
        kept = self.last("credentials")
        self.assertEqual((kept["via"], kept["instance"], kept["status"]), ("grpc", "webhook", 401))
        self.assertEqual((kept["peer"], kept["method"]), ("127.0.0.1", "POST"))

    def test_tls(self):
        for octets, reason in ((request("/"), "plain_http_on_tls"), (b"\x16\x03\x01\x00\x02ab", "tls_handshake")):
            with socket.create_connection(("127.0.0.1", self.port)) as client:
                client.sendall(octets)
                client.shutdown(socket.SHUT_WR)
                client.settimeout(30)
                while client.recv(1_000):
                    pass
            kept = self.last(reason)
            self.assertEqual((kept["via"], kept["instance"], kept["path"]), ("listen", "webhook", ""), reason)

    def test_limits_are_named(self):
        begun = b"POST /instance/execute/webhook HTTP/1.1\r\n"
        held = [socket.create_connection(address_of(self.host.http)) for _ in range(2)]
        for client in held:
            client.sendall(begun)  # so that none of them gives way
        deadline = time.monotonic() + 30
        while sample(get_over(self.host.admin), "generic_webhook_front_connections") < 2:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        answer = ask(address_of(self.host.http), request("/"))
        self.assertEqual(answer.status, 503)
        kept = self.last("too_many_from_address")
        self.assertIn("connections_from_one_address", kept["detail"])
        self.assertEqual((kept["via"], kept["status"], kept["method"]), ("front", 503, ""))
        self.assertIn("a connection from 127.0.0.1 was refused", self.host.stderr())
        for client in held:
            client.close()
        # Both had begun a request.
        self.assertEqual(self.last("peer_gone")["status"], 0)


class BusyHostTest(unittest.TestCase):
    def serve(self, **limits):
        config = configuration(username="user", password=PASSWORD)
        config["limits"] = limits
        host = HostProcess(config, "--store", "memory")
        self.addCleanup(host.__exit__)
        host.start()
        return host

    def begin(self, host, octets):
        client = socket.create_connection(address_of(host.http))
        self.addCleanup(client.close)
        client.sendall(octets)
        return client

    def test_a_peer_that_sends_nothing_is_slow(self):
        host = self.serve(first_byte_timeout_ms=200)
        client = self.begin(host, b"")
        client.settimeout(30)
        self.assertEqual(client.recv(1_000), b"")
        kept = host.run_json("refusals", "--reason", "slow")
        self.assertEqual([(one["via"], one["status"], one["method"]) for one in kept], [("front", 0, "")])
        self.assertRegex(host.stderr(), r"a connection from 127.0.0.1 was refused.* \(slow\)")

    def test_the_limit_of_all_connections_is_named(self):
        host = self.serve(connections=1)
        self.begin(host, b"POST / HTTP/1.1\r\n")
        deadline = time.monotonic() + 30
        while sample(get_over(host.admin), "generic_webhook_front_connections") < 1:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertEqual(ask(address_of(host.http), request("/")).status, 503)
        kept = host.run_json("refusals", "--reason", "too_many_connections")
        self.assertEqual([(one["via"], one["status"]) for one in kept], [("front", 503)])
        self.assertIn("connections", kept[0]["detail"])

    def test_what_is_half_there_when_the_host_stops_is_in_the_log(self):
        host = self.serve(drain_request_timeout_ms=200)
        head = request("/xsoar/instance/execute/webhook", AUTHORIZED, length="Content-Length: 9")
        client = self.begin(host, head)
        deadline = time.monotonic() + 30
        while sample(get_over(host.admin), "http_server_active_requests") < 1:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        host.process.terminate()
        client.settimeout(30)
        self.assertIn(b" 503 ", client.recv(1_000))
        self.assertEqual(host.wait(), 0)
        self.assertRegex(host.stderr(), r"a request from 127.0.0.1 was refused.* \(503 stopping, http-")


def get_over(address):
    return get(address, "/metrics")[1]


class MetricsTest(unittest.TestCase):
    def setUp(self):
        self.host = HostProcess(configuration(username="user", password=PASSWORD))
        self.addCleanup(self.host.__exit__)
        self.host.start()

    def send(self, *lines, body=b'{"name": "x"}'):
        octets = request("/xsoar/instance/execute/webhook", *lines, body=body)
        return ask(address_of(self.host.http), octets).status

    def test_promtool_finds_nothing_to_say(self):
        self.send(AUTHORIZED)
        self.send()
        metrics = get(self.host.admin, "/metrics")[1]
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=metrics.encode(), capture_output=True, timeout=60
        )
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, b""))

    def test_requests_incidents_and_durations_are_counted(self):
        self.assertEqual(self.send(AUTHORIZED), 200)
        self.assertEqual(self.send(AUTHORIZED, body=b"[{}, {}]"), 200)
        self.assertEqual(self.send(), 401)
        metrics = get(self.host.admin, "/metrics")[1]
        of_webhook = {"instance": "webhook"}
        for outcome, count in (("accepted", 2), ("refused", 1)):
            name = "generic_webhook_requests_total"
            self.assertEqual(sample(metrics, name, via="front", outcome=outcome, **of_webhook), count)
        self.assertEqual(sample(metrics, "generic_webhook_incidents_created_total", **of_webhook), 3)
        name = "http_server_request_duration_seconds_count"
        route = "/instance/execute/{instance}"
        labels = {"http_request_method": "POST", "http_response_status_code": "200"}
        # The labels' values have braces, so they are compared as text.
        lines = [line for line in metrics.splitlines() if line.startswith(name) and route in line]
        lines = [line for line in lines if all(f'{key}="{value}"' in line for key, value in labels.items())]
        self.assertEqual([line.split()[-1] for line in lines], ["2"])
        self.assertEqual(sample(metrics, "generic_webhook_instance_up", **of_webhook), 1)
        self.assertEqual(sample(metrics, "generic_webhook_store_up"), 1)
        self.assertGreater(sample(metrics, "process_resident_memory_bytes"), 1e6)
        self.assertEqual(sample(metrics, "generic_webhook_limit", name="connections"), 1_024)

    def test_labels_are_closed_sets_whatever_strangers_send(self):
        before = len(get(self.host.admin, "/metrics")[1].splitlines())
        for number in range(50):
            octets = request(f"/instance/execute/stranger{number}", method=f"M{number}")
            self.assertEqual(ask(address_of(self.host.http), octets).status, 404)
        after = get(self.host.admin, "/metrics")[1]
        self.assertNotIn("stranger", after)
        self.assertLess(len(after.splitlines()), before + 30)

    def test_a_reload_that_is_refused_is_seen(self):
        name = "generic_webhook_config_last_reload_successful"
        self.assertEqual(sample(get(self.host.admin, "/metrics")[1], name), 1)
        with open(self.host.config_file, "w") as file:
            file.write("{")
        self.host.process.send_signal(1)  # SIGHUP
        deadline = time.monotonic() + 30
        while sample(get(self.host.admin, "/metrics")[1], name) == 1:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertIn("last reload was refused", self.host.run("status").stdout.decode())


class AlertsTest(unittest.TestCase):
    FOLDER = "docs/observability"

    def test_promtool_accepts_the_alerts_and_their_tests(self):
        for command in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
            done = subprocess.run(
                ["promtool", *command], cwd=self.FOLDER, capture_output=True, text=True, timeout=60
            )
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_query_names_metrics_that_a_host_has(self):
        with tempfile.TemporaryDirectory() as folder:
            make_certificate(folder)
            pem = {name: os.path.join(folder, name[:-5] + ".pem") for name in ("certificate_file", "key_file")}
            port = {"longRunningPort": str(free_ports(1)[0]), "bind_address": "127.0.0.1"}
            config = configuration(
                "XSOAR_6",
                passwords=[{"password": PASSWORD, "expires": "2099-01-01T00:00:00Z"}],
                username="user",
                **port,
                **pem,
            )
            host = HostProcess(config)
            self.addCleanup(host.__exit__)
            host.start()
        octets = request("/instance/execute/webhook")
        self.assertEqual(ask(address_of(host.http), octets).status, 401)
        metrics = get(host.admin, "/metrics")[1]
        known = set(re.findall(r"^(\w+)", metrics, re.MULTILINE)) | {"up"}
        with open(os.path.join(self.FOLDER, "grafana.json")) as file:
            panels = json.load(file)["panels"]
        queries = [target["expr"] for panel in panels for target in panel["targets"]]
        self.assertGreater(len(queries), 10)
        with open(os.path.join(self.FOLDER, "alerts.yml")) as file:
            queries.append(re.sub(r"#.*", "", file.read()))
        used = set(re.findall(r"\b(?:generic_webhook|http_server|process)_\w+", " ".join(queries)))
        self.assertEqual(used - known, set())


class AdminTest(unittest.TestCase):
    def refusal(self, *options):
        host = HostProcess(configuration(), *options)
        self.addCleanup(host.__exit__)
        host.spawn()
        self.assertNotEqual(host.wait(), 0)
        return host.stderr().strip().splitlines()[-1]

    def serve(self, *options):
        host = HostProcess(configuration(), *options)
        self.addCleanup(host.__exit__)
        host.start()
        return host

    def file(self, name, text, mode=0o600):
        if not hasattr(self, "folder"):
            temporary = tempfile.TemporaryDirectory()
            self.addCleanup(temporary.cleanup)
            self.folder = temporary.name
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def test_an_address_for_other_machines_needs_tls_and_a_token(self):
        token = self.file("token", "0123456789abcdef0123456789abcdef\n")
        make_certificate(self.folder)
        certificate = os.path.join(self.folder, "certificate.pem")
        key = os.path.join(self.folder, "key.pem")
        tls = ["--admin-certificate", certificate, "--admin-key", key]
        for options in ([], ["--admin-token-file", token], tls):
            line = self.refusal("--admin", "0.0.0.0:0", *options)
            self.assertIn("--admin: 0.0.0.0 can be reached from other machines", line)
        host = self.serve("--admin", "0.0.0.0:0", "--admin-token-file", token, *tls)
        self.assertRegex(host.admin, r"^0\.0\.0\.0:\d+$")

    def test_what_cannot_be_served_is_refused_with_its_option(self):
        self.assertIn("--admin: ", self.refusal("--admin", "nowhere"))
        short = self.file("short", "123")
        self.assertIn("shorter than 16", self.refusal("--admin-token-file", short))
        open_to_all = self.file("open", "0123456789abcdef0123456789abcdef", 0o644)
        self.assertIn("chmod 600", self.refusal("--admin-token-file", open_to_all))
        self.assertIn("/nonexistent", self.refusal("--admin-token-file", "/nonexistent"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            line = self.refusal("--admin", f"127.0.0.1:{port}")
            self.assertIn(f"--admin: port {port} of 127.0.0.1 is in use", line)

    def test_metrics_need_the_token_and_health_does_not(self):
        token = "0123456789abcdef0123456789abcdef"
        host = self.serve("--admin-token-file", self.file("token", token + "\n"))
        self.assertEqual(get(host.admin, "/healthz"), (200, "ok\n"))
        self.assertEqual(get(host.admin, "/readyz"), (200, "ready\n"))
        for wrong in (None, "Bearer x", "Basic " + token, "Bearer " + token[:-1], "Bearer  "):
            headers = {} if wrong is None else {"Authorization": wrong}
            status, text = get(host.admin, "/metrics", **headers)
            self.assertEqual(status, 401, wrong)
            self.assertNotIn("process_", text)
        status, text = get(host.admin, "/metrics", Authorization="Bearer " + token)
        self.assertEqual(status, 200)
        self.assertIn("process_", text)

    def test_a_foreign_name_is_refused(self):
        host = self.serve("--admin-name", "admin.example")
        self.assertEqual(get(host.admin, "/metrics", Host="evil.example")[0], 421)
        self.assertEqual(get(host.admin, "/metrics", Host="evil.example:8081")[0], 421)
        self.assertEqual(get(host.admin, "/metrics", Host="127.0.0.1.evil.example")[0], 421)
        for name in ("localhost", "localhost:8081", "127.0.0.1", "[::1]:8081", "admin.example"):
            self.assertEqual(get(host.admin, "/metrics", Host=name)[0], 200, name)

    def test_only_what_is_there_is_served(self):
        host = self.serve()
        self.assertEqual(get(host.admin, "/")[0], 404)
        self.assertEqual(get(host.admin, "/api/x")[0], 404)
        octets = request("/metrics")
        self.assertEqual(ask(address_of(host.admin), octets).status, 405)

    def test_a_balancer_may_speak_http_1_0(self):
        octets = b"GET /readyz HTTP/1.0\r\n\r\n"
        self.assertEqual(ask(address_of(self.serve().admin), octets).status, 200)

    def test_off_serves_nothing_and_a_unix_socket_serves_its_owner(self):
        self.assertEqual(self.serve("--admin", "off").admin, "off")
        folder = tempfile.mkdtemp(prefix="gw-admin-", dir="/tmp")
        path = os.path.join(folder, "admin.sock")
        host = self.serve("--admin", "unix:" + path)
        self.assertEqual(host.admin, "unix:" + path)
        done = subprocess.run(
            ["curl", "-s", "--unix-socket", path, "http://localhost/healthz"], capture_output=True
        )
        self.assertEqual(done.stdout, b"ok\n")
        host.stop()
        self.assertFalse(os.path.exists(path))
        os.chmod(folder, 0o755)
        self.assertIn("chmod 700", self.refusal("--admin", "unix:" + path))
        os.chmod(folder, 0o700)
        # What is in the way stays there.
        with open(path, "w") as file:
            file.write("mine")
        self.assertIn(path, self.refusal("--admin", "unix:" + path))
        with open(path) as file:
            self.assertEqual(file.read(), "mine")
        os.remove(path)
        first = self.serve("--admin", "unix:" + path)
        self.assertIn(path, self.refusal("--admin", "unix:" + path))
        self.assertTrue(os.path.exists(path))
        first.stop()
        os.rmdir(folder)

    def test_the_front_tells_balancers_that_it_is_alive_and_nothing_else(self):
        host = self.serve()
        self.assertEqual(get(host.http, "/healthz"), (200, "ok\n"))
        head = subprocess.run(["curl", "-sI", host.url("/healthz")], capture_output=True)
        self.assertIn(b"HTTP/1.1 200", head.stdout)
        self.assertEqual(ask(address_of(host.http), request("/healthz")).status, 404)
        self.assertEqual(get(host.http, "/healthz/x")[0], 404)
        self.assertEqual(get(host.http, "/metrics")[0], 404)
        reasons = [one["path"] for one in host.run_json("refusals")]
        self.assertEqual(sorted(reasons), ["/healthz", "/healthz/x", "/metrics"])

    def test_readiness_fails_before_the_host_drains(self):
        host = self.serve("--drain-delay", "2")
        host.process.terminate()
        deadline = time.monotonic() + 30
        while True:
            status, text = get(host.admin, "/readyz")
            if status == 503:
                break
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(text, "host: it is stopping\n")
        # Senders are still served.
        self.assertEqual(get(host.admin, "/healthz")[0], 200)
        octets = request("/xsoar/instance/execute/webhook", body=b'{"name": "late"}')
        self.assertEqual(ask(address_of(host.http), octets).status, 200)
        self.assertEqual(host.wait(), 0)


class TestButtonTest(unittest.TestCase):
    """`host_stub test` connects to the instance's own port, as a sender would."""

    def serve(self, folder, certificate):
        config = configuration(
            "XSOAR_6",
            longRunningPort=str(free_ports(1)[0]),
            bind_address="127.0.0.1",
            certificate_file=os.path.join(folder, certificate),
            key_file=os.path.join(folder, "own.key"),
        )
        host = HostProcess(config, "--store", "memory")
        self.addCleanup(host.__exit__)
        host.start()
        return host

    def test_a_chain_without_its_middle_is_warned_of_and_a_whole_one_is_not(self):
        with tempfile.TemporaryDirectory() as folder:
            extensions = "basicConstraints=critical,CA:TRUE"
            new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
            openssl(folder, f"req -x509 {new_key} -keyout root.key -out root.pem -subj /CN=root -days 2")
            for name, issuer, extra in (("middle", "root", f"-addext {extensions}"), ("own", "middle", "")):
                openssl(
                    folder,
                    f"req {new_key} -keyout {name}.key -out {name}.csr -subj /CN={name} {extra}",
                )
                openssl(
                    folder,
                    f"x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -out {name}.pem"
                    " -days 2 -copy_extensions copy",
                )
            chain = [open(os.path.join(folder, name + ".pem")).read() for name in ("own", "middle", "root")]
            with open(os.path.join(folder, "whole.pem"), "w") as file:
                file.write("".join(chain))
            lonely = self.serve(folder, "own.pem").run_json("test", "webhook")
            whole = self.serve(folder, "whole.pem").run_json("test", "webhook")
        self.assertTrue(lonely["ok"] and whole["ok"])
        of_chain = [line for line in lonely["warnings"] if "the chain that the port serves" in line]
        self.assertEqual(len(of_chain), 1, lonely)
        self.assertIn("ends below /CN=middle", of_chain[0])
        self.assertFalse([line for line in whole["warnings"] if "chain" in line], whole)

    def test_a_plain_port_that_answers_is_ok(self):
        config = configuration("XSOAR_6", longRunningPort=str(free_ports(1)[0]), bind_address="127.0.0.1")
        host = HostProcess(config, "--store", "memory")
        self.addCleanup(host.__exit__)
        host.start()
        self.assertTrue(host.run_json("test", "webhook")["ok"])


class FollowTest(unittest.TestCase):
    def test_refusals_are_followed_as_they_come(self):
        host = HostProcess(configuration(username="user", password=PASSWORD), "--store", "memory")
        self.addCleanup(host.__exit__)
        host.start()
        path = "/xsoar/instance/execute/webhook"
        ask(address_of(host.http), request(path, f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"))
        command = ["host_stub/host_stub", "refusals", "webhook", "--follow", "--json"]
        with subprocess.Popen(command + ["--connect", host.control], stdout=subprocess.PIPE) as follow:
            first = json.loads(follow.stdout.readline())
            self.assertEqual((first["reason"], first["traceId"]), ("credentials", TRACE))
            self.assertRegex(host.stderr(), rf"\(401 credentials, http-\d+-\d+, trace {TRACE}\)")
            ask(address_of(host.http), request(path, AUTHORIZED, body=b"{"))
            second = json.loads(follow.stdout.readline())
            self.assertEqual(second["reason"], "malformed_json")
            follow.terminate()

    def test_unknown_names_and_reasons_are_refused(self):
        host = HostProcess(configuration(), "--store", "memory")
        self.addCleanup(host.__exit__)
        host.start()
        for arguments, expected in ((["nobody"], b"nobody"), (["--reason", "x"], b"reason")):
            done = host.run("refusals", *arguments)
            self.assertEqual(done.returncode, 1)
            self.assertIn(expected, done.stderr)


if __name__ == "__main__":
    unittest.main()
