"""The two stories that the documents open with: a form's drop-down chooses the type of an incident,
and a message in Slack creates one."""

import hashlib
import hmac
import json
import time
import unittest
import urllib.parse

from host_process import HostProcess, configuration
from peers import address_of, ask, request

PATH = "/xsoar/instance/execute/webhook"
FORM = "application/x-www-form-urlencoded"


class StoryTest(unittest.TestCase):
    def serve(self, **parameters):
        self.host = HostProcess(configuration(**parameters), "--store", "memory")
        self.addCleanup(self.host.__exit__)
        self.host.start()

    def post(self, content_type, body, **headers):
        octets = request(PATH, body.encode(), Content_Type=content_type, **headers)
        return ask(address_of(self.host.http), octets)

    def stored(self):
        """Oldest first, with their details."""
        listed = self.host.run_json("incidents", "list", "--limit", "100")
        return [self.host.incident(one["id"]) for one in reversed(listed)]


class FormTest(StoryTest):
    """The form's own profile, in the configuration."""

    TOKEN = "the token that the form sends"
    PROFILE = {
        "profile": 1,
        "name": "security-form",
        "title": "Report a security incident",
        "authenticate": [{"kind": "token", "from": "header:X-Form-Token"}],
        "body": {"types": {FORM: "form", "application/json": "json"}, "other": "refuse"},
        "delivery": "{json:Response}",
        "incidents": {
            "name": ["{item:What happened}", "A report without a word"],
            "type": "{item:Incident type}",
            "severity": {"from": "item:Urgent", "map": {"Yes": 3, "No": 1}, "default": 0.5},
            "occurred": "item:Since",
        },
    }

    def setUp(self):
        rules = [{"when": {"item:Incident type": "Only a test"}, "do": "drop"}]
        self.serve(source=self.PROFILE, signing_secrets=self.TOKEN, rules=rules)

    def submit(self, token=TOKEN, **fields):
        named = {name.replace("_", " "): text for name, text in fields.items()}
        return self.post(FORM, urllib.parse.urlencode(named), X_Form_Token=token)

    def test_strangers_are_401_and_other_kinds_of_bodies_415(self):
        self.assertEqual(self.submit("another token", Incident_type="Phishing").status, 401)
        self.assertEqual(self.post(FORM, "Incident+type=Phishing").status, 401)
        answer = self.post("text/csv", "Phishing", X_Form_Token=self.TOKEN)
        self.assertEqual(answer.status, 415)
        self.assertEqual(self.stored(), [])

    def test_chosen_type_is_the_type_of_the_incident(self):
        first = self.submit(
            Response="1",
            Incident_type="Phishing",
            What_happened="A mail asks for my password & card",
            Urgent="Yes",
            Since="2024-05-01T10:00:00Z",
        )
        self.assertEqual(first.status, 200, first)
        second = self.submit(Response="2", Incident_type="Lost device", What_happened="")
        self.assertEqual(second.status, 200, second)
        phishing, lost = self.stored()
        self.assertEqual(
            (phishing["name"], phishing["type"], phishing["severity"], phishing["occurred"]),
            ("A mail asks for my password & card", "Phishing", 3, "2024-05-01T10:00:00Z"),
        )
        self.assertEqual(phishing["details"]["Incident type"], "Phishing")
        self.assertEqual(
            (lost["name"], lost["type"], lost["severity"]),
            ("A report without a word", "Lost device", 0.5),
        )
        self.assertEqual(json.loads(first.body)[0]["id"], phishing["id"])

    def test_submitted_twice_is_created_once_and_a_test_is_dropped(self):
        report = {"Response": "3", "Incident_type": "Phishing", "What_happened": "A mail"}
        first, again = (json.loads(self.submit(**report).body) for _ in range(2))
        self.assertEqual(again[0]["id"], first[0]["id"])
        self.assertTrue(again[0]["duplicate"])
        dropped = self.submit(Response="4", Incident_type="Only a test", What_happened="x")
        self.assertEqual((dropped.status, dropped.body), (200, b"[]"))
        self.assertEqual(len(self.stored()), 1)

    def test_json_of_the_same_form_is_the_same_incident(self):
        body = json.dumps({"Incident type": "Phishing", "What happened": "A mail", "Urgent": "No"})
        answer = self.post("application/json", body, X_Form_Token=self.TOKEN)
        self.assertEqual(answer.status, 200, answer)
        [one] = self.stored()
        self.assertEqual((one["name"], one["type"], one["severity"]), ("A mail", "Phishing", 1))


class SlackTest(StoryTest):
    SECRET = "8f742231b10e8888abcd99yyyzzz85a5"

    def setUp(self):
        rules = [
            {
                "when": {"item:text": {"prefix": "phishing"}},
                "do": {"set": {"type": "Phishing", "severity": 3}},
            }
        ]
        self.serve(source="slack", signing_secrets=self.SECRET, rules=rules)

    def say(self, content_type, body, secret=SECRET, **headers):
        now = str(int(time.time()))
        signed = f"v0:{now}:{body}".encode()
        mac = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        headers = {"X_Slack_Request_Timestamp": now, "X_Slack_Signature": f"v0={mac}"} | headers
        return self.post(content_type, body, **headers)

    def test_address_is_verified_as_slack_does_and_creates_nothing(self):
        body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY"})
        self.assertEqual(self.say("application/json", body, secret="another").status, 401)
        self.assertEqual(self.post("application/json", body).status, 401)
        answer = self.say("application/json", body)
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(answer.body), {"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY"})
        self.assertEqual(self.post(FORM, "ssl_check=1&token=x").status, 200)
        self.assertEqual(self.stored(), [])

    def test_message_is_one_incident_and_a_retry_none(self):
        body = json.dumps(
            {
                "type": "event_callback",
                "event_id": "Ev08MFMKH6",
                "event_time": 1714557600,
                "event": {"type": "message", "text": "db1: disk full", "user": "U061F7AUR"},
            }
        )
        self.assertEqual(self.post("application/json", body).status, 401)
        first = self.say("application/json", body)
        retry = self.say("application/json", body, X_Slack_Retry_Num="1")
        for answer in (first, retry):
            # Slack shows or reports whatever stands in the body.
            self.assertEqual((answer.status, answer.body), (200, b""))
        [one] = self.stored()
        self.assertEqual(
            (one["name"], one["type"], one["occurred"]),
            ("Slack message: db1: disk full", "Slack message", "2024-05-01T10:00:00Z"),
        )
        self.assertEqual(one["details"]["event"]["user"], "U061F7AUR")
        self.assertNotIn("x-slack-signature", one["details"]["headers"])

    def test_command_is_an_incident_whose_text_chooses_the_type(self):
        for number, text in enumerate(("phishing mail to all", "printer on fire")):
            fields = {
                "command": "/incident",
                "text": text,
                "user_name": "larry",
                "trigger_id": f"13345224609.738474920.{number}",
            }
            answer = self.say(FORM, urllib.parse.urlencode(fields))
            self.assertEqual((answer.status, answer.body), (200, b""))
        phishing, printer = self.stored()
        self.assertEqual(
            (phishing["name"], phishing["type"], phishing["severity"]),
            ("Slack /incident phishing mail to all", "Phishing", 3),
        )
        self.assertEqual(
            (printer["name"], printer["type"]), ("Slack /incident printer on fire", "Slack command")
        )
        self.assertEqual(printer["details"]["user_name"], "larry")


if __name__ == "__main__":
    unittest.main()
