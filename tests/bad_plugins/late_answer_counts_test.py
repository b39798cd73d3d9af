"""What was sent is counted: an answer of the plugin that comes after the 504 is none."""

import unittest
import urllib.error
import urllib.request

from host_process import HostProcess, configuration

LATE = "tests/bad_plugins/completes_late.so"


class LateAnswerCountsTest(unittest.TestCase):
    def test_answer_after_the_504_does_not_count_as_a_success(self):
        config = configuration() | {"limits": {"answer_timeout_ms": 300}}
        with HostProcess(config, plugin=LATE) as host:
            path = host.run_json("instances", "get", "webhook")["path"]
            request = urllib.request.Request(host.url(path), data=b"{}", method="POST")
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=30)
            self.assertEqual(refused.exception.code, 504)
            # gRPC's answer has another way.
            self.assertEqual(host.run("execute", "webhook", "-d", "{}").returncode, 1)
            counts = host.run_json("instances", "get", "webhook")
            self.assertEqual((counts["succeeded"], counts["failed"]), (0, 2))
            self.assertEqual(counts["reasons"], {"answer_timeout": 2})


if __name__ == "__main__":
    unittest.main()
