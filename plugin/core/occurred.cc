#include "plugin/core/occurred.h"

#include <algorithm>

#include "absl/time/civil_time.h"

namespace webhook::core {
namespace {

constexpr int64_t kFirstSecond = -62'135'596'800;  // 0001-01-01T00:00:00Z
constexpr int64_t kLastSecond = 253'402'300'799;   // 9999-12-31T23:59:59Z

// Reads a fixed form from left to right. After a failure every further step fails, too.
class Scanner {
 public:
  explicit Scanner(absl::string_view rest) : rest_(rest) {}

  bool ok() const { return ok_; }
  bool done() const { return rest_.empty(); }
  char peek(size_t offset = 0) const { return offset < rest_.size() ? rest_[offset] : '\0'; }

  bool Accept(char c) {
    if (peek() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void Expect(char c) { ok_ = Accept(c) && ok_; }

  int Number(int digits, int least, int most) {
    int number = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = peek();
      if (c < '0' || c > '9') return Fail();
      number = number * 10 + (c - '0');
      rest_.remove_prefix(1);
    }
    return number < least || number > most ? Fail() : number;
  }

  // Reads one digit or more; those after the ninth are dropped.
  int Nanoseconds() {
    int nanoseconds = 0;
    int unit = 100'000'000;
    if (peek() < '0' || peek() > '9') return Fail();
    for (; peek() >= '0' && peek() <= '9'; rest_.remove_prefix(1), unit /= 10) {
      nanoseconds += (peek() - '0') * unit;
    }
    return nanoseconds;
  }

 private:
  int Fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

  absl::string_view rest_;
  bool ok_ = true;
};

struct Clock {
  int hour = 0;
  int minute = 0;
  int second = 0;
  int nanosecond = 0;
};

Clock ReadClock(Scanner& scanner, bool extended) {
  Clock clock;
  clock.hour = scanner.Number(2, 0, 23);
  if (extended) scanner.Expect(':');
  clock.minute = scanner.Number(2, 0, 59);
  if (extended ? !scanner.Accept(':') : (scanner.peek() < '0' || scanner.peek() > '9'))
    return clock;
  clock.second = scanner.Number(2, 0, 60);  // 60: a leap second
  if (scanner.Accept('.') || scanner.Accept(',')) clock.nanosecond = scanner.Nanoseconds();
  return clock;
}

int ReadOffsetMinutes(Scanner& scanner) {
  if (scanner.done() || scanner.Accept('Z') || scanner.Accept('z')) return 0;
  const int sign = scanner.peek() == '-' ? -1 : 1;
  if (!scanner.Accept('-')) scanner.Expect('+');
  const int hours = scanner.Number(2, 0, 23);
  if (scanner.done()) return sign * hours * 60;
  scanner.Accept(':');
  return sign * (hours * 60 + scanner.Number(2, 0, 59));
}

}  // namespace

void OccurredText::AppendNumber(int64_t number, int digits) {
  for (int i = digits - 1; i >= 0; --i, number /= 10) {
    bytes_[size_ + static_cast<size_t>(i)] = static_cast<char>('0' + number % 10);
  }
  size_ += static_cast<size_t>(digits);
}

void OccurredText::AppendFraction(int fraction, int digits) {
  if (fraction != 0) {
    Append('.');
    AppendNumber(fraction, digits);
    while (bytes_[size_ - 1] == '0') --size_;
  }
  Append('Z');
}

OccurredText OccurredText::Of(absl::CivilSecond second, int nanosecond) {
  OccurredText text;
  text.AppendNumber(second.year(), 4);
  text.Append('-');
  text.AppendNumber(second.month(), 2);
  text.Append('-');
  text.AppendNumber(second.day(), 2);
  text.Append('T');
  text.AppendNumber(second.hour(), 2);
  text.Append(':');
  text.AppendNumber(second.minute(), 2);
  text.Append(':');
  text.AppendNumber(second.second(), 2);
  text.AppendFraction(nanosecond, 9);
  return text;
}

std::optional<OccurredText> NormalizeOccurred(absl::string_view text) {
  Scanner scanner(text);
  const bool extended = scanner.peek(4) == '-';
  const int year = scanner.Number(4, 1, 9999);
  if (extended) scanner.Expect('-');
  const int month = scanner.Number(2, 1, 12);
  if (extended) scanner.Expect('-');
  const int day = scanner.Number(2, 1, 31);
  if (!scanner.ok()) return std::nullopt;
  const absl::CivilDay date(year, month, day);
  if (date.day() != day) return std::nullopt;  // 30 February became 1 March

  Clock clock;
  int offset_minutes = 0;
  if (!scanner.done()) {
    if (!scanner.Accept('T') && !scanner.Accept('t')) scanner.Expect(' ');
    clock = ReadClock(scanner, extended);
    offset_minutes = ReadOffsetMinutes(scanner);
  }
  if (!scanner.ok() || !scanner.done()) return std::nullopt;

  const absl::CivilSecond local(year, month, day, clock.hour, clock.minute, clock.second);
  const absl::CivilSecond utc = local - offset_minutes * 60;
  if (utc.year() < 1 || utc.year() > 9999) return std::nullopt;
  return OccurredText::Of(utc, clock.nanosecond);
}

OccurredText FormatTrigger(absl::Time time) {
  const absl::TimeZone utc = absl::UTCTimeZone();
  time = std::clamp(time, absl::FromUnixSeconds(kFirstSecond), absl::FromUnixSeconds(kLastSecond));
  const absl::TimeZone::CivilInfo info = utc.At(time);
  const int64_t milliseconds = absl::ToInt64Milliseconds(info.subsecond);
  return OccurredText::Of(info.cs, static_cast<int>(milliseconds) * 1'000'000);
}

OccurredText TriggerTimes::Format(absl::Time time) {
  const absl::Duration since = time - second_;
  if (since < absl::ZeroDuration() || since >= absl::Seconds(1)) {
    // A time outside the range may not be in the remembered second.
    if (time < absl::FromUnixSeconds(kFirstSecond) || time > absl::FromUnixSeconds(kLastSecond)) {
      return FormatTrigger(time);
    }
    second_ = absl::FromUnixSeconds(absl::ToUnixSeconds(time));
    text_ = FormatTrigger(second_);
    --text_.size_;
    return Format(time);
  }
  OccurredText text = text_;
  text.AppendFraction(static_cast<int>(absl::ToInt64Milliseconds(since)), 3);
  return text;
}

}  // namespace webhook::core
