"""Plants secrets wherever one can be given, and looks for them in everything that is written."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import unittest

import grpc

from contract import generate
from host_process import HOST_STUB, HostProcess
from peers import basic, exchange, free_ports, make_certificate, openssl
from planted_secrets import PlantedSecrets

SECONDS_TO_WAIT = 60
FILE_INSTANCES = ("basic", "inline", "token", "rotating", "listening")
STORE_INSTANCES = ("kept", "kept-token")

# Headers in which senders put secrets and signatures.
SECRET_HEADERS = (
    "authorization proxy-authorization cookie set-cookie x-api-key api-key apikey x-auth-token "
    "x-access-token x-gitlab-token x-hub-signature x-hub-signature-256 x-slack-signature "
    "stripe-signature webhook-signature svix-signature x-pagerduty-signature "
    "x-grafana-alerting-signature x-zm-signature x-webhook-secret x-webhook-token cf-webhook-auth "
    "x-line-signature x-zendesk-webhook-signature x-hook-secret x-hook-signature "
    "x-hubspot-signature-v3 private-token x-functions-key x-goog-api-key x-signature "
    "x-hub-signature-512 x-buildkite-token x-apikey dd-api-key x-client-secret x-access-key x-jwt "
    "x-session-id x-password x-hmac-sha256 x-service-token x-sig"
).split()


def make_pair(folder, name):
    """NAME.pem and its key NAME.key."""
    make_certificate(folder, certificate=f"{name}.pem", key=f"{name}.key")


class World(HostProcess):
    """A host whose secrets are all known, and a record of everything that came out of it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")
        self.planted = PlantedSecrets()
        self.secret = {}
        self.record = []  # (where it was seen, bytes)
        for name in ("listening", "grpc", "kept", "refused"):
            make_pair(self.folder, name)
            self.planted.add_key(f"{name} key", self.path(f"{name}.key"))
        self.modules = generate(self.folder)
        self.config = self.make_config()
        super().__init__(
            self.config,
            *("--grpc-certificate", self.path("grpc.pem"), "--grpc-key", self.path("grpc.key")),
        )

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def plant(self, name):
        self.secret[name] = self.planted.plant(name)
        return self.secret[name]

    def secret_file(self, name, text=None):
        file = pathlib.Path(self.path(name))
        file.touch(0o600)
        file.write_text(self.plant(name) + "\n" if text is None else text)
        return str(file)

    def make_config(self):
        self.ports = dict(zip(FILE_INSTANCES + STORE_INSTANCES, free_ports(7)))
        parameters = {
            "basic": {"username": "user", "password_file": self.secret_file("basic password")},
            "inline": {"username": "user", "password": self.plant("inline password")},
            "token": {"username": "_header:X-Sender", "password": self.plant("header token")},
            "rotating": {
                "username": "user",
                "passwords": [
                    {"password": self.plant("rotating 1")},
                    {"password": self.plant("rotating 2"), "expires": "2100-01-01T00:00:00Z"},
                ],
            },
            "listening": {
                "username": "user",
                "password": self.plant("listening password"),
                "certificate_file": self.path("listening.pem"),
                "key_file": self.path("listening.key"),
            },
        }
        for name, own in parameters.items():
            own |= {"store_samples": True, "store_request": True, "bind_address": "127.0.0.1"}
            own["longRunningPort"] = str(self.ports[name])
        return {
            "platform": {"product": "XSOAR_6", "url": "https://my.xsoar.live"},
            "serverConfiguration": {
                f"instance.execute.external.{name}": "true"
                for name in FILE_INSTANCES + STORE_INSTANCES
            },
            "instances": [
                {"name": name, "configuration": own} for name, own in parameters.items()
            ],
        }

    def see(self, where, data):
        self.record.append((where, data if isinstance(data, bytes) else str(data).encode()))

    def wait(self):
        self.see("standard output", self.process.stdout.read())
        return super().wait()

    def run(self, *arguments, stdin=None):
        done = super().run(*arguments, stdin=stdin)
        self.see("host_stub " + " ".join(arguments[:3]), done.stdout + done.stderr)
        return done

    # Requests.

    def credentials(self, name):
        """The right credentials of an instance, as a header."""
        by_name = {
            "basic": "basic password",
            "inline": "inline password",
            "rotating": "rotating 2",
            "listening": "listening password",
            "kept": "kept password",
        }
        if name == "token":
            return "X-Sender", self.secret["header token"]
        if name == "kept-token":
            return "X-Other-Sender", self.secret["kept token"]
        return "Authorization", basic("user:" + self.secret[by_name[name]])

    def sent_headers(self, credential):
        """Every secret header but the credential's, in more than one spelling."""
        headers = []
        for name in SECRET_HEADERS:
            if name == credential.lower():
                continue
            secret = self.secret.get("sent " + name) or self.plant("sent " + name)
            headers.append((name.title(), " \t" + secret))
        headers.append(("X-API-KEY", self.secret["sent x-api-key"] + "; second"))
        headers.append(("X-Seen", "this one is no secret"))
        return headers

    def post(self, name, headers, body=b'{"event":1}', port=None, path=None):
        """Over the front, or over a listen port."""
        if port is None:
            connection = http.client.HTTPConnection(*self.http.split(":"), timeout=30)
        elif name == "listening":
            context = ssl.create_default_context(cafile=self.path("listening.pem"))
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.putrequest("POST", path or ("/" if port else f"/instance/execute/{name}"))
        connection.putheader("Content-Length", str(len(body)))
        for header, value in headers:
            connection.putheader(header, value)
        connection.endheaders(body)
        response = connection.getresponse()
        text = response.read()
        self.see(f"answer of {name}", f"{response.status} {response.headers}".encode() + text)
        connection.close()
        return response.status

    def query(self, name):
        """A secret in every place of a query that could hold one."""
        secret = self.plant(name)
        return (
            f"page=2&token={secret}&X-Api%2DKey={secret}&%zz={secret}&{secret}%={secret}&twice=1&"
            f"twice={secret}&next=https://h/%3Fa=1%26client_secret={secret}"
        )

    MASKED_QUERY = "page=2&token=***&X-Api%2DKey=***&***&***&***&***&next=***"

    def raw(self, where, request):
        answer = exchange(self.http.split(":"), request)
        self.see(where, answer)
        return answer

    def channel(self):
        roots = pathlib.Path(self.path("grpc.pem")).read_bytes()
        return grpc.secure_channel(self.grpc, grpc.ssl_channel_credentials(roots))

    def call(self, where, method, request, **keywords):
        """One unary call; whatever comes back is recorded."""
        try:
            response, call = method.with_call(request, timeout=30, **keywords)
        except grpc.RpcError as error:
            response, call = None, error
            self.see(where, f"{error.code()} {error.details()} {error.debug_error_string()}")
        else:
            self.see(where, response.SerializeToString())
            self.see(where, str(response))
        self.see(where, f"{call.initial_metadata()} {call.trailing_metadata()}")
        return response

    # What is searched at the end.

    def data_files(self):
        for file in sorted(pathlib.Path(self.data_dir).rglob("*")):
            if file.is_file():
                yield file.name, file.read_bytes()


class SecretsTest(unittest.TestCase):
    """Everything runs once; each case looks at a part of the record."""

    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.addClassCleanup(cls.world.__exit__)
        cls.world.start()
        cls.statuses = {}
        cls.make_store_instances()
        cls.send_right_and_wrong_credentials()
        cls.send_over_grpc()
        cls.send_what_is_malformed()
        cls.await_samples()
        cls.ask_for_everything()
        cls.refuse_changes()
        cls.reload()
        cls.look_at_the_process()
        cls.files_at_work = dict(cls.world.data_files())
        cls.delete_store_instances()
        cls.files_after_deletion = dict(cls.world.data_files())
        cls.world.stop()
        cls.files_at_the_end = dict(cls.world.data_files())

    @classmethod
    def make_store_instances(cls):
        world = cls.world
        cls.done = [
            world.run(
                *("instances create kept -p username=user -p bind_address=127.0.0.1".split()),
                *("-p", f"longRunningPort={world.ports['kept']}", "-p", "store_samples=true"),
                *("-p", "password=@" + world.secret_file("kept password")),
                *("-p", "passwords=@" + cls.list_file("kept passwords")),
                *("-p", f"certificate=@{world.path('kept.pem')}"),
                *("-p", f"key=@{world.path('kept.key')}"),
            ),
            world.run(
                *("instances create kept-token -p username=_header:X-Other-Sender".split()),
                *("-p", f"longRunningPort={world.ports['kept-token']}", "-p", "store_samples=true"),
                *("-p", "password=@-"),
                stdin=world.plant("kept token").encode() + b"\n",
            ),
        ]

    @classmethod
    def list_file(cls, name):
        secret = cls.world.plant(name)
        return cls.world.secret_file(name + " list", json.dumps([{"password": secret}]))

    @classmethod
    def send_right_and_wrong_credentials(cls):
        world = cls.world
        for name in FILE_INSTANCES + STORE_INSTANCES:
            header, right = world.credentials(name)
            others = world.sent_headers(header)
            query = "?" + world.query("query " + name)
            for port in (None, world.ports[name]) if name in FILE_INSTANCES else (None,):
                path = ("/" if port else f"/instance/execute/{name}") + query
                cls.statuses[name, port, "right"] = world.post(
                    name, [(header, right)] + others, port=port, path=path
                )
                wrong = world.plant(f"wrong {name}")
                for value in (basic(f"user:{wrong}"), wrong, "Bearer " + wrong, right[:-1], right + "x"):
                    cls.statuses[name, port, value] = world.post(
                        name, [(header, value)] + others, port=port
                    )
                # Twice is wrong, even where one of them is right.
                cls.statuses[name, port, "twice"] = world.post(
                    name, [(header, right), (header, wrong)], port=port
                )

    @classmethod
    def send_over_grpc(cls):
        world = cls.world
        messages = world.modules["long_running_integration"]
        with world.channel() as channel:
            stub = world.modules["long_running_integration_grpc"].LongRunningIntegrationStub(channel)
            metadata = [
                ("authorization", "Bearer " + world.plant("metadata authorization")),
                ("cookie", world.plant("metadata cookie")),
                ("x-token-bin", world.plant("metadata bytes").encode()),
            ]
            requests = []
            for name in FILE_INSTANCES + STORE_INSTANCES:
                header, right = world.credentials(name)
                for value in (right, basic("user:" + world.plant(f"wrong over gRPC {name}"))):
                    headers = [(header, value)] + world.sent_headers(header)
                    requests.append(
                        messages.ExecuteRequest(
                            instance=name,
                            query=world.query(f"gRPC query {name}"),
                            headers=[messages.Header(name=n, value=v) for n, v in headers],
                            body=b'{"event":2}',
                        )
                    )
                    response = world.call("Execute", stub.Execute, requests[-1], metadata=metadata)
                    cls.statuses[name, "grpc", value] = response.status
            stream = stub.ExecuteStream(
                iter([messages.ExecuteStreamRequest(request=request) for request in requests]),
                timeout=30,
                metadata=metadata,
            )
            for answer in stream:
                world.see("ExecuteStream", answer.SerializeToString())
            world.see("ExecuteStream", f"{stream.initial_metadata()} {stream.trailing_metadata()}")
            # What is refused by the call itself.
            secret = world.plant("misplaced in gRPC")
            for fields in (
                {"method": f"POST\n{secret}"},
                {"path_remainder": secret},
                {"query": f"{secret} "},
                {"request_id": f"{secret}/"},
                {"peer_address": secret},
                {"headers": [messages.Header(name="Authorization", value=secret + "\n")]},
                {"headers": [messages.Header(name=f"X:{secret}", value="")]},
            ):
                request = messages.ExecuteRequest(**{"instance": "basic"} | fields)
                world.call("refused Execute", stub.Execute, request)
            world.see("health", channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=30))
            reflect = channel.stream_stream(
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
            )
            for name in FILES_OF_THE_CONTRACT:
                question = b"\x1a" + bytes([len(name)]) + name  # field 3: file_by_filename
                for answer in reflect(iter([question, b"\x3a\x00"]), timeout=30):
                    world.see("reflection", answer)

    @classmethod
    def send_what_is_malformed(cls):
        world = cls.world
        secret = world.plant("malformed")
        right = world.credentials("inline")[1]
        head = f"Host: h\r\nAuthorization: {right}\r\nConnection: close\r\n"
        for where, request in (
            ("bad scheme", f"POST /instance/execute/inline HTTP/1.1\r\nHost: h\r\nAuthorization: {secret}\r\nContent-Length: 0\r\n\r\n"),
            ("bad base64", f"POST /instance/execute/inline HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {secret}!\r\nContent-Length: 0\r\n\r\n"),
            ("user in the target", f"POST http://user:{secret}@h/instance/execute/inline HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}"),
            ("bad path", f"POST /instance/execute/{secret} HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}"),
            ("bad method", f"{secret} /instance/execute/inline HTTP/1.1\r\n{head}\r\n"),
            ("bad version", f"POST /instance/execute/inline HTTP/{secret}\r\n{head}\r\n"),
            ("bad header", f"POST /instance/execute/inline HTTP/1.1\r\n{head}X-Token {secret}\r\n\r\n"),
            ("bad value", f"POST /instance/execute/inline HTTP/1.1\r\n{head}X-Token: {secret}\x01\r\n\r\n"),
            ("bad length", f"POST /instance/execute/inline HTTP/1.1\r\n{head}Content-Length: {secret}\r\n\r\n"),
            ("bad coding", f"POST /instance/execute/inline HTTP/1.1\r\n{head}Content-Encoding: {secret}\r\nContent-Length: 2\r\n\r\n{{}}"),
            ("trailer", f"POST /instance/execute/inline HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nX-Api-Key: {secret}\r\nX-Other: {secret}\r\n\r\n"),
        ):
            cls.statuses[where] = int(world.raw(where, request.encode()).split(b" ", 2)[1])
        for body in ('{"a":SECRET}', '{"a":"SECRET', '[{"rawJson":"SECRET"}]', '["SECRET"]', "SECRET", '{"SECRET":{"a":tru}}'):
            body = body.replace("SECRET", secret).encode()
            cls.statuses[body] = world.post("inline", [("Authorization", right)], body=body)

    @classmethod
    def await_samples(cls):
        """They are stored in the background."""
        deadline = time.monotonic() + SECONDS_TO_WAIT
        for name in FILE_INSTANCES + STORE_INSTANCES:
            while not json.loads(cls.world.run("samples", name, "--json").stdout):
                assert time.monotonic() < deadline, name

    @classmethod
    def ask_for_everything(cls):
        world = cls.world
        mapper = pathlib.Path(world.path("mapper.json"))
        mapper.write_text('{"Headers": "headers", "All": ""}')
        for name in FILE_INSTANCES + STORE_INSTANCES:
            for json_or_not in ([], ["--json"]):
                world.run("instances", "get", name, *json_or_not)
                world.run("url", name, *json_or_not)
                world.run("test", name, *json_or_not)
                world.run("samples", name, *json_or_not)
                world.run("samples", "fields", name, *json_or_not)
                world.run("map", name, "--mapper", str(mapper), *json_or_not)
        for json_or_not in ([], ["--json"]):
            world.run("instances", "list", *json_or_not)
            world.run("incidents", "list", "--limit", "500", *json_or_not)
        cls.incidents = world.run_json("incidents", "list", "--limit", "500")
        for incident in cls.incidents:
            world.run("incidents", "get", incident["id"])
        follow = subprocess.Popen(
            [HOST_STUB, "incidents", "follow", "--json", "--after", "0", "--connect", world.control],
            stdout=subprocess.PIPE,
        )
        world.see("incidents follow", b"".join(follow.stdout.readline() for _ in cls.incidents))
        follow.kill()
        follow.wait()
        follow.stdout.close()
        world.run("incidents", "get", world.plant("misplaced in incidents get"))
        world.run("instances", "get", world.plant("misplaced in instances get"), "--json")
        # The name of an instance is no secret: the caller gets its own word back.
        world.planted.needles.pop("misplaced in incidents get")
        world.planted.needles.pop("misplaced in instances get")

    @classmethod
    def wrong_parameters(cls):
        """(parameters) that are refused, with a secret in each."""
        world = cls.world
        certificate = pathlib.Path(world.path("refused.pem")).read_text()
        key = pathlib.Path(world.path("refused.key")).read_text()
        openssl(world.folder, "pkey -in refused.key -aes256 -passout pass:x -out encrypted.key")
        encrypted = pathlib.Path(world.path("encrypted.key")).read_text()
        world.planted.add("encrypted key", encrypted.split("\n")[2].encode())
        other = pathlib.Path(world.path("kept.pem")).read_text()
        secret = world.plant("refused parameter")
        tls = {"longRunningPort": str(free_ports(1)[0]), "username": "u", "password": secret}
        return [
            {"username": "", "password": secret},
            {"username": "user", "password": secret + "\n"},
            {"username": "us:er", "password": secret},
            {"username": "_header:", "password": secret},
            {"username": "_header:X-Token", "password": f" {secret}"},
            {"username": "_header:X-Token", "password": f"{secret}\u00e9"},
            {"username": "user", "passwd": secret},
            {"username": "user", "passwords": f'[{{"password":"{secret}"'},
            {"username": "user", "passwords": f'["{secret}"]'},
            {"username": "user", "passwords": f'[{{"password":"{secret}","expires":"{secret}"}}]'},
            {"username": "user", "passwords": f'[{{"password":"{secret}","{secret}":1}}]'},
            {"username": "user", "passwords": f'[{{"password":"{secret}","expires":"2001-01-01T00:00:00Z"}}]'},
            {"username": "user", "password": secret, "longRunningPort": f"{secret}"},
            {"username": "user", "password": secret, "bind_address": secret},
            {"username": "user", "password": secret, "store_samples": secret},
            tls | {"key": key},
            tls | {"certificate": certificate},
            tls | {"certificate": other, "key": key},
            tls | {"certificate": certificate, "key": encrypted},
            tls | {"certificate": certificate, "key": key.replace("-----END", "-----BEGIN")},
            tls | {"certificate": certificate, "key": key[: len(key) // 2]},
            tls | {"certificate": key, "key": key},
            tls | {"certificate": certificate, "key": certificate},
            tls | {"certificate": certificate, "key": key, "client_ca": key},
        ]

    @classmethod
    def refuse_changes(cls):
        world = cls.world
        cls.refused = []
        instance = world.modules["instance"]
        with grpc.insecure_channel(world.control) as channel:
            stub = world.modules["instance_grpc"].InstanceServiceStub(channel)
            for parameters in cls.wrong_parameters():
                made = instance.Instance(name="refused", parameters=parameters)
                request = instance.CreateInstanceRequest(instance=made)
                cls.refused.append(world.call("refused create", stub.CreateInstance, request))
                if "2001-01-01" in parameters.get("passwords", ""):
                    continue  # beside a password that is valid, this one is merely of no use
                made.name = "kept-token"
                request = instance.UpdateInstanceRequest(instance=made)
                request.update_mask.paths.append("parameters")
                cls.refused.append(world.call("refused update", stub.UpdateInstance, request))
                file = world.secret_file("parameters.json", json.dumps(parameters))
                done = world.run("instances", "create", "refused", "--from-file", file)
                cls.refused.append(done.returncode == 0 or None)
        secret = world.plant("misplaced on a command line")
        for arguments in (
            ["instances", "create", "refused", "-p", secret],
            ["instances", "create", "refused", secret],
            ["execute", "basic", "-H", f"Authorization {secret}"],
            ["execute", "basic", "-u", "user", secret],
            ["execute", "basic", "-u", "@/nonexistent", "-H", f"X-Token: {secret}"],
        ):
            cls.refused.append(world.run(*arguments).returncode == 0 or None)

    @classmethod
    def reload(cls):
        """SIGHUP with each wrong configuration, then with a right one."""
        world = cls.world
        cls.reloads = []
        file = pathlib.Path(world.config_file)
        secret = world.plant("refused at SIGHUP")
        texts = [
            json.dumps(world.config | {"instances": [{"name": "inline", "configuration": wrong}]})
            for wrong in cls.wrong_parameters()
        ]
        texts += [
            '{"password": "%s' % secret,
            '{"instances": [{"name": "a", "configuration": {"password": %s}}]}' % secret,
            json.dumps(world.config | {"platform": {"product": "XSOAR_6", "url": f"https://u:{secret}@h"}}),
        ]
        for text in texts + [json.dumps(world.config)]:
            file.write_text(text)
            before = world.stderr().count("\n")
            world.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + SECONDS_TO_WAIT
            told = []
            while not told:
                assert time.monotonic() < deadline, world.stderr()
                lines = world.stderr().splitlines()[before:]
                told = [line for line in lines if "took over" in line or "stays as it was" in line]
            cls.reloads.append(told[0])

    @classmethod
    def look_at_the_process(cls):
        world = cls.world
        process = pathlib.Path(f"/proc/{world.process.pid}")
        for name in ("cmdline", "limits", "status"):
            world.see(f"/proc/PID/{name}", (process / name).read_bytes())
        cls.descriptors = []
        try:
            world.see("/proc/PID/environ", (process / "environ").read_bytes())
            cls.descriptors = [os.readlink(file) for file in (process / "fd").iterdir()]
        except PermissionError:
            pass  # as is promised: nobody but a root with all its rights looks into the process

    @classmethod
    def delete_store_instances(cls):
        world = cls.world
        cls.replaced = world.secret["kept password"]
        world.run("instances", "update", "kept", "-p", "password=@" + world.secret_file("new password"))
        cls.files_after_update = dict(world.data_files())
        for name in STORE_INSTANCES:
            cls.done.append(world.run("instances", "delete", name))

    # What has to be true of it.

    def kept_secrets(self):
        """The secrets that the store must keep, to serve its instances after a restart."""
        return {"kept password", "kept passwords", "kept token", "kept key", "new password"}

    def test_what_was_planted_was_at_work(self):
        for done in self.done:
            self.assertEqual(done.returncode, 0, done)
        for key, status in self.statuses.items():
            if isinstance(key, tuple) and key[2] in ("right", self.world.credentials(key[0])[1]):
                self.assertEqual(status, 200, key)
            elif isinstance(key, tuple):
                self.assertEqual(status, 401, key)
            elif key != "trailer":
                self.assertIn(status, (400, 401, 404, 405, 415, 501, 505), key)
        self.assertEqual(self.statuses["trailer"], 200)
        self.assertGreater(len(self.incidents), 20)
        headers = json.loads(self.incidents_text())["headers"]
        self.assertEqual(headers["x-seen"], "this one is no secret")
        self.assertTrue(all(refused is None for refused in self.refused), self.refused)
        self.assertTrue(all("stays as it was" in line for line in self.reloads[:-1]), self.reloads)
        self.assertIn("took over", self.reloads[-1])
        # A secret that is there would be found.
        config = json.dumps(self.world.config)
        self.assertIn("inline password", self.world.planted.found_in(config))
        key = pathlib.Path(self.world.path("grpc.key")).read_bytes()
        self.assertEqual(self.world.planted.found_in(key), ["grpc key"])
        header = basic("user:" + self.world.secret["rotating 1"])
        self.assertEqual(self.world.planted.found_in(header), ["rotating 1"])

    def test_queries_are_stored_without_secrets_where_they_are_stored(self):
        with_query = [one for one in self.incidents if one.get("request", {}).get("query")]
        self.assertEqual({one["request"]["query"] for one in with_query}, {self.world.MASKED_QUERY})
        # Through front and listen port, Execute and ExecuteStream.
        self.assertEqual(
            [one["sourceInstance"] for one in with_query].count("basic"), 4, with_query
        )
        self.assertEqual({one["sourceInstance"] for one in with_query}, set(FILE_INSTANCES))

    def incidents_text(self):
        for where, data in self.world.record:
            if where == "incidents follow":
                return json.loads(data.splitlines()[0])["details"]
        raise AssertionError("nothing was followed")

    def test_no_answer_and_no_command_shows_one(self):
        self.assertGreater(len(self.world.record), 300)
        found = [(where, self.world.planted.found_in(data)) for where, data in self.world.record]
        self.assertEqual([(where, names) for where, names in found if names], [])

    def test_no_line_of_the_log_shows_one(self):
        text = self.world.stderr()
        self.assertGreater(text.count("\n"), 20)
        for line in text.splitlines():
            self.assertEqual(self.world.planted.found_in(line), [], line)

    def test_401_does_not_name_the_header_that_it_wants(self):
        for where, data in self.world.record:
            if where.startswith("answer of") and data.startswith(b"401"):
                self.assertNotIn(b"x-sender", data.lower())
                self.assertNotIn(b"x-other-sender", data.lower())

    def test_data_folder_holds_the_secrets_of_the_stores_instances_in_its_database_alone(self):
        self.assertIn("incidents.db", self.files_at_work)
        for name, data in self.files_at_work.items():
            found = set(self.world.planted.found_in(data))
            if name.startswith("incidents.db"):
                found -= self.kept_secrets()
            self.assertEqual(found, set(), name)
        everything = b"".join(self.files_at_work.values())
        self.assertIn("kept token", self.world.planted.found_in(everything))

    def test_replaced_secret_is_in_no_byte_of_the_data_folder(self):
        everything = b"".join(self.files_after_update.values())
        found = self.world.planted.found_in(everything)
        self.assertNotIn("kept password", found)
        self.assertIn("new password", found)

    def test_deleted_instance_leaves_no_byte_of_its_secrets(self):
        for files in (self.files_after_deletion, self.files_at_the_end):
            for name, data in files.items():
                self.assertEqual(self.world.planted.found_in(data), [], name)

    def test_every_file_is_in_the_data_folder_and_the_owners_alone(self):
        allowed = ("socket:", "pipe:", "anon_inode:", "/dev/null", self.world.data_dir + "/")
        allowed += (os.path.join(self.world.own_folder, "stderr"), "/dev/urandom", "/dev/random")
        for descriptor in self.descriptors:
            self.assertTrue(descriptor.startswith(allowed), descriptor)
            self.assertNotIn("(deleted)", descriptor)
        self.assertEqual(os.stat(self.world.data_dir).st_mode & 0o777, 0o700)
        for file in pathlib.Path(self.world.data_dir).iterdir():
            self.assertEqual(file.stat().st_mode & 0o077, 0, file)


FILES_OF_THE_CONTRACT = [
    f"long_running_integration/v1/{name}.proto".encode()
    for name in ("incident", "instance", "long_running_integration")
]

if __name__ == "__main__":
    unittest.main()
