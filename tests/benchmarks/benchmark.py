"""The command line of the benchmarks; see README.md. Runs in the folder of the built programs."""

import argparse
import datetime
import os
import shlex
import sys

import machine
import plots
import report
import suite
from sides import HERE, Disk


def arguments(line):
    parser = argparse.ArgumentParser(
        prog="tools/benchmark",
        description="Measures the host beside its peers and writes tests/benchmarks/REPORT.md.",
    )
    parser.add_argument("--short", action="store_true", help="show that everything runs; no report")
    parser.add_argument("--turns", type=int, default=5, metavar="N", help="of every server (5)")
    parser.add_argument("--seconds", type=float, default=3, metavar="S", help="of a turn (3)")
    parser.add_argument(
        "--only", action="append", default=[], choices=suite.NAMES, metavar="NAME",
        help="only that, on standard output; may be repeated. Names: " + ", ".join(suite.NAMES),
    )
    parser.add_argument(
        "--incidents", type=int, default=10_000_000, metavar="N",
        help="stored, in the growth of the store (10,000,000: 5 GB of disk)",
    )
    parser.add_argument(
        "--data-dir", default=Disk.parent, metavar="DIR",
        help=f"where data folders are made: a real disk ({Disk.parent})",
    )
    return parser.parse_args(line)


def measure(options):
    """(results, conditions)"""
    Disk.parent = os.path.abspath(options.data_dir)
    settings = suite.SHORT
    if not options.short:
        settings = suite.Settings(
            turns=options.turns, seconds=options.seconds, incidents=options.incidents
        )
    begin = datetime.datetime.now(datetime.timezone.utc)
    load_before, times_before = machine.load_average(), machine.processor_times()
    results = suite.run(settings, options.only)
    all_ticks, stolen = (now - then for now, then in zip(machine.processor_times(), times_before))
    minutes = (datetime.datetime.now(datetime.timezone.utc) - begin).total_seconds() / 60
    conditions = [
        ("date", f"{begin:%Y-%m-%d %H:%M} UTC, {minutes:.0f} minutes"),
        ("turns", f"{settings.turns}, of {settings.seconds:g} s at least"),
        ("load average before the first turn", f"{load_before:.2f} (0: nothing else ran)"),
        ("time stolen by other guests", f"{100 * stolen / max(1, all_ticks):.1f} %"),
    ]
    return results, conditions + machine.description(Disk.parent)


def main(line):
    """The exit status: 0 if everything could be measured, whether or not the targets were met."""
    options = arguments(line)
    results, conditions = measure(options)
    command = shlex.join(["tools/benchmark", *line])
    if options.short or options.only:
        print(report.write(results, conditions, command))
    else:
        plots.draw(results, os.path.join(HERE, "plots"))
        with open(os.path.join(HERE, "REPORT.md"), "w") as out:
            out.write(report.write(results, conditions, command, "plots"))
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
