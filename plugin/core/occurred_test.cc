#include "plugin/core/occurred.h"

#include <gtest/gtest.h>

#include <string>

namespace webhook::core {
namespace {

std::string Normalized(absl::string_view text) {
  const auto time = NormalizeOccurred(text);
  return time.has_value() ? std::string(time->text()) : "none";
}

TEST(OccurredTest, WhatIsNoTimeIsNothing) {
  for (const char* text : {"",
                           "yesterday",
                           "2024",
                           "2024-05",
                           "2024-5-1",
                           "2024-02-30",
                           "2023-02-29",
                           "2024-13-01",
                           "2024-00-10",
                           "2024-05-00",
                           "2024-05-01T",
                           "2024-05-01T25:00",
                           "2024-05-01T24:00:01Z",
                           "2024-W54-1",
                           "2023-W53-1",
                           "2024-W18",
                           "2024-W18-8",
                           "2024-000",
                           "2023-366",
                           "0001-01-01T00:00:00Z",
                           "2024-05-01T10:60Z",
                           "2024-05-01T10:00:61Z",
                           "2024-05-01T10:00:00.Z",
                           "2024-05-01T10:00:00ZZ",
                           "2024-05-01T10:00:00 Z",
                           "2024-05-01T10:00:00+2",
                           "2024-05-01T10:00:00+24:00",
                           "2024-05-01T10:00:00+02:60",
                           "2024-05-01  10:00",
                           " 2024-05-01",
                           "2024-05-01 ",
                           "0000-01-01",
                           "-2024-05-01",
                           "+2024-05-01",
                           "12024-05-01",
                           "0001-01-01T00:00:00+00:01",
                           "9999-12-31T23:59:59-00:01",
                           "infinite-future",
                           "now",
                           "1714557600",
                           "1714557600.5",
                           "01/05/2024",
                           "2024-05-01T10:0000Z",
                           "2024-0501"}) {
    EXPECT_EQ(Normalized(text), "none") << text;
  }
  EXPECT_EQ(Normalized(absl::string_view("2024-05-01\0", 11)), "none");
}

TEST(OccurredTest, FormsOfIso8601AreGivenInUtc) {
  EXPECT_EQ(Normalized("2024-05-01"), "2024-05-01T00:00:00Z");
  EXPECT_EQ(Normalized("2024-05-01T10:00"), "2024-05-01T10:00:00Z");
  EXPECT_EQ(Normalized("2024-05-01T10:00:00Z"), "2024-05-01T10:00:00Z");
  EXPECT_EQ(Normalized("2024-05-01t10:00:00z"), "2024-05-01T10:00:00Z");
  EXPECT_EQ(Normalized("2024-05-01 10:00:00"), "2024-05-01T10:00:00Z");
  EXPECT_EQ(Normalized("2024-05-01T00:30:00+02:00"), "2024-04-30T22:30:00Z");
  EXPECT_EQ(Normalized("2024-12-31T23:30:00-0130"), "2025-01-01T01:00:00Z");
  EXPECT_EQ(Normalized("2024-05-01T10:00:00-05"), "2024-05-01T15:00:00Z");
  EXPECT_EQ(Normalized("2024-02-29T10:00Z"), "2024-02-29T10:00:00Z");
  EXPECT_EQ(Normalized("20240501"), "2024-05-01T00:00:00Z");
  EXPECT_EQ(Normalized("20240501T100000Z"), "2024-05-01T10:00:00Z");
  EXPECT_EQ(Normalized("20240501T1000+0200"), "2024-05-01T08:00:00Z");
  EXPECT_EQ(Normalized("0002-01-01T00:00:00Z"), "0002-01-01T00:00:00Z");
  EXPECT_EQ(Normalized("9999-12-31T23:59:59.999999999Z"), "9999-12-31T23:59:59.999999999Z");
}

TEST(OccurredTest, RarerFormsOfIso8601AreRead) {
  EXPECT_EQ(Normalized("2024-05-01T24:00:00Z"), "2024-05-02T00:00:00Z");
  EXPECT_EQ(Normalized("2024-12-31T24:00+01:00"), "2024-12-31T23:00:00Z");
  EXPECT_EQ(Normalized("2024-05-01T10Z"), "2024-05-01T10:00:00Z");
  EXPECT_EQ(Normalized("20240501T10+02"), "2024-05-01T08:00:00Z");
  EXPECT_EQ(Normalized("2024-W18-3"), "2024-05-01T00:00:00Z");
  EXPECT_EQ(Normalized("2024W183T1030Z"), "2024-05-01T10:30:00Z");
  EXPECT_EQ(Normalized("2020-W53-7"), "2021-01-03T00:00:00Z");
  EXPECT_EQ(Normalized("2026-W01-1"), "2025-12-29T00:00:00Z");
  EXPECT_EQ(Normalized("2024-122"), "2024-05-01T00:00:00Z");
  EXPECT_EQ(Normalized("2024366T235959Z"), "2024-12-31T23:59:59Z");
}

std::string OfUnixTime(absl::string_view number) {
  const auto time = OccurredOfUnixTime(number);
  return time.has_value() ? std::string(time->text()) : "none";
}

TEST(OccurredTest, UnixTimeIsReadInSecondsOrMilliseconds) {
  EXPECT_EQ(OfUnixTime("1714557600"), "2024-05-01T10:00:00Z");
  EXPECT_EQ(OfUnixTime("1714557600.25"), "2024-05-01T10:00:00.25Z");
  EXPECT_EQ(OfUnixTime("1714557600250"), "2024-05-01T10:00:00.25Z");
  EXPECT_EQ(OfUnixTime("1714557600250.7"), "2024-05-01T10:00:00.25Z");
  EXPECT_EQ(OfUnixTime("1"), "1970-01-01T00:00:01Z");
  EXPECT_EQ(OfUnixTime("-0.5"), "1969-12-31T23:59:59.5Z");
  EXPECT_EQ(OfUnixTime("-1"), "1969-12-31T23:59:59Z");
  EXPECT_EQ(OfUnixTime("253402300799999"), "9999-12-31T23:59:59.999Z");
  for (const char* number : {"253402300800000", "1714557600250000", "1.7e9", "1e400", "-1e1",
                             "99999999999999999999999999", "-62135596800", "-99999999999"}) {
    EXPECT_EQ(OfUnixTime(number), "none") << number;
  }
}

TEST(OccurredTest, FractionStaysOnlyIfThereIsOne) {
  EXPECT_EQ(Normalized("2024-05-01T10:00:00.000Z"), "2024-05-01T10:00:00Z");
  EXPECT_EQ(Normalized("2024-05-01T10:00:00.120Z"), "2024-05-01T10:00:00.12Z");
  EXPECT_EQ(Normalized("2024-05-01T10:00:00,5Z"), "2024-05-01T10:00:00.5Z");
  EXPECT_EQ(Normalized("2024-05-01T10:00:00.1234567891234Z"), "2024-05-01T10:00:00.123456789Z");
}

TEST(OccurredTest, LeapSecondIsTheSecondAfterIt) {
  EXPECT_EQ(Normalized("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00Z");
}

OccurredText FormatTrigger(absl::Time time) { return TriggerTimes().Format(time); }

TEST(OccurredTest, TriggerIsCutToMillisecondsAndStaysInRange) {
  EXPECT_EQ(FormatTrigger(absl::FromUnixSeconds(1'714'557'600)).text(), "2024-05-01T10:00:00Z");
  EXPECT_EQ(FormatTrigger(absl::FromUnixNanos(1'714'557'600'123'999'999)).text(),
            "2024-05-01T10:00:00.123Z");
  EXPECT_EQ(FormatTrigger(absl::InfinitePast()).text(), "0001-01-01T00:00:00Z");
  EXPECT_EQ(FormatTrigger(absl::InfiniteFuture()).text(), "9999-12-31T23:59:59Z");
}

TEST(OccurredTest, TriggersOfAStreamAreFormattedAsOneByOne) {
  TriggerTimes times;
  const absl::Time begin = absl::FromUnixSeconds(1'714'557'600);
  for (const absl::Duration since :
       {absl::ZeroDuration(), absl::Microseconds(999), absl::Milliseconds(1),
        absl::Milliseconds(250), absl::Seconds(1) - absl::Nanoseconds(1), absl::Seconds(1),
        absl::Milliseconds(500), -absl::Nanoseconds(1), absl::Hours(-30'000'000),
        absl::Hours(100'000'000), absl::Milliseconds(20)}) {
    EXPECT_EQ(times.Format(begin + since).text(), FormatTrigger(begin + since).text()) << since;
  }
  EXPECT_EQ(times.Format(absl::InfinitePast()).text(), "0001-01-01T00:00:00Z");
  EXPECT_EQ(times.Format(absl::InfiniteFuture()).text(), "9999-12-31T23:59:59Z");
  EXPECT_EQ(times.Format(absl::FromUnixSeconds(-62'135'596'801)).text(), "0001-01-01T00:00:00Z");
}

}  // namespace
}  // namespace webhook::core
