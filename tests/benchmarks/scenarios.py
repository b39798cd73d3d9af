"""What is compared, as data. A target bounds the ratio of one figure between two sides."""

import dataclasses
import typing

import load
from payloads import PAYLOADS


@dataclasses.dataclass(frozen=True)
class Target:
    """`side`'s figure over `reference`'s, at most (or, of a rate, at least) `bound`."""

    side: str
    reference: str
    bound: float
    figure: str = "cost_us"
    at_least: bool = False


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str  # for --only
    title: str
    sides: tuple  # names of sides.SIDES; ratios in the table are over the first
    payload: str
    play: typing.Callable  # (side, body, seconds) -> dict
    targets: tuple = ()
    short: bool = False  # one of those that the short form plays
    least_seconds: float = 0


def wrk(**options):
    return lambda side, body, seconds: load.wrk(side, body, seconds, **options)


def open_loop(**options):
    return lambda side, body, seconds: load.open_loop(side, body, seconds, **options)


def grpc(**options):
    return lambda side, body, seconds: load.grpc(side, body, seconds, **options)


ALL = ("nginx", "nginx-1", "memory", "sqlite", "fastapi-best", "fastapi-shipped", "webhook")

SCENARIOS = (
    Scenario(
        "documented",
        "The documented example, 85 bytes, Basic credentials, 32 connections",
        ALL,
        "documented",
        wrk(),
        (
            Target("memory", "nginx", 1.15),
            Target("memory", "fastapi-best", 1 / 12),
            Target("memory", "fastapi-shipped", 1 / 40),
        ),
        short=True,
    ),
    Scenario(
        "push",
        f"A push event, {len(PAYLOADS['push']):,} bytes, 32 connections",
        ALL,
        "push",
        wrk(),
        (Target("memory", "nginx", 1.25), Target("memory", "fastapi-best", 1 / 14)),
    ),
    *(
        Scenario(
            f"signed-{name}",
            f"A signed {name}, {len(PAYLOADS[name]):,} bytes, 32 connections",
            ("memory", "signed", "sqlite", "signed-sqlite"),
            name,
            wrk(signed=True),
            (Target("signed", "memory", 1.25), Target("signed-sqlite", "sqlite", 1.25)),
        )
        for name in ("push", "batch")
    ),
    Scenario(
        "array",
        f"An array of 1,000 small objects, {len(PAYLOADS['array']):,} bytes, 8 connections",
        ("nginx", "memory", "sqlite", "fastapi-best", "fastapi-shipped"),
        "array",
        wrk(connections=8),
        (Target("memory", "fastapi-best", 1 / 30),),
        least_seconds=4,  # for a peer to answer on every connection
    ),
    Scenario(
        "durable",
        "Durable beside memory: the documented example, 64 connections",
        ("memory", "sqlite"),
        "documented",
        wrk(connections=64),
        (Target("sqlite", "memory", 0.6, "rate", at_least=True),),
    ),
    Scenario(
        "grpc-unary",
        "gRPC Execute, unary, 32 in flight, the documented example",
        ("grpc-echo", "memory", "sqlite"),
        "documented",
        grpc(),
        (Target("memory", "grpc-echo", 1.25),),
        short=True,
    ),
    Scenario(
        "grpc-stream",
        "gRPC ExecuteStream, 8 streams of 32 in flight, the documented example",
        ("grpc-echo", "memory", "sqlite"),
        "documented",
        grpc(streams=8),
        short=True,
    ),
    Scenario(
        "https",
        "HTTPS, keep-alive, 32 connections, the documented example",
        ("nginx-tls", "tls"),
        "documented",
        wrk(),
        (Target("tls", "nginx-tls", 1.2),),
    ),
    Scenario(
        "https-new",
        "HTTPS, new connections: a full handshake each, one after the other",
        ("nginx-tls", "tls"),
        "documented",
        load.handshakes,
        (Target("tls", "nginx-tls", 1.4),),
        short=True,
    ),
    Scenario(
        "connections-100",
        "100 connections in use, 10,000 requests a second, the documented example",
        ("nginx", "memory"),
        "documented",
        open_loop(connections=100, rate=10_000),
    ),
    Scenario(
        "connections-10000",
        "10,000 connections in use, 10,000 requests a second, the documented example",
        ("nginx", "memory"),
        "documented",
        open_loop(connections=10_000, rate=10_000),
    ),
)
