"""A mixed load whose every byte follows from a seed, and what its senders were told."""

import collections
import datetime
import hmac
import json
import random
import re
import socket
import threading
import time
import zlib

from peers import basic

AUTHORIZATION = basic("user:pass")
KEYED = "keyed"  # an instance with a duplication_key
BRIEF = "brief"  # likewise, whose keys live for
BRIEF_SECONDS = 1
SIGNED = "signed"  # an instance whose source is github: a key and a hash for each batch
SECRET = "what the signed instance's sender signs with"
CLOCKS_DIFFER_SECONDS = 0.1  # at most: ours and the host's
TAG = re.compile(r'\{"tag":"((\d+)-([^-"]+)-(\d+)-(\d+)-(\d+))"')
REMEMBERED_KEYS = 1000  # that are sent again; the host remembers 5,000
MOST_INCIDENTS = 1000


class Broken(AssertionError):
    """A promise was broken."""


def instance_of(key):
    """A key is the name of its instance and the tag that it was made for."""
    return re.match("[a-z]*", key or "").group()


def is_brief(key):
    return instance_of(key) == BRIEF


def item_text(tag, key=None):
    """The one payload of this tag: a number, an escape and a length that must keep their bytes."""
    check = zlib.crc32(tag.encode())
    filler = f"{check:08x}" * (1 + check % 40 if check % 50 else 2000)
    keyed = f',"delivery":"{key}"' if key else ""
    return f'{{"tag":"{tag}","n":1.50e+2,"text":"\\u00e9 é","filler":"{filler}"{keyed}}}'


def message(instance, items, ledger, rng):
    """A body with these items, and the fields that say from whom it is. A signed batch that is
    there already comes as it was, under another delivery id, or as other bytes under its own id:
    each of its two keys must be enough to know it."""
    texts = [item_text(*item) for item in items]
    body = (texts[0] if len(texts) == 1 else "[" + ",".join(texts) + "]").encode()
    fields = {"Content-Type": "application/json"}
    if instance != SIGNED:
        return body, fields | {"Authorization": AUTHORIZATION}
    delivery = items[0][1]
    if delivery in ledger.keys:
        other_id, other_bytes = rng.choice(((False, False), (True, False), (False, True)))
        delivery += f"-{rng.random()}" if other_id else ""
        body += b"\n" if other_bytes else b""
    return body, fields | {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET.encode(), body, "sha256").hexdigest(),
    }


def unix_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Payloads:
    """Stored payloads must be as they were sent, then the headers."""

    def __init__(self):
        self.suffixes = set()  # what hosts append, once it is known

    def check(self, number, details, tag, key):
        sent = item_text(tag, key)[:-1]
        if not details.startswith(sent):
            raise Broken(f"incident {number} has other bytes than were sent: {details[:300]}")
        suffix = details[len(sent) :]
        if suffix not in self.suffixes:
            proof = re.search("authorization|sha256", suffix.lower())
            if not suffix.startswith(',"headers":{') or proof:
                raise Broken(f"incident {number} ends in {suffix}")
            json.loads("{" + suffix[1:])
            self.suffixes.add(suffix)


class Ledger:
    """What the senders know, across all lives of the host. Thread-safe."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged = {}  # tags by id
        # Ids by key, once acknowledged. An item of a signed batch has one too, for its place.
        self.keys = {}
        self.born = {}  # of brief keys: when the incident of that id was created, Unix time
        self.recent_keys = {
            name: collections.deque(maxlen=REMEMBERED_KEYS) for name in (KEYED, BRIEF, SIGNED)
        }
        self.requests = {}  # of this life: (life, sender, count) -> [(tag, key)]
        self.answered = set()  # those of them that got any answer
        self.duplicates = 0
        self.signed_before = 0  # those of them that were signed and created in an earlier life
        self.first_brief = None  # the first brief key that was acknowledged
        self.reborn = 0  # brief keys that were created again
        self.refused = 0
        self.failures = []

    def begin_life(self):
        self.requests.clear()
        self.answered.clear()

    def recent_key(self, instance, rng):
        with self.lock:
            recent = self.recent_keys[instance]
            # On a fast machine, all recent ones are younger than a brief key's lifetime.
            if instance == BRIEF and self.first_brief is not None:
                born = self.born.get(self.first_brief)
                if born is not None and time.time() - born > 2 * BRIEF_SECONDS:
                    return self.first_brief
            return rng.choice(recent) if recent else None

    def note_brief(self, key, number, created):
        """An incident of a brief key: never within the lifetime of the one before."""
        known, before = self.keys.get(key, 0), self.born.get(key)
        if number < known:
            return  # the answer was overtaken
        if before is not None and number != known:
            if created < before + BRIEF_SECONDS - 0.00001:
                raise Broken(f"key {key} was forgotten after {created - before} s: {number}")
            self.reborn += 1
        self.keys[key], self.born[key] = number, created

    def note_brief_duplicate(self, key, number, sent):
        known = self.keys.get(key, 0)
        if number > known:  # the answer of that one is still on its way
            self.reborn += known > 0
            self.keys[key] = number
            self.born.pop(key, None)
            if key == self.first_brief:  # a kill may have swallowed that answer: take another
                self.first_brief = None
        elif number == known and key in self.born:
            age = sent - self.born[key]
            if age > BRIEF_SECONDS + CLOCKS_DIFFER_SECONDS:
                raise Broken(f"key {key} was known after {age} s: {number}")
        self.duplicates += 1

    def note_acknowledged(self, request, items, metadata, sent):
        """A 200 came for a request that was sent then: its items in their order."""
        if len(items) != len(metadata):
            raise Broken(f"{request}: {len(items)} items, {len(metadata)} answers")
        with self.lock:
            self.answered.add(request)
            last = 0
            for (tag, key), one in zip(items, metadata):
                number = int(one["id"])
                if is_brief(key) and one.get("duplicate"):
                    self.note_brief_duplicate(key, number, sent)
                elif key in self.keys and not is_brief(key):
                    if number != self.keys[key] or not one.get("duplicate"):
                        raise Broken(f"key {key} was {self.keys[key]} and is {one}")
                    self.duplicates += 1
                    self.signed_before += instance_of(key) == SIGNED and not key.startswith(
                        f"{SIGNED}{request[0]}-"
                    )
                elif one.get("duplicate"):
                    raise Broken(f"key {key} was never there and is {one}")
                else:
                    if number in self.acknowledged:
                        raise Broken(f"id {number} was given twice")
                    if number <= last:
                        raise Broken(f"id {number} came after {last} in one batch")
                    last = number
                    self.acknowledged[number] = (tag, key)
                    if is_brief(key):
                        self.note_brief(key, number, unix_time(one["created"]))
                    elif key:
                        self.keys[key] = number
                    # Of a signed batch, the first stands for all.
                    if key and (instance_of(key) != SIGNED or tag == items[0][0]):
                        self.recent_keys[instance_of(key)].append(key)
                        if is_brief(key) and self.first_brief is None:
                            self.first_brief = key


class Sender(threading.Thread):
    """Posts until its connection ends."""

    def __init__(self, ledger, name, life, seed, instance):
        super().__init__(daemon=True)
        self.ledger, self.sender, self.life, self.instance = ledger, name, life, instance
        self.rng = random.Random(f"{seed}-{life}-{name}")
        self.last_id = 0
        self.stop = threading.Event()

    def run(self):
        try:
            self.connect()
            for count in range(1_000_000):
                if self.stop.is_set() or not self.one(count):
                    return
        except (OSError, EOFError):
            return  # the host is gone
        except Exception as error:  # pylint: disable=broad-except
            self.ledger.failures.append(f"{self.sender}: {error!r}")

    def items(self, count):
        rng = self.rng
        size = rng.choice((1, 1, 1, 1, 1, 2, 3, 5, 10, 50, 200, 0))
        size = size or rng.randint(1, MOST_INCIDENTS)
        batch = f"{self.life}-{self.sender}-{count}"

        def known_key():
            return rng.random() < 0.3 and self.ledger.recent_key(self.instance, rng)

        if self.instance == SIGNED and (known := known_key()):
            batch, _, size = known[len(SIGNED) :].rsplit("-", 2)
        items = []
        for i in range(int(size)):
            tag = f"{batch}-{i}-{size}"
            key = None
            if self.instance == SIGNED:
                key = SIGNED + tag
            elif self.instance in (KEYED, BRIEF):
                key = known_key() or self.instance + tag
            items.append((tag, key))
        return items

    def one(self, count):
        items = self.items(count)
        request = (self.life, self.sender, count)
        with self.ledger.lock:
            self.ledger.requests[request] = items
        body, fields = message(self.instance, items, self.ledger, self.rng)
        sent = time.time()
        status, answer = self.post(body, fields)
        if status != 200:
            if status not in (503, 504):
                raise Broken(f"{request}: {status} {answer[:200]!r}")
            with self.ledger.lock:
                self.ledger.answered.add(request)
                self.ledger.refused += 1
            return status == 503
        metadata = json.loads(answer)
        self.ledger.note_acknowledged(request, items, metadata, sent)
        fresh = [int(one["id"]) for one in metadata if not one.get("duplicate")]
        if fresh and fresh[0] <= self.last_id:
            raise Broken(f"id {fresh[0]} came after {self.last_id} on one connection")
        self.last_id = fresh[-1] if fresh else self.last_id
        return True


def read_answer(file):
    """Status, body and whether the connection goes on; EOFError where it ended before the answer
    began, Broken where it ended within."""
    line = file.readline()
    if not line:
        raise EOFError
    length, closes = None, False
    while (field := file.readline()) not in (b"\r\n", b""):
        name, _, value = field.decode().partition(":")
        if name.lower() == "content-length":
            length = int(value)
        closes = closes or (name.lower() == "connection" and value.strip().lower() == "close")
    body = file.read(length) if length is not None else b""
    if length is None or len(body) != length:
        raise Broken(f"half an answer: {line!r} {body[:100]!r}")
    return int(line.split()[1]), body, not closes


class HttpSender(Sender):
    def __init__(self, *arguments, address, path):
        super().__init__(*arguments)
        host, port = address.rsplit(":", 1)
        self.address, self.host = (host, int(port)), address
        self.path = path

    def connect(self):
        self.socket = socket.create_connection(self.address, timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def post(self, body, fields):
        fields = {"Host": self.host} | fields | {"Content-Length": len(body)}
        head = [f"{name}: {value}\r\n" for name, value in fields.items()]
        self.socket.sendall(f"POST {self.path} HTTP/1.1\r\n{''.join(head)}\r\n".encode() + body)
        try:
            status, answer, goes_on = read_answer(self.file)
        except Broken as error:  # a kill may cut an answer
            raise EOFError from error
        if not goes_on:
            self.file.close()
            self.socket.close()
            self.connect()
        return status, answer


class GrpcSender(Sender):
    def __init__(self, *arguments, stub, messages):
        super().__init__(*arguments)
        self.stub, self.messages = stub, messages

    def connect(self):
        pass  # the channel is

    def post(self, body, fields):
        import grpc

        headers = [self.messages.Header(name=name, value=fields[name]) for name in fields]
        request = self.messages.ExecuteRequest(instance=self.instance, headers=headers, body=body)
        try:
            answer = self.stub.Execute(request, timeout=60)
        except grpc.RpcError as error:
            raise EOFError from error
        return answer.status, answer.body
