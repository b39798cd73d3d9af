#include "plugin/core/occurred.h"

#include <algorithm>

#include "absl/time/civil_time.h"
#include "plugin/base/characters.h"

namespace webhook::core {
namespace {

// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, in Unix time.
constexpr int64_t kFirstSecond = -62'135'596'800;
constexpr int64_t kLastSecond = 253'402'300'799;

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
  int Fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

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
  const int year = scanner.Number(4, 1, 9999);
  if (extended) scanner.Expect('-');
  const int month = scanner.Number(2, 1, 12);
  if (extended) scanner.Expect('-');
  const int day = scanner.Number(2, 1, 31);
  if (!scanner.ok()) return std::nullopt;
  if (absl::CivilDay(year, month, day).day() != day) return std::nullopt;  // 30 February

  int hour = 0;
  int minute = 0;
  int second = 0;
  int nanosecond = 0;
  int offset_minutes = 0;
  if (!scanner.done()) {
    if (!scanner.Accept('T') && !scanner.Accept('t')) scanner.Expect(' ');
    hour = scanner.Number(2, 0, 23);
    if (extended) scanner.Expect(':');
    minute = scanner.Number(2, 0, 59);
    if (extended ? scanner.Accept(':') : base::IsDigit(scanner.peek())) {
      second = scanner.Number(2, 0, 60);  // 60: a leap second
      if (scanner.Accept('.') || scanner.Accept(',')) nanosecond = scanner.Nanoseconds();
    }
    offset_minutes = ReadOffsetMinutes(scanner);
  }
  if (!scanner.ok() || !scanner.done()) return std::nullopt;

  const absl::CivilSecond local(year, month, day, hour, minute, second);
  const absl::CivilSecond utc = local - offset_minutes * 60;
  if (utc.year() < 1 || utc.year() > 9999) return std::nullopt;
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
