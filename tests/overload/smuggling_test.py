"""Requests that two readers could read differently: they are refused, and the connection is closed.

Every test runs at each door of a host; none may create more incidents than its answers say.
"""

import gzip
import unittest

import brotli
import zstandard
from doors import FRONT_PATH, open_doors
from peers import Peer, ask, basic, pump, request
from proxies import open_proxies

GOOD = basic("user:pass")
SECONDS = 20


class DoorsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host, cls.doors = open_doors(
            cls,
            {"username": "user", "password": "pass"},
            head_timeout_ms=800,
            body_timeout_ms=800,
            linger_timeout_ms=500,
        )

    def setUp(self):
        self.before = self.created()

    def created(self):
        incidents = self.host.run_json("incidents", "list", "--limit", "1")
        return int(incidents[0]["id"]) if incidents else 0

    def check_created(self, count):
        self.assertEqual(self.created() - self.before, count)

    def play(self, door, octets, then=b""):
        """What comes back until the server closes; we do not close our side."""
        peer = Peer(door.address, tls=door.tls).send(octets)
        if then:
            pump([peer], SECONDS, lambda: peer.answers or peer.interim or peer.closed)
            peer.send(then)
        pump([peer], SECONDS, lambda: peer.closed)
        peer.close()
        self.assertEqual(peer.received, b"")
        return peer.answers

    def stays_open(self, door, octets, count):
        peer = Peer(door.address, tls=door.tls).send(octets)
        self.assertTrue(pump([peer], SECONDS, lambda: len(peer.answers) == count), peer.answers)
        self.assertFalse(pump([peer], 0.05, lambda: peer.closed or len(peer.answers) > count))
        peer.close()
        return [answer.status for answer in peer.answers]


class AmbiguousFramingTest(DoorsTest):
    def test_each_is_refused_the_connection_closed_and_what_follows_never_read(self):
        start = "POST PATH HTTP/1.1\r\n"
        host = "Host: localhost\r\n"
        known = f"Authorization: {GOOD}\r\n"
        chunked = start + host + known + "Transfer-Encoding: chunked\r\n\r\n"
        ambiguous = {
            "two lengths": start
            + host
            + known
            + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            "two equal lengths": start + host + known + 2 * "Content-Length: 2\r\n" + "\r\n{}",
            "a list of lengths": start + host + known + "Content-Length: 2, 2\r\n\r\n{}",
            "a length with a sign": start + host + known + "Content-Length: +2\r\n\r\n{}",
            "a length in hex": start + host + known + "Content-Length: 0x2\r\n\r\n{}",
            "a length and chunked": start
            + host
            + known
            + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "chunked twice": start
            + host
            + known
            + 2 * "Transfer-Encoding: chunked\r\n"
            + "\r\n0\r\n\r\n",
            "chunked, identity": start
            + host
            + known
            + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "xchunked": start + host + known + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "a vertical tab before chunked": start
            + host
            + known
            + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
            "a blank before the colon": start
            + host
            + known
            + "Content-Length : 2\r\n\r\n{}",
            "obs-fold": start + host + known + "X-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\n{}",
            "a folded first line": start + " " + host + known + "Content-Length: 2\r\n\r\n{}",
            "bare CR": start + host + known + "X-A: 1\rContent-Length: 2\r\n\r\n",
            "bare LF": start + host + known + "X-A: 1\nContent-Length: 2\r\n\r\n{}",
            "bare LF at the end": start + host + known + "Content-Length: 2\r\n\n{}",
            "NUL in a value": start + host + known + "X-A: 1\0\r\nContent-Length: 2\r\n\r\n{}",
            "NUL in the target": start.replace("PATH", "PATH\0") + host + known + "\r\n",
            "no Host": start + known + "Content-Length: 2\r\n\r\n{}",
            "two Hosts": start + host + host + known + "Content-Length: 2\r\n\r\n{}",
            "a Host with a path": start + "Host: a/b\r\n" + known + "Content-Length: 2\r\n\r\n{}",
            "a Host with an at sign": start
            + "Host: a@b\r\n"
            + known
            + "Content-Length: 2\r\n\r\n{}",
            "an empty Host": start + "Host: \r\n" + known + "Content-Length: 2\r\n\r\n{}",
            "bare LF in a chunk size": chunked + "2\n{}\r\n0\r\n\r\n",
            "bare CR in a chunk size": chunked + "2\r{}\r\n0\r\n\r\n",
            "bare LF after a chunk": chunked + "2\r\n{}\n0\r\n\r\n",
            "bare LF in an extension": chunked + "2;a\n{}\r\n0\r\n\r\n",
            "bare LF in a trailer": chunked + "2\r\n{}\r\n0\r\nX: 1\n\r\n",
            "a chunk longer than its size": chunked + "2\r\n{}}\r\n0\r\n\r\n",
            "a chunk size with a sign": chunked + "+2\r\n{}\r\n0\r\n\r\n",
            "a chunk size in 0x": chunked + "0x2\r\n{}\r\n0\r\n\r\n",
            "a chunk size past 2^64": chunked + "10000000000000002\r\n{}\r\n0\r\n\r\n",
            "a negative chunk size": chunked + "-2\r\n{}\r\n0\r\n\r\n",
            "a folded trailer": chunked + "2\r\n{}\r\n0\r\nX: 1\r\n y\r\n\r\n",
            "chunked in HTTP/1.0": chunked.replace("1.1", "1.0") + "2\r\n{}\r\n0\r\n\r\n",
            "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "HTTP/1.2": start.replace("1.1", "1.2") + host + known + "Content-Length: 2\r\n\r\n{}",
            "HTTP/0.9": "GET PATH\r\n\r\n",
            "two blanks": start.replace(" HTTP", "  HTTP") + host + known + "\r\n",
            "a tab": start.replace(" HTTP", "\tHTTP") + host + known + "\r\n",
        }
        for door in self.doors:
            hidden = request(door.path, b"{}", Authorization=GOOD)
            for name, text in ambiguous.items():
                with self.subTest(f"{door.name}: {name}"):
                    octets = text.replace("PATH", door.path).encode("latin-1")
                    answers = self.play(door, octets + hidden)
                    self.assertEqual(len(answers), 1)
                    self.assertIn(answers[0].status, (400, 501, 505))
                    self.assertEqual(answers[0].headers["connection"], "close")
        self.check_created(0)


class EarlyRefusalTest(DoorsTest):
    def hidden(self, door):
        return request(door.path, b"{}", Authorization=GOOD)

    def test_body_of_a_401_is_thrown_away_not_read_as_a_request(self):
        for door in self.doors:
            wrong = request(door.path, self.hidden(door))
            with self.subTest(door.name):
                self.assertEqual(self.stays_open(door, wrong + self.hidden(door), 2), [401, 200])
        self.check_created(len(self.doors))

    def test_long_or_chunked_body_of_a_401_ends_the_connection(self):
        for door in self.doors:
            long = request(door.path, b"", length=200_000) + self.hidden(door) * 1_000
            chunked = request(door.path, b"").replace(
                b"Content-Length: 0", b"Transfer-Encoding: chunked"
            )
            hidden = self.hidden(door)
            chunked += b"%x\r\n" % len(hidden) + hidden + b"\r\n0\r\n\r\n" + hidden
            for octets in (long, chunked):
                with self.subTest(door.name):
                    answers = self.play(door, octets)
                    self.assertEqual([answer.status for answer in answers], [401])
                    self.assertEqual(answers[0].headers["connection"], "close")
        self.check_created(0)

    def test_short_body_of_a_401_that_never_comes_ends_with_its_time(self):
        for door in self.doors:
            with self.subTest(door.name):
                answers = self.play(door, request(door.path, b"{", length=1_000))
                self.assertEqual([answer.status for answer in answers], [401])

    def test_body_of_a_get_is_no_request(self):
        for door in self.doors:
            octets = request(door.path, self.hidden(door), method="GET", Authorization=GOOD)
            with self.subTest(door.name):
                self.assertEqual(self.stays_open(door, octets, 1), [405])
        self.check_created(0)


class ExpectTest(DoorsTest):
    def test_strangers_are_refused_without_100_and_what_they_send_is_not_read(self):
        for door in self.doors:
            octets = request(door.path, b"", length=2, Expect="100-continue")
            hidden = request(door.path, b"{}", Authorization=GOOD)
            with self.subTest(door.name):
                peer = Peer(door.address, tls=door.tls).send(octets)
                self.assertTrue(pump([peer], SECONDS, lambda: peer.answers))
                peer.send(hidden)
                self.assertTrue(pump([peer], SECONDS, lambda: peer.closed))
                self.assertEqual([answer.status for answer in peer.answers], [401])
                self.assertEqual(peer.interim, 0)
        self.check_created(0)

    def test_100_comes_once_and_a_body_that_never_follows_is_408(self):
        for door in self.doors:
            octets = request(door.path, b"", length=2, Authorization=GOOD, Expect="100-continue")
            with self.subTest(door.name):
                peer = Peer(door.address, tls=door.tls).send(octets)
                self.assertTrue(pump([peer], SECONDS, lambda: peer.closed))
                self.assertEqual((peer.interim, peer.answers[0].status), (1, 408))

    def test_other_expectations_are_417(self):
        for door in self.doors:
            octets = request(door.path, b"{}", Authorization=GOOD, Expect="x, 200-ok")
            with self.subTest(door.name):
                self.assertEqual([a.status for a in self.play(door, octets)], [417])

    def test_empty_expectation_expects_nothing_and_a_list_is_as_strict_as_one(self):
        for door in self.doors:
            hidden = request(door.path, b"{}", Authorization=GOOD)
            for value in ("", ",", "x, 100-continue", "100-continue, 100-continue"):
                with self.subTest(f"{door.name}: {value}"):
                    good = request(door.path, b"{}", Authorization=GOOD, Expect=value)
                    self.assertEqual(self.stays_open(door, good + good, 2), [200, 200])
                    if "100" not in value:
                        continue
                    # The body of a stranger may come or not: what follows is not read.
                    wrong = request(door.path, b"", length=2, Expect=value)
                    self.assertEqual([a.status for a in self.play(door, wrong + hidden)], [401])
        self.check_created(8 * len(self.doors))

    def test_flood_of_expectations_with_their_bodies_is_answered_one_by_one(self):
        for door in self.doors:
            octets = request(door.path, b"{}", Authorization=GOOD, Expect="100-continue")
            with self.subTest(door.name):
                self.assertEqual(self.stays_open(door, 200 * octets, 200), [200] * 200)
        self.check_created(200 * len(self.doors))


class TrailersTest(DoorsTest):
    def chunked(self, door, after, **headers):
        head = request(door.path, b"", **headers)
        return head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + after

    def test_credentials_in_trailers_never_count(self):
        after = b"2\r\n{}\r\n0\r\nAuthorization: " + GOOD.encode() + b"\r\n\r\n"
        for door in self.doors:
            with self.subTest(door.name):
                answers = self.play(door, self.chunked(door, after))
                self.assertEqual([answer.status for answer in answers], [401])
        self.check_created(0)

    def test_trailers_change_nothing_and_are_not_stored(self):
        after = b"2\r\n{}\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\n"
        after += b"X-Late: planted\r\n\r\n"
        for door in self.doors:
            octets = self.chunked(door, after, Authorization=GOOD)
            with self.subTest(door.name):
                self.assertEqual(self.stays_open(door, 2 * octets, 2), [200, 200])
                self.assertNotIn("planted", self.host.incident(self.created())["details_text"])

    def test_many_or_long_trailers_are_431(self):
        for trailers in (10_000 * b"X: 1\r\n", b"X: " + b"x" * 200_000 + b"\r\n"):
            for door in self.doors:
                octets = self.chunked(door, b"2\r\n{}\r\n0\r\n" + trailers, Authorization=GOOD)
                with self.subTest(door.name):
                    self.assertEqual([a.status for a in self.play(door, octets)], [431])
        self.check_created(0)

    def test_chunks_that_are_all_extension_are_413(self):
        for after in (b"1;" + b"a" * 200_000, 2_000 * (b"1;" + b"a" * 100 + b"\r\n \r\n")):
            for door in self.doors:
                octets = self.chunked(door, after, Authorization=GOOD)
                with self.subTest(door.name):
                    self.assertEqual([a.status for a in self.play(door, octets)], [413])
        self.check_created(0)


class OtherWaysTest(DoorsTest):
    def statuses(self, door, octets):
        return [answer.status for answer in self.play(door, octets)]

    def test_http_1_0_is_answered_once_and_closed_whatever_it_asks_for(self):
        for door in self.doors:
            octets = request(door.path, b"{}", Authorization=GOOD, Connection="keep-alive")
            with self.subTest(door.name):
                octets = octets.replace(b"HTTP/1.1", b"HTTP/1.0")
                self.assertEqual(self.statuses(door, 2 * octets), [200])
        self.check_created(len(self.doors))

    def test_upgrades_are_not_taken_up(self):
        for door in self.doors:
            for protocol in ("websocket", "h2c", "TLS/1.0"):
                octets = request(
                    door.path, b"{}", Authorization=GOOD, Connection="Upgrade", Upgrade=protocol
                )
                with self.subTest(f"{door.name}: {protocol}"):
                    self.assertEqual(self.stays_open(door, 2 * octets, 2), [200, 200])

    def test_trace_echoes_nothing_and_connect_opens_nothing(self):
        for door in self.doors:
            for method, target in (
                ("TRACE", door.path),
                ("CONNECT", "localhost:80"),
                ("CONNECT", door.path),
            ):
                octets = request(target, b"", method=method, Authorization=GOOD, X_Secret="planted")
                with self.subTest(f"{door.name}: {method} {target}"):
                    answer = ask(door.address, octets, tls=door.tls)
                    self.assertIn(answer.status, (400, 404, 405))
                    self.assertNotIn(b"planted", answer.octets)

    def test_absolute_form_names_the_same_paths_and_no_credentials(self):
        for door in self.doors:
            with self.subTest(door.name):
                good = request("http://other.example:99" + door.path, b"{}", Authorization=GOOD)
                self.assertEqual(ask(door.address, good, tls=door.tls).status, 200)
                for target in (
                    "http://user:pass@localhost" + door.path,
                    "ftp://localhost" + door.path,
                    "//localhost" + door.path,
                    "http://" + door.path,
                    "http:" + door.path,
                ):
                    octets = request(target, b"{}", Authorization=GOOD)
                    self.assertIn(ask(door.address, octets, tls=door.tls).status, (400, 404))
        self.check_created(len(self.doors))

    def test_other_spellings_of_a_path_lead_nowhere(self):
        """Nor does any reach the instance that is not open to the outside."""
        front, port, _ = self.doors
        folder, name = FRONT_PATH.rsplit("/", 1)
        spellings = {
            front: [
                f"{folder}%2fwebhook",
                f"{folder}/%77ebhook%2e",
                f"{folder}/%2577ebhook",
                f"{folder}/%77ebhook/..",
                f"{folder}/x/%2e%2e/webhook",
                f"{FRONT_PATH}%2f",
                f"{FRONT_PATH}%00",
                f"{FRONT_PATH};x",
                f"{FRONT_PATH}/x",
                f"{FRONT_PATH}//",
                f"{FRONT_PATH}/../inside",
                f"{FRONT_PATH}/..%2finside",
                f"{folder}/./webhook",
                f"{folder}/x/../webhook",
                f"{folder}//webhook",
                f"//{FRONT_PATH}",
                f"{folder}/WEBHOOK",
                f"{folder}/",
                f"{folder}/..",
                "/",
                "*",
            ],
            port: ["/x", "///", "/..", "/%2e", "/%2f", "/;x", FRONT_PATH, "*"],
        }
        for door, paths in spellings.items():
            for path in paths:
                with self.subTest(f"{door.name}: {path}"):
                    octets = request(path, b"{}", Authorization=GOOD)
                    self.assertIn(ask(door.address, octets).status, (400, 404))
        for path in (f"{folder}/inside", f"{folder}/insid%65/", f"/{folder}/inside?x"):
            octets = request(path, b"{}", Authorization=GOOD)
            self.assertEqual(ask(front.address, octets).status, 403)
        self.check_created(0)


class ProxiesTest(DoorsTest):
    """Each leniency, through real proxies that keep their connections to the front: what one reader
    takes for a body must not be another's request."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxies = open_proxies(cls, cls.doors[0].address)

    victims = own_requests = 0

    def check(self, name, octets, expected, seconds=0.02):
        """The probe, and after it another sender, who must get its own answer."""
        for proxy, address in self.proxies.items():
            with self.subTest(f"{proxy}: {name}"):
                peer = Peer(address).send(octets)
                pump([peer], SECONDS, lambda: peer.answers or peer.closed)
                pump([peer], seconds, lambda: peer.closed)
                type(self).own_requests += sum(b"smuggled" in one.body for one in peer.answers)
                statuses = [answer.status for answer in peer.answers]
                self.assertIn(statuses[:1], [[status] for status in expected], statuses)
                type(self).victims += 1
                own = f"victim {self.victims}"
                sent = request(FRONT_PATH, b'{"name":"%s"}' % own.encode(), Authorization=GOOD)
                answer = ask(address, sent)
                self.assertEqual(answer.status, 200)
                self.assertIn(own.encode(), answer.body)
                peer.close()

    def check_nothing_was_smuggled(self):
        names = [one["name"] for one in self.host.run_json("incidents", "list", "--limit", "1000")]
        # Where the framing is gone for all readers, it is the sender's own next request.
        self.assertEqual(names.count("smuggled"), self.own_requests)

    def hidden(self):
        return request(FRONT_PATH, b'{"name":"smuggled"}', Authorization=GOOD)

    def test_expectations_smuggle_nothing(self):
        hidden = self.hidden()
        for value in ("", ",", "x, 100-continue", "100-continue, 100-continue"):
            octets = request(FRONT_PATH, hidden, Authorization=GOOD, Expect=value)
            self.check(f"known, {value!r}", octets, (400, 417))
            octets = request(FRONT_PATH, hidden, Expect=value)
            self.check(f"stranger, {value!r}", octets, (401, 417))
            octets = request(FRONT_PATH, b"{}", Authorization=GOOD, Expect=value)
            self.check(f"good, {value!r}", octets, (200,))
        self.check_nothing_was_smuggled()

    def test_codings_smuggle_nothing(self):
        hidden = self.hidden()
        members = gzip.compress(b"[{},") + gzip.compress(b"{}]")
        for coding, body, expected in (
            ("gzip", members, 200),
            ("gzip", members + hidden, 400),
            ("gzip", gzip.compress(b"{}") + gzip.compress(hidden), 400),
            ("zstd", zstandard.compress(b"[{},") + zstandard.compress(b"{}]"), 200),
            ("zstd", zstandard.compress(b"{}") + hidden, 400),
            ("zstd", zstandard.compress(b"{}") + zstandard.compress(hidden), 400),
            ("br", brotli.compress(b"{}"), 200),
            ("br", brotli.compress(b"{}") + hidden, 400),
            ("br, chunked", brotli.compress(b"{}"), 415),
            ("UTF-8", b"{}", 200),
            ("UTF-8", hidden, 400),
            ("UTF-8, chunked", b"0\r\n\r\n" + hidden, 415),
            ("gzip, UTF-8", members, 415),
        ):
            headers = {"Content_Encoding": coding, "Authorization": GOOD}
            self.check(coding, request(FRONT_PATH, body, **headers), (expected,))
            chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            chunked = request(FRONT_PATH, b"", **headers).replace(
                b"Content-Length: 0", b"Transfer-Encoding: chunked"
            )
            self.check(f"{coding}, chunked", chunked + chunks, (expected,))
        self.check_nothing_was_smuggled()

    def test_charsets_smuggle_nothing(self):
        hidden = self.hidden()
        text = '{"name":"a"}'
        for charset, body, expected in (
            ("utf-16", text.encode("utf-16"), 200),
            ("utf-16le", text.encode("utf-16le"), 200),
            ("utf-16", hidden, 400),
            ("iso-8859-1", b'{"a":"\xe9"}', 200),
            ("iso-8859-1", hidden, 400),
            ("utf-7", b"+AHs-+AH0-", 415),
        ):
            octets = request(
                FRONT_PATH, body, Authorization=GOOD, Content_Type=f"text/plain; charset={charset}"
            )
            self.check(charset, octets, (expected,))
        self.check_nothing_was_smuggled()

    def test_octets_outside_ascii_smuggle_nothing(self):
        hidden = self.hidden()
        good = request(FRONT_PATH, b"{}", Authorization=GOOD, X_Region="PLACE")
        for value in (b"S\xc3\xa3o Paulo", b"S\xe3o Paulo", b"\x85Content-Length: 9", b"\xff" * 50):
            self.check(repr(value), good.replace(b"PLACE", value), (200,))
        framed = request(FRONT_PATH, hidden, Authorization=GOOD, X_Region="PLACE")
        length = b"Content-Length: %d" % len(hidden)
        for name, octets in {
            "a length behind NEL": framed.replace(length, b"X: \x85" + length),
            "a length behind NEL in UTF-8": framed.replace(length, b"X: \xc2\x85" + length),
            "NBSP before the length": framed.replace(length, b"Content-Length: \xa02"),
            "NBSP behind the length": framed.replace(length, b"Content-Length: 2\xa0"),
            "NBSP in the length's name": framed.replace(length, b"Content-Length\xa0: 2"),
            "NBSP before chunked": framed.replace(length, b"Transfer-Encoding: \xa0chunked"),
            "chunked in wide letters": framed.replace(
                length, b"Transfer-Encoding: " + "ｃｈｕｎｋｅｄ".encode()
            ),
            "another byte in Host": framed.replace(b"Host: localhost", b"Host: local\xe9host"),
            "another byte in Expect": framed.replace(b"X-Region: PLACE", b"Expect: 100-continu\xe9"),
        }.items():
            self.check(name, octets, (200, 400, 411, 417, 501), seconds=0.2)
        self.check_nothing_was_smuggled()


if __name__ == "__main__":
    unittest.main()
