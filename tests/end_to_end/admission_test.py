"""Who may send and how much, as every door sees it: addresses, rates, and secrets in the URL."""

import subprocess
import unittest

from host_process import HOST_STUB, HostProcess, configuration
from peers import address_of, ask, basic, free_ports, request
from planted_secrets import PlantedSecrets

GOOD = basic("user:pass")
PATH = "/instance/execute/webhook"


def serve(test, members={}, **parameters):
    """(host, the front's address, the listen port's)."""
    port = free_ports(1)[0]
    parameters = {"username": "user", "password": "pass", "bind_address": "127.0.0.1"} | parameters
    config = configuration("XSOAR_6", longRunningPort=str(port), **parameters)
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
        self.assertIn("from 203.0.113.9 was refused: its username or password", host.stderr())



class RateTest(unittest.TestCase):
    def test_requests_beyond_the_rate_are_503_with_retry_after_or_429_and_logged(self):
        for status, parameters in ((503, {}), (429, {"rate_limit_status": "429"})):
            # So slow that the test may take its time.
            host, front, listen = serve(self, requests_per_second="1", **parameters)
            answers = []
            for address, path in ((front, PATH), (listen, "/")) * 4:
                answers.append(ask(address, request(path, Authorization=GOOD)))
            self.assertEqual(answers[0].status, 200)
            refused = [answer for answer in answers if answer.status != 200]
            self.assertEqual({answer.status for answer in refused}, {status})
            self.assertEqual({answer.headers["retry-after"] for answer in refused}, {"1"})
            self.assertIn("more came than requests_per_second allows", host.stderr())

    def test_wrong_credentials_again_and_again_are_503_and_right_ones_are_not(self):
        _, front, listen = serve(self)
        wrong = basic("user:wrong")
        for address, path in ((front, PATH), (listen, "/")):
            statuses = [
                ask(address, request(path, Authorization=wrong), source="127.0.6.1").status
                for _ in range(105)
            ]
            self.assertEqual(statuses[-1], 503)
            good = request(path, Authorization=GOOD)
            self.assertEqual(ask(address, good, source="127.0.6.1").status, 200)
        first = ask(front, request(PATH, Authorization=wrong), source="127.0.6.2")
        self.assertEqual(first.status, 401)


class QueryTest(unittest.TestCase):
    def test_secret_in_the_url_opens_every_door_and_is_written_nowhere(self):
        planted = PlantedSecrets()
        right, wrong = planted.plant("right"), planted.plant("wrong")
        host, front, listen = serve(self, username="_query:key", password=right)
        for address, path in ((front, PATH), (listen, "/")):
            for query, status in (
                ("", 401),
                (f"?key={wrong}", 401),
                (f"?key={right}&key={right}", 401),
                (f"?key={right}", 200),
                (f"?a=b&key=%70{right[1:]}", 200),
            ):
                answer = ask(address, request(path + query, Referer=f"https://a/{query}"))
                self.assertEqual(answer.status, status, query)
                self.assertEqual(planted.found_in(answer.octets), [])
            target = f"{path}?key={right}"
            ask(address, request(target, b"no JSON"))
            ask(address, request(target, method="GET"))
            ask(address, request(f"{path}/other?key={right}"))
            ask(address, f"POST {target} HTTP/1.1\r\nHost: a b\r\n\r\n".encode())
            ask(address, f"POST {target} HTTP/9.9\r\n\r\n".encode())
            ask(address, f"POST {target}{'x' * 20_000} HTTP/1.1\r\n\r\n".encode())
        for connect in (host.grpc, host.control):
            command = [HOST_STUB, "execute", "webhook", "-d", "{}", "--connect", connect]
            for query, code in ((f"key={right}", 0), (f"key={wrong}", 1)):
                done = subprocess.run(command + ["--query", query], capture_output=True, timeout=60)
                self.assertEqual(done.returncode, code, done)
                self.assertEqual(planted.found_in(done.stdout + done.stderr), [])
        self.assertIn("a secret in the URL without TLS", host.stderr())
        for text in (
            host.stderr(),
            host.run("incidents", "list", "--json").stdout,
            *(str(host.incident(number)) for number in range(1, 7)),
            host.run("instances", "get", "webhook").stdout,
            host.run("url", "webhook").stdout,
            host.run("test", "webhook").stdout,
        ):
            self.assertEqual(planted.found_in(text), [])


class StoredRequestTest(unittest.TestCase):
    """What store_request keeps with an incident."""

    PROXY, OTHER = "127.0.7.1", "127.0.6.1"

    def serve(self, **parameters):
        proxies = "127.0.7.0/24"
        return serve(self, {"trusted_proxies": [proxies]}, trusted_proxies=proxies, **parameters)

    def test_nothing_is_kept_unless_it_is_asked_for(self):
        host, front, listen = self.serve()
        for address, path in ((front, PATH), (listen, "/")):
            answer = ask(address, request(path + "?page=2", Authorization=GOOD))
            self.assertEqual(answer.status, 200)
        for incident in host.run_json("incidents", "list"):
            self.assertNotIn("request", incident)
            self.assertNotIn("page", str(host.incident(incident["id"])))

    def test_every_door_keeps_who_is_asking_and_the_query_without_secrets(self):
        planted = PlantedSecrets()
        password, other = planted.plant("password"), planted.plant("another")
        host, front, listen = self.serve(
            username="_query:key", password=password, store_request=True
        )
        query = (
            f"k%65y={password}&page=2&api_token={other}&%zz={other}&{other}%={other}&"
            f"twice={other}&twice=1&next=/callback?jwt={other}&again=<{password}>&last=%C3%BC"
        )
        masked = (
            "k%65y=***&page=2&api_token=***&***&***&***&***&next=***&again=***&last=%C3%BC"
        )
        senders = []
        for address, path in ((front, PATH), (listen, "/")):
            for source, stated, sender in (
                (self.PROXY, {"X_Forwarded_For": "203.0.113.9, 127.0.7.2"}, "203.0.113.9"),
                (self.PROXY, {}, self.PROXY),
                (self.OTHER, {"X_Forwarded_For": "203.0.113.9"}, self.OTHER),
            ):
                octets = request(f"{path}?{query}", **stated)
                self.assertEqual(ask(address, octets, source=source).status, 200)
                senders.append(sender)
        for connect, sender in ((host.grpc, "127.0.0.1"), (host.control, "unix")):
            command = [HOST_STUB, "execute", "webhook", "-d", "[{},{}]", "--connect", connect]
            done = subprocess.run(command + ["--query", query], capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 0, done)
            senders += [sender] * 2
        listed = host.run_json("incidents", "list")
        self.assertEqual(
            [incident["request"] for incident in reversed(listed)],
            [{"address": sender, "query": masked} for sender in senders],
        )
        for number in range(1, len(listed) + 1):
            incident = host.incident(number)
            self.assertEqual(incident["request"]["query"], masked)
            self.assertEqual(planted.found_in(str(incident)), [])
        text = host.run("incidents", "get", "1").stdout.decode()
        self.assertRegex(text, r"\nsender +203\.0\.113\.9\nquery +k%65y=\*\*\*&page=2&")
        self.assertEqual(planted.found_in(text + host.stderr()), [])

    def test_query_of_more_than_4_KiB_ends_after_a_parameter_with_a_sign(self):
        host, front, _ = self.serve(store_request=True)
        parameters = [f"p{number}={'x' * 100}" for number in range(60)]
        octets = request(f"{PATH}?{'&'.join(parameters)}", Authorization=GOOD)
        self.assertEqual(ask(front, octets).status, 200)
        stored = host.incident(1)["request"]["query"]
        self.assertLessEqual(len(stored), 4096)
        kept = stored.split("&")
        self.assertEqual(kept, parameters[: len(kept) - 1] + ["..."])
        self.assertGreater(len(kept), 35)


if __name__ == "__main__":
    unittest.main()
