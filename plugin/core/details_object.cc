#include "plugin/core/details_object.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/base/json_reader.h"

namespace webhook::core {
namespace {

constexpr absl::string_view kBody = "body_";

// The names of the members that we may write, in the order of KnownKey.
constexpr absl::string_view kWrittenNames[] = {"headers", "mirror_direction", "mirror_tags",
                                               "mirror_instance"};

size_t IndexOf(KnownKey known) {
  return static_cast<size_t>(known) - static_cast<size_t>(KnownKey::kHeaders);
}

// N of a suffix `_N` as we write it; 1 of an empty suffix; 0 of anything else.
uint32_t NumberOf(absl::string_view suffix) {
  if (suffix.empty()) return 1;
  uint32_t number = 0;
  if (suffix[0] != '_' || !absl::SimpleAtoi(suffix.substr(1), &number) || number < 2) return 0;
  return absl::StrCat(number) == suffix.substr(1) ? number : 0;
}

// Of `body_mirror_direction_` and ten digits, each written as \u0000.
constexpr size_t kMostEscapedBytes = 32 * 6;

// A key without its escapes, which are undone in `buffer`. Empty if it is too long to be one that
// we know.
absl::string_view WithoutEscapes(absl::string_view inside, char (&buffer)[kMostEscapedBytes]) {
  if (inside.size() > kMostEscapedBytes) return {};
  return {buffer, base::JsonUnescape(inside, buffer)};
}

absl::string_view Between(const char* begin, const char* end) {
  return {begin, static_cast<size_t>(end - begin)};
}

}  // namespace

KnownKey WhichEscapedKey(absl::string_view inside) {
  char buffer[kMostEscapedBytes];
  return WhichPlainKey(WithoutEscapes(inside, buffer));
}

void DetailsObject::NoteWrittenKey(KnownKey known, absl::string_view text, bool escaped) {
  if (known != KnownKey::kBodyKey) {
    own_keys_.push_back({known, text});
    return;
  }
  char buffer[kMostEscapedBytes];
  const absl::string_view inside = text.substr(1, text.size() - 2);
  const absl::string_view plain = escaped ? WithoutEscapes(inside, buffer) : inside;
  for (size_t i = 0; i < std::size(kWrittenNames); ++i) {
    absl::string_view rest = plain;
    if (!absl::ConsumePrefix(&rest, kBody) || !absl::ConsumePrefix(&rest, kWrittenNames[i])) {
      continue;
    }
    if (const uint32_t number = NumberOf(rest); number != 0) taken_.push_back({i, number});
  }
}

absl::string_view DetailsObject::FreeKey(size_t written, Arena& arena) {
  std::sort(taken_.begin(), taken_.end(),
            [](const TakenKey& a, const TakenKey& b) { return a.number < b.number; });
  uint32_t free = 1;
  for (const TakenKey& taken : taken_) {
    if (taken.written == written && taken.number == free) ++free;
  }
  const std::string number = free == 1 ? "" : absl::StrCat("_", free);
  return arena.Copy(absl::StrCat("\"", kBody, kWrittenNames[written], number, "\""));
}

void DetailsObject::AppendSlices(absl::string_view tail, bool mirrored, Arena& arena,
                                 std::vector<absl::string_view>& slices) {
  const char* begin = text_.data();
  const char* const closing_brace = begin + text_.size() - 1;
  // Only once for each name, because a sender may repeat a key a million times.
  absl::string_view free_keys[std::size(kWrittenNames)];
  for (const OwnKey& own : own_keys_) {
    if (own.known != KnownKey::kHeaders && !mirrored) continue;
    absl::string_view& free_key = free_keys[IndexOf(own.known)];
    if (free_key.empty()) free_key = FreeKey(IndexOf(own.known), arena);
    slices.push_back(Between(begin, own.text.data()));
    slices.push_back(free_key);
    begin = own.text.data() + own.text.size();
  }
  slices.push_back(Between(begin, closing_brace));
  slices.push_back(empty_ ? tail.substr(1) : tail);  // no comma after `{`
}

}  // namespace webhook::core
