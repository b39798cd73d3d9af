#!/bin/bash
# The plugin exports one symbol, and needs the C and C++ libraries and zlib alone: what an engine brings
# along, another simdjson for example, cannot take the place of what is inside. Neither it nor the host
# has anything of Boost, whose headers any file could include.
# Usage: symbols_test.sh PLUGIN HOST
set -u
plugin=$1
host=$2

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

symbols=$(nm -gD --defined-only "$plugin") || fail "nm"
[ "$(awk '{print $3}' <<<"$symbols")" = "lri_plugin_entry_v1" ] ||
  fail "exported are: $(awk '{print $3}' <<<"$symbols" | head -20)"

needed=$(readelf -d "$plugin" | grep NEEDED) || fail "readelf"
echo "$needed"
others=$(grep -vE '\[(libc|libm|libstdc\+\+|libgcc_s|libz|ld-linux[^]]*|lib[aut]b?san)\.so' <<<"$needed")
[ -z "$others" ] || fail "the plugin needs $others"
from_outside=$(nm -DC --undefined-only "$plugin" | grep -E 'simdjson::|absl::|SSL_|EVP_|ZSTD_|Brotli')
[ -z "$from_outside" ] || fail "an engine's own libraries could answer for $(head -3 <<<"$from_outside")"

for program in "$plugin" "$host"; do
  boost=$(nm -C "$program" | grep -F 'boost::' | head -3)
  [ -z "$boost" ] || fail "$program has of Boost: $boost"
done
exit 0
