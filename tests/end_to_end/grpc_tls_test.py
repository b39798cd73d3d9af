"""gRPC beyond loopback: TLS for senders, client certificates for management."""

import json
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from host_process import HOST_STUB, HostProcess, configuration
from peers import address_of, openssl


def make_certificates(folder):
    """ca.pem, server and client pairs that it signed, and another.pem, which nobody trusts."""
    for name in ("ca", "another"):
        openssl(
            folder,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
            f" -subj /CN={name} -keyout {name}.key -out {name}.pem",
        )
    pathlib.Path(folder, "ca.index").write_text("")
    pathlib.Path(folder, "ca.conf").write_text(
        "[ca]\ndefault_ca=all\n[all]\ndatabase=ca.index\nserial=ca.serial\ndefault_md=sha256\n"
        "default_days=2\ndefault_crl_days=2\nunique_subject=no\n[any]\ncommonName=supplied\n"
    )
    pathlib.Path(folder, "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client", "revoked"):
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
        # Who changes something is kept by the subject of the certificate.
        self.assertEqual(self.ask(host, "instances", "create", "hook", *ca, *known).returncode, 0)
        [entry] = json.loads(self.ask(host, "audit", "--json", *ca, *known).stdout)
        self.assertEqual((entry["who"], entry["what"]), ("CN=client", "create"))

    def known(self, name="client"):
        return ["--certificate", self.file(f"{name}.pem"), "--key", self.file(f"{name}.key")]

    def list_with(self, host, *identity):
        return self.ask(host, "incidents", "list", "--ca", self.file("ca.pem"), *identity).returncode

    def test_revoked_certificate_is_refused_from_the_next_connection_on(self):
        crl = self.file("crl.pem")
        make_crl = f"ca -config ca.conf -cert ca.pem -keyfile ca.key -gencrl -out {crl}"
        openssl(self.folder, make_crl)
        options = [*self.tls(), "--grpc-client-ca", self.file("ca.pem"), "--grpc-client-crl", crl]
        host = self.serve(*options)
        host.start()
        self.assertEqual(self.list_with(host, *self.known("revoked")), 0)
        openssl(self.folder, "ca -config ca.conf -cert ca.pem -keyfile ca.key -revoke revoked.pem")
        openssl(self.folder, make_crl)
        self.assertNotEqual(self.list_with(host, *self.known("revoked")), 0)
        self.assertEqual(self.list_with(host, *self.known()), 0)
        # Without a list that can be read, nobody can be judged.
        os.remove(crl)
        self.assertNotEqual(self.list_with(host, *self.known()), 0)
        self.assertIn("crl.pem", self.refusal(*options))

    def test_authority_that_an_unknown_one_has_issued_is_trusted_as_it_stands(self):
        pathlib.Path(self.folder, "is_ca").write_text("basicConstraints=critical,CA:TRUE\n")
        for name, signer, extensions in (("issuing", "another", "is_ca"), ("below", "issuing", "extensions")):
            openssl(
                self.folder,
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
                f" -subj /CN={name} -keyout {name}.key -out {name}.csr",
            )
            openssl(
                self.folder,
                f"x509 -req -days 2 -CA {signer}.pem -CAkey {signer}.key -CAcreateserial"
                f" -extfile {extensions} -in {name}.csr -out {name}.pem",
            )
        host = self.serve(*self.tls(), "--grpc-client-ca", self.file("issuing.pem"))
        host.start()
        self.assertEqual(self.list_with(host, *self.known("below")), 0)
        self.assertNotEqual(self.list_with(host, *self.known()), 0)

    def test_expired_certificate_does_not_live_on_by_resumption(self):
        openssl(
            self.folder,
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
            " -subj /CN=short -keyout short.key -out short.csr",
        )
        host = self.serve(*self.tls(), "--grpc-client-ca", self.file("ca.pem"))
        host.start()

        def connect(context, session=None):
            """Says hello in HTTP/2. The session, or None if the client is not let in."""
            address, port = address_of(host.grpc)
            with context.wrap_socket(
                socket.create_connection((address, port), timeout=30),
                server_hostname=address,
                session=session,
            ) as client:
                try:
                    client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                    let_in = len(client.recv(9)) > 0
                except OSError:
                    let_in = False
                self.assertEqual(client.session_reused, session is not None)
                return client.session if let_in else None

        def connect_twice_for(seconds):
            """With a new certificate of that life: (client's context, session, its end)."""
            end = int(time.time()) + seconds
            not_after = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(end))
            openssl(
                self.folder,
                "ca -config ca.conf -policy any -cert ca.pem -keyfile ca.key -batch -notext -outdir ."
                f" -create_serial -enddate {not_after} -in short.csr -out short.pem",
            )
            context = ssl.create_default_context(cafile=self.file("ca.pem"))
            context.load_cert_chain(self.file("short.pem"), self.file("short.key"))
            context.set_alpn_protocols(["h2"])
            session = connect(context)
            resumed = session is not None and connect(context, session) is not None
            return context, session if resumed else None, end

        # A machine may be so slow that a certificate expires too soon; then one that lives longer.
        for seconds in (3, 10, 60):
            context, session, end = connect_twice_for(seconds)
            if session is not None or time.time() < end:
                break
        self.assertIsNotNone(session)
        while connect(context, session) is not None:
            self.assertLess(time.time(), end + 20)
            time.sleep(0.1)
        self.assertGreaterEqual(time.time(), end)
        self.assertIsNone(connect(context))


if __name__ == "__main__":
    unittest.main()
