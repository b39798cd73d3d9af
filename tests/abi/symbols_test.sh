#!/bin/bash
# The plugin exports one symbol, and needs neither protobuf nor gRPC nor a shared OpenSSL. Neither it
# nor the host has anything of Boost, whose headers any file could include.
# Usage: symbols_test.sh PLUGIN HOST
set -u
plugin=$1
host=$2

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

symbols=$(nm -D --defined-only "$plugin") || fail "nm"
[ "$(awk '{print $3}' <<<"$symbols")" = "lri_plugin_entry_v1" ] ||
  fail "exported are: $(awk '{print $3}' <<<"$symbols" | head -20)"

needed=$(readelf -d "$plugin" | grep NEEDED) || fail "readelf"
echo "$needed"
for library in libprotobuf libgrpc libgpr libssl libcrypto libboost; do
  grep -q "$library" <<<"$needed" && fail "the plugin needs $library"
done

for program in "$plugin" "$host"; do
  boost=$(nm -C "$program" | grep -F 'boost::' | head -3)
  [ -z "$boost" ] || fail "$program has of Boost: $boost"
done
exit 0
