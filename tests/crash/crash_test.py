"""Ten kills of the long crash command, tools/crash-test."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from crash_harness import CrashHarness  # pylint: disable=wrong-import-position

SEED = 4  # which is also shown below; when a kill meets a request is not in it
KILLS = 10


class CrashTest(unittest.TestCase):
    def test_ten_kills_lose_nothing_that_was_acknowledged(self):
        print(f"--seed {SEED} --kills {KILLS}")
        with CrashHarness(SEED) as harness:
            harness.run(KILLS, most_seconds_of_load=0.5)
            self.assertGreater(len(harness.ledger.acknowledged), 100)
            self.assertGreater(harness.ledger.duplicates, 0)
            self.assertGreater(harness.ledger.signed_before, 0)
            self.assertGreater(harness.ledger.reborn, 0)
            self.assertGreater(harness.unanswered_there + harness.unanswered_gone, 0)


if __name__ == "__main__":
    unittest.main()
