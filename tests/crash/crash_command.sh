#!/bin/sh
# The interpreter is the system's, for its packages (grpcio).
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/support:tests/crash \
  exec /usr/bin/python3 tests/crash/crash_harness.py "$@"
