"""Ten rounds of the long command, tools/cluster-test."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from cluster_harness import ClusterHarness  # pylint: disable=wrong-import-position

SEED = 274  # which draws most of the faults; when one meets a request is not in it
ROUNDS = 10


class ClusterTest(unittest.TestCase):
    def test_ten_rounds_lose_and_double_nothing_and_followers_agree(self):
        print(f"--seed {SEED} --rounds {ROUNDS}")
        with ClusterHarness(SEED, most_seconds=0.7) as harness:
            harness.run(ROUNDS)
            self.assertGreater(len(harness.ledger.acknowledged), 1000)
            self.assertGreater(harness.ledger.duplicates, 100)
            self.assertGreater(harness.ledger.twins, 10)
            self.assertGreater(harness.faults["failed_over"], 0)
            self.assertGreater(harness.faults["host_killed"], 0)


if __name__ == "__main__":
    unittest.main()
