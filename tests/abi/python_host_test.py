"""An engine written in Python from the header alone walks the whole contract."""

import json
import pathlib
import re
import socket
import threading
import time
import unittest

import abi
from host_process import PLUGIN, listen_port

TABLE, LIBRARY = abi.load(PLUGIN)
REASONS = dict(
    (name, int(number))
    for number, name in re.findall(
        r"REASON\(LRI_REASON_\w+,\s*(\d+),\s*\"(\w+)\"\)", pathlib.Path("plugin/abi/reasons.h").read_text()
    )
)
CREDENTIALS = {"username": "user", "password": "pass"}
GOOD = [abi.basic()]


class PythonHostTest(unittest.TestCase):
    def setUp(self):
        self.host = abi.Host(TABLE)
        self.instances = []

    def tearDown(self):
        self.host.end(*self.instances)

    def serve(self, **parameters):
        self.instances.append(self.host.serve(**parameters))
        return self.instances[-1]

    # ---- layout and information -----------------------------------------------------------------

    def test_structs_lie_as_the_header_pins_them(self):
        names = {
            "lri_" + re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): struct
            for name, struct in vars(abi).items()
            if isinstance(struct, type) and issubclass(struct, abi.Structure)
        }
        names["lri_host"] = names.pop("lri_host_table")
        checked = 0
        for struct, member, offset in re.findall(
            r"MEMBER\((\w+), (\w+), (\d+)\)", pathlib.Path("tests/abi/layout.inc").read_text()
        ):
            if struct not in names:
                continue
            self.assertEqual(getattr(names[struct], member).offset, int(offset), f"{struct}.{member}")
            checked += 1
        self.assertGreater(checked, 120)

    def test_info_describes_every_parameter_and_every_limit(self):
        told = abi.info(TABLE)
        self.assertEqual(told["name"], "Generic Webhook")
        self.assertEqual(told["names"], [one["name"] for one in told["parameters"]])
        secrets = {one["name"] for one in told["parameters"] if one["secret"]}
        self.assertEqual(
            secrets, {"password", "key", "passwords", "signing_secrets", "named_secrets"}
        )
        for one in told["parameters"] + told["limits"]:
            self.assertTrue(one["meaning"], one["name"])
        for limit in told["limits"]:
            self.assertLessEqual(limit["least"], limit["default"], limit["name"])
            self.assertLessEqual(limit["default"], limit["most"], limit["name"])
            self.assertRefusesLimit(limit["name"], limit["least"] - 1)
            self.assertRefusesLimit(limit["name"], limit["most"] + 1)

    def assertRefusesLimit(self, name, value):
        with self.assertRaisesRegex(RuntimeError, name):
            abi.Host(TABLE, limits=[(name, str(value))])

    def test_limit_that_is_given_twice_or_is_no_plain_number_is_refused(self):
        for limits in ([("body_bytes", "1"), ("body_bytes", "1")], [("body_bytes", "+1")]):
            with self.assertRaisesRegex(RuntimeError, "body_bytes"):
                abi.Host(TABLE, limits=limits)

    def test_answers_of_a_door_that_is_left_out_are_not_reported(self):
        self.host.host_table.answered_doors = 1 << abi.LISTEN
        instance = self.serve()
        self.assertEqual(self.host.execute(instance)[0], 200)
        self.assertEqual(self.host.answered, [])

    def test_required_parameters_are_those_that_create_demands(self):
        required = {one["name"]: one["required"] for one in abi.info(TABLE)["parameters"]}
        for product in ("XSOAR_8_CLOUD", "XSIAM_2", "XSIAM_3"):
            code, _, message = self.host.create(product=product)
            self.assertEqual((code, message.split()[0]), (abi.INVALID_ARGUMENT, "username"))
        self.assertRegex(required["username"], "Cloud and XSIAM")
        code, _, message = self.host.create(product="XSOAR_6")
        self.assertEqual((code, message.split()[0]), (abi.INVALID_ARGUMENT, "longRunningPort"))
        self.assertRegex(required["longRunningPort"], "XSOAR 6")

    # ---- refusals -------------------------------------------------------------------------------

    def test_table_without_what_is_required_is_refused(self):
        for name in ("create_incidents", "complete"):
            with self.assertRaisesRegex(RuntimeError, name):
                abi.Host(TABLE, without=[name])

    def test_configuration_that_cannot_be_is_refused_by_name(self):
        for parameters, said in (
            ({"passwrd": "x"}, "passwrd"),
            ({"username": "user"}, "password"),
            ({"certificate": "x"}, "key"),
        ):
            code, _, message = self.host.create(**parameters)
            self.assertEqual(code, abi.INVALID_ARGUMENT)
            self.assertIn(said, message)

    def test_error_without_room_for_a_message_is_left_alone(self):
        keeper, handle = abi.Keeper(), abi.c_void_p()
        options = self.host.options(keeper, "webhook", passwrd="x")
        short = abi.Error(struct_size=4)
        code = TABLE.create(self.host.plugin, abi.byref(options), abi.byref(handle), abi.byref(short))
        self.assertEqual((code, short.message), (abi.INVALID_ARGUMENT, b""))
        self.assertEqual(
            TABLE.create(self.host.plugin, abi.byref(options), abi.byref(handle), None),
            abi.INVALID_ARGUMENT,
        )

    def test_path_of_the_instance_is_not_looked_at_and_its_remainder_is(self):
        instance = self.serve()
        self.assertEqual(self.host.execute(instance, remainder="/extra")[0], 404)
        self.assertEqual(self.host.execute(instance, remainder="/")[0], 200)
        keeper = abi.Keeper()
        head = self.host.head(keeper)
        head.path = keeper.view("/anything")
        self.assertEqual(self.host.execute(instance, head=head, keeper=keeper)[0], 200)

    def test_request_whose_deadline_has_passed_is_not_begun(self):
        instance = self.serve()
        status, _, body = self.host.execute(instance, deadline_mono_ns=abi.in_seconds(-1))
        self.assertEqual((status, self.host.batches), (504, []), body)
        self.assertEqual(self.host.execute(instance, deadline_mono_ns=abi.in_seconds(60))[0], 200)

    # ---- tickets --------------------------------------------------------------------------------

    def test_ticket_is_for_one_head_of_one_instance_and_is_used_once(self):
        instance, other = self.serve(**CREDENTIALS), self.serve(**CREDENTIALS)
        keeper = abi.Keeper()
        head, stranger = self.host.head(keeper, GOOD), self.host.head(keeper)
        code, refused, status = self.host.check_head(instance, stranger)
        self.assertEqual((code, refused.refused, refused.ticket, status), (abi.OK, 1, 0, 401))
        for used_for, used_head in ((instance, stranger), (other, stranger)):
            _, verdict, _ = self.host.check_head(instance, head)
            self.assertNotEqual(verdict.ticket, 0)
            answer = self.host.execute(used_for, ticket=verdict.ticket, head=used_head, keeper=keeper)
            self.assertEqual(answer[0], 401)
        self.assertEqual(self.host.batches, [])

    def test_head_that_was_changed_in_place_is_checked_again(self):
        instance = self.serve(**CREDENTIALS)
        keeper = abi.Keeper()
        head = self.host.head(keeper, GOOD)
        _, verdict, _ = self.host.check_head(instance, head)
        value = head.headers.items(abi.Pair)[0].value
        abi.ctypes.memset(value.data + value.size - 1, ord("x"), 1)
        answer = self.host.execute(instance, ticket=verdict.ticket, head=head, keeper=keeper)
        self.assertEqual(answer[0], 401)

    def test_every_guess_of_a_ticket_is_checked(self):
        instance = self.serve(**CREDENTIALS)
        keeper = abi.Keeper()
        _, verdict, _ = self.host.check_head(instance, self.host.head(keeper, GOOD))
        for ticket in (0, 1, verdict.ticket, verdict.ticket + 1, 2**64 - 1):
            self.assertEqual(self.host.execute(instance, ticket=ticket)[0], 401)

    # ---- batches, answers and reports -----------------------------------------------------------

    def test_batch_tells_where_it_came_from(self):
        instance = self.serve(**CREDENTIALS)
        self.assertEqual(self.host.execute(instance, b'{"name":"a"}', headers=GOOD)[0], 200)
        batch = self.host.batches[0]
        self.assertEqual(batch["incidents"][0]["name"], "a")
        self.assertEqual(
            (batch["call"], batch["request_id"], batch["peer_address"]), (1000, "engine-1", "192.0.2.7")
        )

    def test_documented_body_gives_a_batch_without_severity_and_keys(self):
        instance = self.serve()
        body = self.host.execute(instance, b'{"name":"a","severity":3}')[2]
        self.assertNotIn("severity", body)
        batch = self.host.batches[0]
        self.assertEqual(batch["incidents"][0]["severity"], 0)
        self.assertEqual((batch["delivery_key"], batch["replay_key"]), (b"", b""))
        self.assertEqual(batch["delivery_key_ttl_s"], 0)

    def test_batch_says_what_to_store_of_its_request_where_that_is_asked_for(self):
        for parameters in ({}, {"store_request": "true"}):
            keeper = abi.Keeper()
            query = keeper.view("page=2&token=secret")
            self.host.execute(self.serve(**parameters), keeper=keeper, query=query)
        self.assertEqual(
            [batch["request"] for batch in self.host.batches],
            [("", ""), ("192.0.2.7", "page=2&token=***")],
        )

    def test_severity_of_a_duplicate_is_told_where_the_host_knows_it(self):
        instance = self.serve()
        self.host.first = {
            "name": "a", "type": "b", "occurred": "2024-05-01T10:00:00Z", "severity": 3
        }  # fmt: skip
        self.assertIn('"severity":3,"duplicate":true', self.host.execute(instance)[2])
        # A host of minor version 2.
        self.host.outcome = {"stride": abi.CreatedIncident.severity.offset}
        self.assertIn('"sourceInstance":"webhook","duplicate":true', self.host.execute(instance)[2])

    def test_every_answer_is_reported_once_with_its_reason(self):
        instance = self.serve(**CREDENTIALS)
        for said, body, members in (
            ("credentials", b"{}", {}),
            ("method", b"{}", {"method": "GET", "headers": GOOD}),
            ("unknown_path", b"{}", {"remainder": "/x", "headers": GOOD}),
            ("malformed_json", b"{", {"headers": GOOD}),
            ("content_encoding", b"{}", {"headers": GOOD + [("Content-Encoding", "br,br")]}),
            ("content_encoding", b"{}", {"headers": GOOD + [("Content-Encoding", "br")]}),
            ("charset", b"{}", {"headers": GOOD + [("Content-Type", "a/b; charset=x")]}),
            ("charset", b"\x81", {"headers": GOOD + [("Content-Type", "a/b; charset=cp1252")]}),
            ("answered", b"{}", {"headers": GOOD}),
        ):
            self.host.answered.clear()
            status = self.host.execute(instance, body, **members)[0]
            (report,) = self.host.answered
            self.assertEqual(report["reason"], REASONS[said], said)
            self.assertEqual((report["status"], report["door"]), (status, abi.EXECUTE))
            self.assertEqual(report["request_id"], "engine-1")
            self.assertEqual(report["bytes_received"], len(body))
            self.assertEqual(
                report["header_names"], [name for name, _ in members.get("headers", ())]
            )

    def test_refused_head_is_reported_once(self):
        instance = self.serve(**CREDENTIALS)
        keeper = abi.Keeper()
        self.host.check_head(instance, self.host.head(keeper))
        self.assertEqual([one["reason"] for one in self.host.answered], [REASONS["credentials"]])

    def test_path_in_a_report_is_cut_and_has_no_query(self):
        instance = self.serve()
        keeper = abi.Keeper()
        head = self.host.head(keeper, [(f"name-{i}-" + "n" * 80, "v") for i in range(40)])
        head.path, head.query = keeper.view("/" + "p" * 400), keeper.view("secret=1")
        self.host.execute(instance, head=head, keeper=keeper)
        (report,) = self.host.answered
        self.assertEqual(report["path"], "/" + "p" * 255)
        self.assertEqual([len(name) for name in report["header_names"]], [64] * 32)

    def test_listen_port_reports_answers_and_refused_connections(self):
        port = listen_port()
        instance = self.serve(product="XSOAR_6", **CREDENTIALS, **port)
        address = port["bind_address"], int(port["longRunningPort"])
        for request, status, reason in (
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 401, "credentials"),
            (b"junk\r\n\r\n", 400, "bad_request"),
            (b"POST / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "version"),
            (b"POST / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431, "header_too_large"),
        ):
            self.host.answered.clear()
            with socket.create_connection(address, 10) as connection:
                connection.sendall(request)
                self.assertIn(str(status).encode(), connection.recv(4096).split(b"\r\n")[0])
            self.host.wait(lambda: self.host.answered)
            report = self.host.answered[0]
            self.assertEqual(
                (report["door"], report["status"], report["reason"]),
                (abi.LISTEN, status, REASONS[reason]),
            )
            self.assertEqual(report["peer_address"][:4], "127.")
        self.assertEqual(self.host.describe(instance)["answers"], (0, 3, 1))

    def test_batch_of_the_listen_port_has_an_id_of_the_plugin_and_no_call(self):
        port = listen_port()
        self.serve(product="XSOAR_6", **port)
        with socket.create_connection((port["bind_address"], int(port["longRunningPort"])), 10) as sender:
            sender.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
            self.assertIn(b"200", sender.recv(4096))
        self.host.wait(lambda: self.host.answered)
        batch, report = self.host.batches[0], self.host.answered[0]
        self.assertIsNone(batch["call"])
        self.assertRegex(batch["request_id"], r"^listen-\d+-\d+$")
        self.assertEqual(batch["request_id"], report["request_id"])

    def test_outcomes_are_answered_with_the_hosts_patience(self):
        instance = self.serve()
        for outcome, status, reason in (
            ({"outcome": abi.NOT_CREATED, "code": abi.UNAVAILABLE}, 503, "store_unavailable"),
            ({"outcome": abi.NOT_CREATED, "code": 8}, 503, "store_full"),
            ({"outcome": abi.NOT_CREATED, "code": abi.DEADLINE_EXCEEDED}, 504, "answer_timeout"),
            ({"outcome": abi.NOT_KNOWN, "code": 2}, 503, "not_known"),
            ({"count": 0}, 503, "not_known"),
        ):
            self.host.answered.clear()
            self.host.outcome = {"retry_after_s": 7, "message": "the disk is full", **outcome}
            answer = self.host.execute(instance)
            self.assertEqual(answer[0], status)
            if "outcome" in outcome:
                self.assertEqual(answer[1]["Retry-After"], "7")
                self.assertEqual(self.host.answered[0]["detail"], "the disk is full")
            self.assertEqual(self.host.answered[0]["reason"], REASONS[reason])
        self.assertNotIn("were not created", [line for line in self.host.log if "not known" in line])

    def test_second_completion_of_anything_is_ignored(self):
        self.host.completions = 2
        instance = self.serve(store_samples="true")
        self.assertEqual(self.host.execute(instance)[0], 200)
        self.assertEqual(self.host.command(instance, "test")[0], abi.OK)
        self.assertEqual([len(answers) for answers in self.host.answers.values()], [1])
        # tearDown stops the instance, and would fail.

    # ---- commands -------------------------------------------------------------------------------

    def test_commands_answer_what_the_header_says(self):
        instance = self.serve(store_samples="true", **CREDENTIALS)
        self.assertEqual(self.host.command(instance, "test"), (abi.OK, '"ok"'))
        self.assertEqual(self.host.command(instance, "dance"), abi.NOT_FOUND)
        headers = [{"name": name, "value": value} for name, value in GOOD]
        arguments = {"body": "e30=", "headers": headers}
        code, report = self.host.command(instance, "try", json.dumps(arguments))
        self.assertEqual((code, json.loads(report)["outcome"]), (0, "accept"))
        code, why = self.host.command(instance, "try", '{"body":"e3%"}')
        self.assertEqual((code, why), (abi.INVALID_ARGUMENT, "try: body must be base64"))
        self.host.execute(instance, b'{"name":"a","rawJson":{"b":{"c":1}}}', headers=GOOD)
        code, samples = self.host.command(instance, "samples")
        self.assertRegex(samples, r'^\[\{"name":"a","type":"","occurred":".*","rawJSON":".*","truncated":false\}\]$')
        code, fields = self.host.command(instance, "fields")
        self.assertRegex(fields, r'\{"path":"b\.c","types":\["number"\],"example":"1","count":1\}')
        mapper = r'{"mapper":"{\"severity\":{\"path\":\"b.c\"}}"}'
        self.assertEqual(self.host.command(instance, "map", mapper), (abi.OK, '[{"severity":1}]'))
        code, line = self.host.command(instance, "map", "{}")
        self.assertEqual(code, abi.INVALID_ARGUMENT)

    # ---- life and updates -----------------------------------------------------------------------

    def test_stop_waits_for_calls_and_says_how_many_there_are(self):
        instance = self.serve()
        self.host.held = []
        sender = threading.Thread(target=self.host.execute, args=(instance,))
        sender.start()
        deadline = time.monotonic() + 30
        while not self.host.held and time.monotonic() < deadline:
            time.sleep(0.001)
        error = abi.sized(abi.Error)
        self.assertEqual(TABLE.stop(instance, abi.in_seconds(0.05), abi.byref(error)), abi.DEADLINE_EXCEEDED)
        self.assertIn(b"1 call", error.message)
        self.assertEqual(self.host.execute(instance), abi.UNAVAILABLE)
        self.host.release()
        sender.join()

    def test_update_is_prepared_and_then_committed_or_aborted(self):
        instance = self.serve(incidentType="old")

        def prepare(**parameters):
            keeper, update, error = abi.Keeper(), abi.c_void_p(), abi.sized(abi.Error)
            options = self.host.options(keeper, "webhook", **parameters)
            options.host_instance = 12345  # ignored
            code = TABLE.update_prepare(instance, abi.byref(options), abi.byref(update), abi.byref(error))
            return code, update

        self.assertEqual(prepare(passwrd="x")[0], abi.INVALID_ARGUMENT)
        code, update = prepare(incidentType="aborted")
        self.assertEqual(code, abi.OK)
        self.assertEqual(prepare()[0], abi.FAILED_PRECONDITION)
        TABLE.update_abort(update)
        self.assertIn('"type":"old"', self.host.execute(instance)[2])
        code, update = prepare(incidentType="new")
        TABLE.update_commit(update)
        self.assertIn('"type":"new"', self.host.execute(instance)[2])

    def test_two_instances_of_one_name_are_two_instances(self):
        one, other = self.serve(), self.serve(**CREDENTIALS)
        self.assertEqual(self.host.execute(one)[0], 200)
        self.assertEqual(self.host.execute(other)[0], 401)

    def test_start_twice_is_refused_and_stop_twice_is_not(self):
        instance = self.serve()
        self.assertEqual(TABLE.start(instance, None), abi.FAILED_PRECONDITION)
        self.assertEqual(TABLE.stop(instance, 0, None), abi.OK)
        self.assertEqual(TABLE.stop(instance, 0, None), abi.OK)
        self.assertEqual(self.host.execute(instance), abi.UNAVAILABLE)


if __name__ == "__main__":
    unittest.main()
