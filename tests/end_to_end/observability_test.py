"""What an operator can see of a host: metrics, health, refusals, status, the log."""

import base64
import gzip
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import grpc

from contract import generate
from host_process import HostProcess, all_open, configuration, listen_port
from peers import address_of, ask, basic, free_ports, make_certificate, openssl, trusting

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


# Where each reason is provoked below, at the doors front, listen and gRPC. PROVOKED: it is seen in
# the counter, the list of refusals and the log. A text says why it is not, of that door.
PROVOKED = ""
NO_HTTP = "its messages are no HTTP/1.1"
NO_TLS = "it has no TLS"
OF_GRPC = "gRPC decides that itself and tells nobody"
SUCCESS = "answered with success, so an outcome: OutcomesTest"
WHERE = {
    "other": (PROVOKED, "the plugin's own answers have a reason each", PROVOKED),
    "bad_request": (PROVOKED, PROVOKED, PROVOKED),
    "bad_host": (PROVOKED, PROVOKED, NO_HTTP),
    "version": (PROVOKED, PROVOKED, NO_HTTP),
    "target_too_long": (PROVOKED, PROVOKED, PROVOKED),
    "header_too_large": (PROVOKED, PROVOKED, PROVOKED),
    "body_too_large": (PROVOKED, PROVOKED, PROVOKED),
    "length_required": 3 * ("a request without a length has no body, so nobody answers 411",),
    "transfer_coding": (PROVOKED, PROVOKED, NO_HTTP),
    "expectation": (PROVOKED, PROVOKED, NO_HTTP),
    "timeout_head": (PROVOKED, PROVOKED, NO_HTTP),
    "timeout_body": (PROVOKED, PROVOKED, "tests/overload/grpc_attacks_test.py: a header without an end"),
    "too_many_connections": (PROVOKED, PROVOKED, PROVOKED),
    "too_many_from_address": (PROVOKED, PROVOKED, PROVOKED),
    "tls_handshake": (NO_TLS, PROVOKED, OF_GRPC),
    "plain_http_on_tls": (NO_TLS, PROVOKED, OF_GRPC),
    "slow": (PROVOKED, PROVOKED, OF_GRPC),
    "memory": (PROVOKED, PROVOKED, PROVOKED),
    "stopping": (PROVOKED, PROVOKED, PROVOKED),
    "answer_timeout": (PROVOKED, PROVOKED, PROVOKED),
    "peer_gone": (PROVOKED, PROVOKED, PROVOKED),
    "unknown_path": (PROVOKED, PROVOKED, PROVOKED),
    "method": (PROVOKED, PROVOKED, PROVOKED),
    "credentials": (PROVOKED, PROVOKED, PROVOKED),
    "certificate": (PROVOKED, "the handshake fails without one: tls_handshake", PROVOKED),
    "address": (PROVOKED, PROVOKED, PROVOKED),
    "content_type": (PROVOKED, PROVOKED, PROVOKED),
    "content_encoding": (PROVOKED, PROVOKED, PROVOKED),
    "charset": (PROVOKED, PROVOKED, PROVOKED),
    "malformed_json": (PROVOKED, PROVOKED, PROVOKED),
    "too_many_incidents": (PROVOKED, PROVOKED, PROVOKED),
    "duplicate": 3 * (SUCCESS,),
    "store_full": (PROVOKED, PROVOKED, PROVOKED),
    "store_unavailable": (PROVOKED, PROVOKED, PROVOKED),
    "not_known": (PROVOKED, PROVOKED, PROVOKED),
    "overload": (PROVOKED, PROVOKED, PROVOKED),
    "instance_stopped": (PROVOKED, "its answer comes before the instance has stopped", PROVOKED),
    "external_key_missing": (PROVOKED, "the key opens the host's own doors alone", PROVOKED),
    "signature": (PROVOKED, PROVOKED, PROVOKED),
    "handshake": 3 * (SUCCESS,),
    "dropped": 3 * (SUCCESS,),
    "rate": (PROVOKED, PROVOKED, PROVOKED),
    "slowdown": (PROVOKED, PROVOKED, PROVOKED),
}
DOORS = ("front", "listen", "grpc")
seen = set()  # (reason, door)


def setUpModule():
    global messages
    with tempfile.TemporaryDirectory() as folder:
        messages = generate(folder)["long_running_integration"]


def tearDownModule():
    expected = {
        (reason, door)
        for reason, why_not in WHERE.items()
        for door, excuse in zip(DOORS, why_not)
        if excuse == PROVOKED
    }
    if seen != expected:
        raise AssertionError(f"not provoked: {expected - seen}; not in the table: {seen - expected}")


class EveryReasonTest(unittest.TestCase):
    def test_each_reason_of_the_closed_list_has_a_row(self):
        with open("plugin/abi/reasons.h") as file:
            names = re.findall(r'REASON\(LRI_REASON_\w+, \d+, "(\w+)"\)', file.read())
        self.assertGreater(len(names), 40)
        self.assertEqual(set(names) - {"answered"}, set(WHERE))


AUTHORIZED = "Authorization: " + GOOD
WRONG = "Authorization: " + basic("user:planted-guess-5d1e")


class RefusalTest(unittest.TestCase):
    """Provokes reasons at a host that has an instance `webhook` at every door."""

    def serve(self, *options, plugin=None, bad_disk=False, instances={}, **limits):
        """`self`: or the class, whose tests share the host. `instances`: more than the one."""
        clean = self.addClassCleanup if isinstance(self, type) else self.addCleanup
        account = {"username": "user", "password": PASSWORD}
        parameters = {"webhook": dict(account)}
        parameters |= {name: account | more for name, more in instances.items()}
        config = all_open(parameters)
        config["serverConfiguration"].pop("instance.execute.external.inside", None)
        config["limits"] = limits
        host = HostProcess(config, *options, **({"plugin": plugin} if plugin else {}))
        clean(host.__exit__)
        self.fault_file = os.path.join(host.own_folder, "fault")
        if bad_disk:
            host.give_bad_disk(BAD_DISK=self.fault_file)
        host.start()
        self.host = host
        self.begun = time.monotonic()
        self.listen = {
            name: (one["bind_address"], int(one["longRunningPort"])) for name, one in parameters.items()
        }
        self.channel = grpc.insecure_channel(host.grpc)
        clean(self.channel.close)
        return host

    def make_disk(self, fault):
        """As tests/support/bad_disk.c does: hold, sync, full, or None."""
        if fault is None:
            return os.remove(self.fault_file)
        with open(self.fault_file + ".new", "w") as file:
            file.write(fault)
        os.rename(self.fault_file + ".new", self.fault_file)

    def way(self, door, instance="webhook"):
        """(address, path) of an instance at a door."""
        if door == "listen":
            return self.listen[instance], "/"
        if door == "grpc":
            return address_of(self.host.grpc), "/"
        return address_of(self.host.http), "/instance/execute/" + instance

    def ask(self, door, octets, instance="webhook"):
        """The status of a request whose octets octets(path) makes."""
        address, path = self.way(door, instance)
        return ask(address, octets(path)).status

    def begin(self, door, octets=b""):
        """A connection that stays open, after these octets."""
        client = socket.create_connection(self.way(door)[0])
        self.addCleanup(client.close)
        client.sendall(octets)
        return client

    def begin_body(self, door):
        """A connection whose request waits for its body: gRPC's own connections always wait."""
        if door == "grpc":
            return self.begin(door)
        lines = AUTHORIZED, "Expect: 100-continue"
        client = self.begin(door, request(self.way(door)[1], *lines, body=b"", length="Content-Length: 9"))
        self.assertIn(b" 100 ", client.recv(1_000))
        return client

    def execute(self, instance="webhook", *lines, method="POST", body=b"{}", path="", metadata=()):
        """A future over gRPC."""
        headers = [line.split(": ", 1) for line in lines]
        message = messages.ExecuteRequest(
            instance=instance,
            method=method,
            path_remainder=path,
            headers=[messages.Header(name=name, value=value) for name, value in headers],
            body=body,
        )
        call = self.channel.unary_unary(
            "/long_running_integration.v1.LongRunningIntegration/Execute",
            messages.ExecuteRequest.SerializeToString,
            messages.ExecuteResponse.FromString,
        )
        return call.future(message, timeout=60, metadata=metadata)

    def send(self, door, *lines, instance="webhook", path="", **request_parts):
        """The status of the same request at any door; over gRPC None where the call itself failed."""
        if door != "grpc":
            make = lambda prefix: request(prefix.rstrip("/") + path or "/", *lines, **request_parts)
            return self.ask(door, make, instance)
        future = self.execute(instance, *lines, path=path, **request_parts)
        return None if future.exception() else future.result().status

    def metrics(self):
        status, text = get(self.host.admin, "/metrics")
        self.assertEqual(status, 200)
        return text

    def count(self, reason, instance):
        labels = {"instance": instance or "_unknown", "reason": reason}
        return sample(self.metrics(), "generic_webhook_refused_total", **labels)

    def await_sample(self, least, series, **labels):
        deadline = time.monotonic() + 60
        while (value := sample(self.metrics(), series, **labels)) < least:
            self.assertLess(time.monotonic(), deadline, (series, labels, self.host.stderr()))
            time.sleep(0.02)
        return value

    def check(self, door, reason, status, provoke, instance="webhook", seen_status=None, has_counter=True):
        """`provoke()` is refused once, for that reason. `instance`: "" where it comes to none.
        `status`: what is told of it, 0 for none; `seen_status`: what its sender gets, if another."""
        before = self.count(reason, instance)
        answered = provoke()
        self.assertEqual(answered, status if seen_status is None else seen_status, (door, reason))
        self.check_shown(door, reason, status, instance, before + 1 if has_counter else None)

    def check_shown(self, door, reason, status, instance, count, in_list=True):
        if count is not None:
            deadline = time.monotonic() + 30
            while self.count(reason, instance) < count and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertEqual(self.count(reason, instance), count, (door, reason))
        if in_list:
            kept = self.host.run_json("refusals", "--reason", reason)
            of_door = [one for one in kept if one["via"] == door]
            self.assertTrue(of_door, (door, reason, kept))
            got = of_door[-1]["status"], of_door[-1]["instance"]
            self.assertEqual(got, (status, instance), (door, reason))
            if reason != "peer_gone":
                self.assertTrue(of_door[-1]["detail"], (door, reason))
            self.assertNotIn("planted", json.dumps(kept))
        log = self.host.stderr()
        where = f"[{instance}] " if instance else ""
        lines = re.findall(rf"WARNING {re.escape(where)}a \w+ from .*[( ]{reason}[,)]", log)
        most = 1 + int((time.monotonic() - self.begun) // 60)
        self.assertTrue(1 <= len(lines) <= most, (door, reason, log))
        self.assertNotIn("planted", log)
        seen.add((reason, door))


GITHUB = {"username": "", "password": "", "source": "github", "signing_secrets": SECRET}


def signed(body, right=True, event="push"):
    """The lines of a request that GitHub signs."""
    mac = hmac.new(SECRET.encode() if right else b"x", body, hashlib.sha256).hexdigest()
    return [f"X-Hub-Signature-256: sha256={mac}", f"X-GitHub-Event: {event}", f"X-GitHub-Delivery: {event}"]


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

# What an instance refuses at every door: reason -> (status, instance, lines, other parts).
OF_INSTANCES = {
    "method": (405, "webhook", [AUTHORIZED], {"method": "DELETE"}),
    "credentials": (401, "webhook", [WRONG], {}),
    "address": (403, "elsewhere", [AUTHORIZED], {}),
    "body_too_large": (413, "webhook", [AUTHORIZED], {"body": b" " * 100_001}),
    "content_type": (415, "github", ["Content-Type: text/plain", *signed(b"{}")], {}),
    "content_encoding": (415, "webhook", [AUTHORIZED, "Content-Encoding: zip"], {}),
    "charset": (415, "webhook", [AUTHORIZED, "Content-Type: application/json; charset=koi8-r"], {}),
    "memory": (
        503,
        "webhook",
        [AUTHORIZED, "Content-Encoding: gzip"],
        {"body": gzip.compress(b"{" + b" " * 2_000 + b"}")},
    ),
    "malformed_json": (400, "webhook", [AUTHORIZED], {"body": b"{"}),
    "too_many_incidents": (413, "webhook", [AUTHORIZED], {"body": b"[" + b"{}," * 50 + b"{}]"}),
    "signature": (401, "github", signed(b"{}", right=False), {}),
    "rate": (503, "limited", [AUTHORIZED], {}),
    "slowdown": (503, "guessed", [WRONG], {}),
}


class ReasonsTest(RefusalTest):
    """Each reason, at each door where it can happen, is seen in the counter, the list and the log."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        make_certificate(folder.name)
        pem = {name: os.path.join(folder.name, name) for name in ("certificate.pem", "key.pem")}
        tls = {"certificate_file": pem["certificate.pem"], "key_file": pem["key.pem"]}
        cls.trusting = trusting(folder.name)
        cls.serve(
            cls,
            "--store",
            "memory",
            instances={
                "elsewhere": {"allow": "203.0.113.0/24"},
                "limited": {"requests_per_second": "1"},
                "guessed": {},
                "github": GITHUB,
                "inside": {},
                "secure": tls,
                "mutual": tls | {"client_ca_file": pem["certificate.pem"]},
            },
            head_timeout_ms=300,
            body_timeout_ms=300,
            body_bytes=100_000,
            expanded_bytes_in_flight=1_000,
            incidents_of_a_request=50,
            first_byte_timeout_ms=300,
        )

    def test_malformed_requests(self):
        for reason, (status, octets) in OF_HTTP.items():
            # The front does not know for which instance it is.
            self.check("front", reason, status, lambda: self.ask("front", octets), instance="")
            self.check("listen", reason, status, lambda: self.ask("listen", octets))
        long = "X-Long: " + "a" * 70_000
        self.check("grpc", "header_too_large", 431, lambda: self.send("grpc", long))
        self.check("grpc", "target_too_long", 414, lambda: self.send("grpc", path="/" + "a" * 20_000))
        broken = "X-Broken: a\nb"
        bad = lambda: self.send("grpc", broken) or 400
        self.check("grpc", "bad_request", 400, bad, instance="")

    def test_requests_that_an_instance_refuses(self):
        for reason, (status, instance, lines, parts) in OF_INSTANCES.items():
            for door in DOORS:
                provoke = lambda: self.send(door, *lines, instance=instance, **parts)
                if reason == "rate":
                    provoke()
                if reason == "slowdown":
                    for _ in range(101):
                        provoke()
                self.check(door, reason, status, provoke, instance)

    def test_requests_that_come_to_no_instance(self):
        unknown = lambda door: self.send(door, instance="nobody") or 404
        for door in ("front", "grpc"):
            self.check(door, "unknown_path", 404, lambda: unknown(door), instance="")
            # gRPC's own status says that it may not come in.
            closed = lambda instance: self.send(door, AUTHORIZED, instance=instance) or 403
            for instance, reason in (("inside", "external_key_missing"), ("mutual", "certificate")):
                self.check(door, reason, 403, lambda: closed(instance), instance="")
        self.check("listen", "unknown_path", 404, lambda: self.send("listen", AUTHORIZED, path="/x"))

    def test_bodies_and_first_bytes_that_do_not_come(self):
        half = lambda path: request(path, AUTHORIZED, length="Content-Length: 100")
        closes = lambda door: self.begin(door).recv(1_000) or 0
        for door, name in (("front", ""), ("listen", "webhook")):
            self.check(door, "timeout_body", 408, lambda: self.ask(door, half))
            self.check(door, "slow", 0, lambda: closes(door), instance=name)

    def test_tls(self):
        address = self.listen["secure"]
        cases = (request("/"), "plain_http_on_tls"), (b"\x16\x03\x01\x00\x02ab", "tls_handshake")
        for octets, reason in cases:

            def provoke():
                with socket.create_connection(address) as client:
                    client.sendall(octets)
                    client.shutdown(socket.SHUT_WR)
                    client.settimeout(30)
                    answer = client.recv(1_000)
                    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0

            status = 400 if reason == "plain_http_on_tls" else 0
            self.check("listen", reason, status, provoke, "secure")
        # The operator is told what the peer says: here, that it does not know who signed.
        strict = ssl.create_default_context()
        strict.check_hostname = False
        with socket.create_connection(address) as client, self.assertRaises(ssl.SSLError):
            strict.wrap_socket(client)
        self.await_sample(2, "generic_webhook_refused_total", instance="secure", reason="tls_handshake")
        kept = self.host.run_json("refusals", "secure", "--reason", "tls_handshake")
        self.assertIn("unknown_ca", kept[-1]["detail"])
        octets = request("/", AUTHORIZED)
        self.assertEqual(ask(address, octets, tls=self.trusting).status, 200)
        metrics = self.metrics()
        for result, count in (("ok", 1), ("failed", 3)):
            labels = {"instance": "secure", "result": result}
            self.assertEqual(sample(metrics, "generic_webhook_tls_handshakes_total", **labels), count)

    def test_no_secret_is_shown_anywhere(self):
        lines = WRONG, "X-Key: planted-header-22bb"
        octets = lambda path: request(path + "?token=planted-query-11aa", *lines)
        self.assertEqual(self.ask("front", octets), 401)
        shown = [self.host.stderr(), self.metrics()]
        commands = (["refusals"], ["refusals", "--json"], ["status"])
        shown += [self.host.run(*command).stdout.decode() for command in commands]
        self.assertIn("X-Key", shown[3])
        for text in shown:
            self.assertNotIn("planted", text)
            self.assertNotIn(base64.b64encode(b"user:planted").decode()[:12], text)


class BusyHostTest(RefusalTest):
    def check_at_each_door(self, check):
        """check(door, the instance of what is told of a connection)"""
        for door, instance in (("front", ""), ("listen", "webhook"), ("grpc", "")):
            with self.subTest(door):
                check(door, instance)

    def test_limits_of_connections_are_named(self):
        cases = (("connections", 1, "too_many_connections"),)
        cases += (("connections_from_one_address", 2, "too_many_from_address"),)
        for limit, most, reason in cases:
            self.serve("--store", "memory", **{limit: most})

            def check(door, instance):
                held = [self.begin_body(door) for _ in range(most)]
                refused = lambda: self.begin(door).recv(1_000)[9:12]
                status = 0 if door == "grpc" else 503
                told = f"{status or ''}".encode()
                self.check(door, reason, status, refused, instance, seen_status=told)
                detail = self.host.run_json("refusals", "--reason", reason)[-1]["detail"]
                self.assertIn(limit, detail)
                for client in held:
                    client.close()

            self.check_at_each_door(check)

    def test_peers_that_go_away(self):
        self.serve(bad_disk=True)
        self.make_disk("hold")
        for door, instance in (("front", ""), ("listen", "webhook")):
            gone = lambda: self.begin(door, b"POST / HTTP/1.1\r\n").close()
            self.check(door, "peer_gone", 0, lambda: gone() or 0, instance)
        future = self.execute("webhook", AUTHORIZED)
        self.await_sample(1, "generic_webhook_calls_in_flight", instance="webhook")
        self.check("grpc", "peer_gone", 0, lambda: future.cancel() and 0)
        self.make_disk(None)

    def test_calls_beyond_their_limit(self):
        self.serve(bad_disk=True, calls_in_flight=1)
        self.make_disk("hold")
        future = self.execute("webhook", AUTHORIZED)
        self.await_sample(1, "generic_webhook_calls_in_flight", instance="webhook")
        for door in DOORS:
            self.check(door, "overload", 503, lambda: self.send(door, AUTHORIZED) or 503)
        self.make_disk(None)
        self.assertEqual(future.result().status, 200)

    def test_what_is_half_there_when_the_host_stops(self):
        self.serve(bad_disk=True, drain_request_timeout_ms=200)
        self.make_disk("hold")
        # Each server is held open by a request that waits for the disk.
        over_grpc = self.execute("webhook", AUTHORIZED)
        address, path = self.way("listen")
        self.begin("listen", request(path, AUTHORIZED))
        self.await_sample(2, "generic_webhook_store_queued_batches")
        half = {door: self.begin_body(door) for door in ("front", "listen")}
        self.host.process.terminate()
        self.check("front", "stopping", 503, lambda: int(half["front"].recv(1_000).split()[1]))
        self.check("grpc", "stopping", 503, lambda: self.send("grpc", AUTHORIZED) or 503, instance="")
        over_grpc.cancel()
        # The instance is stopped last, when the control socket is gone.
        before = self.count("stopping", "webhook")
        self.assertIn(b" 503 ", half["listen"].recv(1_000))
        self.check_shown("listen", "stopping", 503, "webhook", before + 1, in_list=False)
        self.make_disk(None)
        self.host.wait()

    def test_answers_that_do_not_come_in_time(self):
        self.serve(bad_disk=True, answer_timeout_ms=300)
        self.make_disk("hold")
        for door in DOORS:
            self.check(door, "answer_timeout", 504, lambda: self.send(door, AUTHORIZED))
        self.make_disk(None)

    def test_store_that_fails(self):
        self.serve(bad_disk=True)
        for door in DOORS:
            for reason in ("store_full", "not_known", "store_unavailable"):
                self.make_disk("full" if reason == "store_full" else "sync")
                self.check(door, reason, 503, lambda: self.send(door, AUTHORIZED))
            self.make_disk(None)
            deadline = time.monotonic() + 60
            while self.send("front", AUTHORIZED) != 200:
                self.assertLess(time.monotonic(), deadline, self.host.stderr())
        self.assertEqual(get(self.host.admin, "/readyz"), (200, "ready\n"))

    def test_plugin_that_is_stopped_before_it_answers(self):
        self.serve(plugin="tests/bad_plugins/answers_in_its_third_stop.so")
        octets = request("/instance/execute/webhook")
        over_http, over_grpc = self.begin("front", octets), self.execute()
        self.await_sample(2, "generic_webhook_calls_in_flight", instance="webhook")
        with open(self.host.config_file) as file:
            config = json.load(file)
        with open(self.host.config_file, "w") as file:
            json.dump(config | {"instances": []}, file)
        self.host.process.send_signal(signal.SIGHUP)
        # The counter goes with the instance. Over gRPC the answer need not wait for the plugin.
        no_counter = {"has_counter": False}
        self.check("grpc", "instance_stopped", 503, lambda: over_grpc.result().status, **no_counter)
        answer = lambda: int(over_http.recv(1_000).split()[1])
        self.check("front", "instance_stopped", 503, answer, **no_counter)

    def test_plugin_whose_answer_is_unusable(self):
        self.serve(plugin="tests/bad_plugins/unusable_answer.so")
        for door in ("front", "grpc"):
            self.check(door, "other", 500, lambda: self.send(door))


class OutcomesTest(RefusalTest):
    """What is answered with success is no refusal, and creates nothing all the same."""

    def test_duplicates_handshakes_and_dropped_events_are_outcomes_at_each_door(self):
        rules = [{"when": {"header:X-GitHub-Event": "push"}, "do": "drop"}]
        self.serve("--store", "memory", instances={"github": GITHUB | {"rules": rules}})
        send = lambda door, event: self.send(
            door, "Content-Type: application/json", *signed(b"{}", event=event), instance="github"
        )
        self.assertEqual(send("front", "issues"), 200)
        cases = (("duplicate", "issues"), ("handshake", "ping"), ("dropped", "push"))
        for number, door in enumerate(DOORS, 1):
            for outcome, event in cases:
                self.assertEqual(send(door, event), 200)
                labels = {"instance": "github", "via": door, "outcome": outcome}
                self.assertEqual(sample(self.metrics(), "generic_webhook_requests_total", **labels), 1)
            name = "generic_webhook_incidents_dropped_total"
            self.assertEqual(sample(self.metrics(), name, instance="github"), number)
        self.assertEqual(self.host.run_json("refusals"), [])
        self.assertEqual(sample(self.metrics(), "generic_webhook_refused_total"), 0)


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
        self.assertEqual(self.host.run_json("status")["refusals"], {"unknown_path": 50})
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


class TraceTest(RefusalTest):
    def test_the_trace_of_an_rpc_is_that_of_its_requests_which_name_none(self):
        self.serve("--store", "memory")
        own = "0" * 31 + "1"
        parent = lambda trace: f"00-{trace}-00f067aa0ba902b7-01"
        metadata = [("traceparent", parent(TRACE))]
        self.execute("webhook", WRONG, metadata=metadata).result()
        self.execute("webhook", "traceparent: " + parent(own), metadata=metadata).result()
        self.execute("webhook", WRONG, metadata=[("traceparent", "planted")]).result()
        stream = self.channel.stream_stream(
            "/long_running_integration.v1.LongRunningIntegration/ExecuteStream",
            messages.ExecuteStreamRequest.SerializeToString,
            messages.ExecuteStreamResponse.FromString,
        )
        one = messages.ExecuteStreamRequest(request=messages.ExecuteRequest(instance="webhook"))
        answers = stream(iter([one]), metadata=metadata)
        self.assertEqual([answer.response.status for answer in answers], [401])
        traces = [one["traceId"] for one in self.host.run_json("refusals")]
        self.assertEqual(traces, [TRACE, own, "", TRACE])
        self.assertRegex(self.host.stderr(), rf"\(401 credentials, grpc-0, trace {TRACE}\)")


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
