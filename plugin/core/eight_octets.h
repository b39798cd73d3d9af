// Looking at eight octets at a time, or at four, where nearly all of a text is harmless.
#ifndef PLUGIN_CORE_EIGHT_OCTETS_H_
#define PLUGIN_CORE_EIGHT_OCTETS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace webhook::core {

// As many octets as `Word` has, in the order of memory. The questions are answered for all of them
// together, by a word that is zero where none is so; words of several can be joined with |.
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
  // Not ASCII, or what a JSON string cannot hold: a control character, quote or backslash
  // (RFC 8259 section 7).
  Word NotPlainInJson() const { return (octets_ | Below(' ') | Equal('"') | Equal('\\')) & kTops; }

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

  // The top bit of each octet of ASCII for which it is so. A borrow out of an octet may set that of
  // the next one too, which is no matter, for it comes only out of one for which it is so.
  Word Below(char bound) const { return octets_ - Each(static_cast<unsigned char>(bound)); }
  Word Equal(char octet) const {
    return (octets_ ^ Each(static_cast<unsigned char>(octet))) - Each(1);
  }

  Word octets_;
};

using EightOctets = Octets<uint64_t>;
using FourOctets = Octets<uint32_t>;

}  // namespace webhook::core

#endif  // PLUGIN_CORE_EIGHT_OCTETS_H_
