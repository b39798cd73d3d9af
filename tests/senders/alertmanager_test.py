"""A real Alertmanager: each alert that fires or resolves is one incident, directly and through real
proxies, however often Alertmanager repeats itself."""

import datetime
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest
import urllib.request

from host_process import HostProcess, all_open
from peers import address_of, free_ports
from proxies import await_port, open_proxies, start

SECONDS = 30
USER = {"username": "prometheus", "password": "the password"}
TOKEN = "the token of Alertmanager"
# Alerts of one group come in one notification; while one fires, it comes again each second.
CONFIGURATION = """
route:
  receiver: nobody
  group_by: [job]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1s
  routes:
%s
receivers:
- name: nobody
%s
"""
ROUTE = "  - { receiver: %s, continue: true }\n"
RECEIVER = """
- name: %s
  webhook_configs:
  - url: http://%s:%d/instance/execute/%s
    send_resolved: true
    http_config: %s
"""
BASIC = "{ basic_auth: { username: %(username)s, password: %(password)s } }" % USER
BEARER = "{ authorization: { type: Bearer, credentials: %s } }" % TOKEN


class AlertmanagerTest(unittest.TestCase):
    def setUp(self):
        token = {"signing_secrets": TOKEN}
        credentials = {"direct": USER, "nginx": token, "haproxy": token}
        instances = {
            name: {"source": "alertmanager"} | parameters
            for name, parameters in credentials.items()
        }
        self.host = HostProcess(all_open(instances))
        self.addCleanup(self.host.__exit__)
        self.host.start()
        front = address_of(self.host.http)
        proxies = open_proxies(self, front)
        self.ways = {"direct": front, "nginx": proxies["nginx"], "haproxy": proxies["HAProxy"]}
        self.start_alertmanager()

    def start_alertmanager(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        receivers = [
            RECEIVER % (name, *address, name, BASIC if name == "direct" else BEARER)
            for name, address in self.ways.items()
        ]
        routes = [ROUTE % name for name in self.ways]
        file = os.path.join(folder.name, "alertmanager.yml")
        pathlib.Path(file).write_text(CONFIGURATION % ("".join(routes), "".join(receivers)))
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        start(
            self,
            "prometheus-alertmanager",
            f"--config.file={file}",
            f"--storage.path={folder.name}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        )
        await_port(("127.0.0.1", port))

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")

    def alert(self, name, summary, severity, since, *more):
        subprocess.run(
            ["amtool", f"--alertmanager.url={self.url}", "alert", "add", name, "job=node"]
            + [f"severity={severity}", f"--annotation=summary={summary}"]
            + [f"--start={since}", *more],
            check=True,
            timeout=SECONDS,
        )

    def notifications(self, kind):
        """How many Alertmanager has sent through webhooks, or how many of those failed."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=SECONDS) as answer:
            metrics = answer.read().decode()
        pattern = rf'^alertmanager_notifications_{kind}{{integration="webhook"[^}}]*}} (\d+)'
        return sum(int(count) for count in re.findall(pattern, metrics, re.MULTILINE))

    def await_that(self, what, condition):
        end = time.monotonic() + SECONDS
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.05)

    def events(self, name):
        """(name, severity, Alertmanager's word) of what the store holds of an instance."""
        listed = self.host.run_json("incidents", "list", "--instance", name, "--limit", "100")
        found = []
        for one in listed:
            incident = self.host.incident(one["id"])
            found.append((incident["name"], incident["severity"], incident["details"]["status"]))
            self.assertEqual(incident["type"], "Prometheus alert")
        return sorted(found)

    def test_three_that_fire_and_one_that_resolves_are_four_incidents_however_often_repeated(self):
        since = self.now()
        self.alert("DiskFull", "disk full on a", "critical", since)
        self.alert("HighLoad", "load of 40 on b", "warning", since)
        self.alert("NodeDown", "c is down", "page", since)
        fired = [
            ("DiskFull: disk full on a", 4, "firing"),
            ("HighLoad: load of 40 on b", 2, "firing"),
            ("NodeDown: c is down", 4, "firing"),
        ]
        for name in self.ways:
            self.await_that(f"{name}: fired", lambda: len(self.events(name)) >= len(fired))
            self.assertEqual(self.events(name), fired)

        self.alert("HighLoad", "load of 40 on b", "warning", since, f"--end={self.now()}")
        expected = sorted(fired + [("HighLoad: load of 40 on b", 2, "resolved")])
        for name in self.ways:
            self.await_that(f"{name}: resolved", lambda: len(self.events(name)) > len(fired))
            self.assertEqual(self.events(name), expected)

        # Two more rounds of repetitions.
        sent = self.notifications("total")
        enough = sent + 2 * len(self.ways)
        self.await_that("repeated", lambda: self.notifications("total") >= enough)
        for name in self.ways:
            self.assertEqual(self.events(name), expected)
        self.assertEqual(self.notifications("failed_total"), 0)


if __name__ == "__main__":
    unittest.main()
