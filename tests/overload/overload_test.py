"""Ten times the load that the store can take: refused at once, and over as soon as it stops."""

import os
import time
import unittest

from host_process import HostProcess, configuration
from peers import (
    MIB,
    SANITIZER_BYTES,
    Memory,
    OpenLoop,
    Peer,
    address_of,
    ask,
    basic,
    is_sanitized,
    pump,
    quantile,
    request,
)

PATH = "/xsoar/instance/execute/webhook"
GOOD = basic("user:pass")
ONE = request(PATH, b"{}", Authorization=GOOD)

SYNC_MS = 40
INCIDENTS_OF_A_COMMIT = 4
# An upper bound on what the store can take.
CAPACITY = INCIDENTS_OF_A_COMMIT * 1000 / SYNC_MS
# Set it to some minutes for a long run.
SECONDS = float(os.environ.get("FLOOD_SECONDS", 4))


def config(**limits):
    made = configuration("XSOAR_8_ON_PREM", username="user", password="pass")
    made["limits"] = {"connections_from_one_address": 1000} | limits
    return made


class SlowStoreTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = HostProcess(
            config(
                queued_batches=8,
                incidents_of_a_commit=INCIDENTS_OF_A_COMMIT,
                requests_of_a_connection=1_000_000_000,  # a long flood closes none for its age
            )
        )
        cls.addClassCleanup(cls.host.__exit__)
        cls.host.give_bad_disk(SLOW_DISK_MS=str(SYNC_MS))
        cls.host.start()
        cls.address = address_of(cls.host.http)
        cls.octets = request(PATH, b'{"name":"flood"}', Authorization=GOOD)
        assert ask(cls.address, cls.octets).status == 200
        cls.memory = Memory(cls.host)
        cls.outcomes = OpenLoop(cls.address, cls.octets).run(10 * CAPACITY, SECONDS)
        cls.next_answers = [ask(cls.address, cls.octets, seconds=5) for _ in range(5)]
        cls.accepted = [took for answer, took in cls.outcomes if answer.status == 200]
        cls.refused = [took for answer, took in cls.outcomes if answer.status == 503]

    def test_each_request_is_created_or_told_to_come_again(self):
        self.assertEqual(len(self.outcomes), int(10 * CAPACITY * SECONDS))
        self.assertEqual(len(self.accepted) + len(self.refused), len(self.outcomes))
        self.assertGreater(len(self.refused), 5 * len(self.accepted))
        for answer, _ in self.outcomes:
            if answer.status == 503:
                self.assertRegex(answer.headers["retry-after"], r"^[1-9][0-9]*$")
                self.assertNotEqual(answer.headers.get("connection"), "close")

    def test_what_is_refused_was_not_created_and_what_is_accepted_was(self):
        [newest] = self.host.run_json("incidents", "list", "--limit", "1")
        before_and_after = 1 + len(self.next_answers)
        self.assertEqual(int(newest["id"]), len(self.accepted) + before_and_after)

    def test_refusals_are_quick(self):
        self.assertLess(quantile(self.refused, 0.99), 1.0)

    def test_accepted_requests_wait_for_no_more_than_the_queue(self):
        # Two or three commits; the bound leaves room for a busy machine.
        self.assertLess(quantile(self.accepted, 0.5), 1.0)
        self.assertLess(quantile(self.accepted, 0.99), 2.5)

    def test_the_store_works_on_at_its_pace(self):
        self.assertGreater(len(self.accepted), CAPACITY * SECONDS / 4)

    def test_memory_stays_where_it_was(self):
        self.assertLess(self.memory.growth(), 16 * MIB)

    def test_next_request_after_the_flood_is_created(self):
        self.assertEqual([answer.status for answer in self.next_answers], [200] * 5)

    def test_log_is_not_flooded(self):
        lines = self.host.stderr().count("\n")
        self.assertLess(lines, 200 * (SECONDS + 30) + 100)
        self.assertLess(lines, len(self.refused))


class BurstTest(unittest.TestCase):
    def test_memory_of_a_burst_is_bounded_and_given_back_when_it_is_over(self):
        with HostProcess(config(queued_bytes=32 * MIB)) as host:
            address = address_of(host.http)
            self.assertEqual(ask(address, request(PATH, b"{}", Authorization=GOOD)).status, 200)
            memory = Memory(host)
            body = b"[" + b",".join([b'{"name":"one of many"}'] * 1_000) + b"]"
            octets = request(PATH, body, Authorization=GOOD)
            peers = [Peer(address).send(octets) for _ in range(500)]
            self.assertTrue(pump(peers, 60, lambda: all(peer.answers for peer in peers)))
            self.assertLessEqual({peer.answers[0].status for peer in peers}, {200, 503})
            for peer in peers:
                peer.close()
            self.assertLess(memory.growth(), 384 * MIB)
            # A sanitizer keeps freed memory.
            most = 48 * MIB + (SANITIZER_BYTES if is_sanitized() else 0)
            end = time.monotonic() + 30
            while memory.now() - memory.before > most:
                self.assertLess(time.monotonic(), end, memory.now())
                time.sleep(0.05)


class BytesInFlightTest(unittest.TestCase):
    def test_bodies_that_do_not_end_are_refused_past_the_limit_and_give_their_room_back(self):
        limits = dict(bytes_in_flight=8 * MIB, body_bytes=MIB, body_timeout_ms=60_000)
        with HostProcess(config(**limits), "--store", "memory") as host:
            address = address_of(host.http)
            memory = Memory(host)
            unfinished = request(PATH, b"[" * 900_000, length=MIB, Authorization=GOOD)
            peers = [Peer(address).send(unfinished) for _ in range(60)]
            refused = lambda: sum(bool(peer.answers) for peer in peers)
            self.assertTrue(pump(peers, 30, lambda: refused() >= 50), refused())
            # Two that grew together may both have been refused, which leaves room for one more.
            more = [Peer(address).send(unfinished) for _ in range(10)]
            self.assertTrue(pump(more, 30, lambda: any(peer.answers for peer in more)))
            peers += more
            for peer in peers:
                for answer in peer.answers:
                    self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
            self.assertLess(memory.growth(), 24 * MIB)
            for peer in peers:
                peer.close()
            whole = request(PATH, b'"' + b"x" * 900_000 + b'"', Authorization=GOOD)
            while (answer := ask(address, whole)).status == 503:
                pass
            self.assertEqual(answer.status, 400)

    def test_bodies_that_are_only_announced_take_no_room_from_others(self):
        limits = dict(bytes_in_flight=8 * MIB, body_bytes=8 * MIB)
        with HostProcess(config(**limits), "--store", "memory") as host:
            address = address_of(host.http)
            memory = Memory(host)
            announced = request(PATH, b"[", length=8 * MIB, Authorization=GOOD)
            peers = [Peer(address).send(announced) for _ in range(300)]
            answer = ask(address, request(PATH, b"[" + b"{}," * 9_000 + b"{}]", Authorization=GOOD))
            self.assertEqual(answer.status, 200)
            pump(peers, 0.2)
            self.assertEqual(sum(len(peer.answers) for peer in peers), 0)
            self.assertLess(memory.growth(), 40 * MIB)
            for peer in peers:
                peer.close()

    def test_sender_that_reads_no_answers_denies_nobody_else_anything(self):
        with HostProcess(config(), "--store", "memory") as host:
            address = address_of(host.http)
            many = request(PATH, b"[" + b",".join([b"{}"] * 10_000) + b"]", Authorization=GOOD)
            lazy = [Peer(address, receive_buffer=8_192, source="127.0.5.1") for _ in range(32)]
            for peer in lazy:
                peer.reading = False
                peer.send(8 * many)
            refused = lambda: ask(address, ONE, source="127.0.5.1").status == 503
            while not refused():
                pump(lazy, 0.01)
            large = request(PATH, b"[" + b" " * 200_000 + b"{}]", Authorization=GOOD)
            for number in range(46):
                answer = ask(address, large if number % 2 else ONE, source="127.0.5.2")
                self.assertEqual(answer.status, 200)
            self.assertIn("127.0.5.1 was refused: answers that are not read fill", host.stderr())
            for peer in lazy:
                peer.close()

    def test_bodies_that_stall_deny_other_addresses_and_other_instances_nothing(self):
        configuration = config()
        configuration["instances"].append(
            {"name": "other", "configuration": {"username": "user", "password": "pass"}}
        )
        with HostProcess(configuration, "--store", "memory") as host:
            address = address_of(host.http)
            stalled = request(PATH, b"[" + b" " * (8 * MIB - 100), length=8 * MIB, Authorization=GOOD)
            large = request(PATH, b"[" + b" " * 200_000 + b"{}]", Authorization=GOOD)
            other = large.replace(b"execute/webhook", b"execute/other")
            # Nine of one address, and then as many of nine addresses.
            of_nine = [f"127.0.5.{i}" for i in range(1, 10)]
            for sources, of_instance in ((of_nine[:1] * 9, large), (of_nine, other)):
                peers = [Peer(address, source=source).send(stalled) for source in sources]
                self.assertTrue(pump(peers, 30, lambda: any(peer.answers for peer in peers)))
                for _ in range(23):
                    for octets in (of_instance, ONE):
                        answer = ask(address, octets, source="127.0.5.99")
                        self.assertEqual(answer.status, 200)
                for peer in peers:
                    peer.close()

    def test_calls_past_their_limit_are_503_and_the_others_are_answered(self):
        with HostProcess(config(calls_in_flight=1)) as host:
            address = address_of(host.http)
            octets = request(PATH, b"{}", Authorization=GOOD)
            peers = [Peer(address).send(octets) for _ in range(200)]
            self.assertTrue(pump(peers, 30, lambda: all(peer.answers for peer in peers)))
            statuses = [peer.answers[0].status for peer in peers]
            self.assertLessEqual(set(statuses), {200, 503})
            self.assertIn(200, statuses)
            for peer in peers:
                if peer.answers[0].status == 503:
                    self.assertEqual(peer.answers[0].headers["retry-after"], "1")
                peer.close()
            self.assertEqual(ask(address, octets).status, 200)


if __name__ == "__main__":
    unittest.main()
