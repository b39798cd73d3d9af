#include "plugin/core/stored_headers.h"

#include <algorithm>

#include "plugin/core/json_text.h"
#include "plugin/core/withheld_headers.h"

namespace webhook::core {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

char LowerCase(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Blanks around a value are no part of it (RFC 9110 section 5.5).
absl::string_view WithoutBlanks(absl::string_view value) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!value.empty() && is_blank(value.front())) value.remove_prefix(1);
  while (!value.empty() && is_blank(value.back())) value.remove_suffix(1);
  return value;
}

}  // namespace

void StoredHeaders::Append(std::span<const HeaderView> headers, absl::string_view secret_header,
                           std::string* out) {
  Collect(headers, secret_header);
  ChainSameNames();
  char before = '{';
  for (const Entry& entry : entries_) {
    if (!entry.first) continue;
    out->push_back(before);
    before = ',';
    out->push_back('"');
    AppendJsonEscapedBytes(out, entry.name);
    out->append("\":\"");
    AppendJsonEscapedBytes(out, entry.value);
    for (uint32_t i = entry.next; i != kNone; i = entries_[i].next) {
      out->append(", ");
      AppendJsonEscapedBytes(out, entries_[i].value);
    }
    out->push_back('"');
  }
  if (before == '{') out->push_back('{');
  out->push_back('}');
}

void StoredHeaders::Collect(std::span<const HeaderView> headers, absl::string_view secret_header) {
  entries_.clear();
  names_.clear();
  size_t name_bytes = 0;
  for (const HeaderView& header : headers) name_bytes += header.name.size();
  names_.resize(name_bytes);  // once, for the views below point into it
  char* at = names_.data();
  for (const HeaderView& header : headers) {
    char* const end = std::transform(header.name.begin(), header.name.end(), at, LowerCase);
    const absl::string_view name(at, header.name.size());
    at = end;
    if (name == secret_header || IsWithheldHeader(name)) continue;
    entries_.push_back({name, WithoutBlanks(header.value), kNone, true});
  }
}

// By sorting, since a sender chooses the names: comparing each with each would be quadratic.
void StoredHeaders::ChainSameNames() {
  by_name_.resize(entries_.size());
  for (uint32_t i = 0; i < by_name_.size(); ++i) by_name_[i] = i;
  std::sort(by_name_.begin(), by_name_.end(), [this](uint32_t a, uint32_t b) {
    const absl::string_view left = entries_[a].name;
    const absl::string_view right = entries_[b].name;
    if (left.size() != right.size()) return left.size() < right.size();
    const int order = left.compare(right);
    return order != 0 ? order < 0 : a < b;
  });
  for (size_t i = 1; i < by_name_.size(); ++i) {
    Entry& previous = entries_[by_name_[i - 1]];
    Entry& entry = entries_[by_name_[i]];
    if (previous.name != entry.name) continue;
    previous.next = by_name_[i];
    entry.first = false;
  }
}

}  // namespace webhook::core
