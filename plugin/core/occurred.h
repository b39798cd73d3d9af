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
// the basic (20240501T100000Z) form. Between date and time is T, t or one blank. Seconds, fraction
// and zone may be missing; without a zone the time is UTC. A zone is Z, z, or hh:mm, hhmm or hh
// after a sign. A leap second counts as the second after it. nullopt for anything else, such as 30
// February, 25:00 or a year outside 0001 to 9999.
std::optional<OccurredText> NormalizeOccurred(absl::string_view text);

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
