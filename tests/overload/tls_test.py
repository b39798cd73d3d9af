"""Floods of the listen port over TLS: handshakes that stall, fail, or come by the hundred."""

import os
import ssl
import tempfile
import time
import unittest

from host_process import HostProcess, configuration
from peers import (
    MIB,
    SANITIZER_BYTES,
    Memory,
    Peer,
    ask,
    basic,
    free_ports,
    is_sanitized,
    make_certificate,
    pump,
    quantile,
    request,
    trusting,
)

GOOD = basic("user:pass")
ONE = request("/", b"{}", Authorization=GOOD)


class TlsFloodTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        make_certificate(temporary.name)
        self.tls = trusting(temporary.name)
        self.address = ("127.0.0.1", free_ports(1)[0])
        config = configuration(
            "XSOAR_6",
            longRunningPort=str(self.address[1]),
            bind_address="127.0.0.1",
            username="user",
            password="pass",
            certificate_file=os.path.join(temporary.name, "certificate.pem"),
            key_file=os.path.join(temporary.name, "key.pem"),
        )
        config["limits"] = {
            "connections_from_one_address": 10_000,
            "tls_handshake_timeout_ms": 1_500,
            "head_timeout_ms": 1_500,
        }
        self.host = HostProcess(config, "--store", "memory")
        self.addCleanup(self.host.__exit__)
        self.host.start()
        self.assertEqual(ask(self.address, ONE, tls=self.tls).status, 200)
        self.memory = Memory(self.host)

    def client_hello(self):
        """The first octets of a handshake."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self.tls.wrap_bio(incoming, outgoing).do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()

    def test_stalled_handshakes_end_in_time_and_nobody_waits_for_them(self):
        hello = self.client_hello()
        stalled = []
        for octets in (b"", hello[:1], hello[:100], hello):
            stalled += [Peer(self.address).send(octets) for _ in range(150)]
        begin = time.monotonic()
        took = []
        while not all(peer.closed for peer in stalled):
            self.assertLess(time.monotonic() - begin, 20)
            asked = time.monotonic()
            self.assertEqual(ask(self.address, ONE, tls=self.tls).status, 200)
            took.append(time.monotonic() - asked)
            pump(stalled, 0.05)
        self.assertLess(quantile(took, 0.9), 1.2)
        self.assertLess(self.memory.growth(), 600 * 64 * 1024 + 8 * MIB)

    def test_what_is_no_tls_is_closed_at_once_without_an_answer(self):
        for octets in (b"\x16\x03\x01\xff\xff" + b"x" * 70_000, b"\x80" * 100_000, bytes(500)):
            peers = [Peer(self.address).send(octets) for _ in range(50)]
            self.assertTrue(pump(peers, 20, lambda: all(peer.closed for peer in peers)))
            # An alert at most.
            self.assertLess(max(len(peer.received) for peer in peers), 16)
        self.assertEqual(ask(self.address, ONE, tls=self.tls).status, 200)
        self.assertLess(self.memory.growth(), 24 * MIB)

    def test_plain_http_is_told_to_use_https(self):
        for request in (ONE, b"GET", b"DELETE / HTTP/1.1\r\n\r\n"):
            answer = ask(self.address, request)
            self.assertEqual(answer.status, 400)
            self.assertIn(b"this port speaks HTTPS", answer.octets)

    def test_flood_of_handshakes_leaves_room_for_an_open_connection(self):
        open_one = Peer(self.address, tls=self.tls).send(ONE)
        self.assertTrue(pump([open_one], 30, lambda: open_one.answers))
        took = []
        for _ in range(10):
            flood = [Peer(self.address, tls=self.tls) for _ in range(20)]
            begin = time.monotonic()
            expected = len(open_one.answers) + 1
            open_one.send(ONE)
            self.assertTrue(
                pump(flood + [open_one], 30, lambda: len(open_one.answers) == expected)
            )
            took.append(time.monotonic() - begin)
            pump(flood, 30, lambda: all(peer.handshaken for peer in flood))
            for peer in flood:
                peer.reset()
        # This includes the cost of the flood's own side, which runs on the same machine.
        self.assertLess(quantile(took, 0.9), 5.0)
        self.assertEqual({answer.status for answer in open_one.answers}, {200})
        self.assertLess(self.memory.growth(), 24 * MIB)

    def test_idle_tls_connections_give_their_buffers_back(self):
        count = 300
        idle = []
        for _ in range(count // 20):
            fresh = [Peer(self.address, tls=self.tls).send(ONE) for _ in range(20)]
            self.assertTrue(pump(fresh, 30, lambda: all(peer.answers for peer in fresh)))
            idle += fresh
        # A sanitizer keeps freed memory.
        limit = count * 32 * 1024 + (SANITIZER_BYTES if is_sanitized() else 0)
        pump(idle, 30, lambda: self.memory.now() - self.memory.before < limit)
        growth = self.memory.now() - self.memory.before
        print(f"{count} idle TLS connections: {growth / count:.0f} bytes of RSS each")
        self.assertLess(growth, limit)

    def test_slow_heads_inside_tls_end_in_time(self):
        slow = [Peer(self.address, tls=self.tls).send(ONE[:50]) for _ in range(50)]
        self.assertTrue(pump(slow, 20, lambda: all(peer.answers for peer in slow)))
        self.assertEqual({peer.answers[0].status for peer in slow}, {408})


if __name__ == "__main__":
    unittest.main()
