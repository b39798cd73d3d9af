"""Every request of the vectors, through each door and through `try`, has the same outcome.

The vectors have clocks of their own, the host has the machine's. So what is signed with a time is
signed anew with HMAC for now; what cannot be (public keys without their private ones) is judged by
`try` alone, at the time of the vector.
"""

import base64
import collections
import datetime
import hashlib
import hmac
import json
import pathlib
import re
import tempfile
import time
import unittest

import grpc

from contract import generate
from host_process import HostProcess, all_open
from peers import address_of, ask, basic, request

VECTORS = pathlib.Path("plugin/sources/testdata/vectors.jsonl")
UTC = datetime.timezone.utc

# Which header or body holds the time that is signed, and what is signed.
Timed = collections.namedtuple("Timed", "header signed id", defaults=("",))
TIMED = {
    "box": Timed("box-delivery-timestamp", "{body}{ts}"),
    "crowdstrike": Timed("x-cs-delivery-timestamp", "{body}{ts}"),
    "gitlab": Timed("webhook-timestamp", "{id}.{ts}.{body}", "webhook-id"),
    "grafana": Timed("x-grafana-time", "{ts}:{body}"),
    "linear": Timed("", "{body}"),
    "slack": Timed("x-slack-request-timestamp", "v0:{ts}:{body}"),
    "standard-webhooks": Timed("webhook-timestamp", "{id}.{ts}.{body}", "webhook-id"),
    "stripe": Timed("stripe-signature", "{ts}.{body}"),
    "svix": Timed("svix-timestamp", "{id}.{ts}.{body}", "svix-id"),
    "zendesk": Timed("x-zendesk-webhook-signature-timestamp", "{ts}{body}"),
    "zoom": Timed("x-zm-request-timestamp", "v0:{ts}:{body}"),
}
# Signed with a time and with private keys that nobody here has; so is what has certificates.
PUBLIC_KEYS = ("discord-events", "discord-interactions", "sendgrid")
# These stand on the last second of what is allowed. Ours may pass before they arrive.
ON_THE_EDGE = {"stripe-edge": 30, "stripe-future": 30}
UNIX_TIME = re.compile(r"(?<![0-9a-fA-F])1\d{9}(?=\d{3}\b|(?![0-9a-fA-F]))")


def read_vectors():
    vectors = [json.loads(line) for line in VECTORS.read_text().splitlines()]
    for vector in vectors:
        vector.setdefault("query", "")
        vector["instance"] = vector.get("duplicate_of", vector["name"])
        encoded = vector.get("body_base64")
        vector["body"] = base64.b64decode(encoded) if encoded else vector["body"].encode()
    return vectors


def keys_of(secret):
    yield secret.encode()
    try:
        yield base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        pass


def spellings(mac):
    yield mac.hex()
    yield mac.hex().upper()
    yield base64.b64encode(mac).decode()
    yield base64.b64encode(mac).decode().rstrip("=")


class Resigner:
    """Moves a vector's time to now, and signs it again with whatever secret had signed it."""

    def __init__(self, vectors):
        # One time for all: a request that is sent again is the same, byte for byte.
        self.time = int(time.time())
        self.keys = collections.defaultdict(set)
        for vector in vectors:
            for secret in vector.get("signing_secrets", []):
                self.keys[vector["source"]].update(keys_of(secret))

    def now(self, vector):
        """The vector for now, or None where only its sender could have signed that."""
        if vector["source"] in PUBLIC_KEYS or "certificates" in vector:
            return None
        timed = TIMED.get(vector["source"])
        if timed is None:
            return vector
        seconds = self.time - vector["now"] + ON_THE_EDGE.get(vector["name"], 0)
        texts = {}

        def later(text):
            return UNIX_TIME.sub(lambda match: str(int(match[0]) + seconds), text)

        def moved(text):
            new = later(text)
            if new == text and re.match(r"\d{4}-\d\d-\d\dT", text):
                then = datetime.datetime.fromisoformat(text)
                new = (then + datetime.timedelta(seconds=seconds)).isoformat()
            for old_stamp, new_stamp in zip(UNIX_TIME.findall(text), UNIX_TIME.findall(new)):
                texts[old_stamp] = new_stamp
            texts[text] = new
            return new

        headers = [
            [name, moved(value) if name.lower() == timed.header else value]
            for name, value in vector["headers"]
        ]
        body = vector["body"]
        if not timed.header:
            body = later(body.decode()).encode()
            texts[""] = ""
        [signed_id] = [
            value for name, value in headers if name.lower() == timed.id
        ] or [""]
        found = False
        for old_stamp, new_stamp in texts.items():
            for key in self.keys[vector["source"]]:
                old_mac, new_mac = (
                    self.mac(timed, key, signed_id, *what)
                    for what in ((old_stamp, vector["body"]), (new_stamp, body))
                )
                for old_text, new_text in zip(spellings(old_mac), spellings(new_mac)):
                    for header in headers:
                        found = found or old_text in header[1]
                        header[1] = header[1].replace(old_text, new_text)
        signs = vector["outcome"] == "accept" and texts
        if signs and not found:
            return None  # Ed25519
        return vector | {"headers": headers, "body": body}

    @staticmethod
    def mac(timed, key, signed_id, stamp, body):
        signed = timed.signed.format(id=signed_id, ts=stamp, body="\0").encode()
        return hmac.new(key, signed.replace(b"\0", body), hashlib.sha256).digest()


def parameters_of(vector):
    """The instance that a vector is for. Texts and lists as an operator would write them."""
    parameters = {"source": vector["source"], **vector.get("config", {})}
    secrets = vector.get("signing_secrets", [])
    if parameters["source"] == "generic":
        # As documented: no signing secret but a header's name.
        header = parameters.pop("header_name", None)
        if header is not None:
            return parameters | {"username": f"_header:{header}", "password": secrets[0]}
    if "basic" in vector:
        parameters["username"], parameters["password"] = vector["basic"]
    if "certificates" in vector:
        parameters["certificates"] = vector["certificates"]
    if len(secrets) == 1:
        parameters["signing_secrets"] = secrets[0]
    elif secrets:
        parameters["signing_secrets"] = secrets
    elif "basic" not in vector and "certificates" not in vector:
        parameters["signing_secrets"] = "a secret that nobody sends"
    if "named_secrets" in vector:
        parameters["named_secrets"] = vector["named_secrets"]
    return parameters


def as_told(vector, text):
    """The text of an answer as `try` shows it: without what was made with a secret."""
    answer = (vector.get("answer") or {}).get("json") or {}
    made = answer.get("encryptedToken")
    return text.replace(made, "<mac>") if made else text


def instant(text):
    then = datetime.datetime.fromisoformat(text)
    return then.replace(tzinfo=UTC) if then.tzinfo is None else then


class VectorsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.modules = generate(folder.name)
        cls.messages = cls.modules["long_running_integration"]
        cls.vectors = read_vectors()
        # Each has its own, for several have the same delivery.
        cls.parameters = {
            vector["instance"]: parameters_of(vector)
            for vector in cls.vectors
            if "duplicate_of" not in vector
        }

    def start(self):
        self.host = HostProcess(all_open(self.parameters), "--store", "memory")
        self.addCleanup(self.host.__exit__)
        self.host.start()
        self.control = self.stub(self.host.control)

    def stub(self, address):
        """The gRPC service at an address."""
        channel = grpc.insecure_channel(address)
        self.addCleanup(channel.close)
        return self.modules["long_running_integration_grpc"].LongRunningIntegrationStub(channel)

    def tried(self, vector, at=""):
        wanted = self.messages.TryRequest(request=self.grpc_request(vector), at=at)
        return json.loads(self.control.Try(wanted, timeout=30).report)

    def grpc_request(self, vector):
        return self.messages.ExecuteRequest(
            instance=vector["instance"],
            method=vector["method"],
            query=vector["query"],
            headers=[
                self.messages.Header(name=name, value=value) for name, value in vector["headers"]
            ],
            body=vector["body"],
        )

    def check_answer(self, vector, status, headers, body):
        if vector["outcome"] == "refuse":
            self.assertEqual(status, vector["status"], body)
            return
        if vector["outcome"] == "handshake":
            self.check_handshake(vector["answer"], status, headers, body)
            return
        if vector.get("body_is_no_json"):
            self.assertNotEqual(status, 401, body)  # published for the signature alone
            return
        self.assertIn(status, (vector["status"],) if "status" in vector else (200, 202, 204), body)
        if body.startswith("[") and "incidents" in vector:
            told = [one["name"] for one in json.loads(body)]
            self.assertEqual(told, [one["name"] for one in vector["incidents"]])

    def check_handshake(self, expected, status, headers, body):
        self.assertEqual(status, expected["status"], body)
        if "json" in expected:
            self.assertEqual(json.loads(body), expected["json"])
        else:
            self.assertEqual(body, expected.get("text", ""))
        wanted = dict(expected.get("headers", {}))
        if "type" in expected:
            wanted["Content-Type"] = expected["type"]
        for name, value in wanted.items():
            self.assertEqual(headers.get(name.lower()), value, name)

    def check_all(self, play):
        """Plays what can be signed for now, and compares what then is stored."""
        resigner = Resigner(self.vectors)
        answers = {}
        left_out = []
        for vector in self.vectors:
            now = resigner.now(vector)
            if now is None:
                left_out.append(vector["name"])
                continue
            with self.subTest(vector["name"]):
                report = self.tried(now)
                status, headers, body = play(now)
                self.check_answer(vector, status, headers, body)
                answers[vector["name"]] = body
                # What try has told is what became of it.
                self.assertEqual(report["status"], status)
                if report["outcome"] != "accept":
                    self.assertEqual(report["body"], as_told(vector, body))
                first = answers.get(vector.get("duplicate_of"))
                if first and body:
                    [first], [again] = json.loads(first), json.loads(body)
                    self.assertEqual((again["id"], again["duplicate"]), (first["id"], True))
                    self.assertEqual(report["duplicate_of"], first["id"])
                else:
                    self.assertEqual(report["duplicate_of"], "")
        self.assertLess(len(left_out), 25, left_out)
        self.check_stored(answers)

    def check_stored(self, played):
        stored = collections.defaultdict(list)
        for one in self.host.run_json("incidents", "list", "--limit", "1000"):
            stored[one["sourceInstance"]].insert(0, one)
        for vector in self.vectors:
            if vector["name"] not in played or "duplicate_of" in vector:
                continue
            with self.subTest(f"{vector['name']}: stored"):
                found = stored[vector["instance"]]
                if vector["outcome"] != "accept":
                    self.assertEqual(found, [])
                elif "incidents" in vector:
                    for one, event in zip(found, vector["incidents"], strict=True):
                        self.assertTrue(self.is_same(one, event), f"{one} is not {event}")
                elif not vector.get("body_is_no_json"):
                    self.assertNotEqual(found, [])

    @staticmethod
    def is_same(one, event):
        """Whether an incident is what a vector expects. Without `occurred` it is when it came."""
        return (
            one["name"] == event["name"]
            and (one["type"] or None) == event["type"]
            and one["severity"] == event.get("severity", 0)
            and (not event["occurred"] or instant(one["occurred"]) == instant(event["occurred"]))
        )

    def test_front(self):
        self.start()

        def play(vector):
            target = "/instance/execute/" + vector["instance"]
            return self.over_http(address_of(self.host.http), target, vector)

        self.check_all(play)

    def test_listen_port(self):
        self.start()

        def play(vector):
            parameters = self.parameters[vector["instance"]]
            address = parameters["bind_address"], int(parameters["longRunningPort"])
            return self.over_http(address, "/", vector)

        self.check_all(play)

    def over_http(self, address, path, vector):
        target = path + ("?" + vector["query"] if vector["query"] else "")
        octets = request(target, vector["body"], vector["method"], pairs=vector["headers"])
        answer = ask(address, octets)
        return answer.status, answer.headers, answer.body.decode()

    def test_grpc(self):
        self.start()
        service = self.stub(self.host.grpc)

        def play(vector):
            answer = service.Execute(self.grpc_request(vector), timeout=30)
            headers = {header.name.lower(): header.value for header in answer.headers}
            return answer.status, headers, answer.body.decode()

        self.check_all(play)

    def test_try(self):
        self.start()
        for vector in self.vectors:
            at = datetime.datetime.fromtimestamp(vector["now"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            with self.subTest(vector["name"]):
                report = self.tried(vector, at)
                headers = {one["name"].lower(): one["value"] for one in report["headers"]}
                if vector["outcome"] == "accept":
                    self.check_tried(vector, report)
                else:
                    self.assertEqual(report["outcome"], vector["outcome"], report)
                    answer = json.loads(as_told(vector, json.dumps(vector.get("answer"))))
                    told = vector | {"answer": answer}
                    self.check_answer(told, report["status"], headers, report["body"])
        self.assertEqual(self.host.run_json("incidents", "list"), [])

    def check_tried(self, vector, report):
        if vector.get("body_is_no_json"):
            self.assertNotIn(report["step"], ("credentials", "signature"), report)
            return
        self.assertEqual(report["outcome"], "accept", report)
        if vector.get("delivery"):
            self.assertEqual(report["delivery"], vector["delivery"])
        if "incidents" not in vector:
            return
        for told, event in zip(report["incidents"], vector["incidents"], strict=True):
            self.assertTrue(self.is_same(told, event), f"{told} is not {event}")
            self.assertEqual(told.get("delivery") or None, event.get("delivery"))


if __name__ == "__main__":
    unittest.main()
