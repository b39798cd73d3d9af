#include "plugin/core/eight_octets.h"

#include <gtest/gtest.h>

#include <string>

namespace webhook::core {
namespace {

// Every octet at every place, among neighbours that a borrow or a carry could come from.
template <typename Expected, typename Asked>
void ExpectForEveryOctet(Expected expected, Asked asked) {
  for (const char neighbour : {'a', '!', ' ', '~', '#', ']', '['}) {
    for (int octet = 0; octet < 256; ++octet) {
      for (size_t place = 0; place < 8; ++place) {
        std::string text(8, neighbour);
        text[place] = static_cast<char>(octet);
        EXPECT_EQ(asked(EightOctets(text.data())), expected(octet))
            << "octet " << octet << " at " << place << " among " << neighbour;
      }
    }
  }
}

TEST(EightOctetsTest, AnOctetPast127IsSeenAtEveryPlace) {
  ExpectForEveryOctet([](int octet) { return octet >= 0x80; },
                      [](EightOctets octets) { return octets.AnyNotAscii(); });
}

TEST(EightOctetsTest, AControlCharacterIsSeenAtEveryPlace) {
  ExpectForEveryOctet([](int octet) { return octet < 0x20; },
                      [](EightOctets octets) { return octets.AnyControl(); });
}

TEST(EightOctetsTest, ACertainOctetIsSeenAtEveryPlace) {
  for (const char wanted : {'"', '\\', '\x7F'}) {
    ExpectForEveryOctet([wanted](int octet) { return octet == wanted; },
                        [wanted](EightOctets octets) { return octets.AnyIs(wanted); });
  }
}

}  // namespace
}  // namespace webhook::core
