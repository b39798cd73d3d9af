#include "plugin/core/json_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>

#include "plugin/core/json_chars.h"

namespace webhook::core {
namespace {

constexpr size_t kLargeBytes = 1024 * 1024;
constexpr size_t kLeastCapacity = 16 * 1024;

static_assert(JsonReader::kPadding >= simdjson::SIMDJSON_PADDING);

JsonKind KindOfScalar(char first) {
  switch (first) {
    case 't':
      return JsonKind::kTrue;
    case 'f':
      return JsonKind::kFalse;
    case 'n':
      return JsonKind::kNull;
    default:
      return JsonKind::kNumber;
  }
}

}  // namespace

bool CountsAsAbsent(const JsonValue& value) {
  switch (value.kind) {
    case JsonKind::kNull:
    case JsonKind::kFalse:
      return true;
    case JsonKind::kTrue:
      return false;
    case JsonKind::kNumber:
      return JsonNumberIsZero(value.text);
    default:
      return value.empty;
  }
}

// simdjson's first stage and its output: the offset of every bracket, colon, comma, opening quote,
// and first character of anything else outside of strings. On-Demand stands on the same stage; its
// second half is not used, since it skips without looking and refuses numbers that we must keep.
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

JsonReader::JsonReader(int max_depth)
    : index_(std::make_unique<Index>()), max_depth_(std::clamp(max_depth, 1, kMostDepth)) {}
JsonReader::~JsonReader() = default;
JsonReader::JsonReader(JsonReader&&) noexcept = default;
JsonReader& JsonReader::operator=(JsonReader&&) noexcept = default;

bool JsonReader::Open(absl::string_view text) {
  skipped_ =
      absl::string_view(text.data(), std::min<size_t>(text.size(), 3)) == "\xEF\xBB\xBF" ? 3 : 0;
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

bool JsonReader::FailAt(const char* place, const char* what) {
  fault_.byte = skipped_ + static_cast<size_t>(place - text_);
  fault_.what = what;
  next_ = end_ = nullptr;
  return false;
}

bool JsonReader::FailIndex(int error, absl::string_view text) {
  switch (error) {
    case simdjson::EMPTY:
      return FailAt(text.data(), "there is nothing but blanks");
    case simdjson::UTF8_ERROR:
      return FailAt(text.data() + ValidUtf8Prefix(text), "not valid UTF-8");
    case simdjson::UNESCAPED_CHARS:
      return FailAt(FindStringFault(text), "a control character in a string must be escaped");
    case simdjson::UNCLOSED_STRING:
      return FailAt(FindStringFault(text), "a string that begins here is not closed");
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
  value.escaped = false;
  if (kind == '{' || kind == '[') {
    value.kind = kind == '{' ? JsonKind::kObject : JsonKind::kArray;
    value.empty = next_ == first + 2;
    value.text = absl::string_view(start, static_cast<size_t>(bracket_end() - start));
  } else {
    value.kind = KindOfScalar(kind);
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

// Not recursive: the depth of a text must not become the depth of our stack. Nearly all of a large
// text goes by here, so the place is in next_ only where another function is called.
bool JsonReader::SkipContainer() {
  std::array<char, kMostDepth + 1> closings;  // of what is open; only those from outer_depth on
  const int outer_depth = depth_;
  int depth = outer_depth;
  char closing = '\0';
  const uint32_t* next = next_;
  const auto peek = [text = text_, end = end_](const uint32_t* at) {
    return at == end ? '\0' : text[*at];
  };
  const auto fail = [this](const uint32_t* at, const char* what) { return next_ = at, Fail(what); };
  // What `skip` makes of the place, or null after a fault.
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
      if (depth == max_depth_) return fail(next, "nested deeper than the limit");
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
  return next_ == end_ || Fail("something follows the end of the JSON text");
}

// A backslash outside of strings is a part of a token that the grammar refuses, so here it may
// count for anything.
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
  switch (backslash[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      return backslash + 2;
    case 'u':
      break;
    default:
      return FailNull(backslash, "unknown escape");
  }
  const int32_t unit = FourHexDigits(backslash + 2);
  if (unit < 0) return FailNull(backslash, "\\u needs four hexadecimal digits");
  if (unit < 0xD800 || unit > 0xDFFF) return backslash + 6;
  // RFC 8259 section 8.2: a lone surrogate has no UTF-8 form, so it could not be handed on.
  if (unit < 0xDC00 && backslash[6] == '\\' && backslash[7] == 'u') {
    const int32_t low = FourHexDigits(backslash + 8);
    if (low >= 0xDC00 && low <= 0xDFFF) return backslash + 12;
  }
  return FailNull(backslash, "half of a surrogate pair");
}

bool JsonReader::SkipScalar() {
  // The last token of a valid text is a bracket. One that is not may run into the padding.
  if (next_ + 1 == end_) return Fail("the text ends too early");
  const char* const start = text_ + *next_;
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
  if (end == nullptr || !EndsScalar(*end)) return Fail("not a JSON value");
  scalar_end_ = end;
  ++next_;
  return true;
}

}  // namespace webhook::core
