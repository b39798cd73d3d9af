#include "plugin/core/details_object.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "plugin/core/json_chars.h"

namespace webhook::core {
namespace {

constexpr absl::string_view kBodyHeaders = "body_headers";

// N of `body_headers_N` as we write it, 1 of `body_headers`, 0 of anything else.
uint32_t NumberOf(absl::string_view key) {
  if (!absl::StartsWith(key, kBodyHeaders)) return 0;
  key.remove_prefix(kBodyHeaders.size());
  if (key.empty()) return 1;
  uint32_t number = 0;
  if (key[0] != '_' || !absl::SimpleAtoi(key.substr(1), &number) || number < 2) return 0;
  return absl::StrCat(number) == key.substr(1) ? number : 0;
}

// A key without its escapes, where it is short enough to be one that we know.
class EscapedKey {
 public:
  explicit EscapedKey(const JsonValue& key) {
    const absl::string_view inside = key.inside();
    if (!key.escaped) {
      text_ = inside;
    } else if (inside.size() <= kMostBytes) {
      text_ = absl::string_view(buffer_, JsonUnescape(inside, buffer_));
    }
  }
  absl::string_view text() const { return text_; }

 private:
  // Of `body_headers_` and ten digits, each written as \u0000.
  static constexpr size_t kMostBytes = 23 * 6;

  char buffer_[kMostBytes];
  absl::string_view text_;
};

absl::string_view Between(const char* begin, const char* end) {
  return {begin, static_cast<size_t>(end - begin)};
}

}  // namespace

KnownKey WhichEscapedKey(const JsonValue& key) { return WhichPlainKey(EscapedKey(key).text()); }

void DetailsObject::Clear() {
  text_ = {};
  empty_ = true;
  headers_keys_.clear();
  taken_.clear();
}

void DetailsObject::NoteHeadersKey(KnownKey known, const JsonValue& key) {
  if (known == KnownKey::kHeaders) {
    headers_keys_.push_back(key.text);
    return;
  }
  const EscapedKey plain(key);
  if (const uint32_t number = NumberOf(plain.text()); number != 0) taken_.push_back(number);
}

absl::string_view DetailsObject::FreeKey(Arena& arena) {
  std::sort(taken_.begin(), taken_.end());
  uint32_t free = 1;
  for (const uint32_t number : taken_) {
    if (number == free) ++free;
  }
  if (free == 1) return "\"body_headers\"";
  return arena.Copy(absl::StrCat("\"", kBodyHeaders, "_", free, "\""));
}

void DetailsObject::AppendSlices(absl::string_view tail, Arena& arena,
                                 std::vector<absl::string_view>& slices) {
  const char* begin = text_.data();
  const char* const closing_brace = begin + text_.size() - 1;
  if (!headers_keys_.empty()) {
    const absl::string_view free_key = FreeKey(arena);
    for (const absl::string_view key : headers_keys_) {
      slices.push_back(Between(begin, key.data()));
      slices.push_back(free_key);
      begin = key.data() + key.size();
    }
  }
  slices.push_back(Between(begin, closing_brace));
  slices.push_back(empty_ ? tail.substr(1) : tail);  // no comma after `{`
}

}  // namespace webhook::core
