// Looking at eight octets at a time, where nearly all of a text is harmless.
#ifndef PLUGIN_CORE_EIGHT_OCTETS_H_
#define PLUGIN_CORE_EIGHT_OCTETS_H_

#include <cstdint>
#include <cstring>

namespace webhook::core {

// Eight octets in the order of memory. The questions below are exact, as a whole: which octet it
// is, the caller finds out by looking at each.
class EightOctets {
 public:
  // Reads 8 octets from `at`.
  explicit EightOctets(const char* at) { std::memcpy(&octets_, at, sizeof octets_); }

  bool AnyNotAscii() const { return (octets_ & kEach * 0x80) != 0; }
  bool AnyControl() const { return AnyZero(octets_ & kEach * 0xE0); }  // below 0x20
  bool AnyIs(char octet) const {
    return AnyZero(octets_ ^ (kEach * static_cast<unsigned char>(octet)));
  }

 private:
  static constexpr uint64_t kEach = 0x0101010101010101;

  // A borrow reaches an octet's top bit only out of a zero.
  static bool AnyZero(uint64_t octets) { return ((octets - kEach) & ~octets & kEach * 0x80) != 0; }

  uint64_t octets_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_EIGHT_OCTETS_H_
