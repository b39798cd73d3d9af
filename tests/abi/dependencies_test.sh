#!/bin/bash
# Each file lists dependencies that must not be; so each must be empty.
set -u
for list in "$@"; do
  [ -f "$list" ] || { echo "FAILED: $list is missing" >&2; exit 1; }
  if [ -s "$list" ]; then
    echo "FAILED: $(basename "$list"):" >&2
    cat "$list" >&2
    exit 1
  fi
done
