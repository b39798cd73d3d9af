"""What one door refuses, no other door serves; and the command line knocks at its own user's door only."""

import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest

from host_process import HOST_STUB, HostProcess, configuration, listen_port
from peers import address_of, ask, basic, make_certificate, request

GOOD = basic("user:pass")
PATH = "/instance/execute/webhook"


class DoorsTest(unittest.TestCase):
    def serve(self, config):
        host = HostProcess(config, "--store", "memory")
        self.addCleanup(host.__exit__)
        host.start()
        return host

    def over_grpc(self, host, *command):
        return subprocess.run(
            [HOST_STUB, *command, "--connect", host.grpc], capture_output=True, text=True, timeout=60
        )

    def check_closed(self, host, path, reason):
        answer = ask(address_of(host.http), request(path, b"{}", Authorization=GOOD))
        self.assertEqual(answer.status, 403)
        self.assertIn(reason, answer.body.decode())
        done = self.over_grpc(host, "execute", "webhook", "-d", "{}", "-u", "user:pass")
        self.assertEqual(done.returncode, 1)
        self.assertIn(reason, done.stderr)
        self.assertEqual(host.run_json("incidents", "list"), [])
        # The owner's own door.
        done = host.run("execute", "webhook", "-d", "{}", "-u", "user:pass")
        self.assertEqual(done.returncode, 0, done)

    def test_instance_that_the_server_configuration_does_not_open_is_closed_over_grpc_too(self):
        config = configuration("XSOAR_6", username="user", password="pass", **listen_port())
        config["serverConfiguration"] = {}
        self.check_closed(self.serve(config), PATH, "instance.execute.external.webhook")

    def test_instance_with_client_ca_is_served_on_its_listen_port_only(self):
        folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        make_certificate(folder)
        pem = pathlib.Path(folder, "certificate.pem").read_text()
        config = configuration(
            "XSOAR_6",
            username="user",
            password="pass",
            certificate=pem,
            key=pathlib.Path(folder, "key.pem").read_text(),
            client_ca=pem,
            **listen_port(),
        )
        self.check_closed(self.serve(config), PATH, "listen port only")

    def test_strangers_are_not_told_which_instance_has_no_credentials(self):
        config = configuration("XSOAR_8_ON_PREM", username="user", password="pass")
        config["instances"].append({"name": "open", "configuration": {}})
        host = self.serve(config)
        self.assertIn("credentials", str(host.run("test", "open")))
        told = [self.over_grpc(host, "test", name) for name in ("webhook", "open")]
        self.assertEqual(told[0].stdout + told[0].stderr, told[1].stdout + told[1].stderr)
        self.assertEqual(told[0].returncode, told[1].returncode)


class ReaderOfTheDatabaseTest(unittest.TestCase):
    def test_command_says_that_a_reader_keeps_the_secret_that_it_replaced(self):
        host = HostProcess(configuration("XSOAR_8_ON_PREM"))
        self.addCleanup(host.__exit__)
        host.start()
        secret = ["-p", "username=user", "-p"]
        done = host.run("instances", "create", "hook", *secret, "password=planted-in-the-wal")
        self.assertEqual(done.returncode, 0, done)
        reader = sqlite3.connect(os.path.join(host.data_dir, "incidents.db"))
        self.addCleanup(reader.close)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM incidents").fetchall()
        done = host.run("instances", "update", "hook", "-p", "password=another")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("is still in", done.stderr.decode())
        self.await_(lambda: "is still in" in host.stderr())
        reader.rollback()
        self.await_(lambda: "this is over" in host.stderr())
        self.assertNotIn("is still in", host.run("instances", "get", "hook").stderr.decode())
        for file in pathlib.Path(host.data_dir).glob("incidents.db*"):
            self.assertNotIn(b"planted-in-the-wal", file.read_bytes())

    def await_(self, condition):
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)


class CommandLinesPeerTest(unittest.TestCase):
    """Whoever listens in the place of the control socket must not get a secret."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = os.path.join(self.folder, "control.sock")
        self.server = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.server.close)

    def check_nothing_is_sent(self, reason):
        done = subprocess.run(
            [HOST_STUB, "execute", "webhook", "-u", "user:planted", "-d", "{}"]
            + ["--connect", f"unix:{self.path}"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 2, done)
        self.assertIn(reason, done.stderr)
        self.server.settimeout(0)
        try:
            connection = self.server.accept()[0]
        except BlockingIOError:
            return
        with connection:
            self.assertEqual(connection.recv(1), b"")

    def test_socket_in_a_folder_that_others_can_write_to_is_not_used(self):
        self.server.bind(self.path)
        self.server.listen()
        os.chmod(self.folder, 0o777)
        self.check_nothing_is_sent(f"chmod go-w {self.folder}")

    @unittest.skipUnless(os.geteuid() == 0, "only root can act as somebody else")
    def test_socket_of_another_user_is_not_used(self):
        self.server.bind(self.path)
        # The kernel notes who calls listen().
        pid = os.fork()
        if pid == 0:
            try:
                os.setuid(12345)
                self.server.listen()
            except OSError:
                os._exit(1)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
            self.check_nothing_is_sent("user 12345 serves there")


if __name__ == "__main__":
    unittest.main()
