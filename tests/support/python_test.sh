#!/bin/sh
# Runs the cases of one Python file and writes the JUnit file of Bazel. The interpreter is the
# system's, for its packages (grpcio); another one may come first on the PATH.
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/support exec /usr/bin/python3 tests/support/run_unittest.py "$1"
