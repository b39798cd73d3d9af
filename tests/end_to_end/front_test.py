"""The host's HTTP front as a sender meets it: paths, keys, methods, credentials, bodies."""

import gzip
import http.client
import json
import socket
import unittest
import zlib

import brotli
import zstandard
from host_process import HostProcess, configuration, listen_port
from peers import basic

BASIC = basic("user:pass")
GOOD = {"Authorization": BASIC, "Content-Type": "application/json"}
PATH = "/instance/execute/webhook"
NOT_JSON = "Request, and rawJson field if exists must be in JSON format"


class FrontTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        config = configuration(
            "XSOAR_6", username="user", password="pass", incidentType="Phishing", **listen_port()
        )
        config["instances"] += [
            {"name": "closed", "configuration": listen_port()},
            {"name": "turned_off", "configuration": listen_port()},
            {"name": "open-1", "configuration": listen_port()},
        ]
        keys = config["serverConfiguration"]
        keys["instance.execute.external.turned_off"] = "false"
        keys["instance.execute.external.open-1"] = "true"
        config["limits"] = {"body_bytes": 1_000_000, "incidents_of_a_request": 1000}
        config["limits"]["stored_header_bytes"] = 10_000_000
        cls.host = HostProcess(config)
        cls.host.start()
        cls.addClassCleanup(cls.host.__exit__)

    def ask(self, path=PATH, body=b"{}", headers=GOOD, method="POST"):
        connection = http.client.HTTPConnection(self.host.http, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read().decode()
        finally:
            connection.close()

    def created(self, body, headers=GOOD, path=PATH):
        answer, text = self.ask(path, body, headers)
        self.assertEqual(answer.status, 200, text)
        return [self.host.incident(metadata["id"]) for metadata in json.loads(text)]

    def refused(self, status, **request):
        before = self.host.run_json("incidents", "list", "--limit", "1")
        answer, text = self.ask(**request)
        self.assertEqual(answer.status, status, text)
        self.assertEqual(self.host.run_json("incidents", "list", "--limit", "1"), before)
        return answer, text

    def test_unknown_instance_and_other_paths_are_404(self):
        for path in ("/", "/instance/execute/", "/instance/execute/other", PATH + "x"):
            self.refused(404, path=path)
        self.refused(404, path="/xsoar" + PATH)
        self.refused(404, path=PATH + "/what/follows")

    def test_equivalent_spellings_of_the_path_are_the_same_resource(self):
        for path in ("/" + PATH, PATH.replace("webhook", "web%68ook"), "/" + PATH.replace("i", "%69")):
            self.created(b'{"name":"equivalent"}', path=path)

    def test_instance_without_its_external_key_is_403_and_the_key_is_named(self):
        for name in ("closed", "turned_off"):
            _, text = self.refused(403, path=f"/instance/execute/{name}", headers={})
            self.assertIn(f"instance.execute.external.{name}", text)

    def test_other_methods_are_405_with_allow(self):
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
            answer, _ = self.refused(405, method=method)
            self.assertEqual(answer.getheader("Allow"), "POST")

    def test_wrong_credentials_are_401_with_a_challenge_before_the_body_is_looked_at(self):
        wrong = basic("user:wrong")
        for headers in ({}, {"Authorization": wrong}, {"Authorization": "Basic"}):
            answer, text = self.refused(401, headers=headers, body=b"no JSON")
            self.assertEqual(text, "Authorization failed.")
            self.assertTrue(answer.getheader("WWW-Authenticate").startswith("Basic "))

    def test_stranger_cannot_make_it_read_a_body(self):
        with socket.create_connection(self.host.http.split(":"), timeout=30) as stranger:
            stranger.sendall(
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n".encode()
            )
            self.assertIn(b" 401 ", stranger.makefile("rb").readline())

    def test_body_past_the_limit_is_413_before_it_is_read(self):
        with socket.create_connection(self.host.http.split(":"), timeout=30) as sender:
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {BASIC}\r\n"
            sender.sendall(head.encode() + b"Content-Length: 1000001\r\n\r\n")
            self.assertIn(b" 413 ", sender.makefile("rb").readline())

    def test_what_is_not_json_is_400_and_the_place_is_told(self):
        for body in (b"", b" ", b"{", b"{}{}", b'{"a":NaN}', b"[[]]", b'"text"', b'{"a":"\xff"}'):
            _, text = self.refused(400, body=body)
            self.assertTrue(text.startswith(NOT_JSON), text)
        _, text = self.refused(400, body=b'[{},{},{},{"rawJson":"no"}]')
        self.assertIn(": incident 3: ", text)

    def test_more_incidents_than_the_limit_are_413(self):
        self.refused(413, body=b"[" + b",".join([b"{}"] * 1001) + b"]")

    def test_headers_times_incidents_is_bounded(self):
        headers = dict(GOOD) | {f"X-Filler-{i}": "x" * 1000 for i in range(60)}
        self.refused(413, body=b"[" + b",".join([b"{}"] * 1000) + b"]", headers=headers)

    def test_content_type_and_query_do_not_matter(self):
        headers = {"Authorization": BASIC, "Content-Type": "application/x-www-form-urlencoded"}
        [incident] = self.created(b'{"a":1}', headers, PATH + "?source=test&x=%20")
        self.assertEqual(incident["details"]["a"], 1)

    def test_codings_are_undone(self):
        for coding, compress in (
            ("gzip", gzip.compress),
            ("deflate", zlib.compress),
            ("br", brotli.compress),
            ("zstd", zstandard.compress),
        ):
            headers = dict(GOOD) | {"Content-Encoding": coding}
            [incident] = self.created(compress(b'{"zipped":true}'), headers)
            self.assertIs(incident["details"]["zipped"], True, coding)
            self.refused(400, body=b"is none", headers=headers)

    def test_numbers_and_escapes_keep_their_bytes(self):
        body = b'{"n":1E5, "big":123456789012345678901234567890, "h":1e999, "s":"\\u00e9\\/"}'
        [incident] = self.created(body)
        self.assertTrue(incident["details_text"].encode().startswith(body[:-1] + b',"headers":'))

    def test_secrets_of_a_request_are_not_stored(self):
        headers = dict(GOOD) | {
            "Cookie": "planted-1",
            "X-Api-Key": "planted-2",
            "Proxy-Authorization": "planted-3",
        }
        [incident] = self.created(b"{}", headers)
        self.assertNotIn("planted", incident["details_text"])
        self.assertNotIn(BASIC.split()[1], incident["details_text"])

    def test_repeated_headers_are_joined_and_a_senders_own_headers_member_stays(self):
        connection = http.client.HTTPConnection(self.host.http, timeout=30)
        self.addCleanup(connection.close)
        connection.putrequest("POST", PATH)
        for name, value in (("Authorization", BASIC), ("X-Many", "one"), ("x-many", "two")):
            connection.putheader(name, value)
        body = b'{"headers":{"mine":1}}'
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        metadata = json.loads(connection.getresponse().read())
        details = self.host.incident(metadata[0]["id"])["details"]
        self.assertEqual(details["headers"]["x-many"], "one, two")
        self.assertEqual(details["body_headers"], {"mine": 1})

    def test_occurred_is_taken_and_a_bad_one_is_warned_of(self):
        good, bad = self.created(
            b'[{"occurred":"2024-05-01T12:00:00+02:00","rawJson":{"a":1}},{"occurred":"yesterday"}]'
        )
        self.assertEqual(good["occurred"], "2024-05-01T10:00:00Z")
        self.assertFalse(good.get("warnings"))
        self.assertIn("yesterday", bad["warnings"][0])
        self.assertEqual(bad["details"]["occurred"], "yesterday")

    def test_name_of_another_type_is_payload(self):
        [incident] = self.created(b'{"name":5,"type":["x"]}')
        self.assertEqual(incident["name"], "Generic webhook triggered incident")
        self.assertEqual(incident["type"], "Phishing")
        self.assertEqual(incident["details"]["name"], 5)

    def test_malformed_basic_does_not_matter_where_no_credentials_are_set(self):
        headers = {"Authorization": "Basic !!!"}
        answer, text = self.ask("/instance/execute/open-1", headers=headers)
        self.assertEqual(answer.status, 200, text)

    def test_pipelined_requests_are_answered_in_order(self):
        with socket.create_connection(self.host.http.split(":"), timeout=30) as sender:
            bodies = [json.dumps({"name": f"pipelined {i}"}).encode() for i in range(50)]
            sender.sendall(
                b"".join(
                    f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {BASIC}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode() + body
                    for body in bodies
                )
            )
            reader = sender.makefile("rb")
            for i in range(50):
                self.assertIn(b" 200 ", reader.readline())
                length = 0
                while (line := reader.readline().strip()) != b"":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                self.assertEqual(json.loads(reader.read(length))[0]["name"], f"pipelined {i}")

    def test_chunked_body_with_expect_is_taken(self):
        with socket.create_connection(self.host.http.split(":"), timeout=30) as sender:
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {BASIC}\r\n"
            sender.sendall(
                head.encode() + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
            )
            reader = sender.makefile("rb")
            self.assertIn(b" 100 ", reader.readline())
            self.assertEqual(reader.readline(), b"\r\n")
            sender.sendall(b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n')
            self.assertIn(b" 200 ", reader.readline())


class OtherPlatformsTest(unittest.TestCase):
    def test_path_begins_with_xsoar_and_no_key_is_needed(self):
        for product in ("XSOAR_8_CLOUD", "XSOAR_8_ON_PREM", "XSIAM_2", "XSIAM_3"):
            config = configuration(product, "my_instance_01", username="user", password="pass")
            config["serverConfiguration"] = {}
            with HostProcess(config, "--store", "memory") as host, self.subTest(product):
                connection = http.client.HTTPConnection(host.http, timeout=30)
                for path, status in (
                    ("/xsoar/instance/execute/my_instance_01", 200),
                    ("/instance/execute/my_instance_01", 404),
                ):
                    connection.request("POST", path, b"{}", GOOD)
                    answer = connection.getresponse()
                    answer.read()
                    self.assertEqual(answer.status, status)
                connection.close()


if __name__ == "__main__":
    unittest.main()
