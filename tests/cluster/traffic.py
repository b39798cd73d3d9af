"""What is sent to a cluster and what its senders were told; and those who follow it.

The payloads are those of tests/crash, so that each tells of itself what it must be.
"""

import collections
import json
import random
import threading

import grpc

import load

PLAIN = "plain"  # an instance without keys
INSTANCES = (PLAIN, load.KEYED, load.SIGNED)
PATH = "/xsoar/instance/execute/"
REMEMBERED_BATCHES = 300  # that are sent again
NOT_KNOWN = b"It is not known"


class Batch:
    def __init__(self, instance, items):
        self.instance, self.items = instance, items  # (tag, key) each
        self.acknowledged = False
        self.may_be_there = False  # of an attempt it is not known whether it was stored


class Ledger:
    """What all senders know. Thread-safe."""

    def __init__(self):
        self.lock = threading.Lock()
        self.batches = []  # of this round
        self.recent = collections.deque(maxlen=REMEMBERED_BATCHES)  # those with keys
        self.acknowledged = {}  # tags by id: what was created
        self.keys = {}  # ids by key
        self.created = {}  # by key: the id that an answer called new
        self.tags_of_key = collections.defaultdict(set)  # all that were sent with it
        self.failures = []
        self.duplicates = self.refused = self.unknown = self.twins = 0

    def add(self, instance, items):
        batch = Batch(instance, items)
        with self.lock:
            self.batches.append(batch)
            if instance != PLAIN:
                self.recent.append(batch)
            for tag, key in items:
                if key:
                    self.tags_of_key[key].add(tag)
        return batch

    def note(self, batch, status, answer):
        """An answer came; status 0: none came."""
        with self.lock:
            if status == 200:
                self.note_acknowledged(batch, json.loads(answer))
            elif status == 503 and NOT_KNOWN not in answer:
                self.refused += 1
            elif status in (0, 502, 503, 504):
                self.unknown += 1
                batch.may_be_there = True
            else:
                raise load.Broken(f"{batch.items[0]}: {status} {answer[:200]!r}")

    def note_acknowledged(self, batch, metadata):
        if len(batch.items) != len(metadata):
            raise load.Broken(f"{batch.items[0]}: {len(metadata)} answers")
        batch.acknowledged = True
        for (tag, key), one in zip(batch.items, metadata):
            number, is_new = int(one["id"]), not one.get("duplicate")
            self.duplicates += not is_new
            if key:
                if self.keys.setdefault(key, number) != number:
                    raise load.Broken(f"key {key} was {self.keys[key]} and is {one}")
                if is_new and self.created.setdefault(key, tag) != tag:
                    raise load.Broken(f"key {key} was created twice: {one}")
            elif not is_new:
                raise load.Broken(f"{tag} has no key and is a duplicate: {one}")
            if is_new:
                if number in self.acknowledged:
                    raise load.Broken(f"id {number} was given twice: {tag}")
                self.acknowledged[number] = tag


class Sender(threading.Thread):
    """Posts until it is stopped: through the balancer, or one batch to two hosts at once."""

    def __init__(self, ledger, name, life, seed, balancer, hosts):
        super().__init__(daemon=True)
        self.ledger, self.sender, self.life, self.hosts = ledger, name, life, hosts
        self.balancer = balancer
        self.rng = random.Random(f"{seed}-{life}-{name}")
        self.stop = threading.Event()
        self.connections = {}
        self.count = 0

    def run(self):
        try:
            while not self.stop.is_set():
                refused = self.ledger.refused
                self.one()
                self.stop.wait(self.rng.uniform(0, 0.02 if refused == self.ledger.refused else 0.2))
        except Exception as error:  # pylint: disable=broad-except
            self.ledger.failures.append(f"{self.sender}: {error!r}")

    def one(self):
        recent = self.ledger.recent
        if recent and self.rng.random() < 0.2:
            batch = self.rng.choice(tuple(recent))
        else:
            batch = self.ledger.add(*self.new_items())
        if batch.instance == PLAIN or self.rng.random() < 0.8:
            return self.post(batch, (self.balancer,))
        self.ledger.twins += 1
        self.post(batch, self.rng.sample(self.hosts, 2))

    def new_items(self):
        rng = self.rng
        instance = rng.choice(INSTANCES)
        size = rng.choice((1, 1, 1, 1, 2, 3, 10, 40))
        self.count += 1
        items = []
        for i in range(size):
            tag = f"{self.life}-{self.sender}-{self.count}-{i}-{size}"
            key = instance + tag if instance != PLAIN else None
            if instance == load.KEYED and rng.random() < 0.2:
                others = [one for one in tuple(self.ledger.recent) if one.instance == instance]
                key = rng.choice(rng.choice(others).items)[1] if others else key
            if key is None or key not in (other for _, other in items):
                items.append((tag, key))
        return instance, items

    def post(self, batch, addresses):
        body, fields = load.message(batch.instance, batch.items, self.ledger, self.rng)
        others = [
            threading.Thread(target=self.post_to, args=(batch, address, body, fields))
            for address in addresses[1:]
        ]
        for other in others:
            other.start()
        self.post_to(batch, addresses[0], body, fields)
        for other in others:
            other.join()

    def post_to(self, batch, address, body, fields):
        status, answer = 0, b""
        connection = self.connections.pop(address, None)
        try:
            if connection is None:
                known = (self.ledger, self.sender, self.life, 0, batch.instance)
                connection = load.HttpSender(*known, address=address, path="")
                connection.connect()
            connection.path = PATH + batch.instance
            status, answer = connection.post(body, fields)
            self.connections[address] = connection
        except (OSError, EOFError):
            pass  # killed
        try:
            self.ledger.note(batch, status, answer)
        except load.Broken as error:
            self.ledger.failures.append(f"{self.sender}: {error!r}")


class Follower(threading.Thread):
    """Follows on one host after the other, from the first incident on, by its position."""

    ENDS = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

    def __init__(self, ledger, name, seed, hosts, stub, messages):
        super().__init__(daemon=True)
        self.ledger, self.follower, self.hosts = ledger, name, hosts
        self.make_stub, self.messages = stub, messages
        self.rng = random.Random(f"{seed}-{name}")
        self.stop = threading.Event()
        self.ids = []
        self.position = ""
        self.streams = 0
        self.stream = None

    def run(self):
        while not self.stop.is_set():
            with grpc.insecure_channel(self.rng.choice(self.hosts).control) as channel:
                self.follow(channel)
            self.stop.wait(0.02)

    def follow(self, channel):
        request = self.messages.FollowIncidentsRequest(
            after_id="" if self.position else "0",
            position=self.position,
            view=self.messages.INCIDENT_VIEW_BASIC,
        )
        self.streams += 1
        self.stream = self.make_stub(channel).FollowIncidents(request)
        try:
            for response in self.stream:
                if response.HasField("incident"):
                    self.ids.append(int(response.incident.id))
                self.position = response.position
        except grpc.RpcError as error:
            if error.code() not in self.ENDS:
                self.ledger.failures.append(f"{self.follower} at {self.position}: {error!r}")

    def move(self):
        if self.stream is not None:
            self.stream.cancel()
