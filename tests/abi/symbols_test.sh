#!/bin/bash
# The plugin exports one symbol, and needs neither protobuf nor gRPC nor a shared OpenSSL.
# Usage: symbols_test.sh PLUGIN
set -u
plugin=$1

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# -g: gold lists one local symbol of Asio's (thread-local) too, which nobody outside can bind to.
symbols=$(nm -gD --defined-only "$plugin") || fail "nm"
[ "$(awk '{print $3}' <<<"$symbols")" = "lri_plugin_entry_v1" ] ||
  fail "exported are: $(awk '{print $3}' <<<"$symbols" | head -20)"

needed=$(readelf -d "$plugin" | grep NEEDED) || fail "readelf"
echo "$needed"
for library in libprotobuf libgrpc libgpr libssl libcrypto libboost; do
  grep -q "$library" <<<"$needed" && fail "the plugin needs $library"
done
exit 0
