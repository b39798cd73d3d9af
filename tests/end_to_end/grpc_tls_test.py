"""gRPC beyond loopback: TLS for senders, client certificates for management."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from host_process import HOST_STUB, HostProcess, configuration
from peers import openssl


def make_certificates(folder):
    """ca.pem, server and client pairs that it signed, and another.pem, which nobody trusts."""
    for name in ("ca", "another"):
        openssl(
            folder,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
            f" -subj /CN={name} -keyout {name}.key -out {name}.pem",
        )
    pathlib.Path(folder, "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        openssl(
            folder,
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
            f" -subj /CN={name} -keyout {name}.key -out {name}.csr",
        )
        openssl(
            folder,
            "x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions"
            f" -in {name}.csr -out {name}.pem",
        )


class GrpcTlsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = temporary.name
        make_certificates(cls.folder)

    def file(self, name):
        return os.path.join(self.folder, name)

    def serve(self, *options):
        host = HostProcess(configuration(username="user", password="pass"), *options)
        self.addCleanup(host.__exit__)
        return host

    def tls(self, key="server.key"):
        return ["--grpc-certificate", self.file("server.pem"), "--grpc-key", self.file(key)]

    def ask(self, host, *arguments):
        return subprocess.run(
            [HOST_STUB, *arguments, "--connect", host.grpc], capture_output=True, timeout=60
        )

    def refusal(self, *options):
        host = self.serve(*options)
        host.spawn()
        self.assertNotEqual(host.wait(), 0)
        return host.stderr()

    def test_certificate_without_key_is_refused(self):
        self.assertIn("--grpc-key", self.refusal("--grpc-certificate", self.file("server.pem")))

    def test_key_of_another_certificate_is_refused(self):
        self.assertIn("--grpc-key", self.refusal(*self.tls(key="client.key")))

    def test_key_that_others_can_read_is_refused(self):
        os.chmod(self.file("server.key"), 0o644)
        self.addCleanup(os.chmod, self.file("server.key"), 0o600)
        self.assertIn("server.key", self.refusal(*self.tls()))

    def test_part_of_a_pem_file_that_would_be_passed_over_is_refused_with_its_number(self):
        text = pathlib.Path(self.file("ca.pem")).read_text()
        for damaged in (text.replace("-----BEGIN", "  -----BEGIN"), text.replace("-----BEGIN", "----BEGIN")):
            path = pathlib.Path(self.file("damaged.pem"))
            path.write_text(text + damaged)
            refusal = self.refusal(*self.tls(), "--grpc-client-ca", str(path))
            self.assertIn("damaged.pem: number 2 of the PEM text", refusal)

    def test_pem_whose_line_ends_became_blanks_is_served(self):
        for name in ("server.pem", "server.key", "ca.pem"):
            path = pathlib.Path(self.file("blank-" + name))
            path.write_text(pathlib.Path(self.file(name)).read_text().replace("\n", " "))
            path.chmod(0o600)
        host = self.serve(
            "--grpc-certificate",
            self.file("blank-server.pem"),
            "--grpc-key",
            self.file("blank-server.key"),
            "--grpc-client-ca",
            self.file("blank-ca.pem"),
        )
        host.start()
        known = ["--certificate", self.file("client.pem"), "--key", self.file("client.key")]
        done = self.ask(host, "incidents", "list", "--ca", self.file("blank-ca.pem"), *known)
        self.assertEqual(done.returncode, 0, done)

    def test_authority_is_trusted_as_it_stands(self):
        pathlib.Path(self.folder, "authority").write_text("basicConstraints=critical,CA:TRUE\n")
        make = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        sign = "x509 -req -days 2 -CAcreateserial"
        openssl(self.folder, f"{make} -subj /CN=issuing -keyout issuing.key -out issuing.csr")
        openssl(
            self.folder,
            f"{sign} -CA ca.pem -CAkey ca.key -extfile authority -in issuing.csr -out issuing.pem",
        )
        openssl(self.folder, f"{make} -subj /CN=below -keyout below.key -out below.csr")
        openssl(
            self.folder,
            f"{sign} -CA issuing.pem -CAkey issuing.key -extfile extensions -in below.csr"
            " -out below.pem",
        )
        host = self.serve(*self.tls(), "--grpc-client-ca", self.file("issuing.pem"))
        host.start()
        below = ["--certificate", self.file("below.pem"), "--key", self.file("below.key")]
        done = self.ask(host, "incidents", "list", "--ca", self.file("ca.pem"), *below)
        self.assertEqual(done.returncode, 0, done)

    def test_only_p256_is_agreed_on(self):
        """gRPC's own choice. A handshake with ffdhe8192 would take the host 200 ms."""
        host = self.serve(*self.tls())
        host.start()
        for group, agreed in (("P-256", True), ("P-521", False), ("ffdhe2048", False), ("ffdhe8192", False)):
            done = subprocess.run(
                ["openssl", "s_client", "-connect", host.grpc, "-groups", group, "-alpn", "h2"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
            )
            self.assertEqual(b"Cipher is (NONE)" not in done.stdout, agreed, (group, done.stdout))

    def test_plain_text_is_not_answered_where_tls_is_served(self):
        host = self.serve(*self.tls())
        host.start()
        done = self.ask(host, "execute", "webhook", "-d", "{}", "-u", "user:pass")
        self.assertNotEqual(done.returncode, 0)

    def test_tls_serves_senders_but_not_management(self):
        host = self.serve(*self.tls())
        host.start()
        ca = ["--ca", self.file("ca.pem")]
        done = self.ask(host, "execute", "webhook", "-d", "{}", "-u", "user:pass", *ca)
        self.assertEqual(done.returncode, 0, done)
        self.assertNotEqual(self.ask(host, "incidents", "list", *ca).returncode, 0)

    def test_client_certificate_opens_management_and_nothing_works_without_one(self):
        host = self.serve(*self.tls(), "--grpc-client-ca", self.file("ca.pem"))
        host.start()
        ca = ["--ca", self.file("ca.pem")]
        strangers = ["--certificate", self.file("another.pem"), "--key", self.file("another.key")]
        for identity in ([], strangers):
            done = self.ask(
                host, "execute", "webhook", "-d", "{}", "-u", "user:pass", *ca, *identity
            )
            self.assertNotEqual(done.returncode, 0, identity)
        known = ["--certificate", self.file("client.pem"), "--key", self.file("client.key")]
        self.assertEqual(self.ask(host, "incidents", "list", *ca, *known).returncode, 0)
        self.assertEqual(self.ask(host, "instances", "list", *ca, *known).returncode, 0)


if __name__ == "__main__":
    unittest.main()
