"""A full disk, or a database that another process holds: nothing is acknowledged, the sender is
told to try again, and service resumes by itself."""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import time
import unittest

from host_process import HostProcess, configuration

SECONDS_TO_RESUME = 30


class FailingDiskTest(unittest.TestCase):
    def setUp(self):
        # Writing past the limit of a file's size must be an error, not a signal that ends the host.
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGXFSZ, before)
        self.host = HostProcess(configuration())
        self.host.restore_signals = False
        self.host.start()
        self.addCleanup(self.host.__exit__)
        self.acknowledged = []

    def post(self):
        connection = http.client.HTTPConnection(self.host.http, timeout=30)
        connection.request("POST", "/xsoar/instance/execute/webhook", json.dumps({"filler": "x" * 5000}))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status == 200:
            self.acknowledged.append(json.loads(body)[0]["id"])
        return answer

    def check_refused(self):
        answer = self.post()
        self.assertEqual(answer.status, 503)
        self.assertGreaterEqual(int(answer.getheader("Retry-After")), 1)

    def check_resumes(self):
        deadline = time.monotonic() + SECONDS_TO_RESUME
        while self.post().status != 200:
            self.assertLess(time.monotonic(), deadline, self.host.stderr())
        listed = self.host.run_json("incidents", "list", "--limit", "1000")
        self.assertEqual(sorted(i["id"] for i in listed), sorted(self.acknowledged))

    def limit_file_size(self, limit):
        subprocess.run(
            ["prlimit", "--pid", str(self.host.process.pid), f"--fsize={limit}:unlimited"],
            check=True,
        )

    def test_full_disk_is_503_and_service_resumes(self):
        self.assertEqual(self.post().status, 200)
        self.limit_file_size(os.path.getsize(self.host.data_dir + "/incidents.db-wal"))
        for _ in range(3):
            self.check_refused()
        self.limit_file_size("unlimited")
        self.check_resumes()

    def test_locked_database_is_503_and_service_resumes(self):
        self.assertEqual(self.post().status, 200)
        database = sqlite3.connect(self.host.data_dir + "/incidents.db", isolation_level=None)
        self.addCleanup(database.close)
        database.execute("BEGIN IMMEDIATE")
        self.check_refused()
        database.execute("ROLLBACK")
        self.check_resumes()


if __name__ == "__main__":
    unittest.main()
