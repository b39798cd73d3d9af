"""Instructions, system calls and allocations of one request may fall, but not rise unnoticed.

They repeat within one per cent on any machine that runs the same code. If a rise is intended, raise
the bound here. `tools/benchmark --only counts` tells where the instructions go.
"""

import re
import sys
import unittest

sys.path.insert(0, "tests/benchmarks")

import exact
import sides
from payloads import DOCUMENTED, PAYLOADS

INSTRUCTIONS = 19_600  # of the documented example: front, engine, plugin and memory store
SYSTEM_CALLS = 3.1  # of the same, but for futex: epoll_wait, recvfrom, sendto
SIGNED = {"push": 1.35, "batch": 1.5}  # instructions, over the unsigned ones, but for SHA-256
SLACK = 1.05
# What the memory store keeps: a block of rows now and then, and a piece of its texts.
ALLOCATIONS = 0.4

sides.Disk.parent = "/tmp"  # a test may write there


class ExactCountsTest(unittest.TestCase):
    def test_documented_example_takes_no_more_instructions_than_it_did(self):
        count, functions = exact.profile(DOCUMENTED)
        top = sorted(functions.items(), key=lambda one: -one[1])[:20]
        table = "\n".join(f"{number:8.0f} {name}" for name, number in top)
        print(f"{count:.0f} instructions, of them\n{table}")
        self.assertLess(count, INSTRUCTIONS * SLACK, table)
        self.assertGreater(count, 1_000, "the counter does not count")

    def test_documented_example_allocates_only_what_the_memory_store_keeps(self):
        count = exact.allocations(DOCUMENTED)
        print(f"{count:.2f} allocations")
        self.assertLess(count, ALLOCATIONS)
        self.assertGreater(count, 0.1, "the counter does not count")

    def test_documented_example_makes_no_more_system_calls_than_it_did(self):
        count, calls = exact.system_calls(DOCUMENTED)
        table = ", ".join(f"{name} {number:.2f}" for name, number in calls.items() if number > 0.01)
        print(f"{count:.2f} system calls: {table}")
        self.assertLess(count, SYSTEM_CALLS * SLACK, table)
        self.assertGreater(count, 2, "the counter does not count")

    def test_signed_request_takes_little_more_instructions_than_its_hash(self):
        for name, most in SIGNED.items():
            counts = []
            for signed in (False, True):
                count, functions = exact.profile(PAYLOADS[name], signed=signed)
                hashes = [one for one in functions if re.match("sha256_block", one)]
                self.assertTrue(hashes, "SHA-256 is not found by its name")
                counts.append(count - sum(functions.pop(one) for one in hashes))
            top = sorted(functions.items(), key=lambda one: -one[1])[:20]
            table = "\n".join(f"{number:8.0f} {one}" for one, number in top)
            print(f"{name}: {counts[1]:.0f} over {counts[0]:.0f} instructions, of them\n{table}")
            self.assertLess(counts[1], counts[0] * most * SLACK, table)
