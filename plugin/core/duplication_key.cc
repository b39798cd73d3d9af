#include "plugin/core/duplication_key.h"

#include <openssl/sha.h>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/json_reader.h"
#include "plugin/core/stored_headers.h"

namespace webhook::core {
namespace {

constexpr size_t kKeptBytes = 256 * 1024;

std::string Sha256Hex(absl::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest), sizeof digest});
}

absl::Status Refusal(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "duplication_key must be a comma list of paths such as headers.x-request-id: ", why));
}

}  // namespace

absl::StatusOr<DuplicationKey> ReadDuplicationKey(absl::string_view parameter,
                                                  absl::string_view secret_header) {
  if (absl::StripAsciiWhitespace(parameter).empty()) return DuplicationKey();
  absl::StatusOr<std::vector<JsonPath>> paths = JsonPath::ParseList(parameter);
  if (!paths.ok()) return Refusal(paths.status().message());
  for (JsonPath& path : *paths) {
    if (!path.names_one_value()) return Refusal("[] names many values, and a key needs one");
    const absl::string_view header = path.LowerCaseHeaderName();
    if (!header.empty() && (header == secret_header || IsWithheldHeader(header))) {
      return absl::InvalidArgumentError(
          absl::StrCat("duplication_key: the header ", header,
                       " is kept out of incidents as a secret, so it never matches; name another"));
    }
  }
  return paths;
}

DeliveryKeyFinder::DeliveryKeyFinder(int max_depth, size_t most_bytes)
    : reader_(max_depth), most_bytes_(most_bytes) {}

absl::string_view DeliveryKeyFinder::Find(const DuplicationKey& key,
                                          std::span<const absl::string_view> details,
                                          size_t position) {
  text_.clear();
  for (const absl::string_view slice : details) text_.append(slice.data(), slice.size());
  const size_t size = text_.size();
  text_.append(base::JsonReader::kPadding, ' ');
  if (!reader_.Open({text_.data(), size})) return {};
  for (const JsonPath& path : key) {
    values_.clear();
    reader_.Rewind();
    // They were validated when they were parsed, so there is no fault.
    if (!path.Collect(reader_, values_)) return {};
    if (values_.empty() || base::CountsAsAbsent(values_.front())) continue;
    SetKey(path, values_.front(), position);
    return key_;
  }
  return {};
}

void DeliveryKeyFinder::SetKey(const JsonPath& path, const base::JsonValue& value,
                               size_t position) {
  key_.assign(path.text().data(), path.text().size());
  key_.push_back(':');
  if (value.kind != base::JsonKind::kString) {
    absl::StrAppend(&key_, value.text);
  } else {
    const size_t before = key_.size();
    absl::StrAppend(&key_, value.inside());
    if (value.escaped) {
      key_.resize(before + base::JsonUnescape(value.inside(), key_.data() + before));
    }
  }
  if (position > 0 && path.is_of_headers()) absl::StrAppend(&key_, "\n", position);
  if (key_.size() > most_bytes_) key_ = Sha256Hex(key_);
}

void DeliveryKeyFinder::ReleaseLarge() {
  reader_.ReleaseLarge();
  if (text_.capacity() > kKeptBytes) std::string().swap(text_);
  if (key_.capacity() > kKeptBytes) std::string().swap(key_);
}

}  // namespace webhook::core
