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

// The text of a time in the years 0001 to 9999, stored in the object itself: 2024-05-01T10:00:00Z,
// with a fraction of at most nine digits if there is one.
class OccurredText {
 public:
  absl::string_view text() const { return {bytes_, size_}; }

 private:
  friend std::optional<OccurredText> NormalizeOccurred(absl::string_view);
  friend std::optional<OccurredText> OccurredOfUnixTime(absl::string_view);
  friend class TriggerTimes;
  OccurredText() = default;
  // Without a fraction.
  explicit OccurredText(absl::CivilSecond second);
  void AddFraction(int64_t fraction, int digits);
  void Append(int64_t number, int digits, char then);

  char bytes_[32];
  size_t size_ = 0;
};

// Reads a date, or a date and a time, of ISO-8601, in the extended (2024-05-01T10:00:00.5+02:00) or
// the basic (20240501T100000Z) form. The date may be of a week (2024-W18-3) or of a year
// (2024-122). Between date and time is T, t or one blank. Minutes, seconds, fraction and zone may
// be missing; without a zone the time is UTC. A zone is Z, z, or hh:mm, hhmm or hh after a sign.
// 24:00 is the next day's 00:00, and a leap second the second after it. nullopt for anything else,
// such as 30 February or 25:00, and for a year outside 0002 to 9999: the year 1 is how programs
// write that no time is known.
std::optional<OccurredText> NormalizeOccurred(absl::string_view text);

// Reads a JSON number as Unix time: seconds, with a fraction or without, or milliseconds where it
// is 1e11 or more. nullopt for an exponent, and as above.
std::optional<OccurredText> OccurredOfUnixTime(absl::string_view number);

// Writes times of triggers, cut to milliseconds. A time outside the years 0001 to 9999 becomes the
// nearest second within them. Remembers the last second, because most requests of a stream share
// one. Not thread-safe.
class TriggerTimes {
 public:
  OccurredText Format(absl::Time time);

 private:
  absl::Time second_ = absl::InfiniteFuture();
  OccurredText text_;  // of second_
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_OCCURRED_H_
