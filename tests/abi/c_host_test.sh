#!/bin/bash
# A host in plain C, in under 200 lines, creates an incident with a plugin.
# Usage: c_host_test.sh HOST PLUGIN SOURCE DETAILS
set -u
host=$1 plugin=$2 source=$3 details=$4

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

output=$("$host" "$plugin") || fail "the host ended with $?"
echo "$output"
grep -q '^incident: 1$' <<<"$output" || fail "no incident"
grep -qF "$details" <<<"$output" || fail "the incident lacks $details"
grep -q '^status: 200$' <<<"$output" || fail "the answer is not 200"
grep -q '"id": *"1"' <<<"$output" || fail "the answer has no id"

# A file that is no plugin is refused.
"$host" "$source" 2>/dev/null && fail "a source file was loaded as a plugin"

lines=$(wc -l <"$source")
[ "$lines" -lt 200 ] || fail "the host has $lines lines"
includes=$(grep -c '#include "' "$source")
[ "$includes" -eq 1 ] || fail "the host includes $includes files of this repository, not one"
