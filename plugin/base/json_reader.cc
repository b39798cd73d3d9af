#include "plugin/base/json_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/characters.h"
#include "plugin/base/utf8.h"

namespace base {
namespace {

constexpr size_t kLargeBytes = 1024 * 1024;
constexpr size_t kLeastCapacity = 16 * 1024;

static_assert(JsonReader::kPadding >= simdjson::SIMDJSON_PADDING);

// What a number or a literal ends before: a blank or one of the six structural characters.
constexpr CharacterSet kEndOfScalar =
    CharacterSet::Of([](int c) { return IsOneOf(c, " \t\n\r,:[]{}"); });

// What the letter of an escape stands for, but for \u (RFC 8259 section 7).
constexpr CharacterMap kUnescaped("\"\\/bfnrt", "\"\\/\b\f\n\r\t");

// The end of the number that begins at `at`, or nullptr. A byte that cannot be part of a
// number must follow.
const char* NumberEnd(const char* at) {
  if (*at == '-') ++at;
  if (!IsDigit(*at)) return nullptr;
  if (*at++ != '0') {
    while (IsDigit(*at)) ++at;
  }
  if (*at == '.') {
    if (!IsDigit(*++at)) return nullptr;
    while (IsDigit(*at)) ++at;
  }
  if (*at == 'e' || *at == 'E') {
    ++at;
    if (*at == '+' || *at == '-') ++at;
    if (!IsDigit(*at)) return nullptr;
    while (IsDigit(*at)) ++at;
  }
  return at;
}

// The value of four hexadecimal digits, or -1.
int32_t FourHexDigits(const char* digits) {
  int32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const int32_t digit = HexDigit(digits[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

constexpr size_t kUnitBytes = 6;  // of \uXXXX

constexpr bool IsSurrogate(uint32_t unit) { return unit >= 0xD800 && unit <= 0xDFFF; }

// Of the escape of `unit` at `at`, together with that of the low half that makes a pair of it.
size_t EscapedBytes(uint32_t unit, const char* at, const char* end) {
  if (unit < 0xD800 || unit > 0xDBFF || end - at < 2 * static_cast<int64_t>(kUnitBytes) ||
      at[kUnitBytes] != '\\' || at[kUnitBytes + 1] != 'u') {
    return kUnitBytes;
  }
  const int32_t low = FourHexDigits(at + kUnitBytes + 2);
  return low >= 0xDC00 && low <= 0xDFFF ? 2 * kUnitBytes : kUnitBytes;
}

// The end of the number or literal at `start`, or nullptr. A byte that cannot be part of it must
// follow.
const char* ScalarEnd(const char* start) {
  const char* end = nullptr;
  switch (*start) {
    case 't':
      if (std::memcmp(start, "true", 4) == 0) end = start + 4;
      break;
    case 'f':
      if (std::memcmp(start, "false", 5) == 0) end = start + 5;
      break;
    case 'n':
      if (std::memcmp(start, "null", 4) == 0) end = start + 4;
      break;
    default:
      end = NumberEnd(start);
      break;
  }
  // `1"a"` and `truex` are one token to the first stage.
  return end != nullptr && kEndOfScalar.Has(*end) ? end : nullptr;
}

// True for a valid number that is zero in any spelling: 0, -0, 0.0, 0e5.
bool IsZero(absl::string_view number) {
  for (const char c : number) {
    if (c == 'e' || c == 'E') break;
    if (c >= '1' && c <= '9') return false;
  }
  return true;
}

// The end of the number or literal that is a text by itself, or nullptr. What follows the text may
// be anything, and must not complete it.
const char* LoneScalarEnd(absl::string_view text) {
  const std::string copy = absl::StrCat(text, "    ");
  const char* const end = ScalarEnd(copy.c_str());
  return end == nullptr ? nullptr : text.data() + (end - copy.c_str());
}

// The place of a control character in a string, or else of the last string's beginning. Slow; only
// for messages.
const char* FindStringFault(absl::string_view text) {
  const char* open = nullptr;
  const char* last_open = text.data();
  bool escaped = false;
  for (const char& c : text) {
    if (open != nullptr && static_cast<unsigned char>(c) < 0x20) return &c;
    const bool counts = !escaped;
    escaped = counts && c == '\\';
    if (counts && c == '"') {
      open = open == nullptr ? &c : nullptr;
      if (open != nullptr) last_open = open;
    }
  }
  return last_open;
}

}  // namespace

size_t JsonUnescape(absl::string_view escaped, char* out, LoneSurrogate lone) {
  char* const start = out;
  const char* at = escaped.data();
  const char* const end = at + escaped.size();
  while (at != end) {
    if (*at != '\\') {
      *out++ = *at++;
      continue;
    }
    if (at[1] != 'u') {
      *out++ = kUnescaped[at[1]];
      at += 2;
      continue;
    }
    const uint32_t unit = static_cast<uint32_t>(FourHexDigits(at + 2));
    const size_t size = EscapedBytes(unit, at, end);
    if (size == 2 * kUnitBytes) {
      const auto low = static_cast<uint32_t>(FourHexDigits(at + kUnitBytes + 2));
      out = WriteUtf8(0x10000 + ((unit - 0xD800) << 10) + low - 0xDC00, out);
    } else if (!IsSurrogate(unit)) {
      out = WriteUtf8(unit, out);
    } else if (lone == LoneSurrogate::kReplace) {
      out = WriteUtf8(0xFFFD, out);
    } else {
      out = std::copy_n(at, kUnitBytes, out);
    }
    at += size;
  }
  return static_cast<size_t>(out - start);
}

std::string LineAndColumn(absl::string_view text, size_t byte) {
  const absl::string_view before = text.substr(0, byte);
  const size_t line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n') + 1;  // 0 where there is no line break
  return absl::StrCat("line ", line, ", column ", before.size() - start + 1);
}

std::string TextOfString(const JsonValue& string) {
  std::string text(string.inside());
  if (string.escaped) text.resize(JsonUnescape(string.inside(), text.data()));
  return text;
}

bool CountsAsAbsent(const JsonValue& value) {
  if (value.kind == JsonKind::kNull || value.kind == JsonKind::kFalse) return true;
  if (value.kind == JsonKind::kNumber) return IsZero(value.text);
  return value.kind != JsonKind::kTrue && value.empty;
}

// simdjson's first stage and its output: the offset of every bracket, colon, comma, opening quote,
// and first character of anything else outside of strings. simdjson's On-Demand parser uses the
// same stage. Its second half is not used here, because it skips values without checking them and
// refuses numbers that must be kept.
struct JsonReader::Index {
  Index() {
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(kLeastCapacity, 1,
                                                                                stage) != 0) {
      throw std::bad_alloc();
    }
  }

  void SetCapacity(size_t bytes) {
    if (stage->set_capacity(bytes) != simdjson::SUCCESS) throw std::bad_alloc();
  }

  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage;
};

JsonReader::JsonReader(int max_depth, bool lone_surrogates)
    : index_(std::make_unique<Index>()),
      max_depth_(std::clamp(max_depth, 1, kMostDepth)),
      lone_surrogates_(lone_surrogates) {}
JsonReader::~JsonReader() = default;
JsonReader::JsonReader(JsonReader&&) noexcept = default;
JsonReader& JsonReader::operator=(JsonReader&&) noexcept = default;

bool JsonReader::Open(absl::string_view text) {
  skipped_ = absl::StartsWith(text, kByteOrderMark) ? kByteOrderMark.size() : 0;
  text.remove_prefix(skipped_);
  text_ = text.data();
  text_bytes_ = text.size();
  depth_ = 0;
  next_ = end_ = nullptr;
  auto& stage = *index_->stage;
  if (stage.capacity() < text.size())
    index_->SetCapacity(std::max(text.size(), 2 * stage.capacity()));
  const simdjson::error_code error = stage.stage1(reinterpret_cast<const uint8_t*>(text_),
                                                  text_bytes_, simdjson::stage1_mode::regular);
  if (error != simdjson::SUCCESS) return FailIndex(error, text);
  if (!CheckEscapes()) return false;
  Rewind();
  return true;
}

size_t JsonReader::LargeIndexBytes(absl::string_view text) {
  if (text.size() <= kLargeBytes) return 0;
  // Between two of these characters there is one token at most. Counted in blocks, so that the
  // counter is an octet and the loop is made of vector instructions.
  constexpr size_t kBlock = 255;
  size_t count = 0;
  for (size_t begin = 0; begin < text.size(); begin += kBlock) {
    uint8_t in_block = 0;
    for (const char c : text.substr(begin, kBlock)) {
      const char folded = static_cast<char>(c | 0x20);  // [ and { differ by this bit, as do ] and }
      in_block += (folded == '{') | (folded == '}') | (c == ',') | (c == ':');
    }
    count += in_block;
  }
  return sizeof(uint32_t) * std::min(text.size(), 2 * count + 1);
}

bool JsonReader::OpenCopy(absl::string_view text) {
  copy_.assign(text.data(), text.size());
  copy_.append(kPadding, ' ');
  return Open({copy_.data(), text.size()});
}

void JsonReader::Rewind() {
  next_ = index_->stage->structural_indexes.get();
  end_ = next_ + index_->stage->n_structural_indexes;
  depth_ = 0;
}

void JsonReader::ReleaseLarge() {
  if (index_->stage->capacity() <= kLargeBytes) return;
  index_->SetCapacity(kLeastCapacity);
  next_ = end_ = nullptr;
}

bool JsonReader::FailAt(const char* place, const char* what, FaultKind kind) {
  fault_.byte = skipped_ + static_cast<size_t>(place - text_);
  fault_.what = what;
  fault_.kind = place == text_ + text_bytes_ ? FaultKind::kEndsTooEarly : kind;
  next_ = end_ = nullptr;
  return false;
}

bool JsonReader::FailIndex(int error, absl::string_view text) {
  switch (error) {
    case simdjson::EMPTY:
      return FailAt(text.data(), "there is nothing but blanks", FaultKind::kEndsTooEarly);
    case simdjson::UTF8_ERROR:
      return FailAt(text.data() + ValidUtf8Prefix(text), "not valid UTF-8");
    case simdjson::UNESCAPED_CHARS:
      return FailAt(FindStringFault(text), "a control character in a string must be escaped");
    case simdjson::UNCLOSED_STRING:
      return FailAt(FindStringFault(text), "a string that begins here is not closed",
                    FaultKind::kEndsTooEarly);
    default:
      return FailAt(text.data(), "not a JSON text");
  }
}

bool JsonReader::ReadValue(JsonValue& value) {
  const uint32_t* const first = next_;
  const char* const start = position();
  const char kind = Peek();
  if (kind == '"') {
    ++next_;
    SetString(start, position(), value);
    return true;
  }
  if (!SkipValue()) return false;
  value.kind = KindOf(kind);
  value.escaped = false;
  if (kind == '{' || kind == '[') {
    value.empty = next_ == first + 2;
    value.text = absl::string_view(start, static_cast<size_t>(bracket_end() - start));
  } else {
    value.empty = false;
    value.text = absl::string_view(start, static_cast<size_t>(scalar_end_ - start));
  }
  return true;
}

bool JsonReader::SkipValue() {
  if (next_ == end_) return Fail("the text ends where a value must be");
  switch (text_[*next_]) {
    case '"':
      ++next_;
      return true;
    case '{':
    case '[':
      return SkipContainer();
    default:
      return SkipScalar();
  }
}

bool JsonReader::SkipKey() {
  if (Peek() != '"') return Fail("expected a key in quotes");
  ++next_;
  if (Peek() != ':') return Fail("expected a colon");
  ++next_;
  return true;
}

// Not recursive, so that the depth of a text does not become the depth of our stack. Nearly all of
// a large text is read here, so the place is kept in a local variable and stored in next_ only for
// calls.
bool JsonReader::SkipContainer() {
  std::array<char, kMostDepth + 1> closings;  // of what is open; only those from outer_depth on
  const int outer_depth = depth_;
  int depth = outer_depth;
  char closing = '\0';
  const uint32_t* next = next_;
  const auto peek = [text = text_, end = end_](const uint32_t* at) {
    return at == end ? '\0' : text[*at];
  };
  const auto fail = [this](const uint32_t* at, const char* what,
                           FaultKind kind = FaultKind::kUnexpected) {
    return next_ = at, Fail(what, kind);
  };
  // The place after `skip`, or null after a fault.
  const auto after = [this](bool (JsonReader::*skip)(), const uint32_t* at) {
    next_ = at;
    return (this->*skip)() ? next_ : nullptr;
  };
  const auto after_key = [after, text = text_, end = end_](const uint32_t* at) {
    const bool good = end - at >= 2 && text[at[0]] == '"' && text[at[1]] == ':';
    return good ? at + 2 : after(&JsonReader::SkipKey, at);
  };
  for (;;) {  // a value comes next
    const char first = peek(next);
    if (first == '"') {
      ++next;
    } else if (first == '{' || first == '[') {
      if (depth == max_depth_)
        return fail(next, "nested deeper than the limit", FaultKind::kTooDeep);
      closings[depth++] = closing;
      closing = first == '{' ? '}' : ']';
      ++next;
      if (peek(next) != closing) {
        if (closing == '}' && (next = after_key(next)) == nullptr) return false;
        continue;
      }
    } else if (next == end_) {
      return fail(next, "the text ends where a value must be");
    } else if ((next = after(&JsonReader::SkipScalar, next)) == nullptr) {
      return false;
    }
    while (peek(next) != ',') {
      if (peek(next) != closing) {
        return fail(next, closing == '}' ? "expected a comma or a closing brace"
                                         : "expected a comma or a closing bracket");
      }
      ++next;
      closing = closings[--depth];
      if (depth == outer_depth) return next_ = next, true;
    }
    ++next;
    if (closing == '}' && (next = after_key(next)) == nullptr) return false;
  }
}

bool JsonReader::Finish() {
  return next_ == end_ || Fail("something follows the end of the JSON text", FaultKind::kTrailing);
}

// A backslash outside of a string is part of a token that the grammar refuses anyway, so it need
// not be told apart here.
bool JsonReader::CheckEscapes() {
  const char* const end = text_ + text_bytes_;
  const char* at = text_;
  escapes_ = false;
  while (at < end) {
    at = static_cast<const char*>(std::memchr(at, '\\', static_cast<size_t>(end - at)));
    if (at == nullptr) return true;
    escapes_ = true;
    at = EscapeEnd(at);
    if (at == nullptr) return false;
  }
  return true;
}

const char* JsonReader::EscapeEnd(const char* backslash) {
  if (kUnescaped[backslash[1]] != '\0') return backslash + 2;
  if (backslash[1] != 'u') return FailNull(backslash, "unknown escape");
  const int32_t unit = FourHexDigits(backslash + 2);
  if (unit < 0) return FailNull(backslash, "\\u needs four hexadecimal digits");
  const auto value = static_cast<uint32_t>(unit);
  if (!IsSurrogate(value)) return backslash + kUnitBytes;
  const size_t size = EscapedBytes(value, backslash, text_ + text_bytes_);
  if (size > kUnitBytes || lone_surrogates_) return backslash + size;
  return FailNull(backslash, "half of a surrogate pair");
}

bool JsonReader::SkipScalar() {
  const char* end = nullptr;
  if (next_ + 1 != end_) {
    end = ScalarEnd(text_ + *next_);
  } else if (next_ == index_->stage->structural_indexes.get()) {
    end = LoneScalarEnd({position(), static_cast<size_t>(text_ + text_bytes_ - position())});
  } else {
    // The last token of a longer text must be a bracket; any other may run into the padding.
    return Fail("the text ends too early", FaultKind::kEndsTooEarly);
  }
  if (end == nullptr) return Fail("not a JSON value");
  scalar_end_ = end;
  ++next_;
  return true;
}

}  // namespace base
