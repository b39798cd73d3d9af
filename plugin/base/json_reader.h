// Reads JSON (RFC 8259) by pulling: whole-document validation and raw bytes in one pass.
//
// simdjson's first stage finds the tokens and validates UTF-8 and control characters. Escapes are
// checked here, all at once, and the grammar, token by token; nothing is skipped. No tree is built
// and no number is converted, so numbers of any size keep their bytes.
#ifndef PLUGIN_BASE_JSON_READER_H_
#define PLUGIN_BASE_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "plugin/base/characters.h"

namespace base {

// Why and where a text is not JSON.
struct JsonFault {
  enum class Kind : uint8_t { kUnexpected, kEndsTooEarly, kTrailing, kTooDeep };

  size_t byte = 0;  // counted from 0, a byte order mark included
  const char* what = "";
  Kind kind = Kind::kUnexpected;
};

// "line 3, column 1" of a byte of a text. Both count from 1, columns in bytes.
std::string LineAndColumn(absl::string_view text, size_t byte);

// By the character that a value begins with; numbers begin with others, too.
enum class JsonKind : char {
  kObject = '{',
  kArray = '[',
  kString = '"',
  kNumber = '0',
  kTrue = 't',
  kFalse = 'f',
  kNull = 'n'
};

// The kind of the valid value that begins with that character.
constexpr JsonKind KindOf(char first) {
  return first == '-' || IsDigit(first) ? JsonKind::kNumber : static_cast<JsonKind>(first);
}

// A validated value, as a view of its bytes: from a bracket, quote or character to the last one.
struct JsonValue {
  JsonKind kind = JsonKind::kNull;
  bool escaped = false;  // a string with a backslash
  bool empty = false;    // an object, array or string with nothing inside
  absl::string_view text;

  // The inside of a string, still escaped.
  absl::string_view inside() const { return text.substr(1, text.size() - 2); }
};

// What becomes of an escaped half of a surrogate pair, which has no UTF-8 form.
enum class LoneSurrogate { kReplace, kKeepEscape };  // U+FFFD; its six characters

// Writes the characters that the inside of a validated string stands for (RFC 8259 section 7);
// `out` has room for escaped.size() bytes. Returns how many were written.
size_t JsonUnescape(absl::string_view escaped, char* out,
                    LoneSurrogate lone = LoneSurrogate::kReplace);

// The text that a validated string stands for.
std::string TextOfString(const JsonValue& string);

// Whether the value is falsy in Python: null, false, zero in any spelling, or an empty string,
// array or object.
bool CountsAsAbsent(const JsonValue& value);

enum class JsonNext { kItem, kEnd, kFault };

// Keeps its buffers from text to text. Not thread-safe. Every function that returns false or
// kFault has set fault(); then only Open may follow.
class JsonReader {
 public:
  // Readable bytes that must follow a text; what they hold does not matter.
  static constexpr size_t kPadding = 64;
  static constexpr int kMostDepth = 512;

  // Arrays and objects nested deeper than max_depth (at most kMostDepth) are a fault. So is an
  // escaped half of a surrogate pair, unless `lone_surrogates`: RFC 8259 permits it (section 8.2),
  // and JavaScript writes it where it cuts a text.
  explicit JsonReader(int max_depth, bool lone_surrogates = false);
  ~JsonReader();
  JsonReader(JsonReader&&) noexcept;
  JsonReader& operator=(JsonReader&&) noexcept;

  // Starts a text, which must stay valid, with its padding, while it is read. One leading byte
  // order mark is skipped (RFC 8259 section 8.1 permits that).
  bool Open(absl::string_view text);

  // The same for a text without padding, of which the reader keeps a copy.
  bool OpenCopy(absl::string_view text);

  // What Open takes of memory, at most, for a text that is so large that the memory is freed after
  // it; 0 for any other.
  static size_t LargeIndexBytes(absl::string_view text);

  // Goes back to the start of the text, which Open must have accepted.
  void Rewind();

  // Where a value begins that comes next, or came. Only for the text that is open.
  class Place {
    friend class JsonReader;
    const uint32_t* next_ = nullptr;
    int depth_ = 0;
  };
  Place place() const {
    Place place;
    place.next_ = next_;
    place.depth_ = depth_;
    return place;
  }
  // Makes that value the one that comes next.
  void Return(Place place) {
    next_ = place.next_;
    depth_ = place.depth_;
  }

  // The first character of the value that comes next; NUL at the end of the text.
  char Peek() const { return next_ == end_ ? '\0' : text_[*next_]; }
  // The place of that value in the text.
  const char* position() const { return text_ + (next_ == end_ ? text_bytes_ : *next_); }
  // The end of the bracket that was read last: after kEnd, the end of that object or array.
  const char* bracket_end() const { return text_ + next_[-1] + 1; }

  // Enters an object. Then call NextMember until kEnd, and read each member's value whole.
  bool EnterObject() { return Enter('{', "expected an object"); }
  JsonNext NextMember(JsonValue& key) {
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

  // Enters an array. Then call NextItem until kEnd, and read each item whole.
  bool EnterArray() { return Enter('[', "expected an array"); }
  JsonNext NextItem() {
    const char next = Peek();
    if (next == ']') return Leave();
    if (!first_) {
      if (next != ',') return FailNext("expected a comma or a closing bracket");
      ++next_;
    }
    first_ = false;
    return JsonNext::kItem;
  }

  // Reads an object. Calls read(key) for each member: it reads the member's value whole. False
  // after a fault, or where read returned false.
  template <typename Read>
  bool EachMember(const Read& read) {
    JsonValue key;
    JsonNext next = EnterObject() ? NextMember(key) : JsonNext::kFault;
    for (; next == JsonNext::kItem; next = NextMember(key)) {
      if (!read(key)) return false;
    }
    return next == JsonNext::kEnd;
  }

  // The same for an array; calls read().
  template <typename Read>
  bool EachItem(const Read& read) {
    JsonNext next = EnterArray() ? NextItem() : JsonNext::kFault;
    for (; next == JsonNext::kItem; next = NextItem()) {
      if (!read()) return false;
    }
    return next == JsonNext::kEnd;
  }

  // Validates the value that comes next, whatever is in it.
  bool ReadValue(JsonValue& value);
  // Validates the value that comes next, without telling what it was.
  bool SkipValue();

  // Fails unless the text ends here.
  bool Finish();

  const JsonFault& fault() const { return fault_; }

  // Frees buffers that only a text larger than 1 MiB needs.
  void ReleaseLarge();

 private:
  struct Index;

  using FaultKind = JsonFault::Kind;

  bool Fail(const char* what, FaultKind kind = FaultKind::kUnexpected) {
    return FailAt(position(), what, kind);
  }
  bool FailAt(const char* place, const char* what, FaultKind kind = FaultKind::kUnexpected);
  JsonNext FailNext(const char* what) { return Fail(what), JsonNext::kFault; }
  const char* FailNull(const char* place, const char* what) { return FailAt(place, what), nullptr; }
  bool FailIndex(int error, absl::string_view text);
  bool Enter(char bracket, const char* otherwise) {
    if (Peek() != bracket) return Fail(otherwise);
    if (depth_ == max_depth_) return Fail("nested deeper than the limit", FaultKind::kTooDeep);
    ++depth_;
    ++next_;
    first_ = true;
    return true;
  }
  JsonNext Leave() {
    ++next_;
    --depth_;
    first_ = false;
    return JsonNext::kEnd;
  }
  bool CheckEscapes();
  const char* EscapeEnd(const char* backslash);
  bool SkipKey();
  bool SkipContainer();
  bool SkipScalar();
  // The first stage has seen the string's last quote, after which nothing but blanks is no token.
  void SetString(const char* open, const char* next_token, JsonValue& value) const {
    const char* end = next_token;
    while (end[-1] != '"') --end;
    value.kind = JsonKind::kString;
    value.text = absl::string_view(open, static_cast<size_t>(end - open));
    value.empty = value.text.size() == 2;
    value.escaped = escapes_ && value.text.find('\\') != absl::string_view::npos;
  }

  std::unique_ptr<Index> index_;
  std::string copy_;                // of OpenCopy, with its padding
  const char* text_ = nullptr;      // after the byte order mark
  const uint32_t* next_ = nullptr;  // offsets of tokens in text_
  const uint32_t* end_ = nullptr;
  const char* scalar_end_ = nullptr;  // of the scalar that was read last
  size_t text_bytes_ = 0;
  size_t skipped_ = 0;  // bytes of the byte order mark
  int depth_ = 0;
  int max_depth_;
  bool lone_surrogates_;
  bool first_ = false;    // just inside a container
  bool escapes_ = false;  // the text has a backslash
  JsonFault fault_;
};

}  // namespace base

#endif  // PLUGIN_BASE_JSON_READER_H_
