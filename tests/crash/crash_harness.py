"""Kills the host with SIGKILL at random moments under a mixed load, and checks what is left.

After every kill the host is started on the same folder, and everything that was written before the
kill is read: every acknowledged id has the bytes that were sent, no batch is incomplete, no id was
given twice, ids grow, and a repeated delivery key gets the first one's id, for as long as the key
lives and no longer. A signed batch is known by its delivery id alone and by its signed bytes alone.
At the end everything is read once more, through the host. All random choices come from one seed;
only the moment at which a request meets the kill depends on the machine.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import sqlite3
import tempfile
import time

import grpc

import contract
import load
from host_process import HostProcess

INSTANCES = ("plain", load.KEYED, load.BRIEF, load.SIGNED, "listen")
PATH = "/instance/execute/"
READ_THROUGH_THE_HOST = 20  # incidents after each kill; all of them at the end


def free_port(rng):
    """Below the ports that the system gives to clients: a restart must find it free again."""
    while True:
        port = rng.randint(10_000, 30_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            pass


def configuration():
    ports = random.Random()
    return {
        "platform": {"product": "XSOAR_6", "url": "https://my.xsoar.live"},
        "serverConfiguration": {f"instance.execute.external.{name}": "true" for name in INSTANCES},
        "limits": {"requests_of_a_connection": 1_000_000},
        "instances": [
            {
                "name": name,
                "configuration": {
                    "longRunningPort": str(free_port(ports)),
                    "bind_address": "127.0.0.1",
                    "store_samples": name == "plain",
                }
                | (
                    {"source": "github", "signing_secrets": load.SECRET}
                    if name == load.SIGNED
                    else {"username": "user", "password": "pass"}
                )
                | ({"duplication_key": "delivery"} if name in (load.KEYED, load.BRIEF) else {})
                | ({"delivery_key_ttl": str(load.BRIEF_SECONDS)} if name == load.BRIEF else {}),
            }
            for name in INSTANCES
        ],
    }


class CrashHarness:
    """Use as a context manager."""

    def __init__(self, seed, log=print):
        self.seed, self.log = seed, log
        self.rng = random.Random(seed)
        self.ledger = load.Ledger()
        self.checked_id = 0  # the highest that a check has seen
        self.payloads = load.Payloads()
        self.kills = self.kills_while_starting = self.kills_while_stopping = 0
        self.unanswered_there = self.unanswered_gone = 0
        self.life = 0

    def __enter__(self):
        self.modules_folder = tempfile.TemporaryDirectory()
        modules = contract.generate(self.modules_folder.name)
        self.messages = modules["long_running_integration"]
        self.execute_stub = modules["long_running_integration_grpc"].LongRunningIntegrationStub
        self.incident_messages = modules["incident"]
        self.incident_stub = modules["incident_grpc"].IncidentServiceStub
        config = configuration()
        self.ports = [one["configuration"]["longRunningPort"] for one in config["instances"]]
        self.host = HostProcess(config)
        return self

    def __exit__(self, *_):
        self.host.__exit__()
        self.modules_folder.cleanup()

    # One life: start, look, load, kill.

    def run(self, kills, most_seconds_of_load):
        begin = time.monotonic()
        # On a fast machine that many lives may be shorter than a brief key's.
        while self.kills < kills or (self.ledger.reborn == 0 and self.kills < 2 * kills):
            if self.rng.random() < 0.15:
                self.kill_while_starting()
            self.start_and_check()
            self.load_and_kill(most_seconds_of_load)
            if self.kills % 20 == 0:
                self.log(self.summary(begin))
        self.start_and_check()
        self.check_all()
        if self.host.stop() != 0:
            raise load.Broken("the last stop: " + self.host.stderr())
        self.log(self.summary(begin))

    def summary(self, begin):
        ledger = self.ledger
        return (
            f"{self.kills} kills ({self.kills_while_starting} while starting, "
            f"{self.kills_while_stopping} while stopping), {len(ledger.acknowledged)} incidents "
            f"acknowledged, {ledger.duplicates} duplicates ({ledger.signed_before} signed before a "
            f"kill), {ledger.reborn} after their time, unanswered batches: "
            f"{self.unanswered_there} whole, {self.unanswered_gone} absent, "
            f"{time.monotonic() - begin:.0f} s"
        )

    def kill_while_starting(self):
        self.host.spawn()
        time.sleep(self.rng.uniform(0, 0.25))
        self.host.kill()
        self.kills += 1
        self.kills_while_starting += 1

    def start_and_check(self):
        self.host.start()
        self.check_rows(self.checked_id)
        self.check_through_the_host(
            self.rng.sample(
                sorted(self.ledger.acknowledged),
                min(READ_THROUGH_THE_HOST, len(self.ledger.acknowledged)),
            )
        )
        self.send_again()

    def load_and_kill(self, most_seconds):
        self.life += 1
        self.ledger.begin_life()
        channel = grpc.insecure_channel(self.host.grpc)
        senders = self.senders(channel)
        for sender in senders:
            sender.start()
        time.sleep(self.rng.uniform(0.01, most_seconds))
        if self.rng.random() < 0.15:
            self.host.process.terminate()
            time.sleep(self.rng.uniform(0, 0.05))
            self.kills_while_stopping += 1
        self.host.kill()
        self.kills += 1
        for sender in senders:
            sender.stop.set()
        for sender in senders:
            sender.join(60)
        channel.close()
        if self.ledger.failures:
            raise load.Broken("; ".join(self.ledger.failures))

    def senders(self, channel):
        stub = self.execute_stub(channel)
        senders = []
        for i, name in enumerate(INSTANCES):
            listen = f"127.0.0.1:{self.ports[i]}"
            for way, address, path in (
                ("front", self.host.http, PATH + name),
                ("front2", self.host.http, PATH + name),
                ("port", listen, "/"),
            ):
                known = (self.ledger, f"{way}.{name}", self.life, self.seed, name)
                senders.append(load.HttpSender(*known, address=address, path=path))
            known = (self.ledger, f"grpc.{name}", self.life, self.seed, name)
            senders.append(load.GrpcSender(*known, stub=stub, messages=self.messages))
        return senders

    # What must be there.

    def rows_after(self, after_id):
        uri = f"file:{self.host.data_dir}/incidents.db?mode=ro"
        # Closed at once: a host waits where another process has a killed host's database open.
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            yield from database.execute(
                "SELECT id, created / 1e6, details || coalesce(text, '') FROM incidents "
                "LEFT JOIN details_ends ON number = details_end WHERE id > ? ORDER BY id",
                (after_id,),
            )

    def check_rows(self, after_id):
        """All rows past that id: bytes, ids, batches."""
        acknowledged = self.ledger.acknowledged
        expected = {number for number in acknowledged if number > after_id}
        tags, keys = {}, {}  # what is there: ids by tag and by key
        for number, created, details in self.rows_after(after_id):
            match = load.TAG.match(details)
            if match is None:
                raise load.Broken(f"incident {number} holds what nobody sent: {details[:200]}")
            tag = match.group(1)
            key = self.check_bytes(number, details, tag)
            if tag in tags or (key and key in keys and not load.is_brief(key)):
                raise load.Broken(f"{tag} (key {key}) is there twice: {number}")
            if not load.is_brief(key) and self.ledger.keys.get(key, number) != number:
                raise load.Broken(f"key {key} of {self.ledger.keys[key]} is there again: {number}")
            if load.is_brief(key) and self.ledger.keys.get(key, 0) <= number:
                self.ledger.note_brief(key, number, created)
            tags[tag] = number
            keys[key] = number
            if number in expected:
                expected.discard(number)
                if acknowledged[number] != (tag, key):
                    raise load.Broken(f"id {number} is {tag}, was {acknowledged[number]}")
            self.checked_id = max(self.checked_id, number)
        if expected:
            raise load.Broken(f"acknowledged and lost: {sorted(expected)[:20]}")
        for request, items in self.ledger.requests.items():
            self.check_batch(request, items, tags, keys)

    def check_bytes(self, number, details, tag):
        """The payload as it was sent, then the headers; returns its key."""
        known = self.ledger.acknowledged.get(number)
        key = json.loads(details).get("delivery") if known is None else known[1]
        self.payloads.check(number, details, tag, key)
        return key

    def check_batch(self, request, items, tags, keys):
        there = [tag in tags for tag, _ in items]
        if any(there):
            whole = all(tag in tags or key in keys or key in self.ledger.keys for tag, key in items)
            if not whole:
                raise load.Broken(f"of batch {request} only {sum(there)} of {len(items)} are there")
        if request not in self.ledger.answered:
            if not items[0][0].startswith("{}-{}-{}-".format(*request)):
                return  # a signed batch again: whether it is there was known before
            self.unanswered_there += any(there)
            self.unanswered_gone += not any(there)
            if any(there):
                for tag, key in items:
                    if key and tag in tags:
                        self.ledger.keys.setdefault(key, tags[tag])

    def send_again(self):
        """Sends again what got no answer: what is there is a duplicate, anything else is new."""
        requests = [
            (request, items)
            for request, items in self.ledger.requests.items()
            if items[0][1] and not load.is_brief(items[0][1])
            and request not in self.ledger.answered
        ]
        for request, items in requests:
            instance = load.instance_of(items[0][1])
            sender = load.HttpSender(
                self.ledger, f"again.{request}", self.life, self.seed, instance,
                address=self.host.http, path=PATH + instance,
            )
            sender.connect()
            body, fields = load.message(instance, items, self.ledger, sender.rng)
            sent = time.time()
            status, answer = sender.post(body, fields)
            sender.socket.close()
            if status != 200:
                raise load.Broken(f"{request} again: {status} {answer!r}")
            self.ledger.note_acknowledged(request, items, json.loads(answer), sent)

    def check_through_the_host(self, numbers):
        with grpc.insecure_channel(self.host.control) as channel:
            stub = self.incident_stub(channel)
            for number in numbers:
                request = self.incident_messages.GetIncidentRequest(id=str(number))
                incident = stub.GetIncident(request, timeout=60)
                self.check_bytes(number, incident.raw_json, self.ledger.acknowledged[number][0])

    def check_all(self):
        """Every incident of every life, as the host returns them."""
        missing = set(self.ledger.acknowledged)
        token = ""
        with grpc.insecure_channel(
            self.host.control, [("grpc.max_receive_message_length", -1)]
        ) as channel:
            stub = self.incident_stub(channel)
            while True:
                request = self.incident_messages.ListIncidentsRequest(
                    page_size=1000,
                    page_token=token,
                    view=self.incident_messages.INCIDENT_VIEW_FULL,
                )
                page = stub.ListIncidents(request, timeout=60)
                for incident in page.incidents:
                    number = int(incident.id)
                    tag = load.TAG.match(incident.raw_json).group(1)
                    self.check_bytes(number, incident.raw_json, tag)
                    if number in missing and self.ledger.acknowledged[number][0] != tag:
                        raise load.Broken(f"id {number} has become {tag}")
                    missing.discard(number)
                token = page.next_page_token
                if not token:
                    break
        if missing:
            raise load.Broken(f"acknowledged and lost: {sorted(missing)[:20]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one")
    parser.add_argument("--most-seconds", type=float, default=1.5, help="of load before a kill")
    options = parser.parse_args()
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    print(f"--seed {seed} --kills {options.kills}", flush=True)
    with CrashHarness(seed, log=lambda line: print(line, flush=True)) as harness:
        harness.run(options.kills, options.most_seconds)
    print("no promise was broken")


if __name__ == "__main__":
    main()
