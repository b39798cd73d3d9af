#include "plugin/core/details_object.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/base/json_reader.h"

namespace webhook::core {
namespace {

constexpr absl::string_view kBody = "body_";

absl::string_view NameOf(KnownKey known) {
  switch (known) {
    case KnownKey::kHeaders:
      return "headers";
    case KnownKey::kMirrorDirection:
      return "mirror_direction";
    case KnownKey::kMirrorTags:
      return "mirror_tags";
    case KnownKey::kMirrorInstance:
      return "mirror_instance";
    default:
      return {};
  }
}

// N of a suffix `_N` as we write it; 1 of an empty suffix; 0 of anything else.
uint32_t NumberOf(absl::string_view suffix) {
  if (suffix.empty()) return 1;
  uint32_t number = 0;
  if (suffix[0] != '_' || !absl::SimpleAtoi(suffix.substr(1), &number) || number < 2) return 0;
  return absl::StrCat(number) == suffix.substr(1) ? number : 0;
}

// A key without its escapes, if it is short enough to be one that we know.
class EscapedKey {
 public:
  EscapedKey(absl::string_view inside, bool escaped) {
    if (!escaped) {
      text_ = inside;
    } else if (inside.size() <= kMostBytes) {
      text_ = absl::string_view(buffer_, base::JsonUnescape(inside, buffer_));
    }
  }
  absl::string_view text() const { return text_; }

 private:
  // Of `body_mirror_direction_` and ten digits, each written as \u0000.
  static constexpr size_t kMostBytes = 32 * 6;

  char buffer_[kMostBytes];
  absl::string_view text_;
};

absl::string_view Between(const char* begin, const char* end) {
  return {begin, static_cast<size_t>(end - begin)};
}

}  // namespace

KnownKey WhichEscapedKey(absl::string_view inside) {
  return WhichPlainKey(EscapedKey(inside, true).text());
}

void DetailsObject::NoteWrittenKey(KnownKey known, absl::string_view text, bool escaped) {
  if (known != KnownKey::kBodyKey) {
    own_keys_.push_back({known, text});
    return;
  }
  const EscapedKey plain(text.substr(1, text.size() - 2), escaped);
  for (const KnownKey written : {KnownKey::kHeaders, KnownKey::kMirrorDirection,
                                 KnownKey::kMirrorTags, KnownKey::kMirrorInstance}) {
    absl::string_view rest = plain.text();
    if (!absl::ConsumePrefix(&rest, kBody) || !absl::ConsumePrefix(&rest, NameOf(written)))
      continue;
    if (const uint32_t number = NumberOf(rest); number != 0) taken_.push_back({written, number});
  }
}

absl::string_view DetailsObject::FreeKey(KnownKey known, Arena& arena) {
  std::sort(taken_.begin(), taken_.end(),
            [](const TakenKey& a, const TakenKey& b) { return a.number < b.number; });
  uint32_t free = 1;
  for (const TakenKey& taken : taken_) {
    if (taken.known == known && taken.number == free) ++free;
  }
  if (free == 1) return arena.Copy(absl::StrCat("\"", kBody, NameOf(known), "\""));
  return arena.Copy(absl::StrCat("\"", kBody, NameOf(known), "_", free, "\""));
}

void DetailsObject::AppendSlices(absl::string_view tail, bool mirrored, Arena& arena,
                                 std::vector<absl::string_view>& slices) {
  const char* begin = text_.data();
  const char* const closing_brace = begin + text_.size() - 1;
  // Only once for each name, because a sender may repeat a key a million times.
  absl::string_view free_keys[kWrittenKeys];
  for (const OwnKey& own : own_keys_) {
    if (own.known != KnownKey::kHeaders && !mirrored) continue;
    absl::string_view& free_key =
        free_keys[static_cast<size_t>(own.known) - static_cast<size_t>(KnownKey::kHeaders)];
    if (free_key.empty()) free_key = FreeKey(own.known, arena);
    slices.push_back(Between(begin, own.text.data()));
    slices.push_back(free_key);
    begin = own.text.data() + own.text.size();
  }
  slices.push_back(Between(begin, closing_brace));
  slices.push_back(empty_ ? tail.substr(1) : tail);  // no comma after `{`
}

}  // namespace webhook::core
