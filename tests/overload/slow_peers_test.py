"""Peers that send or read a little at a time delay nobody, and are closed after a while."""

import time
import unittest

from host_process import HostProcess, configuration
from peers import MIB, Memory, Peer, address_of, ask, basic, pump, quantile, request

PATH = "/xsoar/instance/execute/webhook"
GOOD = basic("user:pass")
ONE = request(PATH, b"{}", Authorization=GOOD)


def serve(test, parameters={}, **limits):
    config = configuration("XSOAR_8_ON_PREM", username="user", password="pass", **parameters)
    config["limits"] = {"connections_from_one_address": 10_000} | limits
    host = HostProcess(config, "--store", "memory")
    test.addCleanup(host.__exit__)
    host.start()
    return host, address_of(host.http)


def drip(peers, pieces, pause, seconds, until):
    """Sends one piece to each peer in turn; returns the seconds until the condition held."""
    begin = time.monotonic()
    while not until():
        if time.monotonic() > begin + seconds:
            raise AssertionError("it took too long")
        for peer in peers:
            if not peer.closed and not peer.answers:
                peer.send(next(pieces))
        pump(peers, pause, until)
    return time.monotonic() - begin


def forever(piece):
    while True:
        yield piece


class SlowSendersTest(unittest.TestCase):
    def test_hundreds_of_slow_heads_end_in_time_and_nobody_waits_for_them(self):
        host, address = serve(self, head_timeout_ms=1_500)
        memory = Memory(host)
        slow = [Peer(address) for _ in range(300)]
        quick = Peer(address)
        took = []

        def until():
            begin = time.monotonic()
            expected = len(quick.answers) + 1
            quick.send(ONE)
            self.assertTrue(pump([quick], 30, lambda: len(quick.answers) == expected))
            took.append(time.monotonic() - begin)
            return all(peer.answers for peer in slow)

        seconds = drip(slow, forever(b"P"), 0.1, 30, until)
        self.assertGreater(seconds, 1.0)
        self.assertLess(seconds, 10)
        self.assertEqual({peer.answers[0].status for peer in slow}, {408})
        self.assertLess(quantile(took, 0.9), 1.0)
        self.assertLess(memory.growth(), 300 * 24 * 1024 + 8 * MIB)
        self.assertTrue(pump(slow, 30, lambda: all(peer.closed for peer in slow)))

    def test_empty_lines_do_not_keep_a_connection(self):
        _, address = serve(self, head_timeout_ms=500)
        peer = Peer(address)
        drip([peer], forever(b"\r\n"), 0.1, 30, lambda: peer.answers or peer.closed)
        self.assertIn([answer.status for answer in peer.answers], ([400], [408], []))

    def test_bodies_under_500_bytes_a_second_and_readers_that_do_not_read_are_closed(self):
        """Both at the same time, because a slow body is given at least 5 seconds."""
        host, address = serve(self, {"duplication_key": "n"}, write_timeout_ms=2_000)
        memory = Memory(host)
        # Each answer is 2 MB long and creates no row.
        many = request(PATH, b"[" + b",".join([b'{"n":1}'] * 10_000) + b"]", Authorization=GOOD)
        self.assertEqual(ask(address, many).status, 200)
        # What they do not read counts for their address.
        lazy = [Peer(address, receive_buffer=8_192, source="127.0.5.1") for _ in range(20)]
        for peer in lazy:
            peer.reading = False
            peer.send(8 * many)
        slow = [Peer(address) for _ in range(100)]
        chunked = [Peer(address) for _ in range(100)]
        head = request(PATH, b"[", length=100_000, Authorization=GOOD)
        for peer in slow:
            peer.send(head)
        for peer in chunked:
            peer.send(head.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked")[:-1])
            peer.send(b"5000\r\n[")
        seconds = drip(
            slow + chunked + lazy[:1],
            forever(b" " * 10),
            0.1,
            30,
            lambda: all(peer.answers for peer in slow + chunked),
        )
        self.assertGreater(seconds, 4)
        self.assertLess(seconds, 15)
        self.assertEqual({peer.answers[0].status for peer in slow + chunked}, {408})
        for peer in lazy:
            peer.reading = True
        self.assertTrue(pump(lazy, 30, lambda: all(peer.closed for peer in lazy)))
        self.assertLess(max(len(peer.answers) for peer in lazy), 8)
        self.assertLess(memory.growth(), 160 * MIB)
        self.assertEqual(ask(address, ONE).status, 200)


class PipelinedFloodTest(unittest.TestCase):
    def test_answers_that_are_not_read_stop_the_reading_of_requests(self):
        host, address = serve(self, requests_of_a_connection=1_000_000)
        memory = Memory(host)
        piece = request("/", method="GET", body=b"")
        # More than the kernel's buffers take on either side.
        endless = Peer(address, receive_buffer=8_192)
        count = 20_000
        late = Peer(address, receive_buffer=8_192)
        for peer, pieces in ((endless, 400_000), (late, count)):
            peer.reading = False
            peer.send(pieces * piece)
        # Until nothing moves any more.
        before = None
        while before != (before := len(endless.out)):
            pump([endless, late], 0.3)
        self.assertGreater(before, 0)
        self.assertEqual(ask(address, ONE).status, 200)
        self.assertLess(memory.growth(), 8 * MIB)
        endless.reset()
        late.reading = True
        self.assertTrue(pump([late], 60, lambda: len(late.answers) == count))
        self.assertEqual({answer.status for answer in late.answers}, {404})

    def test_flood_on_one_connection_leaves_room_for_the_others(self):
        host, address = serve(self, requests_of_a_connection=1_000_000)
        count = 5_000
        flood = count * request("/", method="GET", body=b"")
        floods = [Peer(address).send(flood) for _ in range(8)]
        quick = Peer(address)
        took = []
        while not all(len(peer.answers) == count for peer in floods):
            begin = time.monotonic()
            expected = len(quick.answers) + 1
            quick.send(ONE)
            self.assertTrue(pump([quick] + floods, 30, lambda: len(quick.answers) == expected))
            took.append(time.monotonic() - begin)
        self.assertLess(quantile(took, 0.9), 3.0)

    def test_connection_ends_after_its_last_request_and_says_so(self):
        _, address = serve(self, requests_of_a_connection=100)
        peer = Peer(address).send(300 * request("/", method="GET", body=b""))
        self.assertTrue(pump([peer], 30, lambda: peer.closed))
        self.assertEqual(len(peer.answers), 100)
        self.assertEqual(peer.answers[-1].headers["connection"], "close")


if __name__ == "__main__":
    unittest.main()
