"""Strangers at the public gRPC address who begin messages and do not finish them.

gRPC's own clients only send whole messages, so what there is to say of HTTP/2 is written here.
"""

import pathlib
import select
import socket
import struct
import unittest

from host_process import HostProcess, configuration

MIB = 1 << 20
CONNECTIONS = 2
STREAMS = 64
MESSAGE = 7 * MIB
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_HEADERS, ACK = 4, 1


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A header that enters no table (RFC 7541 section 6.2.2)."""
    return b"".join([b"\0", *(bytes([len(text)]) + text for text in (name, value))])


CALL = b"".join(
    literal(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/long_running_integration.v1.LongRunningIntegration/Execute"),
        (b":authority", b"a"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )
)


class Stranger:
    """One connection whose streams each announce a message and send all of it but the end."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=30)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS))
        self.buffer = b""
        self.window = 65_535
        self.initial_window = 65_535
        self.streams = {}  # number: [window, bytes left to send]
        self.reset = 0
        self.closed = False
        for number in range(1, 2 * STREAMS, 2):
            self.socket.sendall(frame(HEADERS, END_HEADERS, number, CALL))
            self.streams[number] = [self.initial_window, MESSAGE]
            self.send(number, b"\0" + struct.pack(">I", MESSAGE + 1))

    def send(self, number, data):
        self.socket.sendall(frame(DATA, 0, number, data))
        self.window -= len(data)
        self.streams[number][0] -= len(data)

    def receive(self):
        """Takes in what the server says; False: it says no more."""
        while not self.closed and select.select([self.socket], [], [], 0)[0]:
            self.take(self.socket.recv(MIB))

    def take(self, data):
        self.closed = not data
        self.buffer += data
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + length:
                return
            kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
            self.frame(kind, flags, stream, self.buffer[9 : 9 + length])
            self.buffer = self.buffer[9 + length :]

    def frame(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == 4:  # SETTINGS_INITIAL_WINDOW_SIZE
                    for each in self.streams.values():
                        each[0] += value - self.initial_window
                    self.initial_window = value
            self.socket.sendall(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and stream == 0:
            self.window += int.from_bytes(payload, "big")
        elif kind == WINDOW_UPDATE and stream in self.streams:
            self.streams[stream][0] += int.from_bytes(payload, "big")
        elif kind in (RST_STREAM, HEADERS) and self.streams.pop(stream, None):
            self.reset += 1

    def push(self):
        """Sends what the windows allow; whether that was anything."""
        sent = False
        for number, (window, left) in self.streams.items():
            size = min(window, left, self.window, 16_384)
            if size > 0:
                self.send(number, bytes(size))
                self.streams[number][1] -= size
                sent = True
        return sent


def resident_bytes(process):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


class GrpcMemoryTest(unittest.TestCase):
    def test_unfinished_messages_are_cut_off_before_they_fill_the_memory(self):
        config = configuration()
        config["limits"] = {"bytes_in_flight": 8 * MIB}
        with HostProcess(config) as host:
            before = resident_bytes(host.process)
            address = host.grpc.split(":")
            strangers = [Stranger(address) for _ in range(CONNECTIONS)]
            self.addCleanup(lambda: [each.socket.close() for each in strangers])
            self.flood(strangers)
            self.assertGreater(sum(each.reset + each.closed for each in strangers), 0)
            # 2 * bytes_in_flight + 64 MiB, and what an allocator wastes; they would send 896 MiB.
            self.assertLess(resident_bytes(host.process) - before, 600 * MIB)
            # The owner is not disturbed.
            self.assertEqual(host.run("execute", "webhook", "-d", "{}").returncode, 0)

    @staticmethod
    def flood(strangers):
        """Until every stream has sent its message or is reset, or the server takes no more."""
        while strangers:
            open_now = [each for each in strangers if not each.closed]
            moved = False
            for each in open_now:
                try:
                    each.receive()
                    moved |= each.push()
                except OSError:
                    each.closed = True
            unfinished = [e for e in open_now if any(left for _, left in e.streams.values())]
            if not unfinished:
                return
            if not moved and not select.select([e.socket for e in open_now], [], [], 5)[0]:
                return


if __name__ == "__main__":
    unittest.main()
