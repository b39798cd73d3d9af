"""Who changed what: every management call is kept, with the change or not at all."""

import json
import pathlib
import signal
import sqlite3
import subprocess
import time
import unittest

import grpc

from host_process import HOST_STUB, HostProcess, configuration

SECRETS = ("planted-password-1", "planted-password-2", "planted-password-3")


class AuditTest(unittest.TestCase):
    def serve(self, *options):
        self.config = configuration(username="user", password=SECRETS[2])
        self.host = HostProcess(self.config, *options)
        self.addCleanup(self.host.__exit__)
        self.host.start()
        return self.host

    def change(self, *arguments, code=0):
        done = self.host.run("instances", *arguments)
        self.assertEqual(done.returncode, code, done)
        return done.stderr.decode()

    def reload(self, text):
        """The line of the log that tells what became of it."""
        pathlib.Path(self.host.config_file).write_text(text)
        before = self.host.stderr().count("\n")
        self.host.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while True:
            lines = self.host.stderr().splitlines()[before:]
            for line in lines:
                if "took over" in line or "stays as it was" in line:
                    return line
            self.assertLess(time.monotonic(), deadline, lines)
            time.sleep(0.01)

    def audit(self, *options):
        """(who, what, instance, outcome, parameters) of each call, oldest first."""
        listed = self.host.run_json("audit", *options)
        for one in listed:
            self.assertRegex(one["time"], r"^20..-..-..T..:..:..\....Z$")
        return [
            (one["who"], one["what"], one["instance"], one["outcome"], ",".join(one["parameters"]))
            for one in reversed(listed)
        ]

    def test_change_whose_audit_cannot_be_stored_is_refused(self):
        host = self.serve()
        self.change("create", "hook", "-p", "username=user", "-p", "password=" + SECRETS[0])
        database = sqlite3.connect(host.data_dir + "/incidents.db", isolation_level=None)
        self.addCleanup(database.close)
        database.execute(
            "CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no audit'); END"
        )
        self.change("create", "more", code=1)
        self.change("update", "hook", "-p", "password=" + SECRETS[1], code=1)
        self.change("disable", "hook", code=1)
        self.change("delete", "hook", code=1)
        self.assertIn("stays as it was", self.reload(json.dumps(self.config | {"instances": []})))
        names = [one["name"] for one in host.run_json("instances", "list")]
        self.assertEqual(names, ["hook", "webhook"])
        self.assertIn("audit: it could not be stored", host.stderr())
        done = host.run("execute", "hook", "-d", "{}", "-u", "user:" + SECRETS[0])
        self.assertEqual(done.returncode, 0, done)
        database.execute("DROP TRIGGER no_audit")
        self.change("delete", "hook")
        self.assertEqual([one[1:4] for one in self.audit()],
                         [("create", "hook", "OK"), ("delete", "hook", "OK")])

    def test_each_call_is_kept_with_who_what_outcome_and_names_and_no_value(self):
        host = self.serve()
        self.assertIn(b"nothing was changed", host.run("audit").stdout)
        self.change("create", "hook", "-p", "username=user", "-p", "password=" + SECRETS[0])
        self.change("create", "hook", code=1)
        self.change("create", "not/a/name", code=1)
        self.change("create", "hook2", "-p", "passwrd=" + SECRETS[0], code=1)
        self.change("create", "hook3", "--validate-only")
        self.change("update", "hook", "-p", "password=" + SECRETS[1], "-p", "incidentType=Phishing")
        self.change("update", "webhook", "-p", "password=" + SECRETS[1], code=1)
        self.change("disable", "hook")
        self.change("enable", "hook")
        self.change("enable", "hook")  # nothing to change
        self.change("delete", "hook", "--etag", "another", code=1)
        self.change("delete", "hook")
        self.change("delete", "hook", "--allow-missing")
        self.assertIn("stays as it was", self.reload('{"password": "%s"' % SECRETS[0]))
        self.config["instances"][0]["configuration"]["password"] = SECRETS[0]
        self.assertIn("took over", self.reload(json.dumps(self.config)))
        self.config |= {"retention": {"days": 30}, "trusted_proxies": ["10.0.0.0/8"]}
        self.assertIn("took over", self.reload(json.dumps(self.config)))
        self.assertIn("took over", self.reload(json.dumps(self.config)))
        expected = [
            ("unix", "create", "hook", "OK", "password,username"),
            ("unix", "create", "hook", "ALREADY_EXISTS", ""),
            ("unix", "create", "", "INVALID_ARGUMENT", ""),
            ("unix", "create", "hook2", "INVALID_ARGUMENT", ""),
            ("unix", "update", "hook", "OK", "incidentType,password"),
            ("unix", "update", "webhook", "FAILED_PRECONDITION", ""),
            ("unix", "disable", "hook", "OK", "disabled"),
            ("unix", "enable", "hook", "OK", "disabled"),
            ("unix", "enable", "hook", "OK", ""),
            ("unix", "delete", "hook", "FAILED_PRECONDITION", ""),
            ("unix", "delete", "hook", "OK", ""),
            ("unix", "delete", "hook", "OK", ""),
            ("SIGHUP", "reload", "", "INVALID_ARGUMENT", ""),
            ("SIGHUP", "reload", "", "OK", "webhook.password"),
            ("SIGHUP", "reload", "", "OK", "trusted_proxies,retention"),
            ("SIGHUP", "reload", "", "OK", ""),
        ]
        self.assertEqual(self.audit(), expected)
        self.assertEqual(self.audit("--limit", "2"), expected[-2:])
        log = host.stderr()
        self.assertIn(
            "INFO [hook] audit: update by unix: OK; changed: incidentType, password\n", log
        )
        self.assertEqual(log.count(" audit: "), len(expected))
        table = host.run("audit").stdout.decode()
        self.assertIn("incidentType, password", table)
        # They survive the host.
        self.assertEqual(host.stop(), 0)
        host.start()
        self.assertEqual(self.audit(), expected)
        for text in (log, table, json.dumps(host.run_json("audit"))):
            for secret in SECRETS:
                self.assertNotIn(secret, text)

    def test_more_than_a_page_is_listed(self):
        self.serve("--store", "memory")
        channel_calls = 1_003
        with grpc.insecure_channel(self.host.control) as channel:
            call = channel.unary_unary(
                "/long_running_integration.v1.InstanceService/DeleteInstance",
                lambda name: b"\x0a" + bytes([len(name)]) + name,
                bytes,
            )
            for number in range(channel_calls):
                with self.assertRaises(grpc.RpcError):
                    call(b"none-%d" % number, timeout=30)
        names = [one[2] for one in self.audit("--limit", "2000")]
        self.assertEqual(names, [f"none-{number}" for number in range(channel_calls)])

    def test_audit_is_not_served_to_who_needs_no_certificate(self):
        host = self.serve()
        done = subprocess.run(
            [HOST_STUB, "audit", "--connect", host.grpc], capture_output=True, timeout=60
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"control socket", done.stderr)


if __name__ == "__main__":
    unittest.main()
