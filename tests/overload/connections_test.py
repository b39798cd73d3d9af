"""Thousands of connections: idle, past the limits, half closed, reset, and very short ones."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from host_process import HostProcess, configuration
from peers import (
    MIB,
    Memory,
    OpenLoop,
    Peer,
    address_of,
    allow_many_files,
    ask,
    basic,
    free_ports,
    make_certificate,
    pump,
    quantile,
    request,
    trusting,
)

PATH = "/xsoar/instance/execute/webhook"
GOOD = basic("user:pass")
ONE = request(PATH, b"{}", Authorization=GOOD)
HALF, REST = ONE[:-1], ONE[-1:]

MOST_IDLE = 10_000
# Descriptors that a process needs for itself.
OTHER_FILES = 500
IDLE_BYTES_OF_A_CONNECTION = 8 * 1024


def serve(test, **limits):
    config = configuration("XSOAR_8_ON_PREM", username="user", password="pass")
    config["limits"] = {"connections_from_one_address": 100_000} | limits
    host = HostProcess(config, "--store", "memory")
    test.addCleanup(host.__exit__)
    host.start()
    return host, address_of(host.http)


def connected(address, count, octets=b""):
    """Spreads over several loopback addresses: one has no more than 28,000 ports."""
    return [
        Peer(address, source=f"127.0.{i // 200 % 200 + 1}.{i % 200 + 1}").send(octets)
        for i in range(count)
    ]


class IdleConnectionsTest(unittest.TestCase):
    def test_ten_thousand_idle_connections_cost_less_than_8_kib_each_and_nobody_waits(self):
        # Fewer only if the machine's hard limit on open files is lower.
        count = min(MOST_IDLE, allow_many_files(MOST_IDLE + OTHER_FILES) - OTHER_FILES)
        host, address = serve(self, connections=count + 100, connections_from_one_address=100)
        self.assertEqual(ask(address, ONE).status, 200)
        memory = Memory(host)
        idle = connected(address, count, request("/", method="GET", body=b""))
        answered = lambda: all(peer.answers or peer.closed for peer in idle)
        self.assertTrue(pump(idle, 60, answered))
        self.assertEqual(sum(peer.closed for peer in idle), 0)
        # Buffers are released after a second of quiet.
        limit = IDLE_BYTES_OF_A_CONNECTION * count
        pump(idle[:1], 30, lambda: memory.now() - memory.before < limit)
        bytes_each = (memory.now() - memory.before) / count
        print(f"{count} idle connections: {bytes_each:.0f} bytes of RSS each")
        self.assertLess(bytes_each, IDLE_BYTES_OF_A_CONNECTION)
        took = [took for answer, took in OpenLoop(address, ONE).run(100, 1) if answer.status == 200]
        self.assertEqual(len(took), 100)
        self.assertLess(quantile(took, 0.9), 1.0)
        # Each of them is still served.
        some = idle[::100]
        for peer in some:
            peer.send(ONE)
        self.assertTrue(pump(some, 30, lambda: all(len(peer.answers) == 2 for peer in some)))
        for peer in idle:
            peer.close()
        self.assertEqual(ask(address, ONE).status, 200)


class ConnectionLimitsTest(unittest.TestCase):
    def test_connection_past_the_limit_is_503_at_once_and_busy_ones_stay(self):
        host, address = serve(self, connections=50)
        waiting = request(PATH, b"{}", Authorization=GOOD, Expect="100-continue")
        peers = connected(address, 50, waiting[:-2])
        self.assertTrue(pump(peers, 30, lambda: all(peer.interim for peer in peers)))
        for _ in range(100):
            answer = ask(address, ONE)
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        for peer in peers:
            peer.send(b"{}")
        self.assertTrue(pump(peers, 30, lambda: all(peer.answers for peer in peers)))
        self.assertEqual({peer.answers[0].status for peer in peers}, {200})
        self.assertEqual(ask(address, ONE).status, 200)  # one of the idle ones gives way
        self.assertRegex(host.stderr(), r"WARNING .*127.0.0.1 was refused: the limit connections is")

    def test_one_address_cannot_take_the_place_of_others(self):
        host, address = serve(self, connections=100, connections_from_one_address=10)
        greedy = [Peer(address, source="127.0.9.9").send(HALF) for _ in range(90)]
        # One whose first octets come while it is asked to give way stays: at most 64 beyond the limit.
        refused = lambda: [peer for peer in greedy if peer.answers or peer.closed]
        self.assertTrue(pump(greedy, 4, lambda: len(refused()) >= 90 - 10 - 64))
        self.assertEqual({peer.answers[0].status for peer in refused() if peer.answers}, {503})
        other = Peer(address, source="127.0.9.10").send(ONE)
        self.assertTrue(pump([other], 30, lambda: other.answers))
        self.assertEqual(other.answers[0].status, 200)
        self.assertIn("127.0.9.9 was refused: the limit connections_from_one_address", host.stderr())

    def test_places_held_in_silence_by_sixteen_addresses_keep_nobody_out(self):
        _, address = serve(self, connections=1_024, connections_from_one_address=64)
        silent = [Peer(address, source=f"127.0.8.{i % 16 + 1}") for i in range(1_024)]
        used = [Peer(address, source="127.0.9.1").send(ONE) for _ in range(20)]
        for i in range(100):
            sender = Peer(address, source=f"127.0.9.{i + 2}").send(ONE)
            self.assertTrue(pump([sender], 30, lambda: sender.answers or sender.closed))
            self.assertEqual([answer.status for answer in sender.answers], [200])
        self.assertTrue(pump(used, 30, lambda: all(peer.answers for peer in used)))
        self.assertEqual({peer.answers[0].status for peer in used}, {200})
        # What sends nothing is closed after 5 s at the latest.
        self.assertTrue(pump(silent, 10, lambda: all(peer.closed for peer in silent)))
        self.assertFalse(any(peer.closed for peer in used))

    def test_listen_port_has_the_same_limits_and_its_own_proxies_and_logs_them(self):
        port = free_ports(1)[0]
        config = configuration("XSOAR_6", username="user", password="pass", bind_address="127.0.0.1",
                               longRunningPort=str(port), trusted_proxies="127.0.7.0/24, ::1")
        config["limits"] = {"connections_from_one_address": 2, "connections_from_one_proxy": 4}
        host = HostProcess(config, "--store", "memory")
        self.addCleanup(host.__exit__)
        host.start()
        half = request("/", b"{}", Authorization=GOOD, Expect="100-continue")[:-2]
        for source, most in (("127.0.6.1", 2), ("127.0.7.1", 4)):
            # Each is known to be busy before the next comes.
            peers = [Peer(("127.0.0.1", port), source=source).send(half)]
            begun = lambda: peers[-1].interim or peers[-1].answers
            while pump(peers[-1:], 30, begun) and not peers[-1].answers:
                peers.append(Peer(("127.0.0.1", port), source=source).send(half))
            self.assertEqual(len(peers), most + 1)
            self.assertEqual(peers[-1].answers[0].status, 503)
        self.assertIn("[webhook] a connection from 127.0.6.1 was refused: the limit connections_from_one_a",
                      host.stderr())


class ProxyTest(unittest.TestCase):
    """A real nginx with more connections than one address may have."""

    def burst(self, **members):
        config = configuration("XSOAR_8_ON_PREM", username="user", password="pass")
        config["limits"] = {"connections_from_one_address": 8} | members.pop("limits", {})
        host = HostProcess(config | members, "--store", "memory")
        self.addCleanup(host.__exit__)
        host.start()
        address = nginx_before(self, host.http)
        # Half of each body first, so that all are in flight at the same time.
        peers = [Peer(address).send(HALF) for _ in range(64)]
        pump(peers, 0.3)
        for peer in peers:
            peer.send(REST)
        self.assertTrue(pump(peers, 30, lambda: all(peer.answers for peer in peers)))
        return host, [peer.answers[0].status for peer in peers]

    def test_proxy_that_is_not_listed_gets_503_and_no_reset(self):
        host, statuses = self.burst()
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertIn(503, statuses)
        self.assertIn("the limit connections_from_one_address is reached", host.stderr())

    def test_listed_proxy_loses_nothing(self):
        for proxies in (["127.0.0.0/8", "::1"], ["127.0.0.1"]):
            _, statuses = self.burst(trusted_proxies=proxies)
            self.assertEqual(set(statuses), {200})


class ProxyProtocolTest(unittest.TestCase):
    """Real proxies that state the peer of each connection before its first octet."""

    def test_senders_behind_nginx_and_haproxy_have_their_own_addresses_also_under_tls(self):
        folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")
        self.addCleanup(shutil.rmtree, folder)
        make_certificate(folder)
        port = free_ports(1)[0]
        config = configuration(
            "XSOAR_6",
            username="user",
            password="pass",
            bind_address="127.0.0.1",
            longRunningPort=str(port),
            trusted_proxies="127.0.0.1",
            proxy_protocol="true",
            allow="127.0.5.1",
            certificate=pathlib.Path(folder, "certificate.pem").read_text(),
            key=pathlib.Path(folder, "key.pem").read_text(),
        )
        config |= {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True}
        host = HostProcess(config, "--store", "memory")
        self.addCleanup(host.__exit__)
        host.start()
        doors = ((host.http, "/instance/execute/webhook", None), (f"127.0.0.1:{port}", "/", trusting(folder)))
        for upstream, path, tls in doors:
            # Not guessed: a request without a header has no answer.
            bare = Peer(address_of(upstream)).send(request(path))
            self.assertTrue(pump([bare], 30, lambda: bare.closed))
            self.assertEqual(bare.answers, [])
            self.assertIn("was refused: it does not begin with a PROXY header", host.stderr())
            stranger = Peer(address_of(upstream), source="127.0.6.1").send(request(path))
            self.assertTrue(pump([stranger], 30, lambda: stranger.closed))
            self.assertEqual(stranger.answers, [])
            for before in (nginx_stream_before, haproxy_before):
                address = before(self, upstream)
                good = request(path, b"{}", Authorization=GOOD)
                self.assertEqual(ask(address, good, tls=tls, source="127.0.5.1").status, 200)
                self.assertEqual(ask(address, good, tls=tls, source="127.0.6.1").status, 403)
        self.assertRegex(host.stderr(), "a request from 127.0.6.1 was refused: its address is not in")


def nginx_stream_before(test, upstream):
    """Starts nginx as a proxy of connections; returns its address."""
    port = free_ports(1)[0]
    return nginx(test, port, f"""stream {{
          server {{ listen 127.0.0.1:{port}; proxy_pass {upstream}; proxy_protocol on; }}
        }}""", "load_module /usr/lib/nginx/modules/ngx_stream_module.so;")


def haproxy_before(test, upstream):
    """Starts HAProxy as a proxy of connections; returns its address."""
    port = free_ports(1)[0]
    folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")
    test.addCleanup(shutil.rmtree, folder)
    file = pathlib.Path(folder, "haproxy.cfg")
    file.write_text(f"""
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen in
  bind 127.0.0.1:{port}
  server host {upstream} send-proxy-v2
""")
    return started(test, port, ["haproxy", "-db", "-f", str(file)])


def nginx_before(test, upstream):
    """Starts nginx as a proxy that streams bodies on; returns its address."""
    port = free_ports(1)[0]
    return nginx(test, port, f"""http {{
          access_log off;
          server {{
            listen 127.0.0.1:{port};
            location / {{
              proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_request_buffering off;
              proxy_set_header Connection "";
            }}
          }}
        }}""")


def nginx(test, port, what, modules=""):
    folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")
    test.addCleanup(shutil.rmtree, folder)
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("proxy", "fastcgi", "uwsgi", "scgi")
    )
    if what.startswith("http"):
        what = what.replace("{", f"{{ client_body_temp_path {folder}/body; {temporary}", 1)
    pathlib.Path(folder, "nginx.conf").write_text(f"""
        {modules}
        daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 1; {user}
        events {{ worker_connections 1024; }}
        {what}""")
    return started(test, port, ["nginx", "-p", folder, "-c", f"{folder}/nginx.conf"])


def started(test, port, command):
    program = shutil.which(command[0], path=os.environ["PATH"] + ":/usr/sbin")
    process = subprocess.Popen([program, *command[1:]])
    test.addCleanup(process.wait)
    test.addCleanup(process.terminate)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return "127.0.0.1", port
        except ConnectionRefusedError:
            test.assertIsNone(process.poll())
            time.sleep(0.01)


class DescriptorsTest(unittest.TestCase):
    def test_connections_leave_descriptors_to_the_owner_and_the_store(self):
        config = configuration("XSOAR_8_ON_PREM", username="user", password="pass")
        config["limits"] = {"connections_from_one_address": 1_000}
        host = HostProcess(config)
        host.prefix = ["prlimit", "--nofile=100:100"]
        self.addCleanup(host.__exit__)
        host.start()
        self.assertIn("ulimit", host.stderr())
        address = address_of(host.http)
        peers = [Peer(address).send(ONE) for _ in range(300)]
        settled = lambda: all(peer.answers or peer.closed for peer in peers)
        self.assertTrue(pump(peers, 30, settled))
        served = [peer for peer in peers if peer.answers and peer.answers[0].status == 200]
        self.assertGreater(len(served), 10)
        # Idle ones gave way to others, but never were there more than descriptors.
        self.assertLess(sum(not peer.closed for peer in peers), 88)
        self.assertIn("no more file descriptors (ulimit -n)", host.stderr())
        self.assertEqual(host.run("test", "webhook").stdout.strip(), b"ok")
        listed = host.run_json("incidents", "list", "--limit", "1000")
        self.assertEqual(len(listed), len(served))
        for peer in served:
            peer.close()
        while (answer := ask(address, ONE)) is None:
            pass
        self.assertEqual(answer.status, 200)


class VanishingPeersTest(unittest.TestCase):
    """Thousands come and go in every state; afterwards every place is free again."""

    LIMIT = 300

    def setUp(self):
        self.host, self.address = serve(self, connections=self.LIMIT)
        self.assertEqual(ask(self.address, ONE).status, 200)
        self.memory = Memory(self.host)

    def storm(self, vanish, octets, count=3_000):
        """In waves that fit into the limit."""
        wave = self.LIMIT - 50
        for _ in range(count // wave):
            peers = [Peer(self.address).send(octets) for _ in range(wave)]
            vanish(peers)

    def check_all_places_are_free(self):
        full = []
        def all_are_in():
            for peer in full:
                peer.close()
            full[:] = [Peer(self.address).send(ONE) for _ in range(self.LIMIT)]
            pump(full, 30, lambda: all(peer.answers or peer.closed for peer in full))
            return all(peer.answers and peer.answers[0].status == 200 for peer in full)
        # The last ones may be gone a moment later.
        self.assertTrue(any(all_are_in() for _ in range(20)), "places were lost")
        self.assertEqual({peer.answers[0].status for peer in full}, {200})
        for peer in full:
            peer.close()
        self.assertLess(self.memory.growth(), 64 * MIB)

    def test_thousands_that_close_their_half_in_the_middle_of_a_request_are_closed(self):
        def half_close(peers):
            for peer in peers:
                peer.close_sending()
            self.assertTrue(pump(peers, 30, lambda: all(peer.closed for peer in peers)))
            self.assertEqual(sum(len(peer.answers) for peer in peers), 0)

        self.storm(half_close, ONE[:40])
        self.storm(half_close, ONE[:-1])
        self.storm(half_close, b"")
        self.check_all_places_are_free()

    def test_thousands_that_close_their_half_after_a_request_get_its_answer(self):
        def half_close(peers):
            for peer in peers:
                peer.close_sending()
            self.assertTrue(pump(peers, 30, lambda: all(peer.closed for peer in peers)))
            self.assertEqual([len(peer.answers) for peer in peers], [1] * len(peers))

        self.storm(half_close, ONE)
        self.check_all_places_are_free()

    def test_thousands_that_reset_leave_nothing_behind(self):
        def reset(peers):
            for peer in peers:
                peer.reset()

        for octets in (b"", ONE[:40], ONE[:-1], ONE, 20 * ONE):
            self.storm(reset, octets, count=1_500)
        self.check_all_places_are_free()

    def test_very_many_short_connections_are_all_answered(self):
        for _ in range(20):
            peers = [Peer(self.address).send(ONE) for _ in range(100)]
            self.assertTrue(pump(peers, 30, lambda: all(peer.answers for peer in peers)))
            for peer in peers:
                peer.close()
        self.check_all_places_are_free()


class CredentialsFloodTest(unittest.TestCase):
    def test_thousands_of_bad_credentials_are_refused_cost_nothing_and_disturb_nobody(self):
        host, address = serve(self)
        memory = Memory(host)
        lines, begin = host.stderr().count("\n"), time.monotonic()
        kinds = [
            request(PATH, b"{}", Authorization=basic("user:wrong" + "x" * length))
            for length in (0, 100, 30_000)
        ]
        kinds.append(request(PATH, b"{}"))
        kinds.append(request(PATH, b"{}", Authorization="Basic " + "=" * 1000))
        wrong = [Peer(address).send(40 * kind) for kind in kinds for _ in range(20)]
        good = Peer(address)
        for number in range(1, 51):
            good.send(ONE)
            self.assertTrue(pump([good] + wrong, 30, lambda: len(good.answers) == number))
        self.assertEqual({answer.status for answer in good.answers}, {200})
        self.assertTrue(pump(wrong, 60, lambda: all(len(peer.answers) == 40 for peer in wrong)))
        # 503 where more are wrong in a row, from this one address, than are told so.
        self.assertLessEqual({one.status for peer in wrong for one in peer.answers}, {401, 503})
        self.assertLess(memory.growth(), 48 * MIB)
        # A line a second at most.
        self.assertRegex(host.stderr(), r"127\.0\.0\.1 was refused: it(s username or| lacks the)")
        self.assertLess(host.stderr().count("\n"), lines + time.monotonic() - begin + 2)
        self.assertNotIn("user:", host.stderr())
        for peer in wrong:
            peer.close()


if __name__ == "__main__":
    unittest.main()
