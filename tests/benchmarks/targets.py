"""Compares what was measured with the targets. What was not measured gets no line."""

import dataclasses

from measure import ratio, spread
from scenarios import SCENARIOS

WORDS = {"cost_us": "cost", "rate": "throughput"}


@dataclasses.dataclass(frozen=True)
class Check:
    work: str
    measured: float
    bound: float
    unit: str = "times"
    at_least: bool = False

    @property
    def met(self):
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def miss(self):
        """How far past the bound, in per cent of it."""
        over = self.measured / self.bound - 1
        return 100 * (-over if self.at_least else over)


def _of_scenarios(results):
    for scenario in SCENARIOS:
        played = results.scenarios.get(scenario.name)
        for target in scenario.targets if played else ():
            measured = ratio(played, target.side, target.reference, target.figure).median
            work = f"{scenario.name}: {WORDS[target.figure]}, {target.side} over {target.reference}"
            yield Check(work, measured, target.bound, at_least=target.at_least)


def _of_several_scenarios(results):
    played = results.scenarios
    if "grpc-unary" in played and "grpc-stream" in played:
        stream, unary = played["grpc-stream"]["memory"], played["grpc-unary"]["memory"]
        gain = ratio({"stream": stream, "unary": unary}, "stream", "unary", "rate").median
        yield Check("gRPC: throughput, stream over unary", gain, 1.6, at_least=True)
    if "connections-100" in played and "connections-10000" in played:
        few, many = (
            ratio(played[name], "memory", "nginx", "cost_us").median
            for name in ("connections-100", "connections-10000")
        )
        yield Check("cost over nginx, at 10,000 connections over that at 100", many / few, 1.2)


def _of_latency(results):
    for latency in results.latency:
        if "nginx" in latency.turns:
            over = ratio(latency.turns, "memory", "nginx", "p99_us").median
            yield Check("latency: p99, memory over nginx", over, 3)
        elif "BM_SqliteAlone/32/real_time" in results.micro:
            commit = results.micro["BM_SqliteAlone/32/real_time"]["p99_us"].median
            p99 = spread(turn["p99_us"] for turn in latency.turns["sqlite"]).median
            yield Check("latency: p99, durable over SQLite alone's commit", p99 / commit, 3)


def _of_steps(results):
    micro = results.micro
    if "BM_Incidents/1000" in micro:
        ours, theirs = micro["BM_Incidents/1000"], micro["BM_SimdjsonDom/1000"]
        speed = theirs["cpu_time"].median / ours["cpu_time"].median
        work = "array: speed, parse to incidents over simdjson's DOM"
        yield Check(work, speed, 0.5, at_least=True)
        for rows in (32, 256):
            ours = micro[f"BM_SqliteStoreOneCaller/{rows}/real_time"]["items_per_second"].median
            alone = micro[f"BM_SqliteAlone/{rows}/real_time"]["items_per_second"].median
            work = f"store: throughput, over SQLite alone, {rows} rows a commit"
            yield Check(work, ours / alone, 0.8, at_least=True)


def _of_single_figures(results):
    if results.idle_mib:
        yield Check("memory: idle", results.idle_mib, 25, "MiB")
        yield Check("memory: one idle connection", results.bytes_of_a_connection, 8192, "bytes")
    for store, factor in results.body_factor.items():
        yield Check(f"memory: a large body over its size, {store} store", factor, 2.2)
    for store, times in results.start_ms.items():
        yield Check(f"start: until it serves, {store} store", spread(times).median, 150, "ms")
    for title, (few, many) in results.growth.items():
        yield Check(f"growth: instructions, {title}", many / few, 1.1)


def checks(results):
    parts = (_of_scenarios, _of_several_scenarios, _of_latency, _of_steps, _of_single_figures)
    return [check for part in parts for check in part(results)]
