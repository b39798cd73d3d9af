"""A host that dies leaves no core file, and the memory of a running one cannot be read."""

import os
import pathlib
import resource
import signal
import unittest

from host_process import HOST_STUB, HostProcess, configuration

# LeakSanitizer works like a debugger, so such a build permits being read.
IS_SANITIZED = b"__asan_init" in pathlib.Path(HOST_STUB).read_bytes()


class CoreDumpTest(unittest.TestCase):
    def serve(self):
        # A limit that would allow one, where the system lets us say so.
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        host = HostProcess(
            configuration("XSOAR_8_ON_PREM", url="", username="user", password="pass")
        )
        self.addCleanup(host.__exit__)
        # A sanitizer would turn SIGSEGV into a report and SIGABRT.
        options = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0"
        host.environment = os.environ | {"ASAN_OPTIONS": options}
        host.start()
        return host

    def test_no_core_may_be_written_and_the_limit_cannot_be_raised(self):
        host = self.serve()
        limits = pathlib.Path(f"/proc/{host.process.pid}/limits").read_text()
        [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        self.assertEqual(line.split()[4:6], ["0", "0"])

    def test_memory_of_the_process_is_roots_alone(self):
        host = self.serve()
        for name in ("mem", "environ", "maps"):
            try:
                open(f"/proc/{host.process.pid}/{name}", "rb").close()
            except PermissionError:
                continue
            self.assertTrue(os.geteuid() == 0 or IS_SANITIZED, name)

    def test_crash_leaves_no_core(self):
        for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT):
            host = self.serve()
            host.process.send_signal(number)
            _, status = os.waitpid(host.process.pid, 0)
            # The child is reaped; its owner is told so.
            host.process.returncode = -number
            host.process.stdout.close()
            host.errors.close()
            self.assertTrue(os.WIFSIGNALED(status), status)
            self.assertEqual(os.WTERMSIG(status), number)
            self.assertFalse(os.WCOREDUMP(status))
            for folder in (".", host.own_folder, host.data_dir):
                cores = [name for name in os.listdir(folder) if name.startswith("core")]
                self.assertEqual(cores, [])


if __name__ == "__main__":
    unittest.main()
