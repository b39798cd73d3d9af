"""Every curl example of the product's documents, as documented except for the host's name: once by
curl over HTTP, once by `host_stub execute` over gRPC. The whole stored incident is compared."""

import json
import subprocess
import unittest

from host_process import HostProcess, configuration, listen_port

USER, PASSWORD = "user", "pass: with a colon"
NAMED = '{"name":"incident created via generic webhook","rawJson":{"some_field":"some_value"}}'
ANY_FIELDS = '{"string_field":"string_field_value","array_field":["item1","item2"]}'
TWO = (
    '[{"name":"incident1","rawJson":{"some_field":"some_value"}}, '
    '{"name":"incident2","rawJson":{"some_field":"some_value"}}]'
)
NAMED_6X = '{"name":"incident created via generic webhook","raw_json":{"some_field":"some_value"}}'

# Headers that curl adds by itself. Over gRPC there are none.
CURL_HEADERS = {"host", "user-agent", "accept", "content-length"}

BASIC = {"username": USER, "password": PASSWORD}


def basic_host():
    return HostProcess(
        configuration(
            "XSIAM_3",
            "my_instance_01",
            "https://companyname.xdr.eu.paloaltonetworks.com",
            incidentType="Phishing",
            **BASIC,
        )
    )


class DocumentedExamplesTest(unittest.TestCase):
    maxDiff = None

    def check(self, host, path, name, arguments, body, expected):
        """`arguments` are curl's and host_stub's alike: -X, -u, -H, -d."""
        curl = ["curl", "--silent", "--show-error", "--fail-with-body"]
        over_http = subprocess.run(
            curl + arguments + ["-d", body, host.url(path)], capture_output=True, timeout=30
        )
        self.assertEqual(over_http.returncode, 0, over_http)
        over_grpc = host.run("execute", name, *[a for a in arguments if a != "-v"], "-d", body)
        self.assertEqual(over_grpc.returncode, 0, over_grpc)
        for answer, sent_by_curl in ((over_http.stdout, True), (over_grpc.stdout, False)):
            self.check_answer(host, name, json.loads(answer), expected, arguments, sent_by_curl)

    def check_answer(self, host, name, answer, expected, arguments, sent_by_curl):
        self.assertEqual(len(answer), len(expected))
        for metadata, (incident_name, incident_type, details) in zip(answer, expected):
            self.assertIsInstance(metadata["id"], str)
            self.assertEqual(
                {
                    "id": metadata["id"],
                    "name": incident_name,
                    "type": incident_type,
                    "occurred": metadata["occurred"],
                    "created": metadata["created"],
                    "sourceBrand": "Generic Webhook",
                    "sourceInstance": name,
                },
                metadata,
            )
            stored = host.incident(metadata["id"])
            self.assertEqual(stored["name"], incident_name)
            self.assertEqual(stored.get("type", ""), incident_type)
            self.assertEqual(stored["occurred"], metadata["occurred"])
            self.assertEqual(stored["created"], metadata["created"])
            self.assertEqual(stored["sourceInstance"], name)
            self.check_headers(stored["details"].pop("headers"), arguments, sent_by_curl)
            self.assertEqual(stored["details"], details)

    def check_headers(self, headers, arguments, sent_by_curl):
        """The sender's headers are kept, the credentials are not."""
        given = {
            header.split(":", 1)[0].lower(): header.split(":", 1)[1].strip()
            for option, header in zip(arguments, arguments[1:])
            if option == "-H"
        }
        given.pop("authorization", None)
        if not sent_by_curl:
            given.setdefault("content-type", "application/json")
        else:
            # curl -d sends a form's type unless told otherwise.
            given.setdefault("content-type", "application/x-www-form-urlencoded")
            self.assertEqual(set(headers) - set(given), CURL_HEADERS)
            headers = {name: headers[name] for name in given}
        self.assertEqual(headers, given)

    def test_name_and_raw_json(self):
        with basic_host() as host:
            self.check(
                host,
                "/xsoar/instance/execute/my_instance_01",
                "my_instance_01",
                ["-X", "POST", "-u", f"{USER}:{PASSWORD}", "-H", "Content-Type: application/json"],
                NAMED,
                [("incident created via generic webhook", "Phishing", {"some_field": "some_value"})],
            )

    def test_any_fields(self):
        with basic_host() as host:
            self.check(
                host,
                "/xsoar/instance/execute/my_instance_01",
                "my_instance_01",
                ["-X", "POST", "-u", f"{USER}:{PASSWORD}", "-H", "Content-Type: application/json"],
                ANY_FIELDS,
                [("Generic webhook triggered incident", "Phishing", json.loads(ANY_FIELDS))],
            )

    def test_several_incidents_in_one_request(self):
        with basic_host() as host:
            self.check(
                host,
                "/xsoar/instance/execute/my_instance_01",
                "my_instance_01",
                ["-X", "POST", "-u", f"{USER}:{PASSWORD}", "-H", "Content-Type: application/json"],
                TWO,
                [
                    ("incident1", "Phishing", {"some_field": "some_value"}),
                    ("incident2", "Phishing", {"some_field": "some_value"}),
                ],
            )

    def test_authorization_header_in_place_of_username_and_password(self):
        config = configuration(
            "XSIAM_3",
            "my_instance_01",
            "https://companyname.xdr.eu.paloaltonetworks.com",
            username="_header:Authorization",
            password="Basic MYIvOkEyMw==",
        )
        with HostProcess(config) as host:
            self.check(
                host,
                "/xsoar/instance/execute/my_instance_01",
                "my_instance_01",
                ["-X", "POST", "-H", "Authorization: Basic MYIvOkEyMw=="]
                + ["-H", "Content-Type: application/json", "-v"],
                NAMED,
                [("incident created via generic webhook", "", {"some_field": "some_value"})],
            )

    def test_6x_example_with_a_token_and_a_forms_content_type(self):
        config = configuration(
            "XSOAR_6", username="_header:Authorization", password="token", **listen_port()
        )
        with HostProcess(config) as host:
            self.check(
                host,
                "/instance/execute/webhook",
                "webhook",
                # Documented as `-POST`, which curl reads as -P OST; -d makes it a POST.
                ["-H", "Authorization: token"],
                NAMED_6X,
                [("incident created via generic webhook", "", {"some_field": "some_value"})],
            )

    def test_6x_example_to_the_letter(self):
        config = configuration(
            "XSOAR_6", username="_header:Authorization", password="token", **listen_port()
        )
        with HostProcess(config) as host:
            url = host.url("/instance/execute/webhook")
            done = subprocess.run(
                ["curl", "-sS", "-POST", url, "-H", "Authorization: token", "-d", NAMED_6X],
                capture_output=True,
                timeout=30,
            )
            self.assertEqual(json.loads(done.stdout)[0]["id"], "1", done)

    def test_bearer_token_of_the_authorization_chapter(self):
        with HostProcess(
            configuration(username="_header:Authorization", password="Bearer XXX")
        ) as host:
            self.check(
                host,
                "/xsoar/instance/execute/webhook",
                "webhook",
                ["-X", "POST", "-H", "Authorization: Bearer XXX"],
                NAMED,
                [("incident created via generic webhook", "", {"some_field": "some_value"})],
            )


if __name__ == "__main__":
    unittest.main()
