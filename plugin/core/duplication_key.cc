#include "plugin/core/duplication_key.h"

#include <openssl/sha.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/characters.h"
#include "plugin/base/json_reader.h"

namespace webhook::core {
namespace {

constexpr size_t kKeptBytes = 256 * 1024;

absl::Status Refusal(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "duplication_key must be a comma list of paths such as headers.x-request-id: ", why));
}

absl::Status RefusePath(const base::JsonPath& path, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("duplication_key: ", path.text(), why));
}

absl::Status CheckPath(base::JsonPath& path, absl::string_view secret_header,
                       absl::string_view mirror_members, const KeptHeaders& kept_headers) {
  const absl::string_view first = path.first_name();
  if (!path.names_one_value()) return Refusal("[] names many values, and a key needs one");
  if (first.empty()) return RefusePath(path, " never matches: details are an object, not an array");
  for (const absl::string_view raw : {"rawJson", "rawJSON", "raw_json"}) {
    if (first == raw) {
      return RefusePath(path,
                        " never matches: paths begin inside of rawJson; write event.id, not "
                        "rawJson.event.id");
    }
  }
  if (absl::StrContains(mirror_members, absl::StrCat("\"", first, "\":"))) {
    return RefusePath(path, " is the same for all incidents, so only one would ever be created");
  }
  const absl::string_view header = path.LowerCaseHeaderName();
  if (!header.empty() && (header == secret_header || IsWithheldHeader(header, kept_headers))) {
    return absl::InvalidArgumentError(
        absl::StrCat("duplication_key: the header ", header,
                     " is kept out of incidents as a secret, so it never matches; name another, or "
                     "list it in kept_headers if it is none"));
  }
  return absl::OkStatus();
}

// Fields of the connection, the format, or the program that sends (RFC 9110), which a sender
// repeats with every request.
constexpr absl::string_view kOfNoEvent[] = {
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "origin",
    "pragma",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
};

bool TellsNoEvent(base::JsonPath& path) {
  const absl::string_view header = path.LowerCaseHeaderName();
  return std::find(std::begin(kOfNoEvent), std::end(kOfNoEvent), header) != std::end(kOfNoEvent);
}

// By the kind; false and null count as absent.
constexpr base::CharacterMap kTypes("\"0t{[", "sntoa");
char TypeOf(const base::JsonValue& value) { return kTypes[static_cast<char>(value.kind)]; }

constexpr char kJoined = 'j';

// Appends what stands for the value in a key.
void AppendValue(const base::JsonValue& value, std::string* key) {
  if (value.kind != base::JsonKind::kString) {
    absl::StrAppend(key, value.text);
    return;
  }
  const size_t before = key->size();
  absl::StrAppend(key, value.inside());
  if (value.escaped) {
    key->resize(before + base::JsonUnescape(value.inside(), key->data() + before,
                                            base::LoneSurrogate::kKeepEscape));
  }
}

// False only of what the host gave back as a sample: the rest was validated when it was parsed.
bool OpenPadded(std::string& text, base::JsonReader& reader) {
  const size_t size = text.size();
  text.append(base::JsonReader::kPadding, ' ');
  return reader.Open({text.data(), size});
}

}  // namespace

std::array<char, 32> Sha256(absl::string_view text) {
  std::array<char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

absl::StatusOr<DuplicationKey> ReadDuplicationKey(absl::string_view parameter,
                                                  absl::string_view secret_header,
                                                  absl::string_view mirror_members,
                                                  const KeptHeaders& kept_headers) {
  if (absl::StripAsciiWhitespace(parameter).empty()) return DuplicationKey();
  auto alternatives = base::JsonPath::ParseList(parameter);
  if (!alternatives.ok()) return Refusal(alternatives.status().message());
  DuplicationKey key;
  for (std::vector<base::JsonPath>& paths : *alternatives) {
    KeyPaths& one = key.emplace_back();
    for (base::JsonPath& path : paths) {
      absl::Status status = CheckPath(path, secret_header, mirror_members, kept_headers);
      if (!status.ok()) return status;
      absl::StrAppend(&one.text, one.text.empty() ? "" : "+", path.text());
      one.of_request = one.of_request || path.is_of_headers();
    }
    if (std::all_of(paths.begin(), paths.end(), TellsNoEvent)) {
      return absl::InvalidArgumentError(
          absl::StrCat("duplication_key: ", one.text,
                       " is the same for most events of a sender, so "
                       "all but the first would be lost; name a value that differs"));
    }
    one.text = absl::StrCat(one.text.size(), ":", one.text, ":");
    one.paths = std::move(paths);
  }
  return key;
}

DeliveryKeyFinder::DeliveryKeyFinder(int max_depth, size_t most_bytes)
    : headers_(max_depth, /*lone_surrogates=*/true),
      own_(max_depth, /*lone_surrogates=*/true),
      most_bytes_(most_bytes) {}

void DeliveryKeyFinder::SetHeaders(absl::string_view tail) {
  header_text_ = absl::StrCat("{", tail.substr(1));  // a brace in place of the comma
  headers_are_open_ = OpenPadded(header_text_, headers_);
}

absl::string_view DeliveryKeyFinder::Find(const DuplicationKey& key,
                                          std::span<const absl::string_view> details,
                                          size_t position) {
  own_is_read_ = false;
  for (const KeyPaths& paths : key) {
    if (!ReadValues(paths.paths, details)) continue;
    SetKey(paths, position);
    return key_;
  }
  return {};
}

bool DeliveryKeyFinder::HasKey(const DuplicationKey& key, absl::string_view details) {
  if (details.size() < 2) return false;
  SetHeaders(details);
  const absl::string_view own = details.substr(0, details.size() - 1);
  return !Find(key, {&own, 1}, 0).empty();
}

// False where a path has no value. All incidents of a request have its headers in common, so those
// are not read as a part of each.
bool DeliveryKeyFinder::ReadValues(const std::vector<base::JsonPath>& paths,
                                   std::span<const absl::string_view> details) {
  values_.clear();
  for (const base::JsonPath& path : paths) {
    if (!path.is_of_headers() && !own_is_read_) {
      own_text_.clear();
      for (const absl::string_view slice : details) absl::StrAppend(&own_text_, slice);
      own_text_.push_back('}');
      own_is_open_ = OpenPadded(own_text_, own_);
      own_is_read_ = true;
    }
    if (!(path.is_of_headers() ? headers_are_open_ : own_is_open_)) return false;
    base::JsonReader& reader = path.is_of_headers() ? headers_ : own_;
    const size_t before = values_.size();
    reader.Rewind();
    if (!path.Collect(reader, values_) || values_.size() == before ||
        base::CountsAsAbsent(values_.back())) {
      return false;
    }
  }
  return true;
}

std::string SourceKey(char scope, absl::string_view profile, absl::string_view id,
                      size_t most_bytes) {
  if (id.empty()) return "";
  const bool fits = profile.size() + 1 + id.size() <= most_bytes;
  std::string key = {kDeliveryKeyVersion, scope, fits ? 's' : 'S'};
  absl::StrAppend(&key, profile.size(), ":");
  if (fits) {
    absl::StrAppend(&key, profile, ":", id);
    return key;
  }
  const auto hash = Sha256(absl::StrCat(profile, ":", id));
  return absl::StrCat(key, absl::BytesToHexString({hash.data(), hash.size()}));
}

std::string ReplayKey(absl::string_view profile, absl::string_view hash) {
  const std::string begin = {kDeliveryKeyVersion, 'r', 'B'};
  return absl::StrCat(begin, profile.size(), ":", absl::BytesToHexString(hash));
}

void DeliveryKeyFinder::SetKey(const KeyPaths& paths, size_t position) {
  const bool joined = paths.paths.size() > 1;
  const char type = joined ? kJoined : TypeOf(values_.front());
  key_.assign({kDeliveryKeyVersion, paths.of_request ? 'r' : 'i', type});
  const size_t hashed = key_.size() + paths.text.find(':') + 1;
  absl::StrAppend(&key_, paths.text);
  if (!joined) AppendValue(values_.front(), &key_);
  for (size_t i = 0; joined && i < values_.size(); ++i) {
    value_.clear();
    AppendValue(values_[i], &value_);
    key_.push_back(TypeOf(values_[i]));
    absl::StrAppend(&key_, value_.size(), ":", value_);
  }
  if (paths.of_request && position > 0) absl::StrAppend(&key_, "\n", position);
  if (key_.size() - hashed <= most_bytes_) return;
  const auto hash = Sha256(absl::string_view(key_).substr(hashed));
  key_.replace(hashed, std::string::npos, absl::BytesToHexString({hash.data(), hash.size()}));
  key_[2] = absl::ascii_toupper(type);
}

void DeliveryKeyFinder::ReleaseLarge() {
  for (base::JsonReader* const reader : {&headers_, &own_}) reader->ReleaseLarge();
  for (std::string* const text : {&header_text_, &own_text_, &key_, &value_}) {
    if (text->capacity() > kKeptBytes) std::string().swap(*text);
  }
}

}  // namespace webhook::core
