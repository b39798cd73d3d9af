#include "plugin/core/occurred.h"

#include <algorithm>

#include "absl/time/civil_time.h"
#include "plugin/base/characters.h"

namespace webhook::core {
namespace {

// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, in Unix time.
constexpr int64_t kFirstSecond = -62'135'596'800;
constexpr int64_t kLastSecond = 253'402'300'799;
constexpr int64_t kFirstYear = 2;  // that is taken from senders

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
      if (!base::IsDigit(peek())) return Fail();
      number = number * 10 + (peek() - '0');
      rest_.remove_prefix(1);
    }
    return number < least || number > most ? Fail() : number;
  }

  int Fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

  // Reads one digit or more; those after the ninth are dropped.
  int Nanoseconds() {
    int nanoseconds = 0;
    int unit = 100'000'000;
    if (!base::IsDigit(peek())) return Fail();
    for (; base::IsDigit(peek()); rest_.remove_prefix(1), unit /= 10) {
      nanoseconds += (peek() - '0') * unit;
    }
    return nanoseconds;
  }

 private:
  absl::string_view rest_;
  bool ok_ = true;
};

int ReadOffsetMinutes(Scanner& scanner) {
  if (scanner.done() || scanner.Accept('Z') || scanner.Accept('z')) return 0;
  const int sign = scanner.peek() == '-' ? -1 : 1;
  if (!scanner.Accept('-')) scanner.Expect('+');
  const int hours = scanner.Number(2, 0, 23);
  if (scanner.done()) return sign * hours * 60;
  scanner.Accept(':');
  return sign * (hours * 60 + scanner.Number(2, 0, 59));
}

// A date of a calendar, of a week or of a year. Fails where there is none such.
absl::CivilDay ReadDate(Scanner& scanner, bool extended) {
  const int year = scanner.Number(4, 1, 9999);
  if (extended) scanner.Expect('-');
  if (scanner.Accept('W')) {
    const int week = scanner.Number(2, 1, 53);
    if (extended) scanner.Expect('-');
    const int day = scanner.Number(1, 1, 7);
    // ISO-8601: the first week of a year has its first Thursday.
    const absl::CivilDay first =
        absl::PrevWeekday(absl::CivilDay(year, 1, 5), absl::Weekday::monday);
    const absl::CivilDay monday = first + 7 * (week - 1);
    if ((monday + 3).year() != year) scanner.Fail();  // a week 53 that is not there
    return monday + (day - 1);
  }
  const bool is_of_year = base::IsDigit(scanner.peek(2)) && !base::IsDigit(scanner.peek(3));
  if (is_of_year) {
    const absl::CivilDay day = absl::CivilDay(year, 1, 1) + (scanner.Number(3, 1, 366) - 1);
    if (day.year() != year) scanner.Fail();
    return day;
  }
  const int month = scanner.Number(2, 1, 12);
  if (extended) scanner.Expect('-');
  const int day = scanner.Number(2, 1, 31);
  const absl::CivilDay date(year, month, day);
  if (date.day() != day) scanner.Fail();  // 30 February
  return date;
}

bool IsInSecond(absl::Duration since) {
  return since >= absl::ZeroDuration() && since < absl::Seconds(1);
}

}  // namespace

OccurredText::OccurredText(absl::CivilSecond second) {
  Append(second.year(), 4, '-');
  Append(second.month(), 2, '-');
  Append(second.day(), 2, 'T');
  Append(second.hour(), 2, ':');
  Append(second.minute(), 2, ':');
  Append(second.second(), 2, 'Z');
}

void OccurredText::Append(int64_t number, int digits, char then) {
  for (int i = digits - 1; i >= 0; --i, number /= 10) {
    bytes_[size_ + static_cast<size_t>(i)] = static_cast<char>('0' + number % 10);
  }
  size_ += static_cast<size_t>(digits);
  bytes_[size_++] = then;
}

void OccurredText::AddFraction(int64_t fraction, int digits) {
  if (fraction == 0) return;
  for (; fraction % 10 == 0; fraction /= 10) --digits;
  bytes_[size_ - 1] = '.';
  Append(fraction, digits, 'Z');
}

std::optional<OccurredText> NormalizeOccurred(absl::string_view text) {
  Scanner scanner(text);
  const bool extended = scanner.peek(4) == '-';
  const absl::CivilDay date = ReadDate(scanner, extended);
  int hour = 0;
  int minute = 0;
  int second = 0;
  int nanosecond = 0;
  int offset_minutes = 0;
  if (scanner.ok() && !scanner.done()) {
    if (!scanner.Accept('T') && !scanner.Accept('t')) scanner.Expect(' ');
    hour = scanner.Number(2, 0, 24);
    if (extended ? scanner.Accept(':') : base::IsDigit(scanner.peek())) {
      minute = scanner.Number(2, 0, 59);
      if (extended ? scanner.Accept(':') : base::IsDigit(scanner.peek())) {
        second = scanner.Number(2, 0, 60);  // 60: a leap second
        if (scanner.Accept('.') || scanner.Accept(',')) nanosecond = scanner.Nanoseconds();
      }
    }
    if (hour == 24 && (minute != 0 || second != 0 || nanosecond != 0)) return std::nullopt;
    offset_minutes = ReadOffsetMinutes(scanner);
  }
  if (!scanner.ok() || !scanner.done()) return std::nullopt;

  const absl::CivilSecond local = absl::CivilSecond(date) + hour * 3'600 + minute * 60 + second;
  const absl::CivilSecond utc = local - offset_minutes * 60;
  if (utc.year() < kFirstYear || utc.year() > 9999) return std::nullopt;
  OccurredText occurred(utc);
  occurred.AddFraction(nanosecond, 9);
  return occurred;
}

std::optional<OccurredText> OccurredOfUnixTime(absl::string_view number) {
  constexpr int64_t kFirstOfMilliseconds = 100'000'000'000;
  Scanner scanner(number.substr(0, number.find('.')));
  const bool negative = scanner.Accept('-');
  int64_t whole = 0;
  for (; base::IsDigit(scanner.peek()) && whole < kLastSecond * 1'000;
       scanner.Accept(scanner.peek())) {
    whole = whole * 10 + (scanner.peek() - '0');
  }
  int64_t nanosecond = 0;
  if (!scanner.done()) return std::nullopt;
  if (number.find('.') != absl::string_view::npos) {
    Scanner fraction(number.substr(number.find('.') + 1));
    nanosecond = fraction.Nanoseconds();
    if (!fraction.done() || !fraction.ok()) return std::nullopt;
  }
  if (whole >= kFirstOfMilliseconds) {
    nanosecond = whole % 1'000 * 1'000'000;
    whole /= 1'000;
  }
  if (negative) {
    whole = -whole - (nanosecond != 0);
    nanosecond = nanosecond == 0 ? 0 : 1'000'000'000 - nanosecond;
  }
  if (whole > kLastSecond) return std::nullopt;
  const absl::CivilSecond utc = absl::CivilSecond(1970) + whole;
  if (utc.year() < kFirstYear) return std::nullopt;
  OccurredText occurred(utc);
  occurred.AddFraction(nanosecond, 9);
  return occurred;
}

OccurredText TriggerTimes::Format(absl::Time time) {
  absl::Duration since = time - second_;
  if (!IsInSecond(since)) {
    second_ =
        absl::FromUnixSeconds(std::clamp(absl::ToUnixSeconds(time), kFirstSecond, kLastSecond));
    text_ = OccurredText(absl::CivilSecond() + absl::ToUnixSeconds(second_));
    since = time - second_;
    if (!IsInSecond(since)) since = absl::ZeroDuration();
  }
  OccurredText text = text_;
  text.AddFraction(absl::ToInt64Milliseconds(since), 3);
  return text;
}

}  // namespace webhook::core
