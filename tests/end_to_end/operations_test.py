"""The program as an operator uses it: start, refusals, commands, stop."""

import json
import os
import pathlib
import pty
import signal
import socket
import stat
import subprocess
import time
import unittest

from host_process import HOST_STUB, HostProcess, configuration


class StartTest(unittest.TestCase):
    def refusal(self, config, *options, text=None, **addresses):
        host = HostProcess(config, *options, **addresses)
        self.addCleanup(host.__exit__)
        if text is not None:
            config_file = pathlib.Path(host.config_file)
            config_file.write_text(text)
        host.spawn()
        self.assertNotEqual(host.wait(), 0)
        lines = host.stderr().strip().splitlines()
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def test_wrong_configuration_is_refused_with_file_place_and_reason(self):
        for change, expected in (
            ({"passwrd": "x"}, ("instances[0].configuration.passwrd", "password")),
            ({"store_samples": 5}, ("instances[0].configuration.store_samples",)),
            ({"password": "only"}, ("username",)),
            ({"longRunningPort": "70000"}, ("longRunningPort",)),
            ({"product": "XSOAR_6"}, ("longRunningPort is required for XSOAR_6",)),
        ):
            line = self.refusal(configuration(**change))
            for part in expected:
                self.assertIn(part, line)
        self.assertIn("config.json", self.refusal(configuration(passwrd="x")))

    def test_file_that_is_not_json_is_refused_with_its_place(self):
        line = self.refusal(configuration(), text='{"platform": \n {]}')
        self.assertIn("config.json", line)
        self.assertIn("2", line)

    def test_duplicate_names_and_ports_are_refused(self):
        config = configuration("XSOAR_6", longRunningPort="8000")
        config["instances"].append({"name": "second", "configuration": {"longRunningPort": 8000}})
        self.assertIn("8000", self.refusal(config))
        config["instances"][1] = {"name": "webhook", "configuration": {}}
        self.assertIn("webhook", self.refusal(config))

    def test_plugin_that_is_not_there_is_refused_by_its_path(self):
        line = self.refusal(configuration(), plugin="/nonexistent/plugin.so")
        self.assertIn("/nonexistent/plugin.so", line)

    def test_port_in_use_is_refused_with_its_number(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            config = configuration(username="user", password="pass")
            self.assertIn(str(port), self.refusal(config, http=f"127.0.0.1:{port}"))

    def test_second_host_on_the_same_data_folder_is_refused(self):
        with HostProcess(configuration()) as first:
            second = HostProcess(configuration(), data_dir=first.data_dir)
            self.addCleanup(second.__exit__)
            second.spawn()
            self.assertNotEqual(second.wait(), 0)
            self.assertIn(str(first.process.pid), second.stderr())
            # The first one goes on serving.
            self.assertEqual(first.run("execute", "webhook", "-d", "{}").returncode, 0)

    def test_missing_credentials_are_warned_of(self):
        with HostProcess(configuration()) as host:
            self.assertIn("unexpected requests", host.stderr())

    def test_several_run_side_by_side(self):
        with HostProcess(configuration()) as one, HostProcess(configuration()) as two:
            self.assertEqual(one.run("execute", "webhook", "-d", "{}").returncode, 0)
            self.assertEqual(two.run_json("incidents", "list"), [])

    def test_data_folder_and_files_are_the_owners_alone(self):
        with HostProcess(configuration()) as host:
            host.run("execute", "webhook", "-d", "{}")
            self.assertEqual(stat.S_IMODE(os.stat(host.data_dir).st_mode), 0o700)
            for file in pathlib.Path(host.data_dir).iterdir():
                self.assertEqual(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, file)


class RefusalsTest(unittest.TestCase):
    def test_list_that_leaves_something_out_says_how_to_see_it(self):
        with HostProcess(configuration(username="user", password="pass")) as host:
            self.assertIn(b"without a name", host.run("refusals", "webhook").stdout)
            for _ in range(3):
                host.run("execute", "webhook", "-d", "{}")
            self.assertIn(b"--limit shows more", host.run("refusals", "--limit", "2").stderr)
            self.assertEqual(host.run("refusals").stderr, b"")


class StopTest(unittest.TestCase):
    def test_sigterm_and_sigint_stop_cleanly(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with HostProcess(configuration()) as host:
                host.run("execute", "webhook", "-d", "{}")
                host.process.send_signal(number)
                self.assertEqual(host.wait(), 0, host.stderr())

    def test_idle_connection_does_not_delay_the_stop(self):
        with HostProcess(configuration()) as host:
            address = host.http.split(":")
            with socket.create_connection(address, timeout=30) as idle:
                # After an answer the connection is certainly accepted, and not only queued.
                idle.sendall(b"GET /xsoar/instance/execute/webhook HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = idle.makefile("rb")
                length = 0
                while (line := answer.readline().strip()) != b"":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                answer.read(length)
                self.assertEqual(host.stop(), 0)
                self.assertEqual(idle.recv(1), b"")


    def test_stop_takes_no_longer_than_what_is_in_flight(self):
        with HostProcess(configuration()) as host:
            for target in (host.grpc, host.control):
                host.run("execute", "webhook", "-d", "{}")
                subprocess.run(
                    [HOST_STUB, "execute", "webhook", "-d", "{}", "--connect", target],
                    check=True,
                    capture_output=True,
                    timeout=60,
                )
            begin = time.monotonic()
            self.assertEqual(host.stop(), 0)
            self.assertLess(time.monotonic() - begin, 5)

    def test_grpc_takes_nothing_new_while_http_is_still_being_answered(self):
        with HostProcess(configuration()) as host:
            address = host.http.split(":")
            with socket.create_connection(address, timeout=30) as slow:
                slow.sendall(
                    b"POST /xsoar/instance/execute/webhook HTTP/1.1\r\nHost: a\r\n"
                    b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
                )
                self.assertIn(b"100", slow.recv(4096))
                slow.sendall(b"{")
                host.process.send_signal(signal.SIGTERM)
                while not self.is_refused(address):
                    pass
                new = host.run("execute", "webhook", "-d", "{}")
                self.assertNotEqual(new.returncode, 0)
                self.assertIsNone(host.process.poll())
                slow.sendall(b"}")
                self.assertIn(b"200 OK", slow.recv(4096))
            self.assertEqual(host.wait(), 0, host.stderr())

    @staticmethod
    def is_refused(address):
        try:
            socket.create_connection(address, timeout=30).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # in the queue of the listener that has just closed
            pass
        return False


class RetentionTest(unittest.TestCase):
    def test_retention_of_a_reload_deletes_the_oldest_and_followers_are_told(self):
        config = configuration(username="user", password="pass")
        with HostProcess(config) as host:
            body = json.dumps({"name": "large", "rawJson": {"a": "x" * 500_000}})
            for _ in range(6):
                host.run("execute", "webhook", "-u", "user:pass", "-d", "-", stdin=body.encode())
            self.assertEqual(host.run("incidents", "get", "1").returncode, 0)
            config["retention"] = {"bytes": 1 << 20}
            pathlib.Path(host.config_file).write_text(json.dumps(config))
            host.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 60
            while host.run("incidents", "get", "3").returncode == 0:
                self.assertLess(time.monotonic(), deadline)
            left = [int(one["id"]) for one in host.run_json("incidents", "list")]
            self.assertEqual(left, list(range(6, 6 - len(left), -1)))
            for command in ("follow", "export"):
                done = host.run("incidents", command, "--after", "1")
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(b"incidents after 1 have been deleted by retention", done.stderr)
            exported = host.run("incidents", "export").stdout.splitlines()
            self.assertEqual([int(json.loads(line)["id"]) for line in exported], left[::-1])
            while "PRAGMA auto_vacuum" not in host.stderr():  # it was made without retention
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)


class CommandsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = HostProcess(configuration(username="user", password="pass"))
        cls.host.start()
        cls.addClassCleanup(cls.host.__exit__)

    def test_execute_exits_0_only_on_2xx(self):
        refused = self.host.run("execute", "webhook", "-d", "{}")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(b"Authorization failed.", refused.stdout + refused.stderr)
        created = self.host.run("execute", "webhook", "-d", "{}", "-u", "user:pass")
        self.assertEqual(created.returncode, 0, created)
        self.assertTrue(json.loads(created.stdout)[0]["id"])

    def test_execute_takes_a_body_from_a_file_and_from_standard_input(self):
        file = os.path.join(self.host.own_folder, "body.json")
        pathlib.Path(file).write_text('{"from":"file"}')
        for body, stdin, expected in (("@" + file, None, "file"), ("-", b'{"from":"stdin"}', "stdin")):
            done = self.host.run("execute", "webhook", "-d", body, "-u", "user:pass", stdin=stdin)
            incident = self.host.incident(json.loads(done.stdout)[0]["id"])
            self.assertEqual(incident["details"]["from"], expected)

    def test_execute_passes_other_methods_on(self):
        done = self.host.run("execute", "webhook", "-X", "GET", "-u", "user:pass")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"405", done.stdout + done.stderr)

    def test_execute_works_over_the_public_grpc_address_and_incidents_do_not(self):
        public = [HOST_STUB, "execute", "webhook", "-d", "{}", "-u", "user:pass"]
        done = subprocess.run(public + ["--connect", self.host.grpc], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done)
        done = subprocess.run(
            [HOST_STUB, "incidents", "list", "--connect", self.host.grpc],
            capture_output=True,
            timeout=60,
        )
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"control socket", done.stderr)

    def test_unknown_instance_is_named(self):
        done = self.host.run("execute", "nobody", "-d", "{}")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"nobody", done.stderr)

    def test_test_answers_ok(self):
        done = self.host.run("test", "webhook")
        self.assertEqual((done.returncode, done.stdout.strip()), (0, b"ok"), done)

    def test_instances_are_listed_without_secrets(self):
        done = self.host.run("instances", "list", "--json")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn(b"webhook", done.stdout)
        self.assertNotIn(b'"pass"', done.stdout)

    def test_list_honours_its_limit_and_shows_the_newest_first(self):
        for count in range(3):
            self.host.run(
                "execute", "webhook", "-u", "user:pass", "-d", json.dumps({"name": f"number {count}"})
            )
        listed = self.host.run_json("incidents", "list", "--limit", "2")
        self.assertEqual([incident["name"] for incident in listed], ["number 2", "number 1"])

    def test_follow_shows_what_is_created(self):
        follow = subprocess.Popen(
            [HOST_STUB, "incidents", "follow", "--json", "--after", "0", "--connect", self.host.control],
            stdout=subprocess.PIPE,
        )
        try:
            self.host.run("execute", "webhook", "-u", "user:pass", "-d", '{"name":"followed"}')
            for line in follow.stdout:
                if json.loads(line)["name"] == "followed":
                    break
            else:
                self.fail("the stream ended")
        finally:
            follow.kill()
            follow.wait()
            follow.stdout.close()

    def create_with_severities(self, instance_name, *severities):
        for severity in severities:
            alerts = [{"labels": {"severity": severity}}]
            body = {"name": instance_name, "type": "Alert", "rawJson": {"alerts": alerts}}
            self.host.run("execute", "webhook", "-u", "user:pass", "-d", json.dumps(body))

    def test_incidents_are_found_by_what_they_hold_and_when_they_came(self):
        self.create_with_severities("findable", "critical", "low", "critical")
        critical = ("--where", "alerts[0].labels.severity=critical")
        for arguments, count in (
            (critical, 2),
            ((*critical, "--where", "alerts[0].labels.severity=low"), 0),
            (("--type", "Alert"), 3),
            (("--since", "1h"), 3),
            (("--since", "2024-05-01T10:00:00Z", "--instance", "webhook"), 3),
            (("--before", "1h"), 0),
        ):
            listed = self.host.run_json("incidents", "list", "--name", "FIND", *arguments)
            self.assertEqual(len(listed), count, arguments)
        for arguments, expected in (
            (("--where", "alerts[0.labels=x"), b"filter.where[0]: character"),
            (("--since", "yesterday"), b"filter.created_since: must be a time such as 2024"),
        ):
            refused = self.host.run("incidents", "list", *arguments)
            self.assertEqual(refused.returncode, 1, refused)
            self.assertIn(expected, refused.stderr)

    def test_export_prints_every_incident_as_a_line_and_continues_where_it_ended(self):
        self.create_with_severities("exported", "one", "two", "three")
        export = ("incidents", "export", "--format", "jsonl")
        done = self.host.run(*export)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        ids = [int(line["id"]) for line in lines]
        self.assertEqual(ids, list(range(1, len(ids) + 1)))
        self.assertEqual(lines[-1]["name"], "exported")
        self.assertEqual(
            json.loads(lines[-1]["details"])["alerts"], [{"labels": {"severity": "three"}}]
        )
        rest = self.host.run(*export, "--after", str(ids[-2]), "--name", "exported")
        self.assertEqual([json.loads(line) for line in rest.stdout.splitlines()], lines[-1:])

    def test_export_shows_its_progress_on_a_terminal_only_there(self):
        self.create_with_severities("exported", "one")
        terminal, end = pty.openpty()
        self.addCleanup(os.close, terminal)
        done = subprocess.run(
            [HOST_STUB, "incidents", "export", "--connect", self.host.control],
            stdout=subprocess.PIPE,
            stderr=end,
            check=True,
            timeout=60,
        )
        os.close(end)
        count = len(done.stdout.splitlines())
        told = ""
        try:
            while not told.endswith("\n"):
                told += os.read(terminal, 4096).decode()
        except OSError:  # nobody has the other end any more
            pass
        self.assertRegex(told, rf"\r100 %, {count} incidents?\r?\n$")

    def test_export_that_cannot_be_written_is_one_line(self):
        self.create_with_severities("exported", "one")
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [HOST_STUB, "incidents", "export", "--connect", self.host.control],
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=60,
            )
        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            done.stderr.decode(), "host_stub: standard output: No space left on device\n"
        )

    def test_unreachable_host_is_one_line_that_says_what_to_do(self):
        done = subprocess.run(
            [HOST_STUB, "incidents", "list", "--connect", "unix:/nonexistent/control.sock"],
            capture_output=True,
            timeout=60,
        )
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn(b"host_stub serve", done.stderr)

    def test_every_command_has_help_with_an_example(self):
        for command in (
            ["serve"],
            ["execute"],
            ["test"],
            ["incidents", "list"],
            ["incidents", "get"],
            ["incidents", "follow"],
            ["incidents", "export"],
            ["instances", "list"],
        ):
            done = subprocess.run([HOST_STUB, *command, "--help"], capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 0, command)
            self.assertIn(b"host_stub " + " ".join(command).encode(), done.stdout, command)


if __name__ == "__main__":
    unittest.main()
