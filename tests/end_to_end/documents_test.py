"""What the product's documents say, sentence by sentence: each method is one of them, and a class is
one of their sections. One host for each product stays up for all of it.

The documents' curl examples, typed to the letter, are in documented_examples_test; their URL
examples, each by each, in //plugin/core:platform_test."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from host_process import OWN_ADDRESS, HostProcess, listen_port
from peers import basic, make_certificate

SECONDS_UNTIL_SAMPLED = 30

# The tenant or server of each product, as in the documents' examples.
URLS = {
    "XSOAR_6": "https://my.xsoar.live",
    "XSOAR_8_CLOUD": "https://mytenant.crtx.us.paloaltonetworks.com",
    "XSOAR_8_ON_PREM": "https://xsoar.mycompany.com",
    "XSIAM_2": "https://mytenant.xdr.us.paloaltonetworks.com",
    "XSIAM_3": "https://companyname.xdr.eu.paloaltonetworks.com",
}
# Where the webhook is, without the instance's name.
WEBHOOKS = {
    "XSOAR_6": "https://my.xsoar.live/instance/execute/",
    "XSOAR_8_CLOUD": "https://ext-mytenant.crtx.us.paloaltonetworks.com/xsoar/instance/execute/",
    "XSOAR_8_ON_PREM": "https://ext-xsoar.mycompany.com/xsoar/instance/execute/",
    "XSIAM_2": "https://ext-mytenant.crtx.us.paloaltonetworks.com/xsoar/instance/execute/",
    "XSIAM_3": "https://ext-companyname.crtx.eu.paloaltonetworks.com/xsoar/instance/execute/",
}
RECORDS = {"XSIAM_2": "alert", "XSIAM_3": "issue"}  # of all others: incident

HOSTS = {}
FOLDER = tempfile.mkdtemp(prefix="gw-documents-", dir="/tmp")
CERTIFICATE = os.path.join(FOLDER, "certificate.pem")
KEY = os.path.join(FOLDER, "key.pem")


def setUpModule():
    unittest.addModuleCleanup(shutil.rmtree, FOLDER)
    make_certificate(FOLDER, OWN_ADDRESS)
    for product, url in URLS.items():
        config = {"platform": {"product": product, "url": url}, "instances": []}
        if product == "XSOAR_6":
            config["serverConfiguration"] = {
                f"instance.execute.external.{name}": "true"
                for name in ("webhook", "on_engine", "sender", "open", "token")
            }
        if product == "XSIAM_2":
            config["limits"] = {"header_section_bytes": 1 << 20}
        HOSTS[product] = HostProcess(config)
        unittest.addModuleCleanup(HOSTS[product].__exit__)
    with concurrent.futures.ThreadPoolExecutor(len(HOSTS)) as pool:
        list(pool.map(HostProcess.start, HOSTS.values()))


def flags(parameters):
    return [text for name, value in parameters.items() for text in ("-p", f"{name}={value}")]


def create(product, name, *options, **parameters):
    arguments = ["instances", "create", name, *options, *flags(parameters)]
    return HOSTS[product].run_json(*arguments)


def refusal(product, name, *options, **parameters):
    """The line that says why an instance cannot be created like this; "" if it can."""
    done = HOSTS[product].run(
        "instances", "create", name, "--validate-only", *options, *flags(parameters)
    )
    return done.stderr.decode().strip() if done.returncode else ""


def post(connection, path, body="{}", headers=None, credentials=None, method="POST"):
    """One request; returns its status and text."""
    headers = dict(headers or {})
    if credentials:
        headers["Authorization"] = basic(credentials)
    if not isinstance(body, str):
        body = json.dumps(body)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def front(product):
    return http.client.HTTPConnection(HOSTS[product].http, timeout=30)


class DocumentsCase(unittest.TestCase):
    product = "XSIAM_3"
    name = "sender"
    credentials = "user:pass"

    @classmethod
    def setUpClass(cls):
        cls.host = HOSTS[cls.product]

    @property
    def path(self):
        prefix = "/instance/execute/" if self.product == "XSOAR_6" else "/xsoar/instance/execute/"
        return prefix + self.name

    def send(self, body="{}", headers=None, credentials=None, **more):
        credentials = self.credentials if credentials is None else credentials
        return post(front(self.product), self.path, body, headers, credentials, **more)

    def created(self, body="{}", headers=None, **more):
        """Sends a request; returns the incidents as they are stored."""
        status, text = self.send(body, headers, **more)
        self.assertEqual(status, 200, text)
        return [self.host.incident(metadata["id"]) for metadata in json.loads(text)]

    def await_samples(self, condition):
        deadline = time.monotonic() + SECONDS_UNTIL_SAMPLED
        while not condition(samples := self.host.run_json("samples", self.name)):
            self.assertLess(time.monotonic(), deadline, samples)
        return samples


# ---- each platform, on its own and on an engine


class OnAPlatform:
    """What a new user does on each of them. `port`: the documents show Listen Port there."""

    product = None
    engine = False
    port = False
    credentials_required = False
    certificate = True
    name = "my_instance_01"

    @classmethod
    def setUpClass(cls):
        cls.host = HOSTS[cls.product]
        cls.options = ["--engine"] if cls.engine else []
        cls.credentials = "user:first"
        cls.parameters = {"username": "user", "password": "first", "store_samples": "true"}
        if cls.port:
            cls.parameters |= listen_port()
            cls.parameters |= {"certificate": "@" + CERTIFICATE, "key": "@" + KEY}
        cls.shown = create(cls.product, cls.name, *cls.options, **cls.parameters)

    def listener(self):
        context = ssl.create_default_context(cafile=CERTIFICATE)
        port = int(self.parameters["longRunningPort"])
        return http.client.HTTPSConnection(OWN_ADDRESS, port, timeout=30, context=context)

    def tries(self, **changes):
        """The refusal of an instance like this one with some changes (None: left out)."""
        parameters = {"username": "user", "password": "first"}
        if self.port:
            parameters |= listen_port()
        parameters |= changes
        parameters = {name: value for name, value in parameters.items() if value is not None}
        return refusal(self.product, "other", *self.options, **parameters)

    def test_instance_is_made_and_healthy(self):
        self.assertEqual(self.host.run_json("instances", "get", self.name)["state"], "healthy")

    def test_record_is_called_as_the_product_calls_it(self):
        self.assertEqual(self.shown["recordNoun"], RECORDS.get(self.product, "incident"))

    def test_webhook_url_is_the_documented_one(self):
        address = self.host.run_json("url", self.name)
        self.assertEqual(address["webhookUrl"], WEBHOOKS[self.product] + self.name)
        listens = ""
        if self.port:
            listens = f"{URLS[self.product]}:{self.parameters['longRunningPort']}/"
        self.assertEqual(address["listenUrl"], listens)

    def test_test_button_says_ok_however_often_it_is_pressed(self):
        for _ in range(2):
            self.assertEqual(self.host.run("test", self.name).stdout.strip(), b"ok")

    def test_post_through_the_front_creates_one(self):
        [incident] = self.created({"name": "by the front"})
        self.assertEqual(incident["name"], "by the front")

    def test_listen_port_is_served_with_https_or_not_shown_at_all(self):
        if not self.port:
            self.assertIn("longRunningPort", self.tries(**listen_port()))
            return
        sent = {"name": "by the port"}
        status, text = post(self.listener(), "/", sent, credentials=self.credentials)
        self.assertEqual(status, 200, text)
        self.assertEqual(self.host.incident(json.loads(text)[0]["id"])["name"], "by the port")
        self.assertEqual(post(self.listener(), "/", sent, credentials="user:wrong")[0], 401)

    def test_listen_port_is_required_where_it_is_shown(self):
        why = self.tries(longRunningPort=None, bind_address=None)
        if self.port:
            self.assertIn(f"longRunningPort is required for {self.product}", why)
        else:
            self.assertEqual(why, "")

    def test_credentials_are_required_on_tenants_alone(self):
        why = self.tries(username=None, password=None)
        if self.credentials_required:
            self.assertIn(f"username is required for {self.product}", why)
            self.assertIn(f"password is required for {self.product}", self.tries(password=None))
        else:
            self.assertEqual(why, "")

    def test_certificate_and_key_are_taken_where_they_are_supported(self):
        why = self.tries(certificate="@" + CERTIFICATE, key="@" + KEY)
        if self.certificate:
            self.assertEqual(why, "")
        else:
            self.assertIn("certificate is not supported", why)
            self.assertIn("key is not supported", self.tries(key="@" + KEY))

    def test_samples_show_what_was_sent(self):
        self.created({"name": "a sample", "rawJson": {"planted": self.product}})
        samples = self.await_samples(
            lambda samples: any(sample["name"] == "a sample" for sample in samples)
        )
        [sample] = [sample for sample in samples if sample["name"] == "a sample"]
        self.assertEqual(json.loads(sample["rawJSON"])["planted"], self.product)

    def test_password_changes_without_a_restart(self):
        pid = self.host.process.pid
        changed = self.host.run("instances", "update", self.name, "-p", "password=second")
        self.assertEqual(changed.returncode, 0, changed)
        type(self).credentials = "user:second"
        self.assertEqual(self.send(credentials="user:first")[0], 401)
        self.assertEqual(self.send()[0], 200)
        if self.port:
            self.assertEqual(post(self.listener(), "/", credentials="user:first")[0], 401)
            self.assertEqual(post(self.listener(), "/", credentials="user:second")[0], 200)
        self.assertEqual(self.host.process.pid, pid)
        self.assertIsNone(self.host.process.poll())


class Xsoar6Test(OnAPlatform, DocumentsCase):
    product, port, name = "XSOAR_6", True, "webhook"


class Xsoar6OnAnEngineTest(OnAPlatform, DocumentsCase):
    product, engine, port, name = "XSOAR_6", True, True, "on_engine"


class Xsoar8CloudTest(OnAPlatform, DocumentsCase):
    product, credentials_required, certificate = "XSOAR_8_CLOUD", True, False


class Xsoar8CloudOnAnEngineTest(OnAPlatform, DocumentsCase):
    product, engine, port, name = "XSOAR_8_CLOUD", True, True, "on_engine"


class Xsoar8OnPremTest(OnAPlatform, DocumentsCase):
    product = "XSOAR_8_ON_PREM"


class Xsoar8OnPremOnAnEngineTest(OnAPlatform, DocumentsCase):
    product, engine, port, name = "XSOAR_8_ON_PREM", True, True, "on_engine"


class Xsiam2Test(OnAPlatform, DocumentsCase):
    product, credentials_required, certificate = "XSIAM_2", True, False


class Xsiam2OnAnEngineTest(OnAPlatform, DocumentsCase):
    product, engine, port, name = "XSIAM_2", True, True, "on_engine"


class Xsiam3Test(OnAPlatform, DocumentsCase):
    product, credentials_required, certificate = "XSIAM_3", True, False


class Xsiam3OnAnEngineTest(OnAPlatform, DocumentsCase):
    product, engine, port, name = "XSIAM_3", True, True, "on_engine"


# ---- the sections


class ConfigureTest(DocumentsCase):
    product, credentials = "XSOAR_6", ""

    def setUp(self):
        self.port = listen_port()

    def delete(self, name):
        self.host.run("instances", "delete", name, "--allow-missing")

    def test_port_of_another_instance_is_refused_by_its_name(self):
        self.addCleanup(self.delete, "first")
        create(self.product, "first", **self.port)
        why = refusal(self.product, "second", **self.port)
        self.assertIn(self.port["longRunningPort"], why)
        self.assertIn('"first"', why)

    def test_port_of_another_program_is_refused_by_its_number(self):
        self.addCleanup(self.delete, "late")
        with socket.create_server((OWN_ADDRESS, int(self.port["longRunningPort"]))):
            done = self.host.run("instances", "create", "late", *flags(self.port))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("longRunningPort: port " + self.port["longRunningPort"], done.stderr.decode())

    def test_https_wants_certificate_and_key_together(self):
        for given, missing in (("certificate", "key"), ("key", "certificate")):
            file = CERTIFICATE if given == "certificate" else KEY
            why = refusal(self.product, "half", **self.port, **{given: "@" + file})
            self.assertIn(f"{missing} is missing", why)

    def test_listen_port_without_a_certificate_is_plain_http(self):
        self.addCleanup(self.delete, "open")
        create(self.product, "open", **self.port)
        port = int(self.port["longRunningPort"])
        plain = http.client.HTTPConnection(OWN_ADDRESS, port, timeout=30)
        self.assertEqual(post(plain, "/")[0], 200)

    def test_unless_its_server_key_is_true_an_instance_of_6x_is_not_reached(self):
        self.addCleanup(self.delete, "closed")
        create(self.product, "closed", **self.port)
        status, text = post(front(self.product), "/instance/execute/closed")
        self.assertEqual(status, 403)
        self.assertIn("instance.execute.external.closed", text)
        shown = self.host.run("url", "closed").stdout.decode()
        self.assertIn('set instance.execute.external.closed to "true"', shown)

    def test_unknown_parameter_is_refused_by_name(self):
        self.assertIn("longRuningPort", refusal(self.product, "typo", longRuningPort="8000"))


class AuthenticationTest(DocumentsCase):
    product = "XSOAR_8_ON_PREM"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        create(cls.product, "sender", username="user", password="pass")
        create(cls.product, "open")
        create(
            cls.product, "token", username="_header:Authorization", password="Basic MYIvOkEyMw=="
        )

    def newest(self):
        return self.host.run_json("incidents", "list", "--limit", "1")

    def test_right_username_and_password_are_let_in(self):
        self.assertEqual(self.send()[0], 200)

    def test_wrong_or_missing_ones_create_nothing(self):
        before = self.newest()
        for credentials in ("user:wrong", "other:pass", ""):
            self.assertEqual(self.send(credentials=credentials), (401, "Authorization failed."))
        self.assertEqual(self.newest(), before)

    def test_header_is_compared_with_the_password_as_it_stands(self):
        path = "/xsoar/instance/execute/token"
        for value, status in (("Basic MYIvOkEyMw==", 200), ("Basic MYIvOkEyMw=", 401)):
            got = post(front(self.product), path, headers={"Authorization": value})
            self.assertEqual(got[0], status, value)

    def test_where_none_are_required_everybody_may_send_and_a_person_is_told(self):
        self.assertEqual(post(front(self.product), "/xsoar/instance/execute/open")[0], 200)
        tested = self.host.run("test", "open")
        self.assertEqual(tested.stdout.strip(), b"ok")
        self.assertIn(b"unexpected requests can create incidents", tested.stderr)

    def test_half_of_the_credentials_is_refused(self):
        self.assertIn("username", refusal(self.product, "half", password="pass"))
        self.assertIn("password", refusal(self.product, "half", username="user"))


class WebhookUrlTest(DocumentsCase):
    product = "XSOAR_8_ON_PREM"
    name = "placed"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        create(cls.product, cls.name, username="user", password="pass")

    def test_dns_record_is_told_on_prem_and_there_alone(self):
        self.assertEqual(
            self.host.run_json("url", self.name)["dnsRecord"], "ext-xsoar.mycompany.com"
        )
        create("XSOAR_8_CLOUD", self.name, username="user", password="pass")
        self.assertEqual(HOSTS["XSOAR_8_CLOUD"].run_json("url", self.name)["dnsRecord"], "")

    def test_instance_in_the_path_is_a_word_and_the_name_follows(self):
        for path in (f"/xsoar/{self.name}/execute/{self.name}", f"/{self.name}", "/xsoar/instance"):
            got = post(front(self.product), path, credentials=self.credentials)
            self.assertEqual(got[0], 404, path)

    def test_name_with_special_characters_is_refused_with_the_rule(self):
        for name in ("my instance", "my.instance", "my/instance", "m\u00fcller"):
            self.assertIn("A-Z a-z 0-9", refusal(self.product, name), name)

    def test_shown_curl_works_when_only_host_and_password_are_filled_in(self):
        shown = self.host.run_json("url", self.name)
        command = shown["curlPosix"].replace("<password>", "pass")
        command = command.replace("https://ext-xsoar.mycompany.com", f"http://{self.host.http}")
        done = subprocess.run(["sh", "-c", command + " -sS"], capture_output=True, timeout=60)
        self.assertTrue(json.loads(done.stdout)[0]["id"], done)
        self.assertIn('^"user:^<password^>^"', shown["curlWindows"])


class UsageTest(DocumentsCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        create(
            cls.product,
            cls.name,
            username="user",
            password="pass",
            incidentType="Phishing",
            store_samples="true",
        )

    def test_other_methods_than_post_are_refused(self):
        for method in ("GET", "PUT", "DELETE"):
            self.assertEqual(self.send(method=method)[0], 405)

    def test_every_field_is_optional(self):
        [incident] = self.created({})
        self.assertEqual(incident["name"], "Generic webhook triggered incident")

    def test_name_and_type_are_taken(self):
        [incident] = self.created({"name": "from a form", "type": "Malware"})
        self.assertEqual((incident["name"], incident["type"]), ("from a form", "Malware"))

    def test_without_a_type_the_instances_own_counts(self):
        self.assertEqual(self.created({"name": "untyped"})[0]["type"], "Phishing")

    def test_occurred_is_read_as_iso_8601(self):
        [incident] = self.created({"occurred": "2024-05-01T12:00:00+02:00"})
        self.assertEqual(incident["occurred"], "2024-05-01T10:00:00Z")

    def test_without_a_date_the_time_of_the_trigger_counts(self):
        before = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        occurred = self.created({})[0]["occurred"]
        self.assertLessEqual(before, occurred)
        self.assertLessEqual(occurred[:19], time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()))

    def test_raw_json_is_the_details_with_the_headers_in_a_key_of_their_own(self):
        fields = {"field1": "value1", "field2": "value2"}
        [incident] = self.created({"rawJson": fields}, {"Header-Field3": "header_value3"})
        headers = incident["details"].pop("headers")
        self.assertEqual(incident["details"], fields)
        self.assertEqual(headers["header-field3"], "header_value3")
        self.assertNotIn("authorization", headers)

    def test_any_fields_and_values_are_taken(self):
        sent = {"text": "a", "list": ["b", 2, None], "nested": {"yes": True}}
        [incident] = self.created(sent)
        incident["details"].pop("headers")
        self.assertEqual(incident["details"], sent)

    def test_array_creates_several_in_its_order(self):
        incidents = self.created([{"name": "first"}, {"name": "second"}, {"name": "third"}])
        self.assertEqual([one["name"] for one in incidents], ["first", "second", "third"])

    def test_answer_is_an_array_with_the_metadata_of_what_was_created(self):
        [metadata] = json.loads(self.send({"name": "answered"})[1])
        incident = self.host.incident(metadata["id"])
        for field in ("name", "type", "occurred", "created"):
            self.assertEqual(metadata[field], incident[field])

    def test_body_that_is_no_json_creates_nothing(self):
        before = self.host.run_json("incidents", "list", "--limit", "1")
        self.assertEqual(self.send("name=form")[0], 400)
        self.assertEqual(self.host.run_json("incidents", "list", "--limit", "1"), before)

    def test_kept_samples_can_be_mapped(self):
        self.created({"rawJson": {"user": {"mail": "ann@example.com"}}})
        self.await_samples(lambda samples: any("ann@" in one["rawJSON"] for one in samples))
        fields = {one["path"]: one for one in self.host.run_json("samples", "fields", self.name)}
        self.assertEqual(fields["user.mail"]["types"], ["string"])
        mapper = os.path.join(FOLDER, "mapper.json")
        pathlib.Path(mapper).write_text('{"Mail": {"path": "user.mail", "default": "none"}}')
        mapped = self.host.run_json("map", self.name, "--mapper", mapper)
        self.assertIn({"Mail": "ann@example.com"}, mapped)

    def test_turned_off_no_samples_are_kept(self):
        create(self.product, "unsampled", username="user", password="pass")
        path = "/xsoar/instance/execute/unsampled"
        self.assertEqual(post(front(self.product), path, credentials=self.credentials)[0], 200)
        self.assertEqual(self.host.run_json("samples", "unsampled"), [])


class AuthorizationHeadersTest(DocumentsCase):
    product, name = "XSIAM_2", "token"
    good = {"Authorization": "Bearer XXX"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        create(cls.product, "token", username="_header:Authorization", password="Bearer XXX")
        create(cls.product, "named", username="_header:x-ToKen", password="secret value")

    def answer(self, headers, name=None):
        path = f"/xsoar/instance/execute/{name or self.name}"
        return post(front(self.product), path, "{}", headers)

    def test_value_of_the_named_header_lets_in_and_no_other(self):
        self.assertEqual(self.answer(self.good)[0], 200)
        for headers in ({}, {"Authorization": "Bearer XX"}, {"X-Authorization": "Bearer XXX"}):
            self.assertEqual(self.answer(headers), (401, "Authorization failed."))

    def test_value_is_never_stored(self):
        status, text = self.answer(self.good)
        self.assertEqual(status, 200)
        stored = self.host.incident(json.loads(text)[0]["id"])
        self.assertNotIn("Bearer", stored["details_text"])

    def test_names_match_in_any_case(self):
        for name in ("X-Token", "x-token", "X-TOKEN"):
            self.assertEqual(self.answer({name: "secret value"}, "named")[0], 200, name)
        self.assertEqual(self.answer({"X-Token": "Secret Value"}, "named")[0], 401)

    def test_headers_may_be_as_large_as_the_limit_is_set(self):
        large = {f"X-Large-{i}": "x" * 7_000 for i in range(30)}
        self.assertEqual(self.answer(self.good | large)[0], 200)
        # On a host with the default limit.
        past = {"X-Large": "x" * 70_000}
        path = "/xsoar/instance/execute/nobody"
        self.assertEqual(post(front("XSIAM_3"), path, "{}", past)[0], 431)

    def test_headers_that_are_not_ascii_are_kept_unless_they_have_a_meaning(self):
        for value in ("M\u00fcller".encode(), "M\u00fcller".encode("latin-1")):
            status, text = self.answer(self.good | {"X-Name": value})
            self.assertEqual(status, 200)
            self.assertIn("a header is not ASCII", text)
            status, text = self.answer(self.good | {"X-Forwarded-Host": value})
            self.assertEqual(status, 400)
            self.assertIn("ASCII", text)

    def test_characters_that_no_header_may_hold_are_refused_when_configured(self):
        for username, password in (
            ("_header:X:Token", "secret"),
            ("_header:X\nToken", "secret"),
            ("_header:M\u00fcller", "secret"),
            ("_header:", "secret"),
            ("_header:X-Token", "two\nlines"),
            ("_header:X-Token", "M\u00fcller"),
        ):
            why = refusal(self.product, "odd", username=username, password=password)
            self.assertRegex(why, "username|password", (username, password))
            self.assertNotIn("secret", why)


class DocumentOf6xTest(DocumentsCase):
    product = "XSOAR_6"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        create(cls.product, cls.name, **listen_port(), username="user", password="pass")
        token = {"username": "_header:Authorization", "password": "token"}
        create(cls.product, "token", **listen_port(), **token)

    def test_raw_json_with_an_underscore_is_the_details(self):
        fields = {"field1": "value1", "field2": "value2"}
        [incident] = self.created({"name": "old form", "raw_json": fields})
        incident["details"].pop("headers")
        self.assertEqual((incident["name"], incident["details"]), ("old form", fields))

    def test_token_in_the_authorization_header_lets_in_whatever_the_content_type(self):
        headers = {
            "Authorization": "token",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        path = "/instance/execute/token"
        self.assertEqual(post(front(self.product), path, {}, headers)[0], 200)
        self.assertEqual(post(front(self.product), path, {})[0], 401)

    def test_webhook_url_has_neither_ext_nor_xsoar(self):
        shown = self.host.run_json("url", self.name)
        self.assertEqual(shown["webhookUrl"], f"https://my.xsoar.live/instance/execute/{self.name}")
        self.assertEqual(shown["dnsRecord"], "")
        self.assertIs(shown["external"], True)
        self.assertEqual(post(front(self.product), "/xsoar" + self.path)[0], 404)


if __name__ == "__main__":
    unittest.main()
