#include "host_stub/config/json_fault.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

constexpr int kDeepest = 64;

// A recognizer of RFC 8259: each function consumes what it is named after, or says at `position_`
// what it expected and returns false.
class Recognizer {
 public:
  explicit Recognizer(absl::string_view text) : text_(text) {}

  std::string Fault() {
    if (Value(0) && AtEnd()) return "";
    const absl::string_view before = text_.substr(0, position_);
    const size_t line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t last_break = before.rfind('\n');
    const size_t start = last_break == absl::string_view::npos ? 0 : last_break + 1;
    return absl::StrCat("line ", line, ", column ", position_ - start + 1, ": ", expected_);
  }

 private:
  bool Expected(absl::string_view what) {
    expected_ = absl::StrCat("expected ", what);
    return false;
  }

  bool Done() const { return position_ >= text_.size(); }

  void SkipBlanks() {
    while (!Done() && absl::StrContains(" \t\r\n", text_[position_])) ++position_;
  }

  bool Take(char c) {
    SkipBlanks();
    if (Done() || text_[position_] != c) return false;
    ++position_;
    return true;
  }

  bool AtEnd() {
    SkipBlanks();
    return Done() || Expected("nothing more after the value");
  }

  bool Word(absl::string_view word) {
    if (!absl::StartsWith(text_.substr(position_), word)) return Expected("a JSON value");
    position_ += word.size();
    return true;
  }

  bool Value(int depth) {
    SkipBlanks();
    if (Done()) return Expected("a JSON value, and the text ends here");
    if (depth > kDeepest) return Expected(absl::StrCat("at most ", kDeepest, " levels"));
    switch (text_[position_]) {
      case '{':
        return Object(depth);
      case '[':
        return Array(depth);
      case '"':
        return String();
      case 't':
        return Word("true");
      case 'f':
        return Word("false");
      case 'n':
        return Word("null");
      default:
        return Number();
    }
  }

  bool Object(int depth) {
    ++position_;
    if (Take('}')) return true;
    do {
      SkipBlanks();
      if (Done() || text_[position_] != '"') return Expected("a name in double quotes");
      if (!String()) return false;
      if (!Take(':')) return Expected("':'");
      if (!Value(depth + 1)) return false;
    } while (Take(','));
    return Take('}') || Expected("',' or '}'");
  }

  bool Array(int depth) {
    ++position_;
    if (Take(']')) return true;
    do {
      if (!Value(depth + 1)) return false;
    } while (Take(','));
    return Take(']') || Expected("',' or ']'");
  }

  bool String() {
    const size_t start = position_++;
    while (!Done() && text_[position_] != '"') {
      if (static_cast<unsigned char>(text_[position_]) < 0x20) {
        return Expected("'\"', or an escape such as \\n");
      }
      if (text_[position_] == '\\' && !Escape()) return false;
      ++position_;
    }
    if (!Done()) {
      ++position_;
      return true;
    }
    position_ = start;
    return Expected("'\"' at the end of this text");
  }

  // Leaves the position at the escape's last character.
  bool Escape() {
    ++position_;
    if (Done() || !absl::StrContains("\"\\/bfnrtu", text_[position_])) {
      return Expected("one of \"\\/bfnrtu after a backslash");
    }
    if (text_[position_] != 'u') return true;
    for (int digit = 0; digit < 4; ++digit) {
      ++position_;
      if (Done() || !absl::ascii_isxdigit(static_cast<unsigned char>(text_[position_]))) {
        return Expected("four hexadecimal digits after \\u");
      }
    }
    return true;
  }

  bool Digits() {
    const size_t start = position_;
    while (!Done() && absl::ascii_isdigit(static_cast<unsigned char>(text_[position_]))) {
      ++position_;
    }
    return position_ > start;
  }

  bool Number() {
    const size_t start = position_;
    if (text_[position_] == '-') ++position_;
    if (!Done() && text_[position_] == '0') {
      ++position_;
    } else if (!Digits()) {
      position_ = start;
      return Expected("a JSON value");
    }
    if (!Done() && text_[position_] == '.') {
      ++position_;
      if (!Digits()) return Expected("a digit");
    }
    if (!Done() && absl::StrContains("eE", text_[position_])) {
      ++position_;
      if (!Done() && absl::StrContains("+-", text_[position_])) ++position_;
      if (!Digits()) return Expected("a digit");
    }
    return true;
  }

  absl::string_view text_;
  size_t position_ = 0;
  std::string expected_;
};

}  // namespace

std::string FindJsonFault(absl::string_view text) { return Recognizer(text).Fault(); }

}  // namespace host_stub
