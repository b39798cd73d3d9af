"""Senders of every kind, thousands at a time, on raw sockets that never block the test."""

import base64
import collections
import os
import pathlib
import resource
import select
import socket
import ssl
import struct
import subprocess
import time

from host_process import HOST_STUB

# Names of headers in lower case; `octets` are all of it.
Answer = collections.namedtuple("Answer", "status headers body octets")

MIB = 1024 * 1024
SEND_AT_ONCE = 256 * 1024
# What a sanitizer adds to a process: its shadow memory, and 256 MiB of freed memory that it keeps.
SANITIZER_BYTES = 700 * MIB


def address_of(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def basic(credentials):
    """The value of Authorization for USER:PASSWORD."""
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def request(path="/", body=b"{}", method="POST", length=None, pairs=(), **headers):
    """The octets of a request; header names with _ for -, or `pairs` as they are. `length`: what it
    claims to be."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in pairs]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body) if length is None else length}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class Peer:
    """One connection. `send` queues; `pump` moves octets."""

    def __init__(self, address, source=None, receive_buffer=None, tls=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            # Without a port: the kernel then shares the ephemeral ports between destinations.
            self.socket.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            self.socket.bind((source, 0))
        self.socket.settimeout(30)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.out = b""
        self.received = b""
        self.answers = []
        self.interim = 0
        self.to_head = False
        self.closed = False  # by the other side
        self.was_reset = False
        self.reading = True
        self.half_close = False  # once everything is sent
        self.tls = None
        if tls:
            self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = tls.wrap_bio(self.incoming, self.outgoing)
            self.handshaken = False

    def send(self, octets):
        self.out += octets
        self.write()
        return self

    def close_sending(self):
        """Closes that direction once everything is sent; over TLS with a close_notify."""
        self.half_close = True
        self.write()

    def close(self):
        self.socket.close()
        self.closed = True

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def wants(self):
        waits = self.outgoing.pending or not self.handshaken if self.tls else self.out
        return (select.EPOLLIN if self.reading else 0) | (select.EPOLLOUT if waits else 0)

    def write(self):
        if self.closed:
            return
        try:
            if self.tls:
                return self.write_tls()
            while self.out:
                self.out = self.out[self.socket.send(self.out[:SEND_AT_ONCE]) :]
            if self.half_close:
                self.half_close = False
                self.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError as error:
            self.lost(error)

    def write_tls(self):
        try:
            if not self.handshaken:
                self.tls.do_handshake()
                self.handshaken = True
            while self.out:
                self.out = self.out[self.tls.write(self.out) :]
            if self.half_close:
                self.half_close = False
                self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.closed = True
        while self.outgoing.pending:
            octets = self.outgoing.read()
            sent = self.socket.send(octets)
            if sent < len(octets):
                rest = octets[sent:] + self.outgoing.read()
                self.outgoing.write(rest)
                return

    def read(self):
        try:
            octets = self.socket.recv(MIB)
        except BlockingIOError:
            return
        except OSError as error:
            return self.lost(error)
        if self.tls:
            octets = self.decrypt(octets)
        elif not octets:
            self.closed = True
        self.received += octets
        begin = 0
        while end := self.take_answer(begin):
            begin = end
        self.received = self.received[begin:]

    def decrypt(self, octets):
        if octets:
            self.incoming.write(octets)
        else:
            self.closed = True
            self.incoming.write_eof()
        plain = b""
        try:
            if not self.handshaken:
                self.write()
            while part := self.tls.read(MIB):
                plain += part
        except ssl.SSLError:
            pass
        self.write()
        return plain

    def lost(self, error):
        self.closed = True
        self.was_reset = isinstance(error, ConnectionResetError)

    def take_answer(self, begin):
        """Takes the answer that begins there. Returns where it ends, or None if it is incomplete."""
        end_of_head = self.received.find(b"\r\n\r\n", begin)
        if end_of_head < 0:
            return None
        lines = self.received[begin:end_of_head].decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        end = end_of_head + 4
        if status // 100 == 1:
            self.interim += 1
            return end
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = end
        if not self.to_head and status != 204:
            end += int(headers.get("content-length", 0))
        if len(self.received) < end:
            return None
        self.to_head = False
        self.answers.append(
            Answer(status, headers, self.received[body:end], self.received[begin:end])
        )
        return end


def pump(peers, seconds, until=lambda: False):
    """Moves octets of all peers until `until()` holds or the time is over; returns until()."""
    poll = select.epoll()
    by_number, masks = {}, {}
    for peer in peers:
        if not peer.closed:
            by_number[peer.socket.fileno()] = peer
            masks[peer.socket.fileno()] = peer.wants()
            poll.register(peer.socket.fileno(), peer.wants())
    end = time.monotonic() + seconds
    try:
        while not until():
            left = end - time.monotonic()
            if left <= 0 or not by_number:
                return until()
            for number, events in poll.poll(min(left, 0.05), 1024):
                peer = by_number[number]
                if events & select.EPOLLOUT:
                    peer.write()
                if events & ~select.EPOLLOUT:
                    peer.read()
                if peer.closed:
                    poll.unregister(number)
                    del by_number[number]
                elif masks[number] != peer.wants():
                    masks[number] = peer.wants()
                    poll.modify(number, masks[number])
        return True
    finally:
        poll.close()


def ask(address, octets, seconds=30, tls=None, source=None):
    """One request over a connection of its own: its answer, or None."""
    peer = Peer(address, source, tls=tls).send(octets)
    pump([peer], seconds, lambda: peer.answers)
    peer.close()
    return peer.answers[0] if peer.answers else None


def exchange(address, octets):
    """Sends all of it, closes that direction, and returns what comes back until the other end."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


class OpenLoop:
    """Requests at a fixed rate, whether answers come or not, over many connections."""

    def __init__(self, address, octets, most_connections=400):
        self.address, self.octets = address, octets
        self.most_connections = most_connections
        self.free, self.busy = [], {}
        self.outcomes = []  # (answer, seconds since it was due)

    def run(self, rate, seconds):
        poll = select.epoll()
        begin = time.monotonic()
        count = int(rate * seconds)
        sent = 0
        while len(self.outcomes) < count and time.monotonic() < begin + seconds + 30:
            now = time.monotonic()
            while sent < count and begin + sent / rate <= now:
                if not self.free and len(self.busy) < self.most_connections:
                    peer = Peer(self.address)
                    poll.register(peer.socket.fileno(), select.EPOLLIN)
                    self.free.append(peer)
                if not self.free:
                    break
                peer = self.free.pop()
                self.busy[peer.socket.fileno()] = (peer, begin + sent / rate)
                peer.send(self.octets)
                sent += 1
            for number, _ in poll.poll(0.002):
                if number not in self.busy:
                    continue
                peer, due = self.busy[number]
                peer.read()
                if peer.answers:
                    answer = peer.answers.pop()
                    self.outcomes.append((answer, time.monotonic() - due))
                    del self.busy[number]
                    if answer.headers.get("connection") == "close":
                        poll.unregister(number)
                        peer.close()
                    else:
                        self.free.append(peer)
        for peer in self.free + [peer for peer, _ in self.busy.values()]:
            peer.close()
        poll.close()
        return self.outcomes


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def allow_many_files(wanted):
    """Raises the soft limit; returns how many descriptors this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


class Memory:
    """The resident memory of the host's process, in bytes, and its growth since the beginning."""

    def __init__(self, host):
        self.status = pathlib.Path(f"/proc/{host.process.pid}/status")
        self.before = self.now()

    def _field(self, name):
        for line in self.status.read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name} in {self.status}")

    def now(self):
        return self._field("VmRSS")

    def growth(self):
        """The highest value so far, less the one at the beginning."""
        sanitizer = SANITIZER_BYTES if is_sanitized() else 0
        growth = self._field("VmHWM") - self.before - sanitizer
        print(f"memory: {self.before / MIB:.1f} MiB and at most {growth / MIB:.1f} MiB more")
        return growth


def is_sanitized():
    return b"__asan_init" in pathlib.Path(HOST_STUB).read_bytes()


def free_ports(count):
    """Ports that were free a moment ago. The documents want a number, so port 0 does not help."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def openssl(folder, command):
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


def make_certificate(folder, address="127.0.0.1", certificate="certificate.pem", key="key.pem"):
    """A certificate that signed itself, and its key. It does not expire soon enough for a warning."""
    openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 40 -subj /CN=localhost"
        f" -addext subjectAltName=IP:{address} -keyout {key} -out {certificate}",
    )


def trusting(folder):
    """A client's context that trusts certificate.pem in that folder, under any name."""
    context = ssl.create_default_context(cafile=os.path.join(folder, "certificate.pem"))
    context.check_hostname = False
    return context
