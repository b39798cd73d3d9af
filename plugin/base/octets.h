// Tests of eight octets at a time, or of four, for texts that are nearly always harmless.
#ifndef PLUGIN_BASE_OCTETS_H_
#define PLUGIN_BASE_OCTETS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace base {

// As many octets as `Word` has bytes, in the order of memory. A test answers for all octets at
// once: its result is zero where no octet meets it, so results can be joined with |.
template <typename Word>
class Octets {
 public:
  static constexpr size_t kCount = sizeof(Word);

  // Reads kCount octets from `at`.
  explicit Octets(const char* at) { std::memcpy(&octets_, at, kCount); }
  void CopyTo(char* at) const { std::memcpy(at, &octets_, kCount); }

  Word NotAscii() const { return octets_ & kTops; }
  // Anything but 0x20 to 0x7E.
  Word NotPrintable() const { return (octets_ | Below(' ') | Equal('\x7F')) & kTops; }
  // A control character of ASCII, the tab and DEL included.
  Word Control() const { return (Below(' ') | Equal('\x7F')) & ~octets_ & kTops; }
  // Not ASCII, or not allowed in a JSON string as it is: a control character, a quote or a
  // backslash (RFC 8259 section 7).
  Word NotPlainInJson() const { return (octets_ | Below(' ') | Equal('"') | Equal('\\')) & kTops; }

  // The place of the first octet that met a test whose result is not zero.
  static size_t First(Word result) { return static_cast<size_t>(std::countr_zero(result)) / 8; }

  void LowerCase() {
    const Word low = octets_ & ~kTops;
    const Word from_a = low + Each(0x80 - 'A');
    const Word past_z = low + Each(0x7F - 'Z');
    octets_ |= (from_a & ~past_z & ~octets_ & kTops) >> 2;
  }

 private:
  static constexpr Word Each(unsigned char octet) {
    return static_cast<Word>(static_cast<Word>(-1) / 0xFF * octet);
  }
  static constexpr Word kTops = Each(0x80);

  // The top bit of each ASCII octet that meets the test. A borrow can set the bit of the next
  // octet by mistake, but only out of an octet that meets the test and comes earlier in the text:
  // neither "none" nor "the first" can be wrong.
  Word Below(char bound) const { return octets_ - Each(static_cast<unsigned char>(bound)); }
  Word Equal(char octet) const {
    return (octets_ ^ Each(static_cast<unsigned char>(octet))) - Each(1);
  }

  static_assert(std::endian::native == std::endian::little);  // "earlier" is less significant

  Word octets_;
};

using EightOctets = Octets<uint64_t>;
using FourOctets = Octets<uint32_t>;

// What SkipPrintable does with octets above ASCII (obs-text, RFC 9110 section 5.5).
enum class Above { kStops, kPasses };

// The first position from `pos` on whose octet is not printable, or `size` if all are. Printable
// are 0x20 to 0x7E, and 0x80 to 0xFF where they pass. The tab is not: it is too rare to look for.
template <Above kAbove>
inline size_t SkipPrintable(const char* data, size_t pos, size_t size) {
  for (; size - pos >= EightOctets::kCount; pos += EightOctets::kCount) {
    const EightOctets octets(data + pos);
    const uint64_t stops = kAbove == Above::kPasses ? octets.Control() : octets.NotPrintable();
    if (stops != 0) return pos + EightOctets::First(stops);
  }
  const auto passes = [](char octet) {
    const auto code = static_cast<unsigned char>(octet);
    return (code >= 0x20 && code < 0x7F) || (kAbove == Above::kPasses && code >= 0x80);
  };
  while (pos < size && passes(data[pos])) ++pos;
  return pos;
}

}  // namespace base

#endif  // PLUGIN_BASE_OCTETS_H_
