// SHA256_Init and its like are deprecated in favour of EVP, which allocates a context for every
// digest and looks its algorithm up; these do neither, and work on the stack.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "plugin/core/credentials.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"
#include "plugin/base/utf8.h"
#include "plugin/core/query.h"

namespace webhook::core {
namespace {

constexpr absl::string_view kHeaderMode = "_header";
constexpr absl::string_view kQueryMode = "_query";

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), absl::ascii_iscntrl);
}

void Wipe(std::string& secret) { OPENSSL_cleanse(secret.data(), secret.size()); }

void Sha256(absl::string_view text, uint8_t* digest) {
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, text.data(), text.size());
  SHA256_Final(digest, &context);
  OPENSSL_cleanse(&context, sizeof(context));
}

// Gives the octets that the text of a query stands for to `take`, in pieces. False: an escape is
// broken.
template <typename Take>
bool Unescape(absl::string_view text, Take take) {
  for (size_t escape; (escape = text.find('%')) != absl::string_view::npos;) {
    take(text.substr(0, escape));
    const int high = text.size() < escape + 3 ? -1 : base::HexDigit(text[escape + 1]);
    const int low = text.size() < escape + 3 ? -1 : base::HexDigit(text[escape + 2]);
    if (high < 0 || low < 0) return false;
    const char octet = static_cast<char>(high << 4 | low);
    take(absl::string_view(&octet, 1));
    text.remove_prefix(escape + 3);
  }
  take(text);
  return true;
}

bool IsEscapedFormOf(absl::string_view text, absl::string_view name) {
  bool same = true;
  const bool whole = Unescape(
      text, [&](absl::string_view piece) { same = same && absl::ConsumePrefix(&name, piece); });
  return whole && same && name.empty();
}

// The part after `Basic` and its blanks (RFC 9110 section 11.4); empty for another scheme.
absl::string_view BasicToken(absl::string_view value) {
  constexpr absl::string_view kScheme = "basic";
  if (!absl::StartsWithIgnoreCase(value, kScheme)) return {};
  value.remove_prefix(kScheme.size());
  if (value.empty() || value.front() != ' ') return {};
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  return value;
}

absl::Status Refuse(absl::string_view text) { return absl::InvalidArgumentError(text); }

absl::StatusOr<std::string> HeaderName(absl::string_view username) {
  if (username.size() == kHeaderMode.size() || username[kHeaderMode.size()] != ':') {
    return Refuse(
        "username: a header is named by `_header:` and its name, as in `_header:Authorization`");
  }
  const absl::string_view name = username.substr(kHeaderMode.size() + 1);
  if (!base::IsToken(name)) {
    return Refuse(
        "username: what follows `_header:` must be the name of a header: letters, digits and "
        "!#$%&'*+-.^_`|~ without blanks");
  }
  return absl::AsciiStrToLower(name);
}

absl::StatusOr<std::string> ParameterName(absl::string_view username) {
  absl::string_view name = username.substr(kQueryMode.size());
  if (!absl::ConsumePrefix(&name, ":") || !base::IsName(name)) {
    return Refuse(
        "username: `_query:` is followed by the name of a parameter of the URL, 1 to 64 letters, "
        "digits, '-' or '_', as in `_query:token`");
  }
  return std::string(name);
}

}  // namespace

Secret::~Secret() {
  text.resize(text.capacity());  // what a longer text has left, too
  Wipe(text);
}

absl::StatusOr<Credentials> Credentials::Create(absl::string_view username,
                                                absl::string_view password) {
  const Password one{.text = password};
  return Create(username, std::span(&one, 1));
}

absl::StatusOr<Credentials> Credentials::Create(absl::string_view username,
                                                std::span<const Password> given) {
  Credentials credentials;
  absl::ConsumePrefix(&username, base::kByteOrderMark);
  std::vector<Password> passwords(given.begin(), given.end());
  for (Password& password : passwords) {
    absl::ConsumePrefix(&password.text, base::kByteOrderMark);
  }
  const bool any_password = std::any_of(passwords.begin(), passwords.end(),
                                        [](const Password& one) { return !one.text.empty(); });
  if (username.empty()) {
    if (!any_password) return credentials;
    return Refuse("username: it is empty though a password is set, so nothing would be checked");
  }
  if (!any_password) return Refuse("password: it is empty though a username is set");

  // Nobody would find out why the one that was typed does not match.
  if (const std::string name = base::InvisibleCharacterIn(username); !name.empty()) {
    return Refuse(absl::StrCat("username: it holds a character that cannot be seen: ", name));
  }
  for (const Password& password : passwords) {
    const std::string name = base::InvisibleCharacterIn(password.text);
    if (name.empty()) continue;
    return Refuse(absl::StrCat("password: it holds a character that cannot be seen: ", name));
  }

  if (absl::StartsWith(username, kHeaderMode)) {
    credentials.mode_ = Mode::kHeader;
    absl::StatusOr<std::string> name = HeaderName(username);
    if (!name.ok()) return name.status();
    credentials.header_ = *std::move(name);
  } else if (username == kQueryMode || absl::StartsWith(username, "_query:")) {
    credentials.mode_ = Mode::kQuery;
    absl::StatusOr<std::string> name = ParameterName(username);
    if (!name.ok()) return name.status();
    credentials.parameter_ = *std::move(name);
  } else {
    credentials.mode_ = Mode::kBasic;
    credentials.header_ = "authorization";
  }
  credentials.last_expiry_ = absl::InfinitePast();
  for (const Password& password : passwords) {
    absl::StatusOr<Digest> digest =
        credentials.mode_ == Mode::kHeader  ? credentials.DigestOfHeaderValue(password.text)
        : credentials.mode_ == Mode::kQuery ? credentials.DigestOfQueryValue(password.text)
                                            : credentials.DigestOfBasic(username, password.text);
    if (!digest.ok()) return digest.status();
    credentials.accepted_.push_back({*digest, password.expires});
    if (password.expires != absl::InfiniteFuture()) credentials.any_expires_ = true;
    credentials.last_expiry_ = std::max(credentials.last_expiry_, password.expires);
  }
  return credentials;
}

// RFC 7617 section 2. In strict base64 each pair has exactly one text, so the texts are compared:
// no decoder is needed that might be lenient.
absl::StatusOr<Credentials::Digest> Credentials::DigestOfBasic(absl::string_view username,
                                                               absl::string_view password) {
  if (password.empty()) return Refuse("password: it is empty");
  if (absl::StrContains(username, ':')) {
    return Refuse("username: Basic authentication cannot carry a username with a colon");
  }
  if (HasControl(username)) {
    return Refuse("username: Basic authentication cannot carry control characters");
  }
  if (HasControl(password)) {
    return Refuse("password: Basic authentication cannot carry control characters");
  }
  std::string pair = absl::StrCat(username, ":", password);
  std::string token = absl::Base64Escape(pair);
  Digest digest;
  Sha256(token, digest.data());
  Wipe(pair);
  Wipe(token);
  return digest;
}

absl::StatusOr<Credentials::Digest> Credentials::DigestOfHeaderValue(absl::string_view value) {
  if (base::WithoutBlanks(value).empty()) return Refuse("password: the header's value is empty");
  if (base::WithoutBlanks(value) != value) {
    return Refuse("password: a header's value cannot begin or end with a blank");
  }
  for (const char c : value) {
    if (absl::ascii_iscntrl(c) && c != '\t') {
      return Refuse("password: a header's value cannot hold control characters");
    }
    if (static_cast<unsigned char>(c) >= 0x80) {
      return Refuse("password: a header's value must be ASCII; encode other characters");
    }
  }
  Digest digest;
  Sha256(value, digest.data());
  return digest;
}

absl::StatusOr<Credentials::Digest> Credentials::DigestOfQueryValue(absl::string_view value) {
  if (value.empty()) return Refuse("password: the value of the URL's parameter is empty");
  if (!std::all_of(value.begin(), value.end(), absl::ascii_isgraph)) {
    return Refuse("password: in a URL it must be visible ASCII characters without blanks");
  }
  Digest digest;
  Sha256(value, digest.data());
  return digest;
}

CredentialCheck Credentials::FindInQuery(absl::string_view query, absl::string_view& value) const {
  CredentialCheck found = CredentialCheck::kMissing;
  EachParameter(query, [&](absl::string_view name, absl::string_view text) {
    if (!IsEscapedFormOf(name, parameter_)) return true;
    const bool is_first = found == CredentialCheck::kMissing;
    found = is_first ? CredentialCheck::kAccepted : CredentialCheck::kRepeated;
    if (is_first) value = text;
    return is_first;
  });
  return found;
}

absl::string_view Credentials::SecretIn(absl::string_view query) const {
  absl::string_view value;
  if (mode_ == Mode::kQuery) FindInQuery(query, value);
  return value;
}

CredentialCheck Credentials::Check(std::span<const HeaderView> headers, absl::string_view query,
                                   absl::Time now) const {
  if (mode_ == Mode::kNone) return CredentialCheck::kAccepted;
  if (mode_ == Mode::kQuery) {
    absl::string_view value;
    const CredentialCheck found = FindInQuery(query, value);
    if (found != CredentialCheck::kAccepted) return found;
    SHA256_CTX context;
    SHA256_Init(&context);
    const bool whole = Unescape(value, [&context](absl::string_view piece) {
      SHA256_Update(&context, piece.data(), piece.size());
    });
    Digest digest;
    SHA256_Final(digest.data(), &context);
    OPENSSL_cleanse(&context, sizeof(context));
    return whole ? Compare(digest, now) : CredentialCheck::kWrong;
  }
  const HeaderView* line = nullptr;
  for (const HeaderView& header : headers) {
    if (!header.IsNamed(header_)) continue;
    if (line != nullptr) return CredentialCheck::kRepeated;
    line = &header;
  }
  if (line == nullptr) return CredentialCheck::kMissing;

  absl::string_view value = base::WithoutBlanks(line->value);
  if (mode_ == Mode::kBasic) value = BasicToken(value);
  Digest digest;
  Sha256(value, digest.data());
  return Compare(digest, now);
}

CredentialCheck Credentials::Compare(const Digest& digest, absl::Time now) const {
  // Compares with all of them, without an early exit; CRYPTO_memcmp takes constant time.
  int accepted = 0;
  for (const Accepted& one : accepted_) {
    const int same = CRYPTO_memcmp(digest.data(), one.digest.data(), digest.size()) == 0 ? 1 : 0;
    accepted |= same & (now < one.expires ? 1 : 0);
  }
  // Computed without a branch, which would cost one of the two results an instruction more.
  static_assert(static_cast<int>(CredentialCheck::kAccepted) == 0);
  return static_cast<CredentialCheck>((1 - accepted) * static_cast<int>(CredentialCheck::kWrong));
}

absl::string_view Credentials::challenge() const {
  if (mode_ == Mode::kNone) return "";
  if (mode_ == Mode::kBasic) return "Basic realm=\"webhook\", charset=\"UTF-8\"";
  // A scheme of our own, which does not reveal the header's name.
  return "Webhook realm=\"webhook\"";
}

}  // namespace webhook::core
