"""What the senders' own libraries sign is taken as it is, once; anything else is refused."""

import functools
import json
import pathlib
import shutil
import subprocess
import unittest

from host_process import HostProcess, all_open
from peers import Peer, address_of, ask, pump, request
from proxies import open_proxies

PROGRAM = pathlib.Path("tests/senders/sign.mjs")


@functools.cache
def senders():
    """What sign.mjs prints. The signatures are good for 300 s."""
    node = shutil.which("node")
    if node is None or not (PROGRAM.resolve().parent / "node_modules").exists():
        raise AssertionError("node or the senders' libraries are missing: run tools/test")
    return json.loads(subprocess.run([node, PROGRAM], check=True, stdout=subprocess.PIPE).stdout)


class LibrariesTest(unittest.TestCase):
    def setUp(self):
        self.senders = senders()
        self.parameters = {sender["name"]: sender["parameters"] for sender in self.senders}
        self.host = HostProcess(all_open(self.parameters), "--store", "memory")
        self.addCleanup(self.host.__exit__)
        self.host.start()

    def front(self, name):
        return address_of(self.host.http), f"/instance/execute/{name}"

    def listen_port(self, name):
        parameters = self.parameters[name]
        return (parameters["bind_address"], int(parameters["longRunningPort"])), "/"

    def signed(self):
        signed = [sender for sender in self.senders if sender["name"] != "cloudevents"]
        self.assertEqual(len(signed), 8)
        return signed

    @staticmethod
    def right(sender):
        [right] = [one for one in sender["requests"] if one["what"] == "right"]
        return right

    @staticmethod
    def octets(path, one, body=None):
        target = path + ("?" + one["query"] if one["query"] else "")
        body = one["body"].encode() if body is None else body
        return request(target, body, pairs=one["headers"].items())

    def ask(self, door, one, body=None, source=None):
        address, path = door
        return ask(address, self.octets(path, one, body), source=source)

    def stored(self, name):
        """What the store holds of an instance, oldest first."""
        listed = self.host.run_json("incidents", "list", "--instance", name, "--limit", "100")
        return [{key: one[key] for key in ("name", "type")} for one in reversed(listed)]

    def check_play(self, door_of):
        for sender in self.senders:
            door = door_of(sender["name"])
            expected = []
            created_ids = None
            for one in sender["requests"]:
                with self.subTest(f"{sender['name']}: {one['what']}"):
                    answer = self.ask(door, one)
                    if one["expect"] == "refused":
                        self.assertEqual(answer.status, 401, answer)
                        continue
                    self.assertIn(answer.status, (200, 204), answer)
                    if one["expect"] == "created":
                        expected += one["incidents"]
                    if not answer.body:
                        continue  # what the sender wants; the store tells below
                    answered = json.loads(answer.body)
                    if "other bytes" not in one["what"]:
                        told = [{key: its[key] for key in ("name", "type")} for its in answered]
                        self.assertEqual(told, one["incidents"])
                    duplicates = {its.get("duplicate", False) for its in answered}
                    self.assertEqual(duplicates, {one["expect"] == "duplicate"})
                    ids = [its["id"] for its in answered]
                    if one["expect"] == "duplicate":
                        self.assertEqual(ids, created_ids)
                    created_ids = ids
            with self.subTest(f"{sender['name']}: stored"):
                self.assertEqual(self.stored(sender["name"]), expected)

    def test_at_the_front_wrong_and_old_are_401_and_right_is_created_once(self):
        self.check_play(self.front)

    def test_at_the_listen_port_wrong_and_old_are_401_and_right_is_created_once(self):
        self.check_play(self.listen_port)

    def test_through_nginx_and_haproxy_what_is_signed_stays_so(self):
        for proxy, address in open_proxies(self, address_of(self.host.http)).items():
            for sender in self.signed():
                right = self.right(sender)
                wrong = right | {"body": right["body"].replace("e", "f", 1)}
                with self.subTest(f"{proxy}: {sender['name']}"):
                    door = address, self.front(sender["name"])[1]
                    self.assertEqual(self.ask(door, wrong).status, 401)
                    self.assertIn(self.ask(door, right).status, (200, 204))
                    self.assertEqual(self.stored(sender["name"]), right["incidents"])

    def test_twins_that_race_are_one_incident(self):
        for sender in self.signed():
            right = self.right(sender)
            address, path = self.front(sender["name"])
            octets = self.octets(path, right)
            twins = [Peer(address) for _ in range(20)]
            for twin in twins:
                twin.send(octets)
            with self.subTest(sender["name"]):
                self.assertTrue(pump(twins, 30, lambda: all(twin.answers for twin in twins)))
                answers = [twin.answers[0] for twin in twins]
                self.assertLessEqual({answer.status for answer in answers}, {200, 204})
                if answers[0].body:
                    told = [json.loads(answer.body)[0] for answer in answers]
                    self.assertEqual(len({one["id"] for one in told}), 1)
                    self.assertEqual(sum("duplicate" not in one for one in told), 1)
                self.assertEqual(self.stored(sender["name"]), right["incidents"])
            for twin in twins:
                twin.close()

    def test_a_byte_changed_anywhere_in_a_signed_body_is_401(self):
        for sender in self.signed():
            right = self.right(sender)
            door = self.front(sender["name"])
            body = right["body"].encode()
            for at in range(len(body)):
                with self.subTest(f"{sender['name']}: byte {at}"):
                    changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
                    # One address that is wrong so often would be slowed down.
                    answer = self.ask(door, right, changed, source=f"127.1.1.{1 + at % 200}")
                    self.assertEqual(answer.status, 401)
            for name, changed in {
                "one byte less": body[:-1],
                "one byte more": body + b"\n",
                "empty": b"",
            }.items():
                with self.subTest(f"{sender['name']}: {name}"):
                    self.assertEqual(self.ask(door, right, changed).status, 401)
            self.assertEqual(self.stored(sender["name"]), [])


if __name__ == "__main__":
    unittest.main()
