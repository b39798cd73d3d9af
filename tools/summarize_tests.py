"""Prints `N passed, N failed` for the test cases of Bazel targets.

Usage: summarize_tests.py BAZEL_EXIT_STATUS TARGET...
Every test writes a JUnit file, a sharded one a file for each shard; a target whose file is missing
or unreadable counts as one failure. Folders that `--runs_per_test` leaves behind do not count.
Exits 0 only when nothing failed and Bazel ended well.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def count(target):
    """Returns (passed, failed) of one target, as in "//plugin/core:credentials_test"."""
    folder = pathlib.Path("bazel-testlogs", target[2:].replace(":", "/"))
    passed = failed = 0
    files = list(folder.glob("test.xml")) or [
        file
        for file in folder.glob("shard_*/test.xml")
        if re.fullmatch(r"shard_\d+_of_\d+", file.parent.name)
    ]
    for file in files:
        try:
            cases = list(ElementTree.parse(file).iter("testcase"))
        except ElementTree.ParseError:
            cases = []
        for case in cases:
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            else:
                passed += 1
        if not cases:
            failed += 1
    return (passed, failed) if files else (0, 1)


def main():
    status, targets = int(sys.argv[1]), sys.argv[2:]
    passed = failed = 0
    for target in targets:
        target_passed, target_failed = count(target)
        passed += target_passed
        failed += target_failed
    # After a failed build the files are those of an earlier run, and say nothing about this one.
    if status not in (0, 3):
        passed, failed = 0, max(1, len(targets))
    print(f"{passed} passed, {failed} failed")
    return 0 if status == 0 and failed == 0 and passed > 0 else 1


sys.exit(main())
