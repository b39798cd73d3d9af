"""What was acknowledged survives: a stop, and a SIGKILL in the middle of a load."""

import contextlib
import http.client
import json
import sqlite3
import threading
import unittest

from host_process import HostProcess, configuration

SENDERS = 8
ACKNOWLEDGED_BEFORE_THE_KILL = 400


class RestartTest(unittest.TestCase):
    def acknowledged_under_load(self, host):
        """Posts from several threads until the host dies; returns {id: the text that was sent}."""
        acknowledged, lock, enough = {}, threading.Lock(), threading.Event()

        def send(sender):
            connection = http.client.HTTPConnection(host.http, timeout=30)
            for count in range(1_000_000):
                batch = [{"sender": sender, "count": count, "item": i} for i in range(1 + count % 5)]
                try:
                    connection.request("POST", "/xsoar/instance/execute/webhook", json.dumps(batch))
                    answer = connection.getresponse()
                    body = answer.read()
                except (OSError, http.client.HTTPException):
                    return
                if answer.status != 200:
                    return
                with lock:
                    for metadata, item in zip(json.loads(body), batch):
                        self.assertNotIn(metadata["id"], acknowledged)
                        acknowledged[metadata["id"]] = item
                    if len(acknowledged) >= ACKNOWLEDGED_BEFORE_THE_KILL:
                        enough.set()

        threads = [threading.Thread(target=send, args=(i,)) for i in range(SENDERS)]
        for thread in threads:
            thread.start()
        self.assertTrue(enough.wait(60))
        host.kill()
        for thread in threads:
            thread.join()
        return acknowledged

    def test_key_that_goes_before_its_time_is_counted_and_warned_of(self):
        config = configuration(duplication_key="id", delivery_key_ttl="1h")
        config["limits"] = {"remembered_delivery_keys": 1}
        with HostProcess(config) as host:
            for number in (1, 1, 2, 1):
                host.run("execute", "webhook", "-d", json.dumps({"id": number}))
            self.assertEqual(host.run_json("instances", "get", "webhook")["forgottenKeys"], 2)
            self.assertEqual(len(host.run_json("incidents", "list")), 3)
            self.assertIn("[webhook] 1 delivery key was forgotten before delivery_key_ttl", host.stderr())

    def test_severity_that_is_stored_is_shown_by_every_view(self):
        with HostProcess(configuration()) as host:
            for _ in range(2):
                host.run("execute", "webhook", "-d", '{"severity": 3}')
            host.stop()
            with contextlib.closing(sqlite3.connect(f"{host.data_dir}/incidents.db")) as database:
                stored = database.execute("SELECT severity FROM incidents").fetchall()
                # The documented body has none.
                self.assertEqual(stored, [(0.0,), (0.0,)])
                database.execute("UPDATE incidents SET severity = 0.5 WHERE id = 1")
                database.commit()
            host.start()
            listed = host.run_json("incidents", "list")
            self.assertEqual([one["severity"] for one in listed], [0, 0.5])
            self.assertRegex(host.run("incidents", "get", "1").stdout, rb"severity +0\.5\n")
            self.assertRegex(host.run("incidents", "get", "2").stdout, rb"severity +unknown\n")
            self.assertRegex(host.run("incidents", "list").stdout, rb"SEVERITY.*\n2 .*unknown.*\n1 .*0\.5")

    def test_every_acknowledged_id_is_there_after_sigkill(self):
        with HostProcess(configuration()) as host:
            acknowledged = self.acknowledged_under_load(host)
            for _ in range(2):
                host.start()
                more = self.acknowledged_under_load(host)
                self.assertFalse(set(more) & set(acknowledged), "an id was given twice")
                acknowledged.update(more)
            host.start()
            # All rows are read from the database file at once, and a few over the command line.
            with contextlib.closing(
                sqlite3.connect(f"file:{host.data_dir}/incidents.db?mode=ro", uri=True)
            ) as database:
                stored = dict(database.execute("SELECT CAST(id AS TEXT), details FROM incidents"))
            for incident_id, item in acknowledged.items():
                details = json.loads(stored[incident_id])
                details.pop("headers")
                self.assertEqual(details, item)
            last = max(acknowledged, key=int)
            self.assertEqual(host.incident(last)["details"]["count"], acknowledged[last]["count"])
            self.assertEqual(host.stop(), 0)

    def test_incidents_are_still_there_after_a_stop_and_ids_go_on(self):
        with HostProcess(configuration()) as host:
            first = json.loads(host.run("execute", "webhook", "-d", '{"a":1}').stdout)[0]["id"]
            self.assertEqual(host.stop(), 0)
            host.start()
            self.assertEqual(host.incident(first)["details"]["a"], 1)
            second = json.loads(host.run("execute", "webhook", "-d", '{"a":2}').stdout)[0]["id"]
            self.assertGreater(int(second), int(first))


if __name__ == "__main__":
    unittest.main()
