"""Writes what was measured as Markdown."""

import statistics

from measure import ratio, spread
from payloads import PAYLOADS
from scenarios import SCENARIOS
from sides import IO_THREADS, SIDES
from targets import checks

INTRODUCTION = f"""# Benchmarks: the last run

`tools/benchmark` wrote this file; do not edit it. [README.md](README.md) tells how it measures.

**Cost** is processor time of the server's process, user and system, of all its threads and workers,
over the requests it answered. It is the main figure, for the load generator shares the machine.
All are medians over the turns, with the least and the most in brackets. A **ratio** is the median
of the ratios within each turn. The host has {IO_THREADS} I/O threads, and the nginx it is held against
as many workers; nginx answers a fixed text and does none of the work.
"""


def _number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _spread(values):
    of = spread(values)
    if of.least == of.most:
        return _number(of.median)
    return f"{_number(of.median)} ({_number(of.least)} to {_number(of.most)})"


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _target(check):
    bound = f"1/{1 / check.bound:.0f}" if check.bound < 0.1 else f"{check.bound:g} {check.unit}"
    return f"at {'least' if check.at_least else 'most'} {bound}"


def _measured(check):
    if check.unit == "times" and check.measured < 0.1:
        return f"1/{1 / max(check.measured, 1e-9):.1f}"
    return f"{_number(check.measured)} {check.unit}"


def _targets(results):
    rows = [
        (
            check.work,
            _measured(check),
            _target(check),
            "yes" if check.met else f"**no**, by {check.miss():.0f} %",
        )
        for check in checks(results)
    ]
    return "## Targets\n\n" + _table(("work", "measured", "target", "met"), rows)


def _failures(results):
    rows = [(name, why.replace("|", "/").replace("\n", " ")) for name, why in results.failures]
    return "## Not measured\n\n" + _table(("part", "why"), rows) if rows else ""


def _scenario(scenario, played, plots):
    reference = scenario.sides[0]
    rows = []
    for name in scenario.sides:
        turns = played[name]
        over = ratio(played, name, reference, "cost_us")
        rows.append(
            (
                SIDES[name][0],
                _spread(turn["cost_us"] for turn in turns),
                _spread(turn["user_us"] for turn in turns),
                "1" if name == reference else _spread_of(over),
                _spread(turn["rate"] for turn in turns),
                _spread(turn["rss_mib"] for turn in turns),
            )
        )
    head = ("server", "cost, us", "of it user, us", "cost, ratio", "requests a second", "RSS, MiB")
    picture = f"\n![cost of a request]({plots}/{scenario.name}.svg)\n" if plots else ""
    return f"## {scenario.title}\n\n`--only {scenario.name}`\n\n{_table(head, rows)}{picture}"


def _spread_of(of):
    return f"{_number(of.median)} ({_number(of.least)} to {_number(of.most)})"


def _latency(results):
    rows = []
    for latency in results.latency:
        for name, turns in latency.turns.items():
            keys = ("p50_us", "p99_us", "p999_us")
            columns = [_spread(turn[key] for turn in turns) for key in keys]
            rows.append((SIDES[name][0], _number(latency.rate), *columns))
    text = """## Latency, open loop

The documented example on 64 connections, at half of the rate that the server reaches (nginx and the
memory store: that the slower of the two reaches). In microseconds, from when a request was due.

"""
    return text + _table(("server", "requests a second", "p50", "p99", "p99.9"), rows)


def _single_figures(results):
    rows = []
    if results.idle_mib:
        rows.append(("RSS without a connection", f"{results.idle_mib:.1f} MiB"))
        rows.append(("RSS of an idle connection", f"{results.bytes_of_a_connection:,.0f} bytes"))
    for store, factor in results.body_factor.items():
        rows.append((f"most RSS for a large body, over its size, {store} store", f"{factor:.2f}"))
    for store, times in results.start_ms.items():
        rows.append((f"from start to ready, {store} store", f"{_spread(times)} ms"))
    for store, count in results.allocations.items():
        rows.append((f"allocations, whole host, {store} store", f"{count:.2f}"))
    for payload, count in results.instructions.items():
        size = f" ({len(PAYLOADS[payload]):,} bytes)" if payload in PAYLOADS else ""
        rows.append((f"instructions, {payload}{size}", f"{count:,.0f}"))
    for title, (few, many) in results.growth.items():
        rows.append((f"instructions, {title}", f"{few:,.0f} and {many:,.0f}"))
    text = """## Memory, start, counts

Counts are of one request, the documented example unless another is named, with the host's front.
The allocations are those of the store, which keeps what it is given: plugin and HTTP server make
none (`//plugin:allocations_test`). Instructions are those of user space.

"""
    return text + _table(("figure", "measured"), rows) if rows else ""


def _profile(results):
    top = sorted(results.profile.items(), key=lambda one: -one[1])[:20]
    rows = [(f"`{name}`", f"{count:,.0f}") for name, count in top]
    text = """## Where the instructions go

Of one documented example with the memory store, each function without those it calls.

"""
    return text + _table(("function", "instructions"), rows)


def _micro(results):
    rows = [
        (
            f"`{name}`",
            _spread_of(of["cpu_time"]),
            _spread_of(of["real_time"]),
            _spread_of(of["items_per_second"]) if "items_per_second" in of else "",
            _spread_of(of["p99_us"]) if "p99_us" in of else "",
        )
        for name, of in results.micro.items()
    ]
    head = ("benchmark", "processor, ns", "elapsed, ns", "rows a second", "p99 of a commit, us")
    return "## The steps by themselves\n\nGoogle Benchmark.\n\n" + _table(head, rows)


def _noise(results, conditions):
    spreads = []
    for played in results.scenarios.values():
        for turns in played.values():
            of = spread(turn["cost_us"] for turn in turns)
            spreads.append((of.most - of.least) / max(of.median, 1e-9))
    text = "## How far to trust it\n\n" + _table(("", ""), conditions)
    if spreads:
        middle, worst = 100 * statistics.median(spreads), 100 * max(spreads)
        text += f"""
The cost of one server in one scenario differed from turn to turn by {middle:.0f} % in the middle case
and by {worst:.0f} % at worst (most less least, over the median). What is closer than that is not told
apart. Instructions and allocations repeat within one per cent.
"""
    return text


def write(results, conditions, command, plots=""):
    """The report as text. `conditions`: (title, text) pairs; `plots`: the folder of the plots."""
    parts = [INTRODUCTION, f"The command: `{command}`\n"]
    parts += [_failures(results), _targets(results), _noise(results, conditions)]
    for scenario in SCENARIOS:
        if scenario.name in results.scenarios:
            parts.append(_scenario(scenario, results.scenarios[scenario.name], plots))
    if results.latency:
        parts.append(_latency(results))
    parts.append(_single_figures(results))
    if results.profile:
        parts.append(_profile(results))
    if results.micro:
        parts.append(_micro(results))
    return "\n".join(part for part in parts if part)
