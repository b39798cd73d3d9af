"""Who may send, as every door sees it: addresses that proxies state, and `allow`."""

import subprocess
import unittest

from host_process import HOST_STUB, HostProcess, configuration
from peers import address_of, ask, basic, free_ports, request

GOOD = basic("user:pass")
PATH = "/instance/execute/webhook"


def serve(test, members={}, **parameters):
    """(host, the front's address, the listen port's)."""
    port = free_ports(1)[0]
    config = configuration(
        "XSOAR_6",
        username="user",
        password="pass",
        longRunningPort=str(port),
        bind_address="127.0.0.1",
        **parameters,
    )
    host = HostProcess(config | members, "--store", "memory")
    test.addCleanup(host.__exit__)
    host.start()
    return host, address_of(host.http), ("127.0.0.1", port)


class AllowTest(unittest.TestCase):
    def test_every_door_refuses_what_is_not_allowed_before_it_looks_at_credentials(self):
        host, front, listen = serve(self, allow="127.0.5.0/24, 203.0.113.9")
        for address, path in ((front, PATH), (listen, "/")):
            for headers in ({"Authorization": GOOD}, {}, {"X_Forwarded_For": "203.0.113.9"}):
                answer = ask(address, request(path, **headers), source="127.0.6.1")
                self.assertEqual(answer.status, 403)
                self.assertEqual(answer.body, b"Your address may not send here.")
            self.assertEqual(ask(address, request(path), source="127.0.5.1").status, 401)
            good = request(path, Authorization=GOOD)
            self.assertEqual(ask(address, good, source="127.0.5.1").status, 200)
        command = [HOST_STUB, "execute", "webhook", "-d", "{}", "-u", "user:pass"]
        done = subprocess.run(command + ["--connect", host.grpc], capture_output=True, timeout=60)
        self.assertIn(b"403", done.stdout + done.stderr)
        # Over the control socket its owner says who sent it.
        done = host.run(*command[1:])
        self.assertIn(b"403", done.stdout + done.stderr)
        self.assertRegex(
            host.stderr(), r"\[webhook\] a request from 127.0.6.1 was refused: its address is not in"
        )
        self.assertEqual(len(host.run_json("incidents", "list")), 2)


class StatedAddressTest(unittest.TestCase):
    PROXY, OTHER = "127.0.7.1", "127.0.6.1"

    def serve(self, **parameters):
        return serve(
            self,
            {"trusted_proxies": ["127.0.7.0/24"]},
            trusted_proxies="127.0.7.0/24",
            allow="203.0.113.9, 127.0.7.0/24",
            **parameters,
        )

    def status(self, address, path, source, **headers):
        return ask(address, request(path, Authorization=GOOD, **headers), source=source).status

    def test_only_listed_proxies_are_believed_and_what_they_state_is_allowed_and_logged(self):
        host, front, listen = self.serve()
        for address, path in ((front, PATH), (listen, "/")):
            status = lambda source, value: self.status(address, path, source, X_Forwarded_For=value)
            self.assertEqual(status(self.OTHER, "203.0.113.9"), 403)
            self.assertEqual(status(self.PROXY, "203.0.113.8"), 403)
            self.assertEqual(status(self.PROXY, "203.0.113.9, 203.0.113.8"), 403)
            # The proxy itself may send, but not whom it cannot name.
            self.assertEqual(self.status(address, path, self.PROXY), 200)
            self.assertEqual(status(self.PROXY, "unknown"), 403)
            self.assertEqual(status(self.PROXY, "203.0.113.9, " + "127.0.7.2, " * 40 + "::1"), 403)
            self.assertEqual(status(self.PROXY, "203.0.113.9"), 200)
            self.assertEqual(status(self.PROXY, "203.0.113.8, 203.0.113.9:4711, 127.0.7.2"), 200)
        self.assertIn("a request from 127.0.6.1 was refused", host.stderr())

    def test_forwarded_counts_where_it_is_chosen_and_the_other_header_does_not(self):
        _, front, listen = self.serve(forwarding_header="Forwarded")
        spoofed = {"X_Forwarded_For": "203.0.113.9", "Forwarded": "for=203.0.113.8"}
        self.assertEqual(self.status(listen, "/", self.PROXY, **spoofed), 403)
        self.assertEqual(self.status(front, PATH, self.PROXY, **spoofed), 200)
        self.assertEqual(self.status(listen, "/", self.PROXY, Forwarded='for="203.0.113.9:1"'), 200)

    def test_refused_credentials_are_logged_with_the_stated_address(self):
        host, front, _ = self.serve()
        wrong = request(PATH, Authorization=basic("user:wrong"), X_Forwarded_For="203.0.113.9")
        self.assertEqual(ask(front, wrong, source=self.PROXY).status, 401)
        self.assertIn("from 203.0.113.9 was refused: its credentials", host.stderr())


if __name__ == "__main__":
    unittest.main()
