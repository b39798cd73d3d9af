"""Small requests that try to become large: headers, compressed bodies, lengths."""

import gzip
import time
import unittest
import zlib

import brotli
import zstandard
from host_process import HostProcess, configuration
from peers import MIB, Memory, Peer, address_of, ask, basic, pump, request

PATH = "/xsoar/instance/execute/webhook"
GOOD = basic("user:pass")
ONE = request(PATH, b"{}", Authorization=GOOD)


def serve(test, *options, **limits):
    config = configuration("XSOAR_8_ON_PREM", username="user", password="pass")
    config["limits"] = {"connections_from_one_address": 10_000} | limits
    host = HostProcess(config, *options)
    test.addCleanup(host.__exit__)
    host.start()
    address = address_of(host.http)
    test.assertEqual(ask(address, ONE).status, 200)
    return host, address


class HeaderFloodTest(unittest.TestCase):
    def setUp(self):
        self.host, self.address = serve(self, stored_header_bytes=16 * MIB)
        self.memory = Memory(self.host)

    def check_all(self, octets, status, peers=100):
        flood = [Peer(self.address).send(octets) for _ in range(peers)]
        begin = time.monotonic()
        self.assertTrue(pump(flood, 30, lambda: all(peer.closed for peer in flood)))
        self.assertLess(time.monotonic() - begin, 10)
        answers = [answer for peer in flood for answer in peer.answers]
        # A sender that goes on after the refusal may lose it to the reset.
        self.assertLessEqual({answer.status for answer in answers}, {status})
        self.assertTrue(answers)
        self.assertEqual(ask(self.address, ONE).status, 200)

    def test_many_long_repeated_and_endless_headers_are_431_and_cost_little(self):
        start = f"POST {PATH} HTTP/1.1\r\nHost: a\r\n".encode()
        self.check_all(start + b"".join(b"X-%d: 1\r\n" % i for i in range(10_000)), 431)
        self.check_all(start + 10_000 * b"X-Same: 1\r\n", 431)
        self.check_all(start + b"X-Long: " + b"x" * MIB, 431)
        self.check_all(start + b"x" * MIB, 431)
        self.check_all(b"POST /" + b"x" * MIB, 414)
        self.assertLess(self.memory.growth(), 48 * MIB)

    def test_headers_times_incidents_past_the_limit_are_413_at_once(self):
        """Fault 8 of the integration that this one replaces: 2.3 GB and 19 s."""
        names = {f"X-Filler-{i}": "x" * 1_000 for i in range(60)}
        body = b"[" + b",".join([b"{}"] * 5_000) + b"]"
        octets = request(PATH, body, Authorization=GOOD, **names)
        begin = time.monotonic()
        flood = [Peer(self.address).send(octets) for _ in range(50)]
        self.assertTrue(pump(flood, 30, lambda: all(peer.answers for peer in flood)))
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual({peer.answers[0].status for peer in flood}, {413})
        self.assertLess(self.memory.growth(), 32 * MIB)

    def test_headers_times_incidents_within_the_limit_are_created_or_503_in_bounded_memory(self):
        names = {f"X-Filler-{i}": "x" * 1_000 for i in range(60)}
        body = b"[" + b",".join([b"{}"] * 250) + b"]"
        octets = request(PATH, body, Authorization=GOOD, **names)
        flood = [Peer(self.address).send(octets) for _ in range(8)]
        self.assertTrue(pump(flood, 60, lambda: all(peer.answers for peer in flood)))
        statuses = {peer.answers[0].status for peer in flood}
        self.assertIn(200, statuses)
        self.assertLessEqual(statuses, {200, 503})
        self.assertLess(self.memory.growth(), 128 * MIB)


def brotli_of(pieces):
    packer = brotli.Compressor(quality=9, lgwin=24)
    return b"".join(packer.process(piece) for piece in pieces) + packer.finish()


def zstd_of(pieces, **options):
    packer = zstandard.ZstdCompressor(**options).compressobj()
    return b"".join(packer.compress(piece) for piece in pieces) + packer.flush()


def deflate(text, wbits):
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return packer.compress(text) + packer.flush()


class BombsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        zeros = bytes(MIB)
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        cls.bomb = b"".join(packer.compress(zeros) for _ in range(256)) + packer.flush()
        cls.brotli = brotli_of(256 * [zeros])
        cls.zstd = zstd_of(256 * [zeros], level=19)
        cls.raw_deflate = deflate(b" " * (32 * MIB), -15)
        cls.deflate = deflate(b" " * (32 * MIB), 15)

    def setUp(self):
        self.host, self.address = serve(self, "--store", "memory")
        self.memory = Memory(self.host)

    def check(self, body, coding, statuses, peers=20):
        octets = request(PATH, body, Authorization=GOOD, Content_Encoding=coding)
        flood = [Peer(self.address).send(octets) for _ in range(peers)]
        begin = time.monotonic()
        self.assertTrue(pump(flood, 60, lambda: all(peer.answers for peer in flood)))
        self.assertLess(time.monotonic() - begin, 20)
        seen = {peer.answers[0].status for peer in flood}
        self.assertLessEqual(seen, statuses)
        for peer in flood:
            peer.close()

    def test_thousand_bytes_in_one_of_gzip_are_413_and_are_never_unpacked(self):
        self.assertLess(len(self.bomb) * 1_000, 257 * MIB)
        self.check(self.bomb, "gzip", {413, 503})
        self.assertLess(self.memory.growth(), 128 * MIB)

    def test_deflate_bombs_are_413(self):
        self.check(self.deflate, "deflate", {413, 503})
        self.check(self.raw_deflate, "deflate", {413, 503, 400})
        self.assertLess(self.memory.growth(), 128 * MIB)

    def test_brotli_bombs_of_a_million_bytes_in_one_are_413(self):
        self.assertLess(len(self.brotli) * 1_000_000, 256 * MIB)
        self.check(self.brotli, "br", {413, 503})
        self.check(brotli_of([b"[" + b"{}," * 2_000_000 + b"{}]"]), "br", {413, 503}, peers=10)
        self.assertLess(self.memory.growth(), 192 * MIB)

    def test_zstd_bombs_are_413(self):
        self.assertLess(len(self.zstd) * 10_000, 256 * MIB)
        self.check(self.zstd, "zstd", {413, 503})
        self.check(zstd_of([b"[" + b"{}," * 2_000_000 + b"{}]"]), "zstd", {413, 503}, peers=10)
        self.assertLess(self.memory.growth(), 192 * MIB)

    def test_window_that_is_announced_costs_nothing(self):
        """A frame of a dozen bytes may announce 2 TiB; RFC 9659 permits 8 MiB."""
        for exponent, status in (13, 200), (14, 400), (20, 400), (31, 400):
            frame = b"\x28\xb5\x2f\xfd\x00" + bytes([exponent << 3]) + b"\x11\x00\x00{}"
            self.check(frame, "zstd", {status}, peers=50)
        large = brotli.Compressor(quality=1, lgwin=24)
        self.check(large.process(b"{}") + large.finish(), "br", {200}, peers=50)
        self.check(b"\x11\x1e" + bytes(10), "br", {400}, peers=50)  # a window of 1 GiB
        self.assertLess(self.memory.growth(), 32 * MIB)

    def test_members_behind_one_another_are_no_way_around(self):
        spaces = b" " * 100_000
        self.check(gzip.compress(spaces) * 2_000, "gzip", {400, 413})
        self.check(gzip.compress(b"") * 40_000, "gzip", {400, 413})
        self.check(zstandard.compress(spaces) * 20_000, "zstd", {400, 413})
        self.check(zstandard.compress(b"") * 80_000, "zstd", {400, 413})
        self.assertLess(self.memory.growth(), 128 * MIB)

    def test_bomb_in_a_bomb_is_not_opened(self):
        self.check(gzip.compress(self.bomb), "gzip", {400, 413})
        self.check(gzip.compress(self.bomb), "gzip, gzip", {415, 413})
        self.check(zstandard.compress(self.brotli), "br, zstd", {415})
        self.assertLess(self.memory.growth(), 128 * MIB)

    def test_members_that_must_be_renamed_cannot_multiply(self):
        """945 KiB of gzip took 210 MiB."""
        # Numbers that differ, so that the ratio of expansion is no bound.
        members = [b',"headers":%d' % (i * 7919 % 1_000_003) for i in range(800_000)]
        spread = [b'{"a":1' + b"".join(members[i : i + 90]) + b"}" for i in range(0, 800_000, 90)]
        for body in b'{"a":1' + b"".join(members) + b"}", b"[" + b",".join(spread) + b"]":
            octets = gzip.compress(body, 1)
            self.assertLess(len(body), 16 * MIB)
            self.assertGreater(len(octets) * 100, len(body))
            self.check(octets, "gzip", {413, 503}, peers=8)
        self.assertLess(self.memory.growth(), 128 * MIB)

    def test_json_bombs_end_in_time_within_bounds(self):
        self.check(b"[" * MIB, "identity", {400, 503})
        self.check(b'{"a":' * 100_000, "identity", {400, 503})
        self.check(gzip.compress(b"[" + b"{}," * 2_000_000 + b"{}]"), "gzip", {413, 503}, peers=10)
        self.assertLess(self.memory.growth(), 192 * MIB)

    def test_huge_lengths_are_refused_before_a_byte_is_read(self):
        for length in (8 * MIB + 1, 10**12, 2**63, 2**64 - 1, 2**64, 10**40):
            octets = request(PATH, b"", length=length, Authorization=GOOD)
            peer = Peer(self.address).send(octets)
            self.assertTrue(pump([peer], 30, lambda: peer.closed))
            self.assertIn(peer.answers[0].status, (400, 413))
        for size in (b"ffffffffffffffff", b"7fffffffffffffff", b"800001", b"1" * 100):
            octets = request(PATH, b"", Authorization=GOOD)
            octets = octets.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
            peer = Peer(self.address).send(octets + size + b"\r\n{")
            self.assertTrue(pump([peer], 30, lambda: peer.closed))
            self.assertIn(peer.answers[0].status, (400, 413))
        self.assertLess(self.memory.growth(), 8 * MIB)


if __name__ == "__main__":
    unittest.main()
