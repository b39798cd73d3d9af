"""A client in another language, made from the .proto files alone: Python's grpcio."""

import json
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
        cls.channel = grpc.insecure_channel(cls.host.grpc)
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
