#!/bin/sh
# Runs the cases of one Python file and writes Bazel's JUnit file. The system's interpreter has the
# packages (grpcio); another one may come first on the PATH.
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/support exec /usr/bin/python3 tests/support/run_unittest.py "$1"
