"""Three hosts, a PostgreSQL primary with a synchronous standby, HAProxy; bad things by a seed.

Senders post through HAProxy, and some batches to two hosts at once; followers read on one host
after the other. In each round hosts, servers and connections fail. Then all is mended, and checked:
every acknowledged incident is there byte for byte, whatever failed; there is one for each delivery
key, and duplicates name it; a batch whose outcome is not known is there whole or not at all, one
that was refused is not there; and all followers have seen every incident once, in one order. What
is drawn comes from one seed; the moment at which a fault meets a request depends on the machine.
"""

import argparse
import collections
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../crash"))

# pylint: disable=wrong-import-position
import contract
import load
import traffic
from crash_harness import free_port
from host_process import HOST_STUB, HostProcess
from servers import CuttingProxy, Pair, signal_all

HOSTS = 3
SENDERS = 5
FOLLOWERS = 3
SECONDS_TO_RECOVER = 45  # a host tries again after at most five, and a try may take ten
SECONDS_TO_SHOW = 30  # all incidents to all followers
ROWS = """SELECT i.id, md5(i.details || coalesce(p.details_end, '')) FROM incident i
  LEFT JOIN shared_part p ON p.lane = i.lane AND p.id = i.shared"""
DETAILS = """SELECT i.id, encode(i.details || coalesce(p.details_end, ''), 'hex') FROM incident i
  LEFT JOIN shared_part p ON p.lane = i.lane AND p.id = i.shared WHERE i.id = ANY ('{%s}')"""
ORDER = """SELECT i.id FROM run r JOIN incident i ON i.lane = r.lane AND i.id > r.after_id
  AND i.id <= r.last_id ORDER BY r.position, i.id"""
BACKENDS = "FROM pg_stat_activity WHERE application_name LIKE '%%webhook-%%' AND %s"


def haproxy_configuration(port, hosts):
    servers = "\n".join(
        f"  server host{i} {host.http} check inter 200ms fall 2 rise 1"
        for i, host in enumerate(hosts)
    )
    return f"""
defaults
  mode http
  timeout connect 1s
  timeout client 20s
  timeout server 15s
  timeout check 500ms
  option http-keep-alive
  option redispatch
  retries 3
frontend in
  bind 127.0.0.1:{port}
  default_backend hosts
backend hosts
  balance roundrobin
  option httpchk GET /healthz
{servers}
"""


class ClusterHarness:
    """Use as a context manager. If it is left by an exception, its folder stays."""

    def __init__(self, seed, most_seconds=3.0, log=print):
        self.seed, self.log, self.most_seconds = seed, log, most_seconds
        self.rng = random.Random(seed)
        self.ledger = traffic.Ledger()
        self.round = 0
        self.faults = collections.Counter()
        self.known = {}  # hashes of all incidents that a check has seen, by id
        self.tags, self.keys = {}, {}  # likewise, ids
        self.payloads = load.Payloads()
        self.whole = self.absent = 0
        self.slowest_recovery = 0.0
        self.isolation = "read committed"

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = tempfile.mkdtemp(prefix="gw-cluster-", dir="/tmp")
            os.chmod(self.folder, 0o755)  # PostgreSQL runs as another user
            self.start(stack)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            for i, host in enumerate(self.hosts):
                pathlib.Path(self.folder, f"host{i}.log").write_text(host.stderr())
            self.log(f"--seed {self.seed}: round {self.round} failed; see {self.folder}")
        self.stack.close()
        if kind is None:
            shutil.rmtree(self.folder)

    def start(self, stack):
        modules = contract.generate(self.folder)
        self.pair = stack.enter_context(Pair(self.folder))
        url = f"postgresql:///webhook?host={self.pair.primary.folder}&user=webhook"
        subprocess.run([HOST_STUB, "store", "init", "--store", url], check=True, capture_output=True)
        self.pair.primary.sql("ALTER ROLE webhook SET search_path = generic_webhook, public")
        self.pair.require_standby()
        ports = random.Random()
        self.proxies, self.hosts = [], []
        for i in range(HOSTS):
            name = f"{self.folder}/proxy{i}"
            proxy = CuttingProxy(name, self.pair.servers, random.Random(f"{self.seed}-{i}"))
            stack.callback(proxy.close)
            self.proxies.append(proxy)
            host = HostProcess(self.configuration(proxy), http=f"127.0.0.1:{free_port(ports)}")
            self.hosts.append(stack.enter_context(host))
            stack.callback(host.process.send_signal, signal.SIGCONT)
        balancer = f"127.0.0.1:{free_port(ports)}"
        file = pathlib.Path(self.folder, "haproxy.cfg")
        file.write_text(haproxy_configuration(balancer.rpartition(":")[2], self.hosts))
        program = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
        haproxy = subprocess.Popen(
            [program, "-db", "-f", file], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        stack.callback(haproxy.wait)
        stack.callback(haproxy.terminate)
        self.balancer = balancer
        self.messages = modules["incident"]
        self.stub = modules["incident_grpc"].IncidentServiceStub
        self.followers = [
            traffic.Follower(
                self.ledger, f"follower{i}", self.seed, self.hosts, self.stub, self.messages
            )
            for i in range(FOLLOWERS)
        ]
        for follower in self.followers:
            follower.start()
            stack.callback(follower.join, 10)
            stack.callback(follower.move)
            stack.callback(follower.stop.set)

    def configuration(self, proxy):
        folders = ",".join(str(folder) for folder in proxy.folders)
        url = f"postgresql:///webhook?host={folders}&user=webhook&target_session_attrs=read-write"
        signed = {"source": "github", "signing_secrets": load.SECRET}
        known = {"username": "user", "password": "pass"}
        return {
            "platform": {"product": "XSOAR_8_ON_PREM", "url": "https://my.xsoar.live"},
            "store": {"url": url},
            "limits": {"requests_of_a_connection": 1_000_000, "answer_timeout_ms": 5_000},
            "instances": [
                {
                    "name": name,
                    "configuration": signed
                    if name == load.SIGNED
                    else known | ({"duplication_key": "delivery"} if name == load.KEYED else {}),
                }
                for name in traffic.INSTANCES
            ],
        }

    def summary(self, begin):
        ledger = self.ledger
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.round} rounds ({faults}, {sum(proxy.count for proxy in self.proxies)} cuts): "
            f"{len(ledger.acknowledged)} incidents acknowledged, {len(self.known)} there, "
            f"{ledger.duplicates} duplicates, {ledger.twins} batches to two hosts at once; batches "
            f"refused {ledger.refused}, not known {ledger.unknown}, of these in the end "
            f"{self.whole} whole and {self.absent} absent; lost 0, doubled 0; "
            f"{sum(one.streams for one in self.followers)} streams of {FOLLOWERS} followers; "
            f"slowest recovery {self.slowest_recovery:.1f} s; {time.monotonic() - begin:.0f} s"
        )

    # One round: load, faults, all well again, look.

    def run(self, rounds):
        begin = time.monotonic()
        for _ in range(rounds):
            self.run_round()
            if self.round % 20 == 0 or self.round == rounds:
                self.log(self.summary(begin))

    def run_round(self):
        self.round += 1
        self.ledger.batches.clear()
        senders = [
            traffic.Sender(
                self.ledger, f"s{i}", self.round, self.seed, self.balancer,
                [host.http for host in self.hosts],
            )
            for i in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            self.wait(0.3)
            fault = self.rng.choice(self.FAULTS)
            self.faults[fault.__name__] += 1
            fault(self)
        self.wait(0.3)
        for sender in senders:
            sender.stop.set()
        self.mend()
        for sender in senders:
            sender.join(60)
            if sender.is_alive():
                raise load.Broken(f"{sender.sender} has no answer")
        self.check()

    def wait(self, part=1.0):
        """A part of the most seconds; all faults are that long."""
        time.sleep(self.rng.uniform(0.02, self.most_seconds * part))

    def mend(self):
        begin = time.monotonic()
        for proxy in self.proxies:
            proxy.heal()
        for server in self.pair.servers:
            server.go_on()
        self.pair.await_standby()
        for host in self.hosts:
            host.process.send_signal(signal.SIGCONT)
        for i, host in enumerate(self.hosts):
            while why := self.why_not_ready(host):
                if time.monotonic() > begin + SECONDS_TO_RECOVER:
                    raise load.Broken(f"host {i} does not recover: {why}")
                time.sleep(0.02)
        self.slowest_recovery = max(self.slowest_recovery, time.monotonic() - begin)

    @staticmethod
    def why_not_ready(host):
        try:
            with urllib.request.urlopen(f"http://{host.admin}/readyz", timeout=5):
                return ""
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError as error:
            return repr(error)

    # The faults.

    def host_killed(self):
        host = self.rng.choice(self.hosts)
        host.kill()
        self.wait(0.3)
        self.start_host(host)

    def host_stopped(self):
        host = self.rng.choice(self.hosts)
        host.process.send_signal(signal.SIGSTOP)
        self.wait()
        host.process.send_signal(signal.SIGCONT)

    def lane_taken(self):
        """As if a host had been stopped for so long that another one has taken over its lane."""
        stopped, other = self.rng.sample(self.hosts, 2)
        stopped.process.send_signal(signal.SIGSTOP)
        other.kill()
        with contextlib.suppress(subprocess.CalledProcessError):
            self.pair.primary.sql("UPDATE lane SET expires = now() - interval '1 s'")
        self.start_host(other)
        self.wait(0.3)
        stopped.process.send_signal(signal.SIGCONT)

    @staticmethod
    def start_host(host):
        """As a service manager does: a host that finds no database ends, and is started again."""
        end = time.monotonic() + SECONDS_TO_RECOVER
        while True:
            try:
                return host.start()
            except AssertionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def backends(self, signal_one, those="true"):
        """Several times, on some of the hosts' backends; those that are at work are hard to meet."""
        for _ in range(self.rng.randint(1, 10)):
            with contextlib.suppress(subprocess.CalledProcessError):
                self.pair.primary.sql(
                    f"SELECT {signal_one} {BACKENDS % those} ORDER BY random() LIMIT 3",
                    database="postgres",
                )
            self.wait(0.05)

    def backends_terminated(self):
        self.backends("pg_terminate_backend(pid)")

    def backends_cancelled(self):
        self.backends("pg_cancel_backend(pid)")

    def backend_killed(self):
        """The server ends all others, too, and recovers as from a crash."""
        with contextlib.suppress(subprocess.CalledProcessError):
            found = self.pair.primary.sql(
                f"SELECT pid {BACKENDS % 'true'} ORDER BY random() LIMIT 1", database="postgres"
            )
            signal_all((int(pid) for pid in found), signal.SIGKILL)

    def server_restarted(self):
        self.pair.primary.stop()
        self.wait(0.3)
        self.pair.primary.start()

    def server_crashed(self):
        self.pair.primary.kill()
        self.wait(0.3)
        self.pair.primary.start()

    def failed_over(self):
        self.pair.fail_over()

    def standby_stopped(self):
        self.pair.standby.hold()
        self.wait()
        self.pair.standby.go_on()

    def standby_restarted(self):
        self.pair.standby.kill()
        self.wait(0.5)
        self.pair.standby.start()

    def wait_broken_off(self):
        """Commits that the standby has not got are let through by somebody. Then the primary is
        gone, sometimes, and they with it."""
        self.pair.standby.hold()
        those = "wait_event = 'SyncRep' AND application_name LIKE 'webhook-%%'"
        for _ in range(self.rng.randint(2, 5)):
            self.wait(0.1)
            self.backends("pg_cancel_backend(pid)", those)
        if self.rng.random() < 0.5:
            self.faults["failed_over with less"] += 1
            self.pair.primary.kill()
            self.pair.standby.go_on()
            self.pair.fail_over()
        self.pair.standby.go_on()

    def connections_cut(self):
        for proxy in self.rng.sample(self.proxies, self.rng.randint(1, HOSTS)):
            proxy.cuts = self.rng.choice((0.01, 0.05, 0.2))
        self.wait()
        for proxy in self.proxies:
            proxy.cuts = 0.0

    def connections_slow(self):
        proxy = self.rng.choice(self.proxies)
        proxy.delay = self.rng.choice((0.01, 0.1, 0.5))
        self.wait()
        proxy.delay = 0.0

    def connections_silent(self):
        proxy = self.rng.choice(self.proxies)
        proxy.open.clear()
        self.wait()
        proxy.open.set()

    def followers_moved(self):
        for follower in self.followers:
            follower.move()

    def server_read_only(self):
        self.set_for_new_transactions("default_transaction_read_only", "on")
        self.wait(0.5)
        self.set_for_new_transactions("default_transaction_read_only", "off")

    def isolation_changed(self):
        """For all connections from now on."""
        self.isolation = "serializable" if self.isolation == "read committed" else "read committed"
        self.set_for_new_transactions("default_transaction_isolation", f"'{self.isolation}'")

    def set_for_new_transactions(self, name, value):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.pair.primary.sql(f"ALTER SYSTEM SET {name} = {value}")
            self.pair.primary.sql("SELECT pg_reload_conf()")

    FAULTS = (
        host_killed, host_stopped, lane_taken, backends_terminated, backends_cancelled,
        backend_killed, server_restarted, server_crashed, failed_over, failed_over, standby_stopped,
        standby_restarted, wait_broken_off, connections_cut, connections_cut, connections_slow,
        connections_silent, followers_moved, server_read_only, isolation_changed,
    )  # fmt: skip

    # What must be there.

    def check(self):
        self.raise_failures()
        self.read_rows()
        self.send_again()
        self.raise_failures()
        self.read_rows()
        self.check_answers()
        self.check_followers()
        self.raise_failures()

    def raise_failures(self):
        if self.ledger.failures:
            raise load.Broken("; ".join(self.ledger.failures))

    def read_rows(self):
        """All rows are there that were, and the new ones hold what was sent, once."""
        rows = dict(line.split() for line in self.pair.primary.sql(ROWS))
        for number, known in self.known.items():
            if rows.get(number) != known:
                raise load.Broken(f"{number} was there: {known}, and is {rows.get(number)}")
        new = [number for number in rows if number not in self.known]
        for line in self.pair.primary.sql(DETAILS % ",".join(new)):
            number, details = line.split()
            details = bytes.fromhex(details)
            if hashlib.md5(details).hexdigest() != rows[number]:
                raise load.Broken(f"{number} has changed")
            self.check_row(int(number), details.decode())
        self.known = rows

    def check_row(self, number, details):
        match = load.TAG.match(details)
        if match is None:
            raise load.Broken(f"incident {number} holds what nobody sent: {details[:200]}")
        tag = match.group(1)
        key = json.loads(details).get("delivery")
        self.payloads.check(number, details, tag, key)
        if tag in self.tags or (key and key in self.keys):
            raise load.Broken(f"{tag} (key {key}) is there twice: {number}")
        if key and tag not in self.ledger.tags_of_key[key]:
            raise load.Broken(f"{number}: {tag} was not sent with {key}")
        self.tags[tag] = number
        if key:
            self.keys[key] = number

    def send_again(self):
        """What was not acknowledged: its outcome, and the same ids if it is there and has keys."""
        sender = traffic.Sender(self.ledger, "again", self.round, self.seed, self.balancer, ())
        for batch in tuple(self.ledger.batches):
            if batch.acknowledged:
                continue
            there = [tag in self.tags for tag, _ in batch.items]
            if any(there):
                if not batch.may_be_there:
                    raise load.Broken(f"{batch.items} was refused and is there")
                if not all(tag in self.tags or key in self.keys for tag, key in batch.items):
                    raise load.Broken(f"of {batch.items} only {sum(there)} are there")
            self.whole += any(there)
            self.absent += not any(there) and batch.may_be_there
            if not batch.may_be_there and sender.rng.random() < 0.8:
                continue  # it takes its time, and shows little
            end = time.monotonic() + SECONDS_TO_RECOVER
            while batch.instance != traffic.PLAIN and not batch.acknowledged:
                sender.post(batch, (self.balancer,))
                self.raise_failures()
                if time.monotonic() > end:
                    raise load.Broken(f"{batch.items} is not taken")
                time.sleep(0 if batch.acknowledged else 0.05)

    def check_answers(self):
        for number, tag in self.ledger.acknowledged.items():
            if self.tags.get(tag) != number:
                raise load.Broken(f"acknowledged and lost: {number}, {tag}")
        for key, number in self.ledger.keys.items():
            tag = key[len(load.SIGNED) :] if load.instance_of(key) == load.SIGNED else None
            there = self.keys.get(key) if tag is None else self.tags.get(tag)
            if there != number:
                raise load.Broken(f"key {key} was answered with {number} and is {there}")

    def check_followers(self):
        """All of them, and an export on any host, have the one order."""
        order = []
        end = time.monotonic() + SECONDS_TO_SHOW
        while len(order) < len(self.known) or any(
            len(follower.ids) < len(order) for follower in self.followers
        ):
            self.raise_failures()
            if time.monotonic() > end:
                break
            time.sleep(0.05)
            if len(order) < len(self.known):
                order = [int(line) for line in self.pair.primary.sql(ORDER)]
        if sorted(order) != sorted(map(int, self.known)):
            raise load.Broken(f"the order has {len(order)} of {len(self.known)} incidents")
        for follower in self.followers:
            if follower.ids != order:
                same = os.path.commonprefix([follower.ids, order])
                raise load.Broken(
                    f"{follower.follower} saw {len(follower.ids)} of {len(order)}; it and the order "
                    f"differ after {len(same)}: {follower.ids[len(same):][:3]}, "
                    f"{order[len(same):][:3]}"
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one")
    parser.add_argument("--most-seconds", type=float, default=3.0, help="that a fault lasts")
    options = parser.parse_args()
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    print(f"--seed {seed} --rounds {options.rounds}", flush=True)
    log = lambda line: print(line, flush=True)  # pylint: disable=unnecessary-lambda-assignment
    with ClusterHarness(seed, options.most_seconds, log) as harness:
        harness.run(options.rounds)
    print("no promise was broken")


if __name__ == "__main__":
    main()
