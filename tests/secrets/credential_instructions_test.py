"""Credentials and MACs are compared in as many instructions however much of them is right."""

import collections
import pathlib
import subprocess
import tempfile
import unittest

# What counts in each probe.
PROBES = {
    "plugin/core/credential_probe": "webhook::core::Credentials::Check*",
    "plugin/sources/equality_probe": "webhook::sources::EqualInConstantTime*",
}

Call = collections.namedtuple("Call", "mode what length verdict instructions")


def count(probe, folder):
    """Runs a probe under callgrind, which writes one file for each call of the function."""
    printed = subprocess.run(
        [
            *("valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={folder}/out"),
            f"--toggle-collect={PROBES[probe]}",
            *("--dump-before=CallHasEnded", probe),
        ],
        check=True,
        capture_output=True,
        timeout=300,
    ).stdout.decode()
    calls = []
    for number, line in enumerate(printed.splitlines(), 1):
        name, length, verdict = line.split()
        text = pathlib.Path(folder, f"out.{number}").read_text()
        [summary] = [line for line in text.splitlines() if line.startswith("summary:")]
        instructions = int(summary.split()[1])
        calls.append(Call(*name.split("/"), int(length), verdict, instructions))
    return calls[1:]  # the first warms up


class CredentialInstructionsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.calls = []
        for probe in PROBES:
            with tempfile.TemporaryDirectory() as folder:
                cls.calls += count(probe, folder)

    def test_every_kind_of_credential_was_counted(self):
        counted = collections.Counter(call.mode for call in self.calls)
        credentials = {"header", "basic", "list", "header-list", "lengths"}
        self.assertEqual(set(counted), credentials | {"sha1", "sha256", "sha512", "token"})
        accepted = {call.mode for call in self.calls if call.verdict == "accepted"}
        self.assertEqual(accepted, set(counted))
        for call in self.calls:
            # Its digest alone takes thousands.
            self.assertGreater(call.instructions, 1000, call)
            if call.what.endswith("right") or call.what == "part-of-28":
                continue
            self.assertEqual(call.verdict, "refused", call)

    def test_what_has_the_same_length_takes_the_same_instructions(self):
        by_length = collections.defaultdict(set)
        for call in self.calls:
            by_length[call.mode, call.length].add(call.instructions)
        # The right one is among them, and so are all places at which a wrong one differs.
        for key, instructions in by_length.items():
            self.assertEqual(len(instructions), 1, (key, instructions))

    def test_length_of_the_secret_does_not_show(self):
        counts = {call.instructions for call in self.calls if call.mode == "lengths"}
        self.assertEqual(len(counts), 1)


if __name__ == "__main__":
    unittest.main()
