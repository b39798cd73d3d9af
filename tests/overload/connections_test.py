"""Thousands of connections: idle, past the limits, half closed, reset, and very short ones."""

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
    pump,
    quantile,
    request,
)

PATH = "/xsoar/instance/execute/webhook"
GOOD = basic("user:pass")
ONE = request(PATH, b"{}", Authorization=GOOD)

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
    def test_connection_past_the_limit_is_closed_unanswered_and_the_others_stay(self):
        _, address = serve(self, connections=50)
        peers = connected(address, 50, ONE)
        self.assertTrue(pump(peers, 30, lambda: all(peer.answers for peer in peers)))
        for _ in range(100):
            late = Peer(address).send(ONE)
            self.assertTrue(pump([late], 30, lambda: late.closed))
            self.assertFalse(late.answers)
        for peer in peers:
            peer.send(ONE)
        self.assertTrue(pump(peers, 30, lambda: all(len(peer.answers) == 2 for peer in peers)))
        peers.pop().close()
        while (answer := ask(address, ONE)) is None:
            pass
        self.assertEqual(answer.status, 200)

    def test_one_address_cannot_take_the_place_of_others(self):
        _, address = serve(self, connections=100, connections_from_one_address=10)
        greedy = [Peer(address, source="127.0.9.9").send(ONE) for _ in range(90)]
        settled = lambda: all(peer.answers or peer.closed for peer in greedy)
        self.assertTrue(pump(greedy, 30, settled))
        self.assertEqual(sum(bool(peer.answers) for peer in greedy), 10)
        other = Peer(address, source="127.0.9.10").send(ONE)
        self.assertTrue(pump([other], 30, lambda: other.answers))
        self.assertEqual(other.answers[0].status, 200)


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
        served = [peer for peer in peers if peer.answers]
        self.assertGreater(len(served), 10)
        self.assertLess(len(served), 88)
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
            return all(peer.answers for peer in full)
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
    def test_thousands_of_bad_credentials_are_401_cost_nothing_and_disturb_nobody(self):
        host, address = serve(self)
        memory = Memory(host)
        lines = host.stderr().count("\n")
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
        self.assertEqual({answer.status for peer in wrong for answer in peer.answers}, {401})
        self.assertLess(memory.growth(), 48 * MIB)
        self.assertEqual(host.stderr().count("\n"), lines)
        for peer in wrong:
            peer.close()


if __name__ == "__main__":
    unittest.main()
