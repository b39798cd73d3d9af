#include "plugin/core/stored_headers.h"

#include <algorithm>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"
#include "plugin/base/json_text.h"
#include "plugin/base/octets.h"
#include "plugin/base/secret_names.h"

namespace webhook::core {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

// The claims of a user, signed by an AWS Application Load Balancer: a secret by another name.
constexpr absl::string_view kProxysIdentity = "x-amzn-oidc-data";

constexpr absl::string_view kNeverKept[] = {"authorization", "proxy-authorization", "cookie",
                                            "set-cookie", kProxysIdentity};

constexpr size_t kFrameBytes = 8;  // more than the punctuation of one member

// For texts of at least kCount octets. The last octets are written together with some before them.
template <typename Octets>
void WriteLowerCase(absl::string_view text, char* out) {
  const char* const last = text.data() + text.size() - Octets::kCount;
  const auto write = [&](const char* at) {
    Octets octets(at);
    octets.LowerCase();
    octets.CopyTo(out + (at - text.data()));
  };
  for (const char* at = text.data(); at < last; at += Octets::kCount) write(at);
  write(last);
}

char* WriteLowerCase(absl::string_view text, char* out) {
  if (text.size() >= base::EightOctets::kCount) {
    WriteLowerCase<base::EightOctets>(text, out);
  } else if (text.size() >= base::FourOctets::kCount) {
    WriteLowerCase<base::FourOctets>(text, out);
  } else {
    std::transform(text.begin(), text.end(), out, absl::ascii_tolower);
  }
  return out + text.size();
}

// A set of the names seen so far, as bits of a 256-bit hash. A bit that is not set means a new
// name.
class SeenNames {
 public:
  bool MayHave(absl::string_view name) {
    if (name.empty()) return true;
    const auto first = static_cast<unsigned char>(name.front());
    const auto last = static_cast<unsigned char>(name.back());
    const uint32_t mixed =
        (static_cast<uint32_t>(name.size()) << 16 | first << 8 | last) * 0x9E3779B1;
    uint64_t& word = words_[mixed >> 30];
    const uint64_t bit = uint64_t{1} << (mixed >> 24) % 64;
    const bool seen = (word & bit) != 0;
    word |= bit;
    return seen;
  }

 private:
  uint64_t words_[4] = {};
};

bool IsAmong(std::span<const std::string> names, absl::string_view name) {
  for (absl::string_view one : names) {
    absl::string_view rest = name;
    if (!absl::ConsumeSuffix(&one, "#")) {
      if (name == one) return true;
    } else if (absl::ConsumePrefix(&rest, one) && !rest.empty() &&
               std::all_of(rest.begin(), rest.end(), base::IsDigit)) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool IsWithheldHeader(absl::string_view name, const KeptHeaders& kept) {
  if (name == kProxysIdentity) return true;
  return base::LooksSecret(name) && std::find(kept.begin(), kept.end(), name) == kept.end();
}

absl::StatusOr<KeptHeaders> ReadKeptHeaders(absl::string_view parameter,
                                            absl::string_view secret_header) {
  KeptHeaders kept;
  if (absl::StripAsciiWhitespace(parameter).empty()) return kept;
  for (const absl::string_view part : absl::StrSplit(parameter, ',')) {
    const std::string name = absl::AsciiStrToLower(absl::StripAsciiWhitespace(part));
    if (!base::IsToken(name)) {
      return absl::InvalidArgumentError("kept_headers must be a comma list of names of headers");
    }
    const bool never =
        std::find(std::begin(kNeverKept), std::end(kNeverKept), name) != std::end(kNeverKept);
    if (never || name == secret_header) {
      return absl::InvalidArgumentError(
          absl::StrCat("kept_headers: ", name, " is never stored, because it is a credential"));
    }
    kept.push_back(name);
  }
  return kept;
}

void StoredHeaders::Append(std::span<const HeaderView> headers, absl::string_view secret_header,
                           std::span<const std::string> secret_headers, const KeptHeaders& kept,
                           TextBuffer* out) {
  if (Collect(headers, secret_header, secret_headers, kept)) ChainSameNames();
  beyond_ascii_ = false;
  char before = '{';
  for (const Entry& entry : entries_) {
    if (!entry.first) continue;
    char* at =
        out->Room(kFrameBytes + base::MostEscapedBytes(entry.name.size() + entry.value.size()));
    *at++ = before;
    *at++ = '"';
    before = ',';
    at = base::WriteJsonEscapedBytes(entry.name, at, beyond_ascii_);
    at = TextBuffer::Write("\":\"", at);
    at = base::WriteJsonEscapedBytes(entry.value, at, beyond_ascii_);
    for (uint32_t i = entry.next; i != kNone; i = entries_[i].next) {
      out->EndAt(at);
      at = out->Room(kFrameBytes + base::MostEscapedBytes(entries_[i].value.size()));
      at = base::WriteJsonEscapedBytes(entries_[i].value, TextBuffer::Write(", ", at),
                                       beyond_ascii_);
    }
    *at++ = '"';
    out->EndAt(at);
  }
  out->Append(before == '{' ? "{}" : "}");
}

bool StoredHeaders::Collect(std::span<const HeaderView> headers, absl::string_view secret_header,
                            std::span<const std::string> secret_headers, const KeptHeaders& kept) {
  entries_.clear();
  size_t name_bytes = 0;
  for (const HeaderView& header : headers) name_bytes += header.name.size();
  if (names_.size() < name_bytes) names_.resize(name_bytes);  // only here: views point into it
  char* at = names_.data();
  SeenNames seen;
  bool may_repeat = false;
  for (const HeaderView& header : headers) {
    char* const end = WriteLowerCase(header.name, at);
    const absl::string_view name(at, header.name.size());
    at = end;
    if (name == secret_header || IsAmong(secret_headers, name) || IsWithheldHeader(name, kept)) {
      continue;
    }
    may_repeat |= seen.MayHave(name);
    entries_.push_back({name, base::WithoutBlanks(header.value), kNone, true});
  }
  return may_repeat;
}

// Sorts, because a sender chooses the names, and comparing each with each would be quadratic.
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
