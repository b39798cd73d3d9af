#!/bin/sh
# The interpreter is the system's, for its packages (grpcio).
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/support:tests/crash:tests/cluster \
  exec /usr/bin/python3 tests/cluster/cluster_harness.py "$@"
