"""The benchmark suite in its short form: it must run. Speed is not checked here."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, "tests/benchmarks")

import benchmark
import plots
import report
import suite
from payloads import DOCUMENTED
from scenarios import SCENARIOS
from sides import SIDES, Disk
from targets import Check


Disk.parent = "/tmp"  # a test may write there


class BenchmarkTest(unittest.TestCase):
    def test_short_form_measures_every_side_and_writes_report_and_plots(self):
        options = benchmark.arguments(["--short", "--data-dir", "/tmp"])
        results, conditions = benchmark.measure(options)
        self.assertEqual(results.failures, [])
        text = report.write(results, conditions, "tools/benchmark --short", "plots")
        played = {name for sides in results.scenarios.values() for name in sides}
        self.assertEqual(played, set(SIDES))
        for name in played:
            self.assertIn(SIDES[name][0], text)
        for part in ("Targets", "Latency", "Memory", "steps by themselves", "versions"):
            self.assertIn(part, text)
        with tempfile.TemporaryDirectory() as folder:
            plots.draw(results, folder)
            self.assertEqual(
                set(os.listdir(folder)), {name + ".svg" for name in results.scenarios}
            )


class PeerTest(unittest.TestCase):
    """A comparison means something only if both sides do the same."""

    def post(self, side, body, password="pass"):
        command = ["curl", "-sS", "-w", "\n%{http_code}", "-u", f"user:{password}"]
        done = subprocess.run(
            command + ["--data-binary", body.decode(), side.url()], capture_output=True, timeout=60
        )
        text, status = done.stdout.decode().rsplit("\n", 1)
        return int(status), text

    def test_fastapi_peer_answers_as_the_host_does(self):
        answers = []
        for name in ("memory", "fastapi-best"):
            with SIDES[name][1]() as side:
                self.assertEqual(self.post(side, DOCUMENTED, password="wrong")[0], 401)
                self.assertEqual(self.post(side, b"{")[0], 400)
                status, text = self.post(side, DOCUMENTED)
                self.assertEqual(status, 200)
                answer = json.loads(text)
                for time_field in ("occurred", "created"):
                    answer[0].pop(time_field)
                answers.append(answer)
        self.assertEqual(answers[0], answers[1])


class TargetsTest(unittest.TestCase):
    def test_bound_is_held_from_its_side(self):
        self.assertTrue(Check("cost", 1.1, 1.15).met)
        self.assertFalse(Check("cost", 1.2, 1.15).met)
        self.assertTrue(Check("rate", 0.7, 0.6, at_least=True).met)
        self.assertFalse(Check("rate", 0.5, 0.6, at_least=True).met)

    def test_every_side_of_a_target_is_played(self):
        for scenario in SCENARIOS:
            for target in scenario.targets:
                self.assertIn(target.side, scenario.sides)
                self.assertIn(target.reference, scenario.sides)

    def test_names_for_only_are_told_apart(self):
        self.assertEqual(len(suite.NAMES), len(set(suite.NAMES)))
