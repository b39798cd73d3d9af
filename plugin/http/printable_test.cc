#include "plugin/http/printable.h"

#include <gtest/gtest.h>

#include <string>

namespace webhook::http {
namespace {

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
}  // namespace webhook::http
