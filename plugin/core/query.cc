#include "plugin/core/query.h"

#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "plugin/base/characters.h"
#include "plugin/base/secret_names.h"
#include "plugin/base/utf8.h"

namespace webhook::core {
namespace {

constexpr absl::string_view kMask = "***";
constexpr absl::string_view kCut = "...";

// What a parameter's name stands for, in lower case; empty where that is not certain. After
// decoding, a percent sign may be an escape to the next reader.
std::string PlainName(absl::string_view name) {
  std::string plain;
  const bool good = AppendPercentDecoded(name, /*plus_is_blank=*/true, &plain) &&
                    !absl::StrContains(plain, '%') && base::IsUtf8(plain) &&
                    base::InvisibleCharacterIn(plain).empty() &&
                    std::none_of(plain.begin(), plain.end(), absl::ascii_iscntrl);
  return good ? absl::AsciiStrToLower(plain) : "";
}

std::string Decoded(absl::string_view text) {
  std::string plain;
  AppendPercentDecoded(text, /*plus_is_blank=*/false, &plain);
  return plain;
}

// Whether a value is a URL, or a list, with a parameter whose name looks like a secret's.
bool HoldsSecretParameter(absl::string_view value) {
  for (const absl::string_view piece : absl::StrSplit(value, absl::ByAnyChar("?&;#"))) {
    const size_t equals = piece.find('=');
    if (equals == absl::string_view::npos) continue;
    if (base::LooksSecret(absl::AsciiStrToLower(piece.substr(0, equals)))) return true;
  }
  return false;
}

void AppendVisible(absl::string_view text, std::string* out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char c : text) {
    if (absl::ascii_isgraph(c)) {
      out->push_back(c);
    } else {
      const auto octet = static_cast<unsigned char>(c);
      out->append({'%', kDigits[octet >> 4], kDigits[octet & 15]});
    }
  }
}

}  // namespace

bool AppendPercentDecoded(absl::string_view text, bool plus_is_blank, std::string* out) {
  bool whole = true;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const int high = i + 2 < text.size() ? base::HexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? base::HexDigit(text[i + 2]) : -1;
    if (c == '%' && high >= 0 && low >= 0) {
      out->push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      whole = whole && c != '%';
      out->push_back(c == '+' && plus_is_blank ? ' ' : c);
    }
  }
  return whole;
}

std::string MaskedQuery(absl::string_view query, std::span<const absl::string_view> secrets,
                        size_t most_bytes) {
  std::map<std::string, int> names;
  EachParameter(query, [&](absl::string_view name, absl::string_view) {
    ++names[PlainName(name)];
    return true;
  });
  std::vector<std::string> plain_secrets;
  for (const absl::string_view secret : secrets) plain_secrets.push_back(Decoded(secret));
  const auto holds_secret = [&](absl::string_view text) {
    const std::string plain = Decoded(text);
    for (const std::string& secret : plain_secrets) {
      if (absl::StrContains(plain, secret)) return true;
    }
    return false;
  };

  std::string masked;
  size_t border = 0;  // up to which there is room for the sign of the cut
  EachParameter(query, [&](absl::string_view name, absl::string_view value) {
    if (!masked.empty()) masked.push_back('&');
    const std::string plain = PlainName(name);
    if (plain.empty() || names[plain] > 1 || holds_secret(name)) {
      absl::StrAppend(&masked, kMask);
    } else {
      AppendVisible(name, &masked);
      if (name.data() + name.size() != value.data()) masked.push_back('=');
      const bool hide =
          base::LooksSecret(plain) || holds_secret(value) || HoldsSecretParameter(Decoded(value));
      AppendVisible(hide && !value.empty() ? kMask : value, &masked);
    }
    if (masked.size() + 1 + kCut.size() <= most_bytes) border = masked.size();
    return masked.size() <= most_bytes;
  });
  if (masked.size() <= most_bytes) return masked;
  masked.resize(border);
  absl::StrAppend(&masked, border == 0 ? "" : "&", kCut);
  return masked;
}

}  // namespace webhook::core
