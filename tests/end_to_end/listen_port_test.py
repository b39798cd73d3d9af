"""An instance with a listen port of its own: HTTPS, samples, mapping, duplicates."""

import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from host_process import OWN_ADDRESS, HostProcess, configuration, listen_port
from peers import make_certificate, openssl

SECONDS_UNTIL_SAMPLED = 30


class ListenPortTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        make_certificate(self.folder, OWN_ADDRESS)
        self.parameters = {
            **listen_port(),
            "username": "user",
            "password": "pass",
            "certificate_file": os.path.join(self.folder, "certificate.pem"),
            "key_file": os.path.join(self.folder, "key.pem"),
            "store_samples": True,
            "duplication_key": "event.id",
        }
        self.port = int(self.parameters["longRunningPort"])

    def serve(self, **changes):
        host = HostProcess(configuration("XSOAR_6", **self.parameters | changes))
        self.addCleanup(host.__exit__)
        return host

    def post(self, body, path="/", password="pass", headers=()):
        done = subprocess.run(
            ["curl", "-sS", "--cacert", os.path.join(self.folder, "certificate.pem")]
            + ["-w", "\n%{http_code}", "-u", f"user:{password}", "-d", json.dumps(body)]
            + [argument for header in headers for argument in ("-H", header)]
            + [f"https://{OWN_ADDRESS}:{self.port}{path}"],
            capture_output=True,
            timeout=60,
        )
        text, status = done.stdout.decode().rsplit("\n", 1)
        return int(status), text

    def refusal(self, **changes):
        host = self.serve(**changes)
        host.spawn()
        self.assertNotEqual(host.wait(), 0)
        return host.stderr().strip().splitlines()[-1]

    def test_key_without_its_certificate_is_refused_by_name(self):
        self.parameters.pop("certificate_file")
        self.assertIn("certificate", self.refusal())

    def test_port_in_use_is_refused_with_its_number(self):
        with socket.create_server((OWN_ADDRESS, self.port)):
            self.assertIn(str(self.port), self.refusal())

    def test_https_port_serves_the_root_alone_and_asks_for_credentials(self):
        self.serve().start()
        self.assertEqual(self.post({"a": 1}, password="wrong"), (401, "Authorization failed."))
        self.assertEqual(self.post({"a": 1}, path="/other")[0], 404)
        status, text = self.post({"a": 1})
        self.assertEqual(status, 200, text)

    def test_certificate_is_shown_by_its_subject_and_end(self):
        host = self.serve()
        host.start()
        shown = host.run("instances", "get", "webhook").stdout.decode()
        self.assertIn("CN=localhost, valid until 20", shown)
        self.assertNotIn("BEGIN", shown)
        self.assertNotIn("PRIVATE KEY", shown)
        [line] = [line for line in shown.splitlines() if line.startswith("key ")]
        self.assertTrue(line.endswith("(set)"), line)
        parameters = host.run_json("instances", "get", "webhook")["parameters"]
        self.assertTrue(parameters["certificate"].startswith("-----BEGIN CERTIFICATE-----\n"))

    def test_pressing_test_twice_never_trips_over_our_own_port(self):
        host = self.serve()
        host.start()
        for _ in range(2):
            self.assertEqual(host.run("test", "webhook").stdout.strip(), b"ok")

    def test_second_delivery_is_answered_with_the_first_incident_also_after_a_restart(self):
        host = self.serve()
        host.start()
        [first] = json.loads(self.post({"event": {"id": 7}, "name": "first"})[1])
        host.stop()
        host.start()
        [second] = json.loads(self.post({"event": {"id": 7}, "name": "first"})[1])
        self.assertEqual(second, first | {"duplicate": True})
        [other] = json.loads(self.post({"event": {"id": 7}, "name": "second"})[1])
        self.assertEqual(set(other), {"id", "duplicate", "warnings"})
        self.assertEqual(other["id"], first["id"])
        [text] = json.loads(self.post({"event": {"id": "7"}})[1])
        self.assertNotEqual(text["id"], first["id"])
        counts = host.run_json("instances", "get", "webhook")
        self.assertEqual((counts["hidden"], counts["forgottenKeys"]), (1, 0))
        self.assertEqual(len(host.run_json("incidents", "list")), 2)

    def test_certificate_that_a_new_list_revokes_is_out_at_the_reload(self):
        at = pathlib.Path(self.folder)
        (at / "index.txt").touch()
        (at / "ca.conf").write_text(
            f"[ca]\ndefault_ca=a\n[a]\ndatabase={at}/index.txt\ndefault_md=sha256\n"
        )
        make = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        openssl(self.folder, f"{make} -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.pem")
        openssl(self.folder, f"{make} -subj /CN=one -keyout one.key -out one.csr")
        openssl(
            self.folder,
            "x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -in one.csr -out one.pem",
        )
        ca = "ca -config ca.conf -cert ca.pem -keyfile ca.key"
        openssl(self.folder, f"{ca} -gencrl -crldays 2 -out crl.pem")
        host = self.serve(client_ca_file=f"{at}/ca.pem", client_crl_file=f"{at}/crl.pem")
        host.start()
        tls = ssl.create_default_context(cafile=f"{at}/certificate.pem")
        tls.load_cert_chain(f"{at}/one.pem", f"{at}/one.key")
        open_one = http.client.HTTPSConnection(OWN_ADDRESS, self.port, context=tls, timeout=30)

        def ask():
            headers = {"Authorization": "Basic dXNlcjpwYXNz"}
            open_one.request("POST", "/", body="{}", headers=headers)
            answer = open_one.getresponse()
            answer.read()
            return answer.status

        self.assertEqual(ask(), 200)
        openssl(self.folder, f"{ca} -revoke one.pem")
        openssl(self.folder, f"{ca} -gencrl -crldays 2 -out crl.pem")
        host.process.send_signal(signal.SIGHUP)
        with self.assertRaises((OSError, http.client.HTTPException)):
            open_one.auto_open = 0
            deadline = time.monotonic() + SECONDS_UNTIL_SAMPLED
            while time.monotonic() < deadline:
                ask()
        open_one.close()
        open_one.auto_open = 1
        with self.assertRaises((OSError, http.client.HTTPException)):
            ask()

    def test_incidents_of_one_array_keep_their_ids_in_a_second_delivery_after_a_restart(self):
        host = self.serve(duplication_key="headers.x-delivery")
        host.start()
        events = [{"name": "first"}, {"name": "second"}, {"name": "third"}]
        [single] = json.loads(self.post(events[0], headers=["X-Delivery: 6"])[1])
        first = json.loads(self.post(events, headers=["X-Delivery: 7"])[1])
        self.assertEqual([one["name"] for one in first], ["first", "second", "third"])
        self.assertEqual(len({one["id"] for one in first}), 3)
        host.stop()
        host.start()
        second = json.loads(self.post(events, headers=["X-Delivery: 7"])[1])
        self.assertEqual(second, [one | {"duplicate": True} for one in first])
        # The first incident's key has no position, as those that were stored before there were any.
        [again, new] = json.loads(self.post(events[:2], headers=["X-Delivery: 6"])[1])
        self.assertEqual(again, single | {"duplicate": True})
        self.assertNotIn("duplicate", new)
        self.assertEqual(len(host.run_json("incidents", "list")), 5)

    def test_samples_are_kept_over_a_restart_and_can_be_mapped(self):
        host = self.serve()
        host.start()
        for number in range(25):
            self.post({"event": {"id": number}, "user": {"name": "ann"}})
        host.stop()
        host.start()
        # What is kept is read in the background.
        deadline = time.monotonic() + SECONDS_UNTIL_SAMPLED
        while len(samples := host.run_json("samples", "webhook")) < 20:
            self.assertLess(time.monotonic(), deadline)
        numbers = [json.loads(sample["rawJSON"])["event"]["id"] for sample in samples]
        self.assertEqual(numbers, list(range(24, 4, -1)))
        fields = {f["path"]: f for f in host.run_json("samples", "fields", "webhook")}
        self.assertEqual(fields["user.name"]["types"], ["string"])
        mapper = os.path.join(self.folder, "mapper.json")
        pathlib.Path(mapper).write_text(
            '{"Owner": "user.name", "Team": {"path": "team", "default": "unknown"}}'
        )
        mapped = host.run_json("map", "webhook", "--mapper", mapper)
        self.assertEqual(mapped, [{"Owner": "ann", "Team": "unknown"}] * 20)


if __name__ == "__main__":
    unittest.main()
