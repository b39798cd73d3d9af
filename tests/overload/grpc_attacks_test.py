"""Attacks on the gRPC address: idle connections, calls that are reset at once, a header without an
end. Front, listen port and control socket go on serving, and gRPC serves again afterwards."""

import struct
import subprocess
import time
import unittest

from host_process import HOST_STUB, HostProcess, configuration, listen_port
from peers import MIB, Memory, Peer, address_of, ask, basic, is_sanitized, pump, request

GOOD = basic("user:pass")
ONE = request("/instance/execute/webhook", b"{}", Authorization=GOOD)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, CONTINUATION = 0, 1, 3, 4, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A field that no table remembers (RFC 7541 section 6.2.2); texts shorter than 127 octets."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


CALL = b"".join(
    literal(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/long_running_integration.v1.LongRunningIntegration/Execute"),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
)


class GrpcAttacksTest(unittest.TestCase):
    def serve(self, prefix=(), **limits):
        port = listen_port()
        config = configuration("XSOAR_6", username="user", password="pass", **port)
        config["limits"] = limits
        host = HostProcess(config, "--store", "memory")
        host.prefix = list(prefix)
        self.addCleanup(host.__exit__)
        host.start()
        self.listen = (port["bind_address"], int(port["longRunningPort"]))
        return host

    def check_other_doors(self, host):
        self.assertEqual(ask(address_of(host.http), ONE).status, 200)
        self.assertEqual(ask(self.listen, request("/", b"{}", Authorization=GOOD)).status, 200)
        self.assertEqual(host.run("test", "webhook").stdout.strip(), b"ok")

    def call(self, host):
        command = ["execute", "webhook", "-d", "{}", "-u", "user:pass", "--connect", host.grpc]
        return subprocess.run([HOST_STUB, *command], capture_output=True, timeout=60).returncode

    def check_grpc_serves_again(self, host, seconds=30):
        end = time.monotonic() + seconds
        while self.call(host) != 0:
            self.assertLess(time.monotonic(), end, host.stderr())

    def test_idle_connections_take_no_descriptor_from_the_other_doors_and_go(self):
        host = self.serve(
            ["prlimit", "--nofile=200:200"],
            connections_from_one_address=1_000,
            tls_handshake_timeout_ms=3_000,
        )
        idle = [Peer(address_of(host.grpc)) for _ in range(400)]
        settled = lambda: sum(not peer.closed for peer in idle) < 100
        self.assertTrue(pump(idle, 30, settled))
        self.assertGreater(sum(not peer.closed for peer in idle), 10)
        self.check_other_doors(host)
        # Those that say nothing are closed, and their places are free.
        self.assertTrue(pump(idle, 30, lambda: all(peer.closed for peer in idle)))
        self.check_grpc_serves_again(host)

    def test_one_address_cannot_take_all_places(self):
        host = self.serve(connections_from_one_address=10)
        greedy = [Peer(address_of(host.grpc), source="127.0.9.9") for _ in range(50)]
        self.assertTrue(pump(greedy, 30, lambda: sum(not peer.closed for peer in greedy) == 10))
        self.assertEqual(self.call(host), 0)

    def test_calls_that_are_reset_at_once_end_at_the_memory_limit_and_grpc_recovers(self):
        limit = (700 if is_sanitized() else 0) * MIB + 192 * MIB
        host = self.serve(memory_soft_limit=limit)
        memory = Memory(host)
        for _ in range(2):
            flood = bytearray(PREFACE + frame(SETTINGS))
            for number in range(12_000):
                stream = 2 * number + 1
                flood += frame(HEADERS, END_HEADERS, stream, CALL)
                flood += frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
            peers = [Peer(address_of(host.grpc)).send(bytes(flood)) for _ in range(2)]
            pump(peers, 5, lambda: all(peer.closed for peer in peers))
            self.check_other_doors(host)
            for peer in peers:
                peer.close()
        self.assertLess(memory.growth(), limit + 128 * MIB)
        self.assertIn("memory_soft_limit", host.stderr())
        self.check_grpc_serves_again(host)

    def test_header_without_an_end_is_cut_off_and_others_are_served_meanwhile(self):
        host = self.serve(body_timeout_ms=1_000, answer_timeout_ms=1_000)
        # A text of 16 MiB is announced; it never comes to its end.
        begin = b"\x00\x7f" + b"\x81\xff\xff\x07"
        peer = Peer(address_of(host.grpc)).send(PREFACE + frame(SETTINGS))
        peer.send(frame(HEADERS, 0, 1, begin))
        end = time.monotonic() + 10
        others = 0
        while not peer.closed and time.monotonic() < end:
            peer.send(frame(CONTINUATION, 0, 1, b"x" * 4_000))
            pump([peer], 0.02, lambda: peer.closed)
            if others < 3:
                self.assertEqual(self.call(host), 0)
                others += 1
        self.assertTrue(peer.closed)
        self.check_other_doors(host)


if __name__ == "__main__":
    unittest.main()
