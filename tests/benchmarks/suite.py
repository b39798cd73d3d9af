"""All that is measured, in one pass. `Settings` says how long each part takes."""

import dataclasses
import subprocess

import exact
import figures
from measure import play_in_turns, tell
from payloads import DOCUMENTED, PAYLOADS
from processes import allow_open_files
from scenarios import SCENARIOS


@dataclasses.dataclass(frozen=True)
class Settings:
    """The defaults are those of the report. `short` only shows that everything runs."""

    turns: int = 5
    seconds: float = 3
    warm_seconds: float = 1
    incidents: int = 10_000_000
    instances: int = 1_000
    connections: int = 10_000
    micro_seconds: float = 0.2
    repetitions: int = 5
    starts: int = 9
    short: bool = False


SHORT = Settings(
    turns=1,
    seconds=0.3,
    warm_seconds=0,
    connections=100,
    micro_seconds=0.001,
    repetitions=1,
    starts=1,
    short=True,
)


@dataclasses.dataclass
class Latency:
    rate: float
    turns: dict  # name of the side -> [figures]


@dataclasses.dataclass
class Results:
    """What was not measured stays empty."""

    scenarios: dict = dataclasses.field(default_factory=dict)  # name -> side -> [figures]
    latency: list = dataclasses.field(default_factory=list)  # of Latency
    idle_mib: float = 0
    bytes_of_a_connection: float = 0
    body_factor: dict = dataclasses.field(default_factory=dict)  # store -> times its size
    start_ms: dict = dataclasses.field(default_factory=dict)  # store -> [milliseconds]
    instructions: dict = dataclasses.field(default_factory=dict)  # payload -> number
    profile: dict = dataclasses.field(default_factory=dict)  # function -> instructions
    allocations: dict = dataclasses.field(default_factory=dict)  # store -> number
    growth: dict = dataclasses.field(default_factory=dict)  # title -> (few, many) instructions
    micro: dict = dataclasses.field(default_factory=dict)  # benchmark -> figure -> Spread
    failures: list = dataclasses.field(default_factory=list)  # (name, why): could not be measured


def measure_scenario(scenario, results, settings):
    results.scenarios[scenario.name] = play_in_turns(
        scenario, settings.turns, settings.seconds, settings.warm_seconds
    )


def measure_latency(results, settings):
    for names in (("nginx", "memory"), ("sqlite",)):
        rate = 1_000 if settings.short else figures.reachable_rate(names, settings.seconds) / 2
        turns = figures.latency(names, rate, settings.turns, settings.seconds)
        results.latency.append(Latency(rate, turns))


def measure_memory(results, settings):
    tell("memory")
    results.idle_mib, results.bytes_of_a_connection = figures.idle_memory(settings.connections)
    for store in ("memory", "sqlite"):
        results.body_factor[store] = figures.body_memory(
            (1 if settings.short else 64) * figures.MIB, store
        )


def measure_start(results, settings):
    tell("start")
    for store in ("memory", "sqlite"):
        results.start_ms[store] = [
            figures.start_milliseconds(store) for _ in range(settings.starts)
        ]


def measure_counts(results, settings):
    """The short form leaves these to exact_counts_test.py."""
    if settings.short:
        return
    tell("instructions and allocations of one request")
    for payload, body in PAYLOADS.items():
        if payload == "array of 10,000":
            continue
        results.instructions[payload], functions = exact.profile(body)
        if payload == "documented":
            results.profile = functions
    results.instructions["documented, SQLite"] = exact.instructions(DOCUMENTED, "sqlite")
    for store in ("memory", "sqlite"):
        results.allocations[store] = exact.allocations(DOCUMENTED, store)


def measure_growth(results, settings):
    if settings.short:
        return
    results.growth[f"1 and {settings.instances:,} instances, memory"] = figures.growth_of_instances(
        settings.instances
    )
    results.growth[f"1,000 and {settings.incidents:,} stored incidents, SQLite"] = (
        figures.growth_of_store(settings.incidents)
    )


def measure_steps(results, settings):
    results.micro = figures.micro_benchmarks(settings.micro_seconds, settings.repetitions)


PARTS = {
    "latency": measure_latency,
    "memory": measure_memory,
    "start": measure_start,
    "counts": measure_counts,
    "growth": measure_growth,
    "steps": measure_steps,
}
NAMES = [scenario.name for scenario in SCENARIOS] + list(PARTS)


def run(settings, only=()):
    """Measures what is named in `only`, or everything. A failure does not stop the rest."""
    allow_open_files(settings.connections + 500)
    results = Results()
    for scenario in SCENARIOS:
        wanted = scenario.name in only if only else scenario.short or not settings.short
        if wanted:
            _attempt(scenario.name, measure_scenario, scenario, results, settings)
    for name, part in PARTS.items():
        if not only or name in only:
            _attempt(name, part, results, settings)
    return results


def _attempt(name, measure, *arguments):
    *_, results, _ = arguments
    try:
        measure(*arguments)
    except (RuntimeError, OSError, AssertionError, subprocess.SubprocessError) as error:
        tell(f"{name}: {error}")
        results.failures.append((name, str(error)))
