"""Attacks on the gRPC address: idle connections, calls that are reset at once, a header without an
end. Front, listen port and control socket go on serving, and gRPC serves again afterwards. And the
bounds that gRPC itself keeps, as a client sees them that speaks HTTP/2 by hand."""

import socket
import struct
import subprocess
import time
import unittest

from host_process import HOST_STUB, HostProcess, configuration, listen_port
from peers import MIB, Memory, Peer, address_of, ask, basic, is_sanitized, pump, request

GOOD = basic("user:pass")
ONE = request("/instance/execute/webhook", b"{}", Authorization=GOOD)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
RESOURCE_EXHAUSTED, UNAVAILABLE = b"8", b"14"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A field that no table remembers (RFC 7541 section 6.2.2); texts shorter than 127 octets."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def call_of(method):
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/long_running_integration.v1.LongRunningIntegration/" + method),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    return b"".join(literal(name, value) for name, value in fields)


CALL = call_of(b"Execute")
OPEN = frame(HEADERS, END_HEADERS, 1, call_of(b"ExecuteStream"))  # stays open


class Client:
    """A connection to the gRPC address, after the host's settings. Acknowledges settings, and pings
    unless it is `silent`; keeps the other frames as (kind, payload)."""

    def __init__(self, test, host, silent=False):
        self.silent = silent
        self.socket = socket.create_connection(address_of(host.grpc), timeout=30)
        test.addCleanup(self.socket.close)
        self.received = b""
        self.frames = []
        self.closed = False
        self.settings = None
        self.begun = time.monotonic()
        self.send(PREFACE + frame(SETTINGS))
        test.assertTrue(self.read(lambda: self.settings is not None))

    def send(self, octets):
        try:
            self.socket.sendall(octets)
        except OSError:
            self.closed = True
        return self

    def read(self, until=lambda: False, seconds=30):
        """Reads until `until()` holds, the connection is closed, or the time is over; is it `until()`?"""
        end = time.monotonic() + seconds
        while not until() and not self.closed:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                octets = self.socket.recv(65536)
            except socket.timeout:
                break
            except OSError:
                octets = b""
            self.closed = not octets
            self.received += octets
            while len(self.received) >= 9:
                length = int.from_bytes(self.received[:3], "big")
                if len(self.received) < 9 + length:
                    break
                self.take(*self.received[3:5], self.received[9 : 9 + length])
                self.received = self.received[9 + length :]
        return until()

    def take(self, kind, flags, payload):
        if kind == SETTINGS and not flags & ACK:
            self.settings = dict(struct.iter_unpack(">HI", payload))
            self.send(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK and not self.silent:
            self.send(frame(PING, ACK, 0, payload))
        self.frames.append((kind, payload))

    def count(self, kind):
        return sum(kind == one for one, _ in self.frames)

    def reads_close(self, within=20):
        self.read(seconds=within)
        return self.closed

    def serves(self):
        """Whether a ping is answered. Not before the connection has sent anything."""
        before = self.count(PING)
        self.send(frame(PING, 0, 0, b"serving?"))
        return self.read(lambda: self.count(PING) > before)

    def status(self):
        """That of the first call that ended, or None."""
        for kind, payload in self.frames:
            _, found, rest = payload.partition(b"grpc-status")
            if kind == HEADERS and found:
                return rest[1 : 1 + rest[0]]
        return None


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
        # Each connection that ended so is told of, with its peer.
        refused = host.run_json("refusals", "--reason", "memory")
        self.assertEqual({(one["via"], one["peer"]) for one in refused}, {("grpc", "127.0.0.1")})
        self.assertIn("(memory)", host.stderr())
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
        [refused] = host.run_json("refusals", "--reason", "timeout_body")
        self.assertEqual((refused["via"], refused["peer"], refused["status"]), ("grpc", "127.0.0.1", 0))
        self.assertIn("body_timeout_ms", refused["detail"])
        self.assertIn("(timeout_body)", host.stderr())
        self.assertEqual(host.run_json("status")["refusals"], {"timeout_body": 1})
        self.check_other_doors(host)

    def test_metadata_above_its_limit_is_refused_and_below_it_is_taken(self):
        host = self.serve(grpc_metadata_bytes=4_096)
        empty = frame(DATA, END_STREAM, 1, b"\0\0\0\0\0")
        # A field counts 32 octets more than its texts (RFC 9113 section 6.5.2).
        for fields, refused in ((20, False), (40, True)):
            metadata = b"".join(literal(b"x", b"v" * 100) for _ in range(fields))
            client = Client(self, host)
            self.assertEqual(client.settings[6], 4_096)
            client.send(frame(HEADERS, END_HEADERS, 1, CALL + metadata) + empty)
            self.assertTrue(client.read(lambda: client.status() is not None))
            self.assertEqual(client.status() == RESOURCE_EXHAUSTED, refused, client.frames)
        self.assertEqual(self.call(host), 0)

    def test_third_early_ping_closes_the_connection_with_and_without_a_call(self):
        host = self.serve(grpc_least_ping_ms=3_600_000)
        # Whatever the host sends of a call, its window for example, forgives the pings before it.
        for begin, more in ((b"", 1), (OPEN, 20)):
            client = Client(self, host).send(begin)
            self.assertTrue(all(client.serves() for _ in range(3)), client.frames)  # one not early
            client.send(more * frame(PING, 0, 0, b"too many"))
            self.assertTrue(client.reads_close())
            goodbyes = [payload[8:] for kind, payload in client.frames if kind == GOAWAY]
            self.assertEqual(goodbyes, [b"too_many_pings"])
        self.assertEqual(self.call(host), 0)

    def test_pings_that_come_late_enough_are_answered(self):
        host = self.serve(grpc_least_ping_ms=1)
        client = Client(self, host)
        for _ in range(10):
            self.assertTrue(client.serves())
            time.sleep(0.002)

    def test_connection_without_a_call_is_closed_and_one_with_a_call_is_not(self):
        host = self.serve(grpc_idle_timeout_ms=1_000)
        idle, busy = Client(self, host), Client(self, host).send(OPEN)
        self.assertTrue(idle.reads_close())
        self.assertGreater(time.monotonic() - idle.begun, 0.9)
        self.assertGreater(idle.count(GOAWAY), 0)
        self.assertTrue(busy.serves())

    def test_connection_and_stream_end_at_their_age(self):
        host = self.serve(grpc_age_ms=1_000)
        quiet, busy = Client(self, host), Client(self, host).send(OPEN)
        for client in (quiet, busy):
            self.assertTrue(client.reads_close())
            self.assertGreater(time.monotonic() - client.begun, 0.8)
            self.assertGreater(client.count(GOAWAY), 0)
        self.assertEqual(busy.status(), UNAVAILABLE)
        self.assertEqual(self.call(host), 0)

    def test_connection_that_leaves_pings_unanswered_is_closed(self):
        host = self.serve(grpc_keepalive_ms=1_000, grpc_keepalive_timeout_ms=1_000)
        gone = Client(self, host, silent=True)
        self.assertTrue(gone.reads_close())
        self.assertEqual(gone.count(PING), 1)
        there = Client(self, host)
        self.assertTrue(there.read(lambda: there.count(PING) == 2))

    def test_streams_above_their_limit_close_the_connection(self):
        host = self.serve(grpc_streams_of_a_connection=2)
        client = Client(self, host)
        self.assertEqual(client.settings[3], 2)
        self.assertTrue(client.serves())  # so the host knows that the client knows
        for stream in (1, 3):
            client.send(frame(HEADERS, END_HEADERS, stream, call_of(b"ExecuteStream")))
        self.assertTrue(client.serves())
        client.send(frame(HEADERS, END_HEADERS, 5, call_of(b"ExecuteStream")))
        self.assertTrue(client.reads_close())
        self.assertEqual(self.call(host), 0)


if __name__ == "__main__":
    unittest.main()
