#include "plugin/base/octets.h"

#include <gtest/gtest.h>

#include <string>

namespace base {
namespace {

// Every octet at every place, among neighbours that a borrow or a carry could come from.
template <typename Word, typename Expected, typename Asked>
void ExpectOfWord(Expected expected, Asked asked) {
  for (const char neighbour : {'a', '!', ' ', '~', '#', ']', '[', '\xA2'}) {
    const bool among = expected(static_cast<unsigned char>(neighbour));
    for (int octet = 0; octet < 256; ++octet) {
      for (size_t place = 0; place < sizeof(Word); ++place) {
        std::string text(sizeof(Word), neighbour);
        text[place] = static_cast<char>(octet);
        EXPECT_EQ(asked(Octets<Word>(text.data())) != 0, among || expected(octet))
            << "octet " << octet << " at " << place << " among " << neighbour;
      }
    }
  }
}

template <typename Expected, typename Asked>
void ExpectForEveryOctet(Expected expected, Asked asked) {
  ExpectOfWord<uint64_t>(expected, asked);
  ExpectOfWord<uint32_t>(expected, asked);
}

TEST(EightOctetsTest, AnOctetPast127IsSeenAtEveryPlace) {
  ExpectForEveryOctet([](int octet) { return octet >= 0x80; },
                      [](auto octets) { return octets.NotAscii(); });
}

TEST(EightOctetsTest, WhatIsNotPlainInJsonIsSeenAtEveryPlace) {
  ExpectForEveryOctet(
      [](int octet) { return octet < 0x20 || octet >= 0x80 || octet == '"' || octet == '\\'; },
      [](auto octets) { return octets.NotPlainInJson(); });
}

TEST(EightOctetsTest, WhatIsNotPrintableIsSeenAtEveryPlace) {
  ExpectForEveryOctet([](int octet) { return octet < 0x20 || octet >= 0x7F; },
                      [](auto octets) { return octets.NotPrintable(); });
}

TEST(EightOctetsTest, LettersOfAsciiAloneBecomeLowerCase) {
  for (int octet = 0; octet < 256; ++octet) {
    for (size_t place = 0; place < 8; ++place) {
      std::string text(8, '\xC1');
      text[place] = static_cast<char>(octet);
      EightOctets octets(text.data());
      octets.LowerCase();
      std::string lower(8, '\0');
      octets.CopyTo(lower.data());
      if (octet >= 'A' && octet <= 'Z') text[place] = static_cast<char>(octet + 32);
      EXPECT_EQ(lower, text);
    }
  }
}

TEST(PrintableTest, EveryOctetStopsOrPassesAtEveryPlace) {
  for (size_t place = 0; place < 20; ++place) {
    for (int octet = 0; octet < 256; ++octet) {
      // Its neighbours are the ones whose carries could reach it.
      for (const char around : {' ', '~', '\xff'}) {
        std::string text(20, around);
        text[place] = static_cast<char>(octet);
        const bool control = octet < 0x20 || octet == 0x7f;
        EXPECT_EQ(SkipPrintable<Above::kPasses>(text.data(), 0, text.size()),
                  control ? place : text.size())
            << octet;
        if (around == '\xff') continue;  // these stop themselves
        EXPECT_EQ(SkipPrintable<Above::kStops>(text.data(), 0, text.size()),
                  control || octet >= 0x80 ? place : text.size())
            << octet;
      }
    }
  }
}

TEST(PrintableTest, FirstOfSeveralStopsAndBeginsWhereItIsTold) {
  const std::string text = "ab\rdefgh\x7fjkl";
  EXPECT_EQ(SkipPrintable<Above::kPasses>(text.data(), 0, text.size()), 2u);
  EXPECT_EQ(SkipPrintable<Above::kPasses>(text.data(), 3, text.size()), 8u);
  EXPECT_EQ(SkipPrintable<Above::kPasses>(text.data(), 9, text.size()), text.size());
  EXPECT_EQ(SkipPrintable<Above::kPasses>(text.data(), 3, 5), 5u);
  EXPECT_EQ(SkipPrintable<Above::kStops>(text.data(), 12, 12), 12u);
}

}  // namespace
}  // namespace base
