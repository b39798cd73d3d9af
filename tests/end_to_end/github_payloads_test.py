"""GitHub's own webhook examples come back from the store with every value intact."""

import json
import pathlib
import unittest
import urllib.request

from host_process import HostProcess, configuration, parsed

PAYLOADS = pathlib.Path(
    "tests/payloads/node_modules/@octokit/webhooks-examples/api.github.com/index.json"
)
WANTED = 20


def payloads():
    """(event, example) pairs; each example is turned into JSON text again before it is posted."""
    if not PAYLOADS.exists():
        raise AssertionError("the payloads are not installed: run tools/install-payloads")
    return [
        (event["name"], example)
        for event in json.loads(PAYLOADS.read_text())
        for example in event["examples"]
    ]


def post(host, body, event="*"):
    request = urllib.request.Request(
        host.url(),
        body,
        {"Content-Type": "application/json", "X-GitHub-Event": event, "X-Token": "secret"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


class GithubPayloadsTest(unittest.TestCase):
    def setUp(self):
        self.host = HostProcess(configuration(username="_header:X-Token", password="secret"))
        self.host.start()
        self.addCleanup(self.host.__exit__)
        self.payloads = payloads()
        self.assertGreaterEqual(len(self.payloads), WANTED)

    def check_stored(self, incident, metadata, body, payload):
        self.assertEqual(incident["id"], metadata["id"])
        # What the sender wrote, byte for byte, and then the member that the plugin adds.
        self.assertTrue(incident["details_text"].startswith(body[:-1] + ',"headers":'), body[:80])
        headers = incident["details"].pop("headers")
        self.assertNotIn("x-token", headers)
        self.assertEqual(incident["details"], payload)

    def test_each_by_itself(self):
        sent = []
        for event, payload in self.payloads:
            body = json.dumps(payload, indent=1).rstrip()
            metadata = post(self.host, body.encode(), event)
            self.assertEqual(len(metadata), 1)
            sent.append((metadata[0], body, payload))
        for line, expected in zip(self.host.follow(len(sent)), sent, strict=True):
            self.check_stored(parsed(json.loads(line)), *expected)

    def test_all_as_one_array(self):
        bodies = [json.dumps(payload) for _, payload in self.payloads]
        metadata = post(self.host, ("[" + " ,\n".join(bodies) + "]").encode())
        self.assertEqual(len(metadata), len(bodies))
        lines = self.host.follow(len(bodies))
        for line, one, body, (_, payload) in zip(lines, metadata, bodies, self.payloads):
            self.check_stored(parsed(json.loads(line)), one, body, payload)


if __name__ == "__main__":
    unittest.main()
