"""SIGTERM under load, and two hosts that want the same data folder."""

import contextlib
import functools
import http.client
import json
import os
import queue
import select
import socket
import sqlite3
import sys
import tempfile
import threading
import time
import unittest

import grpc

sys.path.insert(0, os.path.dirname(__file__))
import load  # pylint: disable=wrong-import-position
from contract import generate
from host_process import HostProcess, configuration  # pylint: disable=wrong-import-position

KEEP_ALIVE_SENDERS = 24
PIPELINING_SENDERS = 8
PIPELINED = 16  # requests on the way at once
ANSWERED_BEFORE_THE_STOP = 400
ROUNDS = 3
HOSTS_AT_ONCE = 4


class PipeliningSender(threading.Thread):
    """Keeps that many requests in flight on one connection, and reads until the host closes it."""

    def __init__(self, address, name, depth, answered):
        super().__init__(daemon=True)
        host, port = address.rsplit(":", 1)
        # Before the stop, at which new connections are refused.
        self.connection = socket.create_connection((host, int(port)), timeout=60)
        self.sender, self.depth = name, depth
        self.answered_so_far = answered
        self.statuses = []  # of the requests 0, 1, 2 ... as far as they were answered
        self.ids = {}  # of each that was created
        self.sent = 0
        self.failure = None

    def request(self, count):
        body = json.dumps({"sender": self.sender, "count": count, "filler": "x" * (count % 700)})
        return (
            f"POST /xsoar/instance/execute/webhook HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}"
            f"\r\n\r\n{body}"
        ).encode()

    def run(self):
        try:
            with self.connection:
                self.converse(self.connection)
        except Exception as error:  # pylint: disable=broad-except
            self.failure = f"{self.sender}: {error!r}"

    def converse(self, connection):
        answers = connection.makefile("rb")
        sending = True
        while True:
            while sending and self.sent < len(self.statuses) + self.depth:
                try:
                    connection.sendall(self.request(self.sent))
                except (BrokenPipeError, ConnectionResetError):
                    sending = False
                    break
                self.sent += 1
            try:
                status, body, goes_on = load.read_answer(answers)
            except (EOFError, ConnectionResetError):
                return
            if status == 200:
                self.ids[len(self.statuses)] = json.loads(body)[0]["id"]
            elif status != 503:
                raise load.Broken(f"{status} {body!r}")
            self.statuses.append(status)
            self.answered_so_far.release()
            if not goes_on:
                sending = False


class StopUnderLoadTest(unittest.TestCase):
    def stop_under_load(self, host):
        answered = threading.Semaphore(0)
        depths = [1] * KEEP_ALIVE_SENDERS + [PIPELINED] * PIPELINING_SENDERS
        senders = [
            PipeliningSender(host.http, f"{time.monotonic_ns()}-{i}", depth, answered)
            for i, depth in enumerate(depths)
        ]
        for sender in senders:
            sender.start()
        for _ in range(ANSWERED_BEFORE_THE_STOP):
            self.assertTrue(answered.acquire(timeout=60))
        self.assertEqual(host.stop(), 0, host.stderr())
        for sender in senders:
            sender.join(60)
            self.assertFalse(sender.is_alive())
            self.assertIsNone(sender.failure)
        return senders

    def check_stored(self, host, senders):
        """What was acknowledged is there, and what is there was acknowledged: the host answers
        each request that it has read."""
        with contextlib.closing(
            sqlite3.connect(f"file:{host.data_dir}/incidents.db?mode=ro", uri=True)
        ) as database:
            stored = {}
            for number, details in database.execute(
                "SELECT id, details || coalesce(text, '') FROM incidents "
                "LEFT JOIN details_ends ON number = details_end"
            ):
                sent = json.loads(details)
                stored[(sent["sender"], sent["count"])] = str(number)
        acknowledged = {
            (sender.sender, count): number
            for sender in senders
            for count, number in sender.ids.items()
        }
        self.assertEqual(stored, acknowledged)
        last = max(acknowledged.values(), key=int)
        self.assertIsNotNone(host.incident(last))

    def test_every_acknowledged_event_is_there_and_every_stored_one_was_answered(self):
        config = configuration("XSOAR_8_ON_PREM")
        config["limits"] = {"requests_of_a_connection": 1_000_000}
        with HostProcess(config) as host:
            senders = []
            for _ in range(ROUNDS):
                senders += self.stop_under_load(host)
                host.start()
                self.check_stored(host, senders)
            self.assertGreater(sum(len(sender.ids) for sender in senders), ROUNDS * 300)


class GrpcCallsAtTheStopTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.modules = generate(folder.name)

    def request(self):
        messages = self.modules["long_running_integration"]
        return messages.ExecuteRequest(instance="webhook", body=b"{}")

    def call_until_refused(self, call, codes, answered):
        """Calls on until the host is gone, as a client does that has much to send."""
        while True:
            try:
                call()
            except grpc.RpcError as error:
                codes.append(error.code())
                if "the host is stopping" not in error.details():
                    return
            answered.release()

    def exchange(self, integration, codes, answered):
        """One stream on which each answer is followed by the next request."""
        message = self.modules["long_running_integration"].ExecuteStreamRequest(
            request=self.request()
        )
        requests = queue.SimpleQueue()
        requests.put(message)
        try:
            for _ in integration.ExecuteStream(iter(requests.get, None)):
                answered.release()
                requests.put(message)
        except grpc.RpcError as error:
            codes.append(error.code())
        requests.put(None)

    def follow(self, incidents, codes):
        try:
            for _ in incidents.FollowIncidents(self.modules["incident"].FollowIncidentsRequest()):
                pass
        except grpc.RpcError as error:
            codes.append(error.code())

    def stop_while_calling(self, host):
        """Returns the status of each call that failed."""
        codes = []
        answered = threading.Semaphore(0)
        with grpc.insecure_channel(host.grpc) as front, grpc.insecure_channel(
            host.control
        ) as control:
            integration = self.modules["long_running_integration_grpc"].LongRunningIntegrationStub
            front_stub, control_stub = integration(front), integration(control)
            incidents = self.modules["incident_grpc"].IncidentServiceStub(control)
            threads = [
                threading.Thread(
                    target=self.call_until_refused,
                    args=(functools.partial(stub.Execute, self.request(), timeout=60), codes, answered),
                )
                for stub in [front_stub] * 4 + [control_stub]
            ] + [
                threading.Thread(target=self.exchange, args=(front_stub, codes, answered)),
                threading.Thread(target=self.follow, args=(incidents, codes)),
            ]
            for thread in threads:
                thread.start()
            for _ in range(100):
                self.assertTrue(answered.acquire(timeout=60))
            self.assertEqual(host.stop(), 0, host.stderr())
            for thread in threads:
                thread.join(60)
                self.assertFalse(thread.is_alive())
        return codes

    def test_calls_in_flight_and_calls_that_arrive_are_unavailable(self):
        with HostProcess(configuration("XSOAR_8_ON_PREM")) as host:
            for _ in range(ROUNDS):
                codes = self.stop_while_calling(host)
                self.assertGreaterEqual(len(codes), 7)
                self.assertEqual(set(codes), {grpc.StatusCode.UNAVAILABLE})
                host.start()


class SecondHostTest(unittest.TestCase):
    def new_host(self, data_dir):
        host = HostProcess(configuration("XSOAR_8_ON_PREM"), data_dir=data_dir)
        self.addCleanup(host.__exit__)
        return host

    def refusal(self, host, folder, winner):
        self.assertEqual(host.wait(), 1)
        lines = host.stderr().strip().splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(folder, lines[0])
        self.assertIn("in use by", lines[0])
        # The winner's number, unless it had got the lock only just then.
        self.assertRegex(lines[0], rf"in use by (process {winner}\b|another process)")
        return lines[0]

    def test_second_host_is_refused_with_folder_and_process(self):
        first = self.new_host(None)
        first.start()
        second = self.new_host(first.data_dir)
        second.spawn()
        line = self.refusal(second, first.data_dir, first.process.pid)
        self.assertIn(f"process {first.process.pid}", line)

    def test_of_hosts_started_at_once_one_serves_and_the_others_are_refused(self):
        first = self.new_host(None)
        first.start()
        self.assertEqual(first.stop(), 0)  # its number stays in the folder
        hosts = [self.new_host(first.data_dir) for _ in range(HOSTS_AT_ONCE)]
        for host in hosts:
            host.spawn()
        outputs = {host.process.stdout: host for host in hosts}
        winners = []
        deadline = time.monotonic() + 60
        while outputs and (len(outputs) > 1 or not winners) and time.monotonic() < deadline:
            for output in select.select(list(outputs), [], [], 1)[0]:
                host = outputs.pop(output)
                line = output.readline().decode()
                if line.startswith("ready "):
                    fields = dict(field.split("=", 1) for field in line.split()[1:])
                    host.http = fields["http"]
                    winners.append(host)
        self.assertEqual(len(winners), 1)
        for host in hosts:
            if host is not winners[0]:
                self.refusal(host, first.data_dir, winners[0].process.pid)
        connection = http.client.HTTPConnection(winners[0].http, timeout=60)
        connection.request("POST", "/xsoar/instance/execute/webhook", "{}")
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()


if __name__ == "__main__":
    unittest.main()
