"""What others could read or change is refused: keys, passwords, the plugin, the data folder."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from host_process import HOST_STUB, PLUGIN, HostProcess, configuration
from peers import make_certificate

SECONDS_TO_WAIT = 60


def on_prem(**parameters):
    return configuration("XSOAR_8_ON_PREM", url="", **parameters)


class KeyFilesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def file(self, name, text="secret", mode=0o600):
        path = pathlib.Path(self.folder, name)
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def refusal(self, config, *options, **keywords):
        """The line that a failed start prints."""
        host = HostProcess(config, *options, **keywords)
        self.addCleanup(host.__exit__)
        host.spawn()
        self.assertNotEqual(host.wait(), 0)
        lines = host.stderr().strip().splitlines()
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def assert_names(self, line, file, mode):
        self.assertIn(file, line)
        self.assertIn(f"(mode {mode:04o})", line)
        self.assertRegex(line, "run:? chmod")

    def test_secret_file_that_others_can_read_is_refused_at_the_start(self):
        for parameter in ("password_file", "passwords_file", "key_file"):
            for mode in (0o644, 0o604, 0o660, 0o622):
                file = self.file("secret", mode=mode)
                line = self.refusal(on_prem(username="user", **{parameter: file}))
                self.assertIn(f"configuration.{parameter}", line)
                self.assert_names(line, file, mode)

    def test_secret_file_that_others_can_read_is_refused_at_sighup(self):
        file = self.file("secret")
        with HostProcess(on_prem(username="user", password_file=file)) as host:
            os.chmod(file, 0o644)
            host.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + SECONDS_TO_WAIT
            while "stays as it was" not in host.stderr():
                self.assertLess(time.monotonic(), deadline, host.stderr())
                time.sleep(0.05)
            [line] = [line for line in host.stderr().splitlines() if "stays as it was" in line]
            self.assert_names(line, file, 0o644)
            # It goes on serving with the old one.
            done = host.run("execute", "webhook", "-d", "{}", "-u", "user:secret")
            self.assertEqual(done.returncode, 0, done)

    def test_characters_that_nobody_sees_are_named_and_a_byte_order_mark_is_dropped(self):
        for character, name in (
            ("\u00a0", "no-break space (U+00a0)"),
            ("\u200b", "zero width character (U+200b)"),
        ):
            for parameters in (
                {"password_file": self.file("secret", f"se{character}cret\n")},
                {"password": f"se{character}cret"},
                {"passwords": f'[{{"password": "se{character}cret"}}]'},
                {"password": "secret", "username": f"user{character}"},
            ):
                line = self.refusal(on_prem(**({"username": "user"} | parameters)))
                self.assertIn(name, line)
        marked = self.file("marked", "\ufeffsecret\n")
        with HostProcess(on_prem(username="user", password_file=marked)) as host:
            for user in ("user:secret", "@" + self.file("pair", "\ufeffuser:secret\n")):
                done = host.run("execute", "webhook", "-d", "{}", "-u", user)
                self.assertEqual(done.returncode, 0, done)
            create = ["instances", "create", "other", "-p", "username=user", "-p"]
            done = host.run(*create, "password=@" + self.file("nbsp", "se\u00a0cret"))
            self.assertIn(b"no-break space", done.stderr)
            done = host.run(*create, "password=@" + marked)
            self.assertEqual(done.returncode, 0, done)
            done = host.run("execute", "other", "-d", "{}", "-u", "user:secret")
            self.assertEqual(done.returncode, 0, done)

    def test_link_does_not_hide_what_others_can_read(self):
        file = self.file("secret", mode=0o644)
        link = os.path.join(self.folder, "link")
        os.symlink(file, link)
        self.assert_names(self.refusal(on_prem(username="user", password_file=link)), link, 0o644)

    def test_grpc_key_that_others_can_read_is_refused(self):
        make_certificate(self.folder)
        key, certificate = (os.path.join(self.folder, f) for f in ("key.pem", "certificate.pem"))
        options = ["--grpc-certificate", certificate, "--grpc-key", key]
        os.chmod(key, 0o644)
        self.assert_names(self.refusal(on_prem(), *options), key, 0o644)
        # The command line's own key likewise.
        done = subprocess.run(
            [HOST_STUB, "instances", "list", "--connect", "127.0.0.1:1"]
            + ["--certificate", certificate, "--key", key],
            capture_output=True,
            timeout=60,
        )
        self.assert_names(done.stderr.decode(), key, 0o644)

    def test_key_that_others_can_read_is_not_sent_by_the_command_line_either(self):
        key = self.file("key.pem", mode=0o644)
        with HostProcess(on_prem()) as host:
            done = host.run("instances", "create", "hook", "-p", f"key=@{key}")
            self.assertNotEqual(done.returncode, 0)
            self.assert_names(done.stderr.decode(), key, 0o644)

    def test_configuration_with_a_secret_that_others_can_read_is_warned_of(self):
        host = HostProcess(on_prem(username="user", password="secret"))
        self.addCleanup(host.__exit__)
        os.chmod(host.config_file, 0o644)
        host.start()
        [line] = [line for line in host.stderr().splitlines() if "holds a secret" in line]
        self.assert_names(line, host.config_file, 0o644)

    def test_plugin_that_others_could_replace_is_refused(self):
        inner = os.path.join(self.folder, "middle", "inner")
        os.makedirs(inner)
        plugin = shutil.copy(PLUGIN, os.path.join(inner, "plugin.so"))
        link = os.path.join(self.folder, "link.so")
        os.symlink(plugin, link)
        middle = os.path.dirname(inner)
        for place, mode in (
            (plugin, 0o666),
            (plugin, 0o664),
            (inner, 0o777),
            (middle, 0o777),
            (middle, 0o775),
        ):
            before = os.stat(place).st_mode & 0o7777
            os.chmod(place, mode)
            for path in (plugin, link):
                self.assert_names(self.refusal(on_prem(), plugin=path), place, mode)
            os.chmod(place, before & 0o755)
        # /tmp itself is open to all, but sticky.
        with HostProcess(on_prem(), plugin=link) as host:
            self.assertEqual(host.run("execute", "webhook", "-d", "{}").returncode, 0)

    def test_data_folder_that_others_could_write_or_replace_is_refused(self):
        parent = os.path.join(self.folder, "parent")
        data = os.path.join(parent, "data")
        os.makedirs(data)
        for folder in (parent, data):  # whatever the umask is
            os.chmod(folder, 0o700)
        for place, mode in ((data, 0o777), (data, 0o770), (parent, 0o777)):
            before = os.stat(place).st_mode & 0o7777
            os.chmod(place, mode)
            self.assert_names(self.refusal(on_prem(), data_dir=data), place, mode)
            os.chmod(place, before)
        with HostProcess(on_prem(), data_dir=data) as host:
            self.assertEqual(host.run("execute", "webhook", "-d", "{}").returncode, 0)

    def test_data_folder_of_a_store_in_memory_is_refused_likewise(self):
        data = os.path.join(self.folder, "data")
        os.mkdir(data)
        os.chmod(data, 0o777)
        config = on_prem(username="user", password="pass")
        line = self.refusal(config, "--store", "memory", data_dir=data)
        self.assertIn(f"chmod 700 {data}", line)


class CommandLineTest(unittest.TestCase):
    """Every user can read a command line: secrets come another way, or are overwritten at once."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def test_help_says_where_a_secret_belongs(self):
        for command in (["instances", "create"], ["instances", "update"], ["execute"]):
            done = subprocess.run([HOST_STUB, *command, "--help"], capture_output=True, timeout=60)
            text = " ".join(done.stdout.decode().split())
            self.assertRegex(text, "other users can(not)? read")
            self.assertIn("standard input", text)

    def test_secrets_come_from_files_and_from_standard_input(self):
        with HostProcess(on_prem()) as host:
            done = host.run(
                *("instances create hook -p username=user -p password=@-".split()),
                stdin=b"from standard input\n",
            )
            self.assertEqual(done.returncode, 0, done)
            file = pathlib.Path(self.folder, "user")
            file.write_text("user:from standard input\n")
            done = host.run("execute", "hook", "-d", "{}", "-u", f"@{file}")
            self.assertEqual(done.returncode, 0, done)
            done = host.run(
                "execute", "hook", "-d", "{}", "-u", "@-", stdin=b"user:from standard input\n"
            )
            self.assertEqual(done.returncode, 0, done)
            done = host.run(
                *("instances update hook -p username=_header:X-Token -p password=abc".split())
            )
            self.assertEqual(done.returncode, 0, done)
            file.write_text("X-Other: 1\nX-Token: abc\n")
            done = host.run("execute", "hook", "-d", "{}", "-H", f"@{file}")
            self.assertEqual(done.returncode, 0, done)

    def test_command_line_of_a_running_command_shows_no_secret(self):
        for arguments in (
            ["execute", "webhook", "-u", "user:planted", "-H", "X-Token: planted"],
            ["instances", "create", "hook", "-p", "password=planted", "--parameter=key=planted"],
            ["instances", "update", "hook", "-ppassword=planted"],
        ):
            path = os.path.join(self.folder, "socket")
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path)
                server.listen()
                command = subprocess.Popen(
                    [HOST_STUB, *arguments, "--connect", f"unix:{path}"],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                # It waits for an answer to its greeting, which does not come.
                connection, _ = server.accept()
                shown = pathlib.Path(f"/proc/{command.pid}/cmdline").read_bytes()
                command.kill()
                command.wait()
                connection.close()
            os.unlink(path)
            self.assertIn(b"host_stub", shown)
            self.assertNotIn(b"planted", shown)


if __name__ == "__main__":
    unittest.main()
