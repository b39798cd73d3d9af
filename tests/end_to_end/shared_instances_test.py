"""Hosts that share a PostgreSQL: instances that are managed on one are served by all, and their
secrets are in no byte that the server has written."""

import http.client
import json
import pathlib
import secrets
import shutil
import subprocess
import tempfile
import time
import unittest

from host_process import HOST_STUB, HostProcess
from peers import basic

PATIENCE = 60  # seconds, for a slow machine: it takes one


def await_true(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def command(*arguments):
    return subprocess.run([HOST_STUB, *arguments], capture_output=True, text=True, timeout=60)


class SharedInstancesTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gw-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        # The server runs as another user, who has to reach its folder.
        server_folder = pathlib.Path(tempfile.mkdtemp(prefix="gw-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, server_folder, ignore_errors=True)
        self.data = server_folder / "data"
        server = subprocess.Popen(
            ["tools/postgres-server", server_folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        self.url = f"postgresql:///postgres?host={server_folder}&user=webhook"
        self.assertTrue(await_true(lambda: command("store", "init", "--store", self.url).returncode == 0))
        self.keys = [self.key_file("one.key"), self.key_file("two.key")]

    def key_file(self, name):
        path = self.folder / name
        path.write_text(secrets.token_hex(32) + "\n")
        path.chmod(0o600)
        return str(path)

    def settings(self, keys):
        return {
            "platform": {"product": "XSOAR_8_ON_PREM", "url": "https://my.xsoar.live"},
            "store": {"url": self.url, "secrets_key_files": keys},
        }

    def configuration(self, keys):
        path = self.folder / f"{secrets.token_hex(4)}.json"
        path.write_text(json.dumps(self.settings(keys)))
        return str(path)

    def host(self, keys):
        host = HostProcess(self.settings(keys))
        self.addCleanup(host.__exit__)
        host.start()
        return host

    def post(self, host, password):
        connection = http.client.HTTPConnection(host.http, timeout=30)
        headers = {"Authorization": basic(f"user:{password}"), "Content-Type": "application/json"}
        connection.request("POST", "/xsoar/instance/execute/hook", b'{"name": "x"}', headers)
        status = connection.getresponse().status
        connection.close()
        return status

    def create(self, host, password):
        done = host.run(
            "instances", "create", "hook", "-p", "username=user", "-p", "password=@-", stdin=password.encode()
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def server_bytes(self):
        return b"".join(path.read_bytes() for path in self.data.rglob("*") if path.is_file())

    def test_what_one_host_is_told_all_serve_and_no_secret_is_written(self):
        one, other = self.host(self.keys), self.host(self.keys)
        self.create(one, "planted-first")
        self.assertTrue(await_true(lambda: self.post(other, "planted-first") == 200))
        update = ["instances", "update", "hook", "-p", "password=@-"]
        self.assertEqual(other.run(*update, stdin=b"planted-second").returncode, 0)
        self.assertTrue(await_true(lambda: self.post(one, "planted-second") == 200))
        self.assertEqual(self.post(one, "planted-first"), 401)
        self.assertEqual(one.run("instances", "disable", "hook").returncode, 0)
        self.assertTrue(await_true(lambda: self.post(other, "planted-second") == 404))
        self.assertEqual(other.run("instances", "enable", "hook").returncode, 0)
        self.assertTrue(await_true(lambda: self.post(one, "planted-second") == 200))
        self.assertEqual(other.run("instances", "delete", "hook").returncode, 0)
        self.assertTrue(await_true(lambda: self.post(one, "planted-second") == 404))
        written = self.server_bytes()
        self.assertIn(b"hook", written)
        self.assertNotIn(b"planted", written)
        for host in (one, other):
            self.assertNotIn("planted", host.stderr())

    def test_the_list_shows_where_an_instance_is_served_and_where_not(self):
        one, other = self.host(self.keys[:1]), self.host(self.keys[1:])
        self.create(one, "planted-first")

        def listed(host):
            return host.run_json("instances", "get", "hook")["hosts"]

        self.assertTrue(await_true(lambda: other.run("instances", "get", "hook").returncode == 0))
        self.assertTrue(await_true(lambda: len(listed(one)) == 2))
        self.assertEqual({host["state"] for host in listed(other)}, {"healthy", "unhealthy"})
        shown = one.run("instances", "list")
        self.assertRegex(shown.stdout.decode(), r"HOSTS[^\n]*\n[^\n]* 1 of 2 ")
        self.assertRegex(shown.stderr.decode(), r"hook is not served by webhook-\S+: unhealthy: .*sealed with the key")
        other.kill()  # it cannot say that it ends
        self.assertEqual(len(listed(one)), 2)
        self.assertEqual(one.run("instances", "delete", "hook").returncode, 0)

    def test_rekey_seals_with_the_first_key_and_says_what_it_cannot_open(self):
        one = self.host(self.keys)
        self.create(one, "planted-first")
        swapped, alone, none = [self.configuration(keys) for keys in (self.keys[::-1], self.keys[:1], [])]
        done = command("store", "rekey", "--config", swapped)
        self.assertEqual((done.returncode, done.stdout), (0, "sealed with the first key: 1\n"))
        self.assertEqual(self.post(one, "planted-first"), 200)
        other = self.host(self.keys[1:])
        self.assertEqual(self.post(other, "planted-first"), 200)
        done = command("store", "rekey", "--config", alone)
        self.assertEqual((done.returncode, done.stdout), (1, "sealed with the first key: 0\n"))
        self.assertRegex(done.stderr, "instance hook: its configuration is sealed with the key [0-9a-f]{16}, which")
        done = command("store", "rekey", "--config", none)
        self.assertEqual(done.returncode, 2)
        self.assertIn("needs secrets_key_files", done.stderr)


if __name__ == "__main__":
    unittest.main()
