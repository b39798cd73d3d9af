// Skipping what may stand on a line of a head, eight octets at a time.
#ifndef PLUGIN_HTTP_PRINTABLE_H_
#define PLUGIN_HTTP_PRINTABLE_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace webhook::http {

// Which octets pass: visible ASCII and the blank, and those above ASCII if so told (obs-text, RFC
// 9110 section 5.5). The tab does not pass: it is too seldom to be looked for.
enum class Above { kStops, kPasses };

template <Above kAbove>
constexpr bool IsPrintable(char octet) {
  const auto code = static_cast<unsigned char>(octet);
  return (code >= 0x20 && code < 0x7f) || (kAbove == Above::kPasses && code >= 0x80);
}

// The first position from `pos` on whose octet does not pass; `size` if all do.
template <Above kAbove>
inline size_t SkipPrintable(const char* data, size_t pos, size_t size) {
  constexpr uint64_t kEach = 0x0101010101010101;
  for (; size - pos >= 8; pos += 8) {
    uint64_t octets;
    std::memcpy(&octets, data + pos, sizeof octets);
    // Without their top bits the octets cannot carry into each other, so each top bit of `stops`
    // says of its own octet whether it is a control character.
    const uint64_t low = octets & kEach * 0x7f;
    uint64_t stops = ~(low + kEach * 0x60) | (low + kEach);
    stops = kAbove == Above::kPasses ? stops & ~octets : stops | octets;
    stops &= kEach * 0x80;
    if (stops == 0) continue;
    if constexpr (std::endian::native == std::endian::little) {
      return pos + std::countr_zero(stops) / 8;
    }
    break;
  }
  while (pos < size && IsPrintable<kAbove>(data[pos])) ++pos;
  return pos;
}

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_PRINTABLE_H_
