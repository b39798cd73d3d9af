#!/bin/bash
# plugin/base is for host and plugin alike: it knows nothing of webhooks, and it has no mutable state
# of the whole process, so that two copies in one process cannot disturb each other.
# Usage: base_alone_test.sh LIBRARY SOURCE...
set -u
library=$1
shift
status=0
if grep -niE 'webhook|incident|sender|xsoar|xsiam' "$@"; then
  echo "FAILED: plugin/base speaks of webhooks" >&2
  status=1
fi
symbols=$(nm -C "$library") || exit 1
if ! grep -q 'base::Gate::Close' <<<"$symbols"; then
  echo "FAILED: $library is not the library" >&2
  status=1
fi
if grep -E ' [bBdDC] ' <<<"$symbols"; then
  echo "FAILED: plugin/base has mutable state of the whole process" >&2
  status=1
fi
exit "$status"
