"""A client in another language, made from the .proto files alone: Python's grpcio."""

import json
import re
import tempfile
import unittest

import grpc

from contract import generate
from host_process import HostProcess, configuration


class PythonClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        modules = generate(folder.name)
        cls.messages = modules["long_running_integration"]
        cls.host = HostProcess(configuration(username="user", password="pass"))
        cls.host.start()
        cls.addClassCleanup(cls.host.__exit__)
        cls.channel = grpc.insecure_channel(
            cls.host.grpc, [("grpc.max_send_message_length", -1)]
        )
        cls.addClassCleanup(cls.channel.close)
        cls.control = grpc.insecure_channel(cls.host.control)
        cls.addClassCleanup(cls.control.close)
        cls.integration = modules["long_running_integration_grpc"].LongRunningIntegrationStub(
            cls.channel
        )
        cls.incidents = modules["incident_grpc"].IncidentServiceStub(cls.control)
        cls.incident_messages = modules["incident"]

    def request(self, **fields):
        headers = [self.messages.Header(name="Authorization", value="Basic dXNlcjpwYXNz")]
        return self.messages.ExecuteRequest(
            **{"instance": "webhook", "headers": headers, "body": b'{"from":"python"}'} | fields
        )

    def test_unknown_instance_is_not_found(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.integration.Execute(self.request(instance="nobody"), timeout=30)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.assertIn("nobody", raised.exception.details())

    def test_refusal_of_the_webhook_travels_inside_the_response(self):
        response = self.integration.Execute(self.request(headers=[]), timeout=30)
        self.assertEqual((response.status, response.body), (401, b"Authorization failed."))

    def test_incident_is_created_and_read_back(self):
        response = self.integration.Execute(self.request(), timeout=30)
        self.assertEqual(response.status, 200, response.body)
        incident = self.incidents.GetIncident(
            self.incident_messages.GetIncidentRequest(id=self.id_of(response)), timeout=30
        )
        self.assertTrue(incident.raw_json.startswith('{"from":"python","headers":'))

    def id_of(self, response):
        return json.loads(response.body)[0]["id"]

    def test_request_that_cannot_be_read_is_an_invalid_argument_and_one_line_of_the_log(self):
        service = "/long_running_integration.v1."
        raw = bytes
        before = self.host.stderr().count("\n")
        name = b"\x0a\x04\xff\xfe\xff\xfe"  # field 1, a text that is not UTF-8
        cases = [(self.channel, "LongRunningIntegration", "Execute")]
        cases += [(self.control, "LongRunningIntegration", method) for method in
                  ("TestModule", "FetchSamples", "ListSampleFields", "MapSamples")]
        cases += [(self.control, "InstanceService", method) for method in
                  ("GetInstance", "DeleteInstance")]
        cases += [(self.control, "IncidentService", "GetIncident")]
        for channel, of, method in cases:
            call = channel.unary_unary(f"{service}{of}/{method}", raw, raw)
            for octets in (name, b"\x0a\x7f", b"\xff"):
                with self.assertRaises(grpc.RpcError) as raised:
                    call(octets, timeout=30)
                self.assertEqual(
                    (method, raised.exception.code()), (method, grpc.StatusCode.INVALID_ARGUMENT)
                )
        call = self.channel.unary_unary(service + "LongRunningIntegration/Execute", raw, raw)
        for future in [call.future(name, timeout=60) for _ in range(1_000)]:
            self.assertEqual(future.code(), grpc.StatusCode.INVALID_ARGUMENT)
        lines = self.host.stderr().splitlines()[before:]
        of_library = [line for line in lines if re.match(r"\S+Z WARNING protobuf: ", line)]
        # What is refused has a line, too.
        refused = [line for line in lines if " was refused: " in line]
        self.assertLessEqual((len(of_library), len(refused)), (1, 1))
        self.assertEqual(len(lines), len(of_library) + len(refused))

    def test_request_that_is_refused_is_answered_on_its_stream_and_does_not_end_it(self):
        Message = self.messages.ExecuteStreamRequest
        good = lambda number: Message(correlation_id=number, request=self.request())
        messages = [good(number).SerializeToString() for number in range(1, 20)]
        # After the correlation id comes a request whose instance is not UTF-8.
        messages.insert(5, Message(correlation_id=100).SerializeToString() + b"\x12\x04\x0a\x02\xff\xff")
        huge = self.request(body=b" " * (12 << 20))
        messages.insert(10, Message(correlation_id=200, request=huge).SerializeToString())
        for number, seconds, nanos in ((300, 0, 2_000_000_000), (301, -1, 0)):
            wrong = Message(correlation_id=number, request=self.request())
            wrong.timeout.seconds, wrong.timeout.nanos = seconds, nanos
            messages.insert(12, wrong.SerializeToString())
        call = self.channel.stream_stream(
            "/long_running_integration.v1.LongRunningIntegration/ExecuteStream",
            bytes,
            self.messages.ExecuteStreamResponse.FromString,
        )
        answers = {one.correlation_id: one for one in call(iter(messages), timeout=60)}
        self.assertEqual(len(answers), len(messages))
        for number in range(1, 20):
            self.assertEqual(answers[number].response.status, 200, answers[number])
        self.assertEqual(answers[200].response.status, 413)
        for number in (100, 300, 301):
            self.assertEqual(answers[number].failure.code, grpc.StatusCode.INVALID_ARGUMENT.value[0])

    def test_stream_answers_every_request_with_its_correlation_id(self):
        requests = (
            self.messages.ExecuteStreamRequest(correlation_id=i, request=self.request())
            for i in range(100, 300)
        )
        answers = {
            answer.correlation_id: answer.response.status
            for answer in self.integration.ExecuteStream(requests, timeout=60)
        }
        self.assertEqual(answers, {i: 200 for i in range(100, 300)})

    def test_incidents_cannot_be_read_on_the_public_address(self):
        get = self.channel.unary_unary(
            "/long_running_integration.v1.IncidentService/GetIncident",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=bytes,
        )
        with self.assertRaises(grpc.RpcError) as raised:
            get(self.incident_messages.GetIncidentRequest(id="1"), timeout=30)
        self.assertIn(
            raised.exception.code(),
            (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED),
        )

    def test_health_says_serving(self):
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        # An empty request asks for the whole server; field 1 of the response, 1, is SERVING.
        self.assertEqual(check(b"", timeout=30), b"\x08\x01")

    def test_reflection_lists_the_services(self):
        reflect = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        # Field 7 of the request, list_services, with an empty text.
        [answer] = reflect(iter([b"\x3a\x00"]), timeout=30)
        self.assertIn(b"long_running_integration.v1.LongRunningIntegration", answer)
        self.assertIn(b"grpc.health.v1.Health", answer)


if __name__ == "__main__":
    unittest.main()
