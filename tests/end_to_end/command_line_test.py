"""What the program says when it cannot carry out a command."""

import pathlib
import subprocess
import tempfile
import unittest

from host_process import HOST_STUB


class CommandLineTest(unittest.TestCase):
    def refusal(self, *arguments):
        done = subprocess.run([HOST_STUB, *arguments], capture_output=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(done.stdout, b"")
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def test_missing_or_unknown_command_is_told_which_there_are(self):
        for arguments in ((), ("foo",)):
            line = self.refusal(*arguments)
            self.assertIn("serve, execute, try, test", line)
            self.assertIn("see host_stub --help", line)
        for arguments in (("instances",), ("instances", "frob")):
            line = self.refusal(*arguments)
            self.assertIn("list, get, create", line)
            self.assertIn("see host_stub instances --help", line)

    def test_unknown_command_is_shown_with_the_nearest_one(self):
        self.assertIn(
            'unknown command "instnaces"; did you mean "instances"?', self.refusal("instnaces")
        )
        self.assertIn(
            'unknown command "lst"; did you mean "list"?; see host_stub instances --help',
            self.refusal("instances", "lst"),
        )
        self.assertIn('unknown command "foo"; known are: serve', self.refusal("foo"))

    def test_version_is_printed(self):
        done = subprocess.run([HOST_STUB, "--version"], capture_output=True, check=True, timeout=60)
        self.assertRegex(
            done.stdout.decode(), r"^host_stub \d+\.\d+\.\d+, plugin ABI 1\.\d+, \w+ build\n$"
        )
        self.assertEqual(done.stderr, b"")

    def test_what_stands_in_a_wrong_place_is_not_shown(self):
        for arguments in (("s3cret",), ("instances", "s3cret"), ("url", "webhook", "s3cret")):
            self.assertNotIn("s3cret", self.refusal(*arguments))

    def test_missing_option_is_named_with_the_commands_own_help(self):
        line = self.refusal("serve")
        self.assertIn("--config", line)
        self.assertIn("see host_stub serve --help", line)

    def test_file_that_cannot_be_read_is_named_with_option_and_reason(self):
        for option, arguments in (
            ("-d", ("execute", "webhook", "-d", "@/nonexistent/file")),
            ("--from-file", ("instances", "create", "webhook", "--from-file", "/nonexistent/file")),
            ("--mapper", ("map", "webhook", "--mapper", "/nonexistent/file")),
        ):
            line = self.refusal(*arguments)
            self.assertIn(f"{option}: cannot read /nonexistent/file: No such file", line)
        self.assertIn("Is a directory", self.refusal("execute", "webhook", "-d", "@/"))

    def test_parameters_that_are_no_json_object_are_refused_with_the_place(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "parameters.json")
            for text, expected in (('{"a": 1,\n', "line 2, column 1"), ("[]", "must be an object")):
                file.write_text(text)
                line = self.refusal("instances", "create", "webhook", "--from-file", str(file))
                self.assertIn(str(file), line)
                self.assertIn(expected, line)


if __name__ == "__main__":
    unittest.main()
