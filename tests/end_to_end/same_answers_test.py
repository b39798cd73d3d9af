"""The same request, with the same answer and the same stored incident, at every door: the front, gRPC's
Execute, and a listen port. Each kind of field that was once changed, lost or refused without a word."""

import collections
import datetime
import gzip
import json
import subprocess
import tempfile
import unittest

from host_process import HOST_STUB, HostProcess, listen_port
from peers import address_of, ask, basic

GOOD = basic("user:pass")
DOORS = ("front", "grpc", "listen")
DEFAULT_NAME = "Generic webhook triggered incident"

# What a request comes to: a status, the incidents of the answer (`of`: the number of the one that it
# names, in the order in which they were created), what is stored of the new ones, or the refusal.
Answer = collections.namedtuple("Answer", "status incidents stored text")


class SameAnswersTest(unittest.TestCase):
    KEYS = {
        "none": "",
        "header": "headers.x-delivery",
        "first": "alerts[0].fingerprint, status",
        "joined": "alerts[0].fingerprint + status",
        "own": "id",
    }

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = temporary.name
        cls.ports = {}
        instances = []
        for key, paths in cls.KEYS.items():
            for door in DOORS:
                port = listen_port()
                parameters = {"username": "user", "password": "pass", "duplication_key": paths}
                name = f"{key}-{door}"
                cls.ports[name] = (port["bind_address"], int(port["longRunningPort"]))
                instances.append({"name": name, "configuration": parameters | port})
        external = {f"instance.execute.external.{one['name']}": "true" for one in instances}
        cls.host = HostProcess(
            {
                "platform": {"product": "XSOAR_6", "url": "https://my.xsoar"},
                "serverConfiguration": external,
                "instances": instances,
            },
            "--store",
            "memory",
        )
        cls.addClassCleanup(cls.host.__exit__)
        cls.host.start()
        cls.first_ids = {}

    def over_http(self, door, name, headers, body):
        lines = [b"Host: localhost", b"Authorization: " + GOOD.encode()]
        lines += [f"{field}: {value}".encode() for field, value in headers.items()]
        lines.append(b"Content-Length: %d" % len(body))
        front = door == "front"
        path = f"/instance/execute/{name}" if front else "/"
        octets = b"\r\n".join([f"POST {path} HTTP/1.1".encode(), *lines, b"", body])
        answer = ask(address_of(self.host.http) if front else self.ports[name], octets)
        return answer.status, answer.body

    def over_grpc(self, name, headers, body):
        with tempfile.NamedTemporaryFile(dir=self.folder) as file:
            file.write(body)
            file.flush()
            command = [HOST_STUB, "execute", name, "--json", "-u", "user:pass", "-d", "@" + file.name]
            for field, value in headers.items():
                command += ["-H", f"{field}: {value}"]
            done = subprocess.run(
                command + ["--connect", self.host.grpc], capture_output=True, timeout=60
            )
        answer = json.loads(done.stdout)
        return answer["status"], answer["body"].encode()

    def send(self, door, key, headers, body):
        name = f"{key}-{door}"
        headers = {"Content-Type": "application/json"} | headers
        if door == "grpc":
            status, text = self.over_grpc(name, headers, body)
        else:
            status, text = self.over_http(door, name, headers, body)
        if status != 200:
            return Answer(status, [], [], text.decode())
        known = self.first_ids.setdefault(name, [])
        incidents, stored = [], []
        for incident in json.loads(text):
            number = incident.pop("id")
            if number not in known:
                known.append(number)
                stored.append(self.stored(number))
            for field in ("created", "sourceInstance"):
                incident.pop(field, None)
            self.replace_now(incident)
            incidents.append({"of": known.index(number)} | incident)
        return Answer(status, incidents, stored, "")

    def replace_now(self, incident):
        """The time of arrival differs from door to door."""
        now = datetime.datetime.now(datetime.timezone.utc)
        occurred = datetime.datetime.fromisoformat(incident.get("occurred", "0001-01-01T00:00:00Z"))
        if abs(now - occurred) < datetime.timedelta(minutes=5):
            incident["occurred"] = "now"

    def stored(self, number):
        incident = self.host.incident(number)
        self.replace_now(incident)
        details = incident["details"]
        headers = details.pop("headers")
        return {
            "name": incident["name"],
            "type": incident["type"],
            "occurred": incident["occurred"],
            "details": details,
            "region": headers.get("cf-region"),
            "warnings": incident.get("warnings", []),
        }

    def play(self, key, body, headers={}):
        """The answer, once it is known to be the same at each door."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        answers = [self.send(door, key, headers, body) for door in DOORS]
        for door, answer in zip(DOORS, answers):
            self.assertEqual(answer, answers[0], door)
        return answers[0]

    def check(self, body, headers={}, details=None, region=None, **fields):
        """One incident is created, with these fields and nothing but the defaults beside them."""
        answer = self.play("none", body, headers)
        self.assertEqual(answer.status, 200, answer.text)
        (incident,), (stored,) = answer.incidents, answer.stored
        expected = {"name": DEFAULT_NAME, "type": "", "occurred": "now", "warnings": []} | fields
        warnings = incident.pop("warnings", [])
        self.assertEqual(warnings, stored["warnings"])
        for warning, begin in zip(warnings, expected.pop("warnings"), strict=True):
            self.assertTrue(warning.startswith(begin), warning)
        for field, value in expected.items():
            self.assertEqual(incident[field], value)
            self.assertEqual(stored[field], value)
        if details is not None:
            self.assertEqual(stored["details"], details)
        self.assertEqual(stored["region"], region)

    def check_refused(self, status, text, body, headers={}):
        answer = self.play("none", body, headers)
        self.assertEqual(answer.status, status)
        self.assertIn(text, answer.text)

    def check_key(self, key, *deliveries, headers={}):
        """`deliveries`: each a body, and what its answer says of its incidents: the number of the one
        that it names, and whether it was created, is a duplicate, or one whose content is hidden."""
        for body, *expected in deliveries:
            answer = self.play(key, body, headers)
            self.assertEqual(answer.status, 200, answer.text)
            said = []
            for incident in answer.incidents:
                what = "created"
                if incident.get("duplicate"):
                    # Who only guesses a key learns no more than the id.
                    hidden = sorted(incident) == ["duplicate", "of", "warnings"]
                    what = "hidden" if hidden else "duplicate"
                said.append((incident["of"], what))
            self.assertEqual(said, expected, body)
            created = sum(what == "created" for _, what in said)
            self.assertEqual(len(answer.stored), created)

    def test_occurred_is_read_or_replaced_with_a_warning(self):
        for value, occurred in (
            (1714557600, "2024-05-01T10:00:00Z"),
            (1714557600123, "2024-05-01T10:00:00.123Z"),
            (" 2024-05-01T10:00:00Z ", "2024-05-01T10:00:00Z"),
            ("2024-05-01T24:00:00Z", "2024-05-02T00:00:00Z"),
            ("2024-W18-3", "2024-05-01T00:00:00Z"),
            ("2024-122", "2024-05-01T00:00:00Z"),
            ("2024-05-01T10Z", "2024-05-01T10:00:00Z"),
        ):
            self.check({"occurred": value}, details={"occurred": value}, occurred=occurred)
        for value in ("1714557600", "0001-01-01T00:00:00Z", {"a": 1}, True, "nonsense", 10**18):
            warning = 'occurred "' if not isinstance(value, dict) else "occurred "
            self.check({"occurred": value}, details={"occurred": value}, warnings=[warning])
        for value in (None, "", {}, 0):
            self.check({"occurred": value}, details={"occurred": value})

    def test_name_and_type_lose_blanks_and_nothing_else_without_a_warning(self):
        for value, kept in (("Phishing\n", "Phishing"), (" a b ", "a b"), ("x" * 900, "x" * 900)):
            for field in ("name", "type"):
                self.check({field: value}, details={field: value}, **{field: kept})
        for value in ("   ", "", None):
            for field in ("name", "type"):
                self.check({field: value}, details={field: value})
        for field in ("name", "type"):
            self.check(
                {field: "a\0b"}, **{field: "a\N{REPLACEMENT CHARACTER}b"}, warnings=[f"{field} has a NUL"]
            )
            self.check({field: 5}, warnings=[f"{field} is no text"])

    def test_details_are_found_under_each_spelling(self):
        for spelling in ("rawJson", "rawJSON", "raw_json"):
            self.check({"name": "n", spelling: {"a": 1}}, details={"a": 1}, name="n")

    def test_nothing_is_lost_for_what_the_sender_cannot_change(self):
        plain = b'{"a":"\xc3\xa9"}'
        text = plain.decode()
        details = {"a": "é"}
        self.check(
            plain, {"cf-region": "São Paulo"}, details, region="São Paulo", warnings=["a header is not"]
        )
        packed = {"Content-Encoding": "gzip"}
        self.check(gzip.compress(plain[:4]) + gzip.compress(plain[4:]), packed, details)
        # 250:1, and less than the floor.
        self.check(gzip.compress(b'{"a":"' + b"x" * 4_000_000 + b'"}', 9), packed)
        self.check(plain, {"Content-Encoding": "UTF-8"}, details)
        for expect in ("", "100-continue, 100-continue"):
            self.check(plain, {"Expect": expect}, details)
        for body in (text.encode("utf-8-sig"), text.encode("utf-16"), b"\xfe\xff" + text.encode("utf-16-be")):
            self.check(body, {}, details)
        for charset in ("ISO-8859-1", "windows-1252"):
            self.check(
                text.encode(charset), {"Content-Type": f"application/json; charset={charset}"}, details
            )
        self.check(
            b'{"name":"a\\ud83d","type":"\\ude00b"}',
            details={"name": "a\ud83d", "type": "\ude00b"},
            name="a\N{REPLACEMENT CHARACTER}",
            type="\N{REPLACEMENT CHARACTER}b",
        )

    def test_what_is_refused_is_refused_in_the_same_words(self):
        self.check_refused(400, "not valid UTF-8", '{"a":"é"}'.encode("latin-1"))
        unknown = {"Content-Type": "application/json; charset=koi8-r"}
        self.check_refused(415, "The charset must be", b"{}", unknown)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        self.check_refused(400, "the body is a form", b"a=1", form)
        bomb = gzip.compress(b"[" + b" " * 60_000_000 + b"]")
        self.check_refused(413, "expands to more than", bomb, {"Content-Encoding": "gzip"})

    def test_key_of_a_header_is_that_of_the_whole_array(self):
        two = [{"a": 1}, {"a": 2}]
        self.check_key(
            "header",
            (two, (0, "created"), (1, "created")),
            (two, (0, "duplicate"), (1, "duplicate")),
            (two + [{"a": 3}], (0, "duplicate"), (1, "duplicate"), (2, "created")),
            ([{"a": 9}], (0, "hidden")),
            headers={"X-Delivery": "1"},
        )

    def test_comma_means_or_else_and_plus_means_together(self):
        firing, resolved = (
            {"alerts": [{"fingerprint": "f"}], "status": status} for status in ("firing", "resolved")
        )
        self.check_key("first", (firing, (0, "created")), (resolved, (0, "hidden")))
        self.check_key(
            "joined", (firing, (0, "created")), (resolved, (1, "created")), (firing, (0, "duplicate"))
        )

    def test_key_keeps_its_type_and_hides_no_other_content(self):
        values = [1, "1", [1], "[1]", True, "true", {"a": 1}, '{"a": 1}']
        bodies = [{"id": value} for value in values]
        self.check_key(
            "own",
            *((body, (number, "created")) for number, body in enumerate(bodies)),
            *((body, (number, "duplicate")) for number, body in enumerate(bodies)),
            ({"id": 1, "name": "other"}, (0, "hidden")),
        )


if __name__ == "__main__":
    unittest.main()
