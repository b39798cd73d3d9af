"""Plays plugin/http/conformance_cases.txt against a running host: front, listen port, TLS."""

import pathlib
import re
import unittest

from doors import FRONT_PATH, open_doors
from peers import Peer, pump

CASES = "plugin/http/conformance_cases.txt"
COUNT = 215
# What is not answered by then never will be: the host's own limits are far shorter.
SECONDS = 30

SHORTHANDS = {
    "<post>": f"POST {FRONT_PATH} HTTP/1.1\\r\\n",
    "<host>": "Host: localhost\\r\\n",
    "<json>": "Content-Type: application/json\\r\\n",
    "<body>": 'Content-Length: 12\\r\\n\\r\\n{"name":"t"}',
}
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}
TOKEN = re.compile(
    r"\\x(?P<hex>..)|\\(?P<escape>.)|<(?P<count>\d+)(?P<what>\*[^>]+| \w+)>|(?P<plain>.)"
)


def octets(text):
    """Reads the format that is described at the head of the file of cases."""
    for shorthand, meaning in SHORTHANDS.items():
        text = text.replace(shorthand, meaning)
    result = b""
    for token in TOKEN.finditer(text):
        if token["hex"]:
            result += bytes.fromhex(token["hex"])
        elif token["escape"]:
            result += ESCAPES[token["escape"]]
        elif token["plain"]:
            result += token["plain"].encode("latin-1")
        elif token["what"] == " fields":
            result += b"".join(b"X-%d: 1\r\n" % i for i in range(int(token["count"])))
        elif token["what"] == " chunks":
            result += (b"1;" + b"a" * 200 + b"\r\n \r\n") * int(token["count"])
        else:
            result += octets(token["what"][1:]) * int(token["count"])
    return result


class Case:
    def __init__(self, line):
        self.name, self.rule, allowed, options = line.split(" | ")
        self.allowed = set(allowed.split())
        self.options = dict(option.partition("=")[::2] for option in options.split())
        self.lines = []

    def has(self, option):
        return option in self.options

    def begin(self, door):
        self.peer = Peer(door.address, tls=door.tls)
        self.peer.to_head = self.has("head")
        path = door.path.encode()
        self.sent = [octets(line).replace(FRONT_PATH.encode(), path) for line in self.lines]

    def send(self):
        first, *then = self.sent
        if self.has("octetwise"):
            pieces = [first[i : i + 1] for i in range(len(first))]
        elif self.has("linewise"):
            pieces = re.split(rb"(?=\r)|(?<=\r)", first)
        else:
            pieces = [first]
        for piece in pieces + then:
            self.peer.send(piece)
        if self.has("cut"):
            self.peer.close_sending()

    def is_over(self):
        """Closes our side after the first answer, so that any further answer is noticed."""
        if self.peer.answers and not self.has("closed") and not self.has("cut"):
            self.options["cut"] = ""
            self.peer.close_sending()
        return self.peer.closed

    def judge(self, test):
        answers = self.peer.answers
        test.assertTrue(self.peer.closed, "still open")
        test.assertEqual(self.peer.received, b"", "octets that are no answer")
        test.assertIn(str(answers[0].status) if answers else "close", self.allowed)
        test.assertLessEqual(len(answers), int(self.options.get("most", 1)))
        if self.has("no100"):
            test.assertEqual(self.peer.interim, 0)
        created = sum(answer.status // 100 == 2 for answer in answers)
        test.assertLessEqual(created, int(self.options.get("ok", 1000)))
        if not self.allowed & {"200", "204"} and not self.has("head"):
            test.assertEqual(created, 0, "a refused request got through")
        for answer in answers:
            test.assertNotEqual(answer.status, 101)
            if answer.status == 401:
                test.assertIn("www-authenticate", answer.headers)
            if answer.status == 405 and self.has("allow"):
                test.assertIn("allow", answer.headers)
            if answer.status != 204:
                test.assertIn("content-length", answer.headers)
            if self.has("without"):
                test.assertNotIn(octets(self.options["without"]), answer.octets)


def read_cases():
    cases = []
    for line in pathlib.Path(CASES).read_text().splitlines():
        if line.startswith("  "):
            cases[-1].lines.append(line[2:])
        elif line and not line.startswith("#"):
            cases.append(Case(line))
    return cases


class ConformanceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """All cases at all doors at the same time, because some wait for a limit to pass."""
        _, doors = open_doors(cls, head_timeout_ms=2_500, body_timeout_ms=2_500)
        cls.played = {door.name: read_cases() for door in doors}
        for door in doors:
            for case in cls.played[door.name]:
                case.begin(door)
                cls.addClassCleanup(case.peer.close)
        cases = sum(cls.played.values(), [])
        peers = [case.peer for case in cases]
        pump(peers, SECONDS, lambda: all(peer.handshaken for peer in peers if peer.tls))
        for case in cases:
            case.send()
        pump(peers, SECONDS, lambda: all([case.is_over() for case in cases]))

    def judge(self, door):
        self.assertEqual(len(self.played[door]), COUNT)
        for case in self.played[door]:
            with self.subTest(f"{door}: {case.name}", rule=case.rule):
                case.judge(self)

    def test_front_answers_as_the_rules_say(self):
        self.judge("front")

    def test_listen_port_answers_as_the_rules_say(self):
        self.judge("listen port")

    def test_listen_port_with_tls_answers_as_the_rules_say(self):
        self.judge("listen port with TLS")


if __name__ == "__main__":
    unittest.main()
