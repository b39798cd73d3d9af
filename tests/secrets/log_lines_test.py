"""No sender can forge a line of the log, or steer the terminal of the person who reads it."""

import json
import os
import pathlib
import re
import shutil
import signal
import tempfile
import time
import unittest

import grpc

from contract import generate
from host_process import HostProcess, configuration
from peers import exchange

SECONDS_TO_WAIT = 60
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) (\[[\w-]+\] )?")
MOST_BYTES_OF_A_LINE = 4096 + 120  # the message, the time before it

FORGED = "2026-01-01T00:00:00.000Z ERROR forged"
# What ends a line, moves the cursor, hides text, or changes its direction.
CONTROLS = {
    "line feed": "\n",
    "carriage return": "\r",
    "escape": "\x1b[2K\x1b[31m",
    "backspace": "\b\b\b",
    "bell": "\a",
    "vertical tab": "\v\f",
    "delete": "\x7f",
    "next line": "\u0085",
    "control sequence introducer": "\u009b31m",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "right to left override": "\u202e",
    "embedding": "\u202a\u202b\u202c\u202d",
    "marks": "\u200e\u200f\u061c",
    "isolates": "\u2066\u2067\u2068\u2069",
}
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


class LogLinesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.modules = generate(cls.folder)

    def serve(self):
        host = HostProcess(
            configuration("XSOAR_8_ON_PREM", url="", username="user", password="pass")
        )
        self.addCleanup(host.__exit__)
        host.start()
        return host

    def assert_clean(self, text, lines=None):
        """Checks that the text consists of lines of the log, none of them forged."""
        self.assertIsNone(FORBIDDEN.search(text), ascii(text))
        for line in text.splitlines():
            self.assertRegex(line, LINE)
            self.assertNotRegex(line, "^" + re.escape(FORGED))
            self.assertLessEqual(len(line.encode()), MOST_BYTES_OF_A_LINE)
        if lines is not None:
            self.assertEqual(text.count("\n"), lines, text)

    def assert_tells_of_refusals_alone(self, text):
        """A few lines, which hold nothing of the requests."""
        self.assert_clean(text)
        self.assertNotIn(FORGED[:20], text)
        lines = text.splitlines()
        self.assertLessEqual(len(lines), 30, text)
        for line in lines:
            self.assertRegex(line, r" from (127\.0\.0\.1|unix) was (refused: .* \(|given up by it(: .*)? \()")

    def send(self, host, request):
        return exchange(host.http.split(":"), request)

    def requests(self, control):
        """HTTP requests with the text in each place that a sender controls."""
        bad = (control + FORGED).encode()
        encoded = "".join(f"%{byte:02X}" for byte in bad).encode()
        auth = b"Authorization: Basic dXNlcjpwYXNz\r\n"
        head = b"Host: h\r\nConnection: close\r\n" + auth
        target = b"POST /xsoar/instance/execute/webhook HTTP/1.1\r\n"
        body = json.dumps({control + FORGED: {"name": control + FORGED}}).encode()
        raw = b'{"' + bad + b'":1,"name":"' + bad + b'","type":"' + bad + b'","occurred":"' + bad + b'"}'
        yield b"POST /xsoar/instance/execute/" + bad + b" HTTP/1.1\r\n" + head + b"\r\n"
        yield b"POST /xsoar/instance/execute/" + encoded + b" HTTP/1.1\r\n" + head + b"\r\n"
        yield b"POST /xsoar/instance/execute/webhook/" + encoded + b" HTTP/1.1\r\n" + head + b"\r\n"
        yield b"POST /xsoar/instance/execute/webhook?" + encoded + b" HTTP/1.1\r\n" + head + b"\r\n"
        yield bad + b" /xsoar/instance/execute/webhook HTTP/1.1\r\n" + head + b"\r\n"
        yield b"POST /xsoar/instance/execute/webhook " + bad + b"\r\n" + head + b"\r\n"
        yield target + head + b"X-Value: " + bad + b"\r\nContent-Length: 2\r\n\r\n{}"
        yield target + head + b"X-" + bad + b": value\r\nContent-Length: 2\r\n\r\n{}"
        yield target + b"Host: h\r\nAuthorization: " + bad + b"\r\nContent-Length: 2\r\n\r\n{}"
        yield target + b"Host: " + bad + b"\r\n" + auth + b"Content-Length: 2\r\n\r\n{}"
        yield target + head + b"Content-Length: " + bad + b"\r\n\r\n{}"
        yield target + head + b"Content-Encoding: " + bad + b"\r\nContent-Length: 2\r\n\r\n{}"
        for text in (body, raw, raw[:-1], b"[" + raw + b',{"rawJson":"' + bad + b'"}]'):
            yield target + head + b"Content-Length: %d\r\n\r\n" % len(text) + text

    def test_http_request_writes_only_lines_of_ours_whatever_it_holds(self):
        host = self.serve()
        before = host.stderr()
        for control in CONTROLS.values():
            for request in self.requests(control):
                self.assertRegex(self.send(host, request)[:12], b"HTTP/1.1 [2-5]", request)
        self.assert_tells_of_refusals_alone(host.stderr()[len(before) :])
        host.stop()
        self.assert_clean(host.stderr())

    def test_grpc_call_writes_only_lines_of_ours_whatever_it_holds(self):
        host = self.serve()
        before = host.stderr()
        messages = self.modules["long_running_integration"]
        with grpc.insecure_channel(host.grpc) as channel:
            stub = self.modules["long_running_integration_grpc"].LongRunningIntegrationStub(channel)
            for control in CONTROLS.values():
                bad = control + FORGED
                auth = messages.Header(name="Authorization", value="Basic dXNlcjpwYXNz")
                for fields in (
                    {"instance": bad},
                    {"method": bad},
                    {"path_remainder": "/" + bad},
                    {"query": bad},
                    {"peer_address": bad},
                    {"request_id": bad},
                    {"headers": [messages.Header(name=bad, value="x")]},
                    {"headers": [auth, messages.Header(name="X-Bad", value=bad)]},
                    {"headers": [auth], "body": json.dumps({bad: bad, "name": bad}).encode()},
                    {"headers": [auth], "body": bad.encode()},
                ):
                    request = messages.ExecuteRequest(**{"instance": "webhook"} | fields)
                    self.call(stub.Execute, request, bad)
                self.call(stub.TestModule, messages.TestModuleRequest(instance=bad), bad)
                self.call(stub.FetchSamples, messages.FetchSamplesRequest(instance=bad), bad)
        self.assert_tells_of_refusals_alone(host.stderr()[len(before) :])

    def call(self, method, request, bad):
        """What a caller is told is one short line too."""
        metadata = [("x-forged-bin", bad.encode())]
        try:
            method(request, timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            self.assertIsNone(FORBIDDEN.search(error.details()), ascii(error.details()))
            self.assertNotIn("\n", error.details())
            self.assertLessEqual(len(error.details()), 2048)

    def test_overlong_name_is_told_back_short(self):
        host = self.serve()
        messages = self.modules["long_running_integration"]
        instances = self.modules["instance"]
        long = "\u202e" + "x" * 3_000_000
        with grpc.insecure_channel(host.control) as channel:
            stub = self.modules["long_running_integration_grpc"].LongRunningIntegrationStub(channel)
            management = self.modules["instance_grpc"].InstanceServiceStub(channel)
            named = instances.Instance(name="hook", parameters={long: "value"})
            masked = instances.UpdateInstanceRequest(instance=instances.Instance(name="webhook"))
            masked.update_mask.paths.append(long)
            for method, request in (
                (stub.TestModule, messages.TestModuleRequest(instance=long)),
                (stub.FetchSamples, messages.FetchSamplesRequest(instance=long)),
                (management.GetInstance, instances.GetInstanceRequest(name=long)),
                (management.DeleteInstance, instances.DeleteInstanceRequest(name=long)),
                (management.CreateInstance, instances.CreateInstanceRequest(instance=named)),
                (management.UpdateInstance, masked),
            ):
                with self.assertRaises(grpc.RpcError) as raised:
                    method(request, timeout=30)
                details = raised.exception.details()
                # Not a client's complaint about headers that are too long.
                self.assertIn(
                    raised.exception.code(),
                    (
                        grpc.StatusCode.NOT_FOUND,
                        grpc.StatusCode.INVALID_ARGUMENT,
                        grpc.StatusCode.FAILED_PRECONDITION,
                    ),
                    details[:200],
                )
                self.assertLessEqual(len(details), 2048)
                self.assertIsNone(FORBIDDEN.search(details))
        self.assertEqual(host.run("execute", "webhook", "-d", "{}", "-u", "user:pass").returncode, 0)

    def test_what_does_reach_the_log_is_one_escaped_and_bounded_line(self):
        """The path of the configuration and the names in it are told in full sentences."""
        for name, control in CONTROLS.items():
            if "\0" in control:
                continue
            host = HostProcess(configuration("XSOAR_8_ON_PREM", url=""))
            self.addCleanup(host.__exit__)
            bad = (control + FORGED).replace("/", "")
            host.config_file = os.path.join(host.own_folder, bad + ".json")
            pathlib.Path(host.config_file).write_text(
                json.dumps(configuration("XSOAR_8_ON_PREM", url=""))
            )
            with self.subTest(name):
                host.start()
                self.reload(host, "took over")
                wrong = configuration("XSOAR_8_ON_PREM", url="", **{bad + "y" * 20_000: "x"})
                pathlib.Path(host.config_file).write_text(json.dumps(wrong, ensure_ascii=False))
                self.reload(host, "stays as it was")
                wrong = configuration("XSOAR_8_ON_PREM", url="", name=bad)
                pathlib.Path(host.config_file).write_text(json.dumps(wrong, ensure_ascii=False))
                self.reload(host, "stays as it was")
                self.assert_clean(host.stderr())
                host.stop()
                # The same at the start: one line, without a time.
                before = len(host.stderr())
                host.spawn()
                self.assertNotEqual(host.wait(), 0)
                text = host.stderr()[before:]
                self.assertEqual(text.count("\n"), 1, text)
                self.assertIsNone(FORBIDDEN.search(text), ascii(text))
                self.assertLess(len(text), 5000)

    def reload(self, host, expected):
        before = len(host.stderr())
        host.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + SECONDS_TO_WAIT
        while expected not in host.stderr()[before:]:
            self.assertLess(time.monotonic(), deadline, host.stderr()[before:])
            time.sleep(0.02)

    def test_incidents_on_a_terminal_do_not_steer_it(self):
        host = self.serve()
        for control in CONTROLS.values():
            body = json.dumps({"name": control + FORGED, "type": control + FORGED})
            done = host.run("execute", "webhook", "-u", "user:pass", "-d", "-", stdin=body.encode())
            self.assertEqual(done.returncode, 0, done)
        shown = host.run("incidents", "list").stdout.decode()
        self.assertIsNone(FORBIDDEN.search(shown), ascii(shown))
        self.assertEqual(shown.count("\n"), len(CONTROLS) + 1)
        shown = host.run("incidents", "list", "--json").stdout.decode()
        self.assertIsNone(FORBIDDEN.search(shown), ascii(shown))
        names = [incident["name"] for incident in json.loads(shown)]
        # Blanks around a name are cut, and a NUL is replaced when it is read.
        sent = [(control + FORGED).strip(" \t\r\n\v\f").replace("\0", "\ufffd") for control in CONTROLS.values()]
        self.assertEqual(names[::-1], sent)

    def test_incident_that_is_written_into_a_pipe_is_the_json_that_was_sent(self):
        host = self.serve()
        details = '{"a":"\x7f\u009b\u200b\U000e0041"}'
        body = '{"name":"piped","rawJson":' + details + "}"
        done = host.run("execute", "webhook", "-u", "user:pass", "-d", "-", stdin=body.encode())
        self.assertEqual(done.returncode, 0, done)
        [incident] = host.run_json("incidents", "list")
        shown = host.run("incidents", "get", incident["id"]).stdout.decode()
        head, _, text = shown.partition("\n\n")
        self.assertIn("piped", head)
        self.assertEqual(json.loads(text)["a"], json.loads(details)["a"])


if __name__ == "__main__":
    unittest.main()
