#!/bin/sh
# Runs the cases of one Python file and writes Bazel's JUnit file.
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/support exec python3 tests/support/run_unittest.py "$1"
