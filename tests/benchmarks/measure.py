"""Plays scenarios in turns and condenses what was measured."""

import dataclasses
import statistics
import sys

from payloads import PAYLOADS
from processes import memory_kib, processor_seconds
from sides import SIDES

FIGURES = ("cost_us", "user_us", "rate", "p50_us", "p99_us", "rss_mib")


@dataclasses.dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float


def spread(values):
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values))


def tell(text):
    print(text, file=sys.stderr, flush=True)


def play_once(name, play, body, seconds, warm_seconds):
    """One turn of one side: a dict of figures. The server is started for it, and warm."""
    with SIDES[name][1]() as side:
        if warm_seconds:
            play(side, body, warm_seconds)
        before = processor_seconds(side.pid)
        result = play(side, body, seconds)
        before, after = result.get("processor", (before, processor_seconds(side.pid)))
        total, user = after[0] - before[0], after[1] - before[1]
        figures = {key: result[key] for key in ("p50_us", "p99_us") if key in result}
        return figures | {
            "cost_us": total * 1e6 / result["requests"],
            "user_us": user * 1e6 / result["requests"],
            "rate": result["requests"] / result["seconds"],
            "rss_mib": memory_kib(side.pid) / 1024,
        }


def play_in_turns(scenario, turns, seconds, warm_seconds):
    """A B C, A B C ...: a disturbance of the machine affects all sides. side -> [figures]."""
    results = {name: [] for name in scenario.sides}
    seconds = max(seconds, scenario.least_seconds)
    warm_seconds = max(warm_seconds, scenario.least_seconds / 2)
    for turn in range(turns):
        tell(f"{scenario.name}: turn {turn + 1} of {turns}")
        for name in scenario.sides:
            results[name].append(
                play_once(name, scenario.play, PAYLOADS[scenario.payload], seconds, warm_seconds)
            )
    return results


def ratio(results, side, reference, figure):
    """The spread of the turns' own ratios: both sides of each were measured within seconds."""
    return spread(
        ours[figure] / max(theirs[figure], 1e-9)
        for ours, theirs in zip(results[side], results[reference])
    )
