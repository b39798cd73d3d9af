// Times of incidents as text: ISO-8601 in, RFC 3339 in UTC out.
#ifndef PLUGIN_CORE_OCCURRED_H_
#define PLUGIN_CORE_OCCURRED_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace webhook::core {

// A time of the years 0001 to 9999 as text, held in itself: 2024-05-01T10:00:00Z, with a fraction
// of at most nine digits where there is one.
class OccurredText {
 public:
  absl::string_view text() const { return {bytes_, size_}; }

 private:
  friend std::optional<OccurredText> NormalizeOccurred(absl::string_view);
  friend OccurredText FormatTrigger(absl::Time);
  friend class TriggerTimes;
  static OccurredText Of(absl::CivilSecond second, int nanosecond);
  void Append(char c) { bytes_[size_++] = c; }
  void AppendNumber(int64_t number, int digits);
  void AppendFraction(int fraction, int digits);

  char bytes_[32];
  size_t size_ = 0;
};

// Reads a date, or a date and a time, of ISO-8601: extended (2024-05-01T10:00:00.5+02:00) or
// basic (20240501T100000Z); T, t or one blank between them; seconds, fraction and zone may be
// missing (no zone: UTC); Z, z, +hh:mm, +hhmm or +hh, or with a minus. A leap second counts as
// the second after it. Nothing for anything else, such as 30 February, 25:00 or a year outside
// 0001 to 9999.
std::optional<OccurredText> NormalizeOccurred(absl::string_view text);

// The time of a trigger, cut to milliseconds; outside of the years 0001 to 9999, the nearest
// second within.
OccurredText FormatTrigger(absl::Time time);

// FormatTrigger for a stream of requests: remembers the last second, which most share. Not
// thread-safe.
class TriggerTimes {
 public:
  OccurredText Format(absl::Time time);

 private:
  absl::Time second_ = absl::InfiniteFuture();
  OccurredText text_;  // of second_, without `Z`
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_OCCURRED_H_
