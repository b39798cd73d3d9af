#!/bin/bash
# plugin/base is for host and plugin alike: it knows nothing of webhooks, and it has no mutable state
# of the whole process, so that two copies in one process cannot disturb each other.
# Usage: base_alone_test.sh SYMBOLS SOURCE...   where SYMBOLS is what nm -C prints of the library
set -u
symbols=$1
shift
status=0
if grep -niE 'webhook|incident|sender|xsoar|xsiam' "$@"; then
  echo "FAILED: plugin/base speaks of webhooks" >&2
  status=1
fi
if ! grep -q 'base::JsonReader::Open' "$symbols"; then
  echo "FAILED: $symbols are not the library's symbols" >&2
  status=1
fi
# std::__ioinit comes with absl/status and <iostream>; the C++ library counts it itself.
if grep -E ' [bBdDC] ' "$symbols" | grep -v ' b std::__ioinit$'; then
  echo "FAILED: plugin/base has mutable state of the whole process" >&2
  status=1
fi
exit "$status"
