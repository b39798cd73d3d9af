"""The life of an instance, managed over the command line while the host runs."""

import http.client
import json
import os
import pathlib
import signal
import stat
import subprocess
import threading
import unittest

from host_process import HOST_STUB, HostProcess, configuration, listen_port
from peers import basic


def post(host, name="hook", credentials=None, path=None):
    connection = http.client.HTTPConnection(*host.http.split(":"), timeout=30)
    headers = {}
    if credentials:
        headers["Authorization"] = basic(credentials)
    connection.request("POST", path or f"/xsoar/instance/execute/{name}", b'{"a":1}', headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


class InstancesTest(unittest.TestCase):
    def setUp(self):
        config = configuration(name="filed", username="user", password="old")
        self.host = HostProcess(config)
        self.host.start()
        self.addCleanup(self.host.__exit__)
        self.config = config

    def done(self, *arguments):
        done = self.host.run("instances", *arguments)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout.decode()

    def refused(self, *arguments):
        done = self.host.run("instances", *arguments)
        self.assertNotEqual(done.returncode, 0, done)
        lines = done.stderr.decode().strip().splitlines()
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def reload(self, expected):
        """Sends SIGHUP, and waits for the line that says what came of it."""
        pathlib.Path(self.host.config_file).write_text(json.dumps(self.config))
        before = self.host.stderr().count("\n")
        self.host.process.send_signal(signal.SIGHUP)
        log = os.path.join(self.host.own_folder, "stderr")
        tail = ["tail", "-n", f"+{before + 1}", "-f", log]
        with subprocess.Popen(tail, stdout=subprocess.PIPE, text=True) as lines:
            told = next(x for x in lines.stdout if "took over" in x or "stays as it was" in x)
            lines.kill()
        self.assertIn(expected, told)

    def test_what_is_wrong_is_refused_in_one_line(self):
        self.assertIn("A-Z a-z 0-9", self.refused("create", "not/a/name"))
        self.assertIn("passwrd", self.refused("create", "hook", "-p", "passwrd=x"))
        self.assertIn("username", self.refused("create", "hook", "-p", "password=x"))
        self.assertIn("exists", self.refused("create", "filed"))
        self.assertIn("KEY=VALUE", self.refused("create", "hook", "-p", "nothing"))
        self.assertIn("configuration file", self.refused("update", "filed", "-p", "password=new"))
        self.assertIn("configuration file", self.refused("delete", "filed"))
        self.assertIn("nobody", self.refused("disable", "nobody"))
        self.assertIn("nobody", self.refused("get", "nobody"))
        self.assertEqual(post(self.host, "filed", "user:old"), 200)

    def test_shown_curl_works_for_a_source_that_is_sent_a_token_and_there_is_none_for_one_that_signs(self):
        folder = self.host.own_folder
        body = json.dumps({"version": "4", "alerts": [{"labels": {"alertname": "Disk full"}}]})
        pathlib.Path(folder, "body.json").write_text(body)
        ours = "https://ext-my.xsoar.live"
        secret = "0123456789abcdef"
        for source in ("alertmanager", "splunk"):
            self.done("create", source, "-p", f"source={source}", "-p", f"signing_secrets={secret}")
            curl = self.host.run_json("url", source)["curlPosix"]
            self.assertIn(f"{ours}/xsoar/instance/execute/{source}", curl)
            curl = curl.replace(ours, f"http://{self.host.http}").replace("<token>", secret)
            done = subprocess.run(
                ["sh", "-c", curl + " -sS"], cwd=folder, capture_output=True, timeout=60
            )
            self.assertTrue(json.loads(done.stdout)[0]["id"], done)
        self.done("create", "github", "-p", "source=github", "-p", f"signing_secrets={secret}")
        shown = self.host.run("url", "github").stdout.decode()
        self.assertIn("The sender signs its requests", shown)
        self.assertIn("host_stub try github -d @body.json -H @headers.txt", shown)
        self.assertNotIn("curl", shown)
        self.assertEqual(self.host.run_json("url", "github")["curlPosix"], "")

    def test_life_of_an_instance(self):
        secret = os.path.join(self.host.own_folder, "secret")
        pathlib.Path(secret).write_text("first\n")
        self.assertEqual(post(self.host), 404)
        shown = self.done("create", "hook", "-p", "username=user", "-p", f"password=@{secret}")
        self.assertIn("healthy", shown)
        self.assertNotIn("first", shown)
        url = self.host.run("url", "hook").stdout.decode()
        self.assertIn("https://ext-my.xsoar.live/xsoar/instance/execute/hook", url)
        self.assertIn("curl -X POST https://ext-my.xsoar.live/xsoar/instance/execute/hook", url)
        self.assertIn("-u 'user:<password>'", url)
        self.assertIn('-u ^"user:^<password^>^"', url)
        self.assertEqual(self.host.run("test", "hook").stdout.strip(), b"ok")
        warnings = self.host.run_json("test", "hook")["warnings"]
        self.assertEqual(len(warnings), len(set(warnings)), warnings)
        self.assertEqual(post(self.host, credentials="user:first"), 200)

        self.done("update", "hook", "-p", "password=second")
        self.assertEqual(post(self.host, credentials="user:first"), 401)
        self.assertEqual(post(self.host, credentials="user:second"), 200)

        self.done("disable", "hook")
        self.assertEqual(post(self.host, credentials="user:second"), 404)
        execute = self.host.run("execute", "hook", "-d", "{}", "-u", "user:second")
        self.assertIn(b"disabled", execute.stderr)
        self.assertEqual(self.host.run_json("instances", "get", "hook")["state"], "disabled")
        self.done("enable", "hook")
        self.assertEqual(post(self.host, credentials="user:second"), 200)

        self.done("delete", "hook")
        self.assertEqual(post(self.host, credentials="user:second"), 404)
        self.assertIn("hook", self.refused("delete", "hook"))
        self.done("delete", "hook", "--allow-missing")
        self.assertEqual(len(self.host.run_json("incidents", "list")), 3)

    def test_requests_refused_before_their_body_count_and_a_change_keeps_the_counts(self):
        self.done("create", "hook", "-p", "username=user", "-p", "password=first")
        path = "/xsoar/instance/execute/hook/more"
        self.assertEqual(post(self.host, credentials="user:wrong"), 401)
        self.assertEqual(post(self.host, credentials="user:first", path=path), 404)
        self.assertEqual(post(self.host, credentials="user:first"), 200)
        self.done("update", "hook", "-p", "password=second")
        self.assertEqual(post(self.host, credentials="user:first"), 401)
        shown = self.host.run_json("instances", "get", "hook")
        counts = {name: shown[name] for name in ("requests", "succeeded", "refused", "failed")}
        self.assertEqual(counts, {"requests": 4, "succeeded": 1, "refused": 3, "failed": 0})
        self.assertIn("4 (2xx 1, 4xx 3, 5xx 0)", self.done("get", "hook"))
        self.done("disable", "hook")
        self.done("enable", "hook")
        self.assertEqual(self.host.run_json("instances", "get", "hook")["requests"], 0)

    def test_instances_survive_a_kill(self):
        self.done("create", "hook", "-p", "username=user", "-p", "password=first")
        self.done("create", "off", "--disabled")
        before = self.host.run_json("instances", "get", "hook")
        self.host.kill()
        self.host.start()
        after = self.host.run_json("instances", "get", "hook")
        self.assertEqual((after["uid"], after["etag"]), (before["uid"], before["etag"]))
        self.assertEqual(post(self.host, credentials="user:first"), 200)
        self.assertEqual(self.host.run_json("instances", "get", "off")["state"], "disabled")
        for file in pathlib.Path(self.host.data_dir).iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, file)

    def test_outdated_etag_is_refused(self):
        self.done("create", "hook")
        old = self.host.run_json("instances", "get", "hook")["etag"]
        self.done("update", "hook", "-p", "incidentType=Phishing", "--etag", old)
        self.assertIn("etag", self.refused("update", "hook", "-p", "incidentType=", "--etag", old))

    def test_no_request_fails_while_its_instance_changes(self):
        self.done("create", "hook", "-p", "incidentType=A")
        statuses, stop = [], threading.Event()

        def send():
            connection = http.client.HTTPConnection(*self.host.http.split(":"), timeout=30)
            while not stop.is_set():
                connection.request("POST", "/xsoar/instance/execute/hook", b'{"a":1}')
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
            connection.close()

        senders = [threading.Thread(target=send) for _ in range(4)]
        for sender in senders:
            sender.start()
        for count in range(10):
            self.done("update", "hook", "-p", f"incidentType=B{count}")
        stop.set()
        for sender in senders:
            sender.join()
        self.assertGreater(len(statuses), 10)
        self.assertEqual(set(statuses), {200})

    def test_sighup_takes_the_file_over_as_one_change(self):
        self.done("create", "hook")
        self.config["instances"][0]["configuration"]["password"] = "new"
        self.config["instances"].append({"name": "more", "configuration": {}})
        self.reload("took over")
        self.assertEqual(post(self.host, "filed", "user:old"), 401)
        self.assertEqual(post(self.host, "filed", "user:new"), 200)
        self.assertEqual(post(self.host, "more"), 200)
        self.assertEqual(post(self.host, "hook"), 200)
        del self.config["instances"][1]
        self.reload("took over")
        self.assertEqual(post(self.host, "more"), 404)

    def test_sighup_takes_over_who_is_reached_from_outside(self):
        config = configuration("XSOAR_6", "filed", **listen_port())
        self.host.stop()
        self.config = config
        pathlib.Path(self.host.config_file).write_text(json.dumps(config))
        self.host.start()
        path = "/instance/execute/filed"
        self.assertEqual(post(self.host, path=path), 200)
        config["serverConfiguration"] = {"instance.execute.external.filed": "false"}
        self.reload("took over")
        self.assertEqual(post(self.host, path=path), 403)

    def test_file_that_is_wrong_changes_nothing(self):
        self.config["instances"][0]["configuration"] = {"username": "user", "password": "new"}
        self.config["instances"].append({"name": "more", "configuration": {"password": "x"}})
        self.reload("username")
        self.assertEqual(post(self.host, "filed", "user:old"), 200)
        self.assertEqual(post(self.host, "more"), 404)
        self.config["instances"] = [{"name": "not a name", "configuration": {}}]
        self.reload("instances[0].name")
        self.assertEqual(post(self.host, "filed", "user:old"), 200)


class HelpTest(unittest.TestCase):
    def test_every_command_has_help_with_an_example(self):
        for command in (
            ["instances", "get"],
            ["instances", "create"],
            ["instances", "update"],
            ["instances", "enable"],
            ["instances", "disable"],
            ["instances", "delete"],
            ["url"],
            ["samples"],
            ["samples", "fields"],
            ["map"],
        ):
            done = subprocess.run([HOST_STUB, *command, "--help"], capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 0, command)
            self.assertIn(b"host_stub " + " ".join(command).encode(), done.stdout, command)


class PlatformsTest(unittest.TestCase):
    def test_on_prem_names_the_dns_record(self):
        config = configuration("XSOAR_8_ON_PREM", url="https://xsoar.mycompany.com")
        with HostProcess(config) as host:
            shown = host.run_json("url", "webhook")
            self.assertEqual(shown["dnsRecord"], "ext-xsoar.mycompany.com")
            self.assertEqual(
                shown["webhookUrl"], "https://ext-xsoar.mycompany.com/xsoar/instance/execute/webhook"
            )

    def test_without_a_platform_url_the_curl_goes_to_the_front_and_works(self):
        with HostProcess(configuration(url="")) as host:
            shown = host.run_json("url", "webhook")
            self.assertEqual(shown["webhookUrl"], "")
            self.assertTrue(shown["curlPosix"].startswith("curl -X POST " + host.url()), shown)


if __name__ == "__main__":
    unittest.main()
