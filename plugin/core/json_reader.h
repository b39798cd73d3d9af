// Reads JSON (RFC 8259) by pulling: whole-document validation and raw bytes in one pass.
//
// simdjson's first stage finds the tokens and validates UTF-8 and control characters. Escapes are
// checked here, all at once, and the grammar, token by token; nothing is skipped. No tree is built
// and no number is converted, so numbers of any size keep their bytes.
#ifndef PLUGIN_CORE_JSON_READER_H_
#define PLUGIN_CORE_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace webhook::core {

// A place where the text is not what it must be.
struct JsonFault {
  size_t byte = 0;  // counted from 0, a byte order mark included
  const char* what = "";
};

enum class JsonKind : uint8_t { kObject, kArray, kString, kNumber, kTrue, kFalse, kNull };

// A validated value, as a view of its bytes: from a bracket, quote or character to the last one.
struct JsonValue {
  JsonKind kind = JsonKind::kNull;
  bool escaped = false;  // a string with a backslash
  bool empty = false;    // an object, array or string with nothing inside
  absl::string_view text;

  // The inside of a string, still escaped.
  absl::string_view inside() const { return text.substr(1, text.size() - 2); }
};

// What is falsy in Python, as callers of the Python integration know it: null, false, zero in any
// spelling, and a string, array or object with nothing inside.
bool CountsAsAbsent(const JsonValue& value);

enum class JsonNext { kItem, kEnd, kFault };

// A number, true, false or null by itself is no text here: it counts as a fault.
// Keeps its buffers from text to text. Not thread-safe. Every function that returns false or
// kFault has set fault(); then only Open may follow.
class JsonReader {
 public:
  // Readable bytes that must follow a text; what they hold does not matter.
  static constexpr size_t kPadding = 64;
  static constexpr int kMostDepth = 512;

  // Arrays and objects nested deeper than max_depth (at most kMostDepth) are a fault.
  explicit JsonReader(int max_depth);
  ~JsonReader();
  JsonReader(JsonReader&&) noexcept;
  JsonReader& operator=(JsonReader&&) noexcept;

  // Starts a text, which must live on, with its padding, while it is read. One leading byte order
  // mark is skipped (RFC 8259 section 8.1 permits it).
  bool Open(absl::string_view text);

  // Back to the start of the text that Open found no fault in.
  void Rewind();

  // The first character of the value that comes next; NUL at the end of the text.
  char Peek() const { return next_ == end_ ? '\0' : text_[*next_]; }
  // Where it stands.
  const char* position() const { return text_ + (next_ == end_ ? text_bytes_ : *next_); }
  // The end of the bracket that was read last: after kEnd, the end of that object or array.
  const char* bracket_end() const { return text_ + next_[-1] + 1; }

  // At an object: goes into it. Then NextMember until kEnd, reading each member's value whole.
  bool EnterObject() { return Enter('{', "expected an object"); }
  JsonNext NextMember(JsonValue& key);

  // At an array: goes into it. Then NextItem until kEnd, reading each item whole.
  bool EnterArray() { return Enter('[', "expected an array"); }
  JsonNext NextItem();

  // Validates the value that comes next, whatever is in it.
  bool ReadValue(JsonValue& value);
  // The same for who does not want to know what it was.
  bool SkipValue();

  // The text must end here.
  bool Finish();

  const JsonFault& fault() const { return fault_; }

  // Gives back buffers that only a text larger than 1 MiB needs.
  void ReleaseLarge();

 private:
  struct Index;

  bool Fail(const char* what) { return FailAt(position(), what); }
  bool FailAt(const char* place, const char* what);
  JsonNext FailNext(const char* what) { return Fail(what), JsonNext::kFault; }
  const char* FailNull(const char* place, const char* what) { return FailAt(place, what), nullptr; }
  bool FailIndex(int error, absl::string_view text);
  bool Enter(char bracket, const char* otherwise);
  JsonNext Leave();
  bool CheckEscapes();
  const char* EscapeEnd(const char* backslash);
  bool SkipKey();
  bool SkipContainer();
  bool SkipScalar();
  void SetString(const char* open, const char* next_token, JsonValue& value) const;

  std::unique_ptr<Index> index_;
  const char* text_ = nullptr;      // after the byte order mark
  const uint32_t* next_ = nullptr;  // offsets of tokens in text_
  const uint32_t* end_ = nullptr;
  const char* scalar_end_ = nullptr;  // of the scalar that was read last
  size_t text_bytes_ = 0;
  size_t skipped_ = 0;  // bytes of the byte order mark
  int depth_ = 0;
  int max_depth_;
  bool first_ = false;    // just inside a container
  bool escapes_ = false;  // the text has a backslash
  JsonFault fault_;
};

inline bool JsonReader::Enter(char bracket, const char* otherwise) {
  if (Peek() != bracket) return Fail(otherwise);
  if (depth_ == max_depth_) return Fail("nested deeper than the limit");
  ++depth_;
  ++next_;
  first_ = true;
  return true;
}

inline JsonNext JsonReader::Leave() {
  ++next_;
  --depth_;
  first_ = false;
  return JsonNext::kEnd;
}

inline JsonNext JsonReader::NextMember(JsonValue& key) {
  const char next = Peek();
  if (next == '}') return Leave();
  if (!first_) {
    if (next != ',') return FailNext("expected a comma or a closing brace");
    ++next_;
  }
  first_ = false;
  if (Peek() != '"') return FailNext("expected a key in quotes");
  const char* const open = text_ + *next_++;
  if (Peek() != ':') return FailNext("expected a colon");
  SetString(open, text_ + *next_, key);
  ++next_;
  return JsonNext::kItem;
}

inline JsonNext JsonReader::NextItem() {
  const char next = Peek();
  if (next == ']') return Leave();
  if (!first_) {
    if (next != ',') return FailNext("expected a comma or a closing bracket");
    ++next_;
  }
  first_ = false;
  return JsonNext::kItem;
}

// The first stage has seen the string's last quote, after which nothing but blanks is no token.
inline void JsonReader::SetString(const char* open, const char* next_token,
                                  JsonValue& value) const {
  const char* end = next_token;
  while (end[-1] != '"') --end;
  value.kind = JsonKind::kString;
  value.text = absl::string_view(open, static_cast<size_t>(end - open));
  value.empty = value.text.size() == 2;
  value.escaped = escapes_ && value.text.find('\\') != absl::string_view::npos;
}

}  // namespace webhook::core

#endif  // PLUGIN_CORE_JSON_READER_H_
