"""What the host writes for its operator: the log's formats, the access log, what it says at the start."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

from host_process import HOST_STUB, HostProcess, configuration
from peers import address_of, ask, basic, free_ports, request

PASSWORD = "planted-password-3e9b"
GOOD = basic("user:" + PASSWORD)
PATH = "/instance/execute/webhook"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class LogsTest(unittest.TestCase):
    def new_host(self, *options, members={}, **parameters):
        self.port = free_ports(1)[0]
        parameters = {"username": "user", "password": PASSWORD, "bind_address": "127.0.0.1"} | parameters
        config = configuration("XSOAR_6", longRunningPort=str(self.port), **parameters)
        host = HostProcess(config | members, "--store", "memory", *options)
        self.addCleanup(host.__exit__)
        return host

    def lines(self, file, count):
        """The file's lines, once there are so many."""
        deadline = time.monotonic() + 60
        while True:
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) >= count:
                return lines
            self.assertLess(time.monotonic(), deadline, lines)
            time.sleep(0.01)


class AccessLogTest(LogsTest):
    def serve(self, *options):
        host = self.new_host(*options)
        self.file = pathlib.Path(host.own_folder, "access.log")
        host.arguments += ["--access-log", str(self.file)]
        host.start()
        return host

    def test_file_that_others_can_change_is_refused_in_one_line(self):
        host = self.new_host()
        file = pathlib.Path(host.own_folder, "access.log")
        file.touch()
        file.chmod(0o662)
        host.arguments += ["--access-log", str(file)]
        host.spawn()
        self.assertEqual(host.wait(), 2)
        [line] = host.stderr().strip().splitlines()
        self.assertIn(f"--access-log: {file} can be changed by others", line)

    def test_each_request_has_one_line_at_every_door_without_query_and_secrets(self):
        host = self.serve("--log-format", "json")
        trace = {"Traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        front, listen = address_of(host.http), ("127.0.0.1", self.port)
        for address, path in ((front, PATH), (listen, "/")):
            sent = request(path + "?planted=query", Authorization=GOOD, **trace)
            self.assertEqual(ask(address, sent).status, 200)
            self.assertEqual(ask(address, request(path, Authorization=basic("user:no"))).status, 401)
        self.assertEqual(ask(front, request("/nowhere")).status, 404)
        self.assertEqual(host.run("execute", "webhook", "-d", "{}", "-u", "user:" + PASSWORD).returncode, 0)
        lines = [json.loads(line) for line in self.lines(self.file, 6)]
        self.assertEqual(
            [(one["via"], one.get("instance"), one["status"], one["reason"]) for one in lines],
            [
                ("front", "webhook", 200, "answered"),
                ("front", "webhook", 401, "credentials"),
                ("listen", "webhook", 200, "answered"),
                ("listen", "webhook", 401, "credentials"),
                ("front", None, 404, "unknown_path"),
                ("grpc", "webhook", 200, "answered"),
            ],
        )
        self.assertEqual([one["path"] for one in lines[:5]], [PATH, PATH, "/", "/", "/nowhere"])
        self.assertEqual([one.get("trace_id") for one in lines], [TRACE, None, TRACE, None, None, None])
        for one in lines:
            self.assertEqual(one["method"], "POST")
            self.assertIn(one["peer"], ("127.0.0.1", "unix"))
            self.assertGreater(one["duration"], 0)
            self.assertGreater(one["bytes_sent"], 0)
        self.assertEqual(len({one["request_id"] for one in lines}), 6)
        self.assertEqual(host.stop(), 0)
        self.assertNotIn("planted", self.file.read_text())

    def test_lines_for_people_end_in_the_file_when_the_host_stops(self):
        host = self.serve()
        self.assertEqual(ask(address_of(host.http), request(PATH, Authorization=GOOD)).status, 200)
        self.assertEqual(host.stop(), 0)
        self.assertRegex(
            self.file.read_text(),
            rf"^20\S+Z peer=127.0.0.1 via=front instance=webhook method=POST path={PATH} status=200 "
            r"reason=answered bytes=\d+ bytes_sent=\d+ duration=0\.\d{6} request_id=http-\d+-\d+\n$",
        )

    def test_sigusr1_opens_a_renamed_file_again(self):
        host = self.serve()
        front = address_of(host.http)
        ask(front, request("/first"))
        renamed = self.file.rename(self.file.with_suffix(".1"))
        host.process.send_signal(signal.SIGUSR1)
        while not self.file.exists():
            time.sleep(0.01)
        ask(front, request("/second"))
        self.assertIn("path=/second ", self.lines(self.file, 1)[0])
        self.assertEqual(len(self.lines(renamed, 1)), 1)

    def test_without_an_access_log_sigusr1_does_nothing(self):
        host = self.new_host()
        host.start()
        host.process.send_signal(signal.SIGUSR1)
        self.assertEqual(ask(address_of(host.http), request(PATH, Authorization=GOOD)).status, 200)
        self.assertEqual(host.stop(), 0)

    def test_standard_output_that_nobody_reads_delays_neither_requests_nor_the_stop(self):
        host = self.new_host("--access-log", "-")
        host.start()
        front = address_of(host.http)
        for number in range(1_000):  # some 200 bytes each; a pipe holds 64 KiB
            self.assertEqual(ask(front, request(f"/{number}")).status, 404)
        begin = time.monotonic()
        self.assertEqual(host.stop(), 0)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertIn("access log: cannot write to standard output", host.stderr())


class LogTest(LogsTest):
    def test_json_line_of_a_refusal_has_its_fields(self):
        host = self.new_host("--log-format", "json")
        host.start()
        sent = request(PATH, Authorization=basic("user:no"), Traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
        ask(address_of(host.http), sent)
        host.stop()
        lines = [json.loads(line) for line in host.stderr().splitlines()]
        for line in lines:
            self.assertRegex(line["time"], r"^20..-..-..T..:..:..\....Z$")
        [refusal] = [line for line in lines if "was refused" in line["message"]]
        del refusal["time"], refusal["message"]
        for name in ("bytes", "bytes_sent", "duration"):
            self.assertGreater(refusal.pop(name), 0)
        self.assertRegex(refusal.pop("request_id"), r"^http-\d+-\d+$")
        self.assertEqual(
            refusal,
            {
                "severity": "WARNING",
                "instance": "webhook",
                "trace_id": TRACE,
                "peer": "127.0.0.1",
                "via": "front",
                "status": 401,
                "reason": "credentials",
            },
        )

    def test_the_journal_gets_priorities_and_no_times(self):
        host = self.new_host()
        log = pathlib.Path(host.own_folder, "stderr")
        log.touch()
        status = log.stat()
        host.environment = os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        host.start()
        ask(address_of(host.http), request(PATH, Authorization=basic("user:no")))
        host.stop()
        lines = host.stderr().splitlines()
        self.assertTrue(any(re.match(r"<4>WARNING \[webhook\] a request from", line) for line in lines))
        for line in lines:
            self.assertRegex(line, "^(<6>INFO|<4>WARNING) ")

    def test_the_start_tells_version_addresses_instances_and_changed_limits(self):
        host = self.new_host(members={"limits": {"body_bytes": 4096, "connections": 100}})
        host.start()
        version = subprocess.run([HOST_STUB, "--version"], capture_output=True, text=True).stdout
        version = version.split()[1].rstrip(",")
        log = host.stderr()
        self.assertIn(
            f"INFO version {version} with 1 instance serves http {host.http}, grpc {host.grpc}, "
            f"control {host.control}, admin {host.admin}\n",
            log,
        )
        self.assertRegex(
            log, r"INFO limits that differ from their defaults: body_bytes 4096 \(default \d+\), "
            r"connections 100 \(default \d+\)\n",
        )


if __name__ == "__main__":
    unittest.main()
