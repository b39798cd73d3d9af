#include "plugin/base/secret_names.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/strings/match.h"
#include "plugin/base/characters.h"

namespace base {
namespace {

constexpr CharacterSet kWord = CharacterSet::Of([](int c) { return IsAlphanumeric(c); });

// Not a view: a table of pointers would have to be relocated.
struct Word {
  constexpr Word(const char* letters) {
    for (; letters[size] != '\0'; ++size) text[size] = letters[size];
  }
  constexpr operator absl::string_view() const { return {text, size}; }

  uint8_t size = 0;
  char text[15] = {};
};

// What a part is, or ends with: "token", "accesstoken".
constexpr Word kEndings[] = {"token",      "secret",        "password",       "passwd",
                             "passphrase", "passcode",      "signature",      "cookie",
                             "credential", "authorization", "authentication", "credentials",
                             "sessionid"};

// What a part is.
constexpr Word kParts[] = {"sig", "hmac", "jwt", "bearer", "pwd", "csrf", "xsrf", "assertion"};

// What the last part is. In the middle it may be of x-auth-request-email.
constexpr Word kLastParts[] = {"auth", "pass", "otp", "session"};

// What stands before "key", at the end of the same part or of the one before. An event-key, a
// routing-key or an idempotency-key is no secret.
constexpr Word kKeysOf[] = {
    "access",      "account",  "admin",      "api",         "app",     "auth",        "client",
    "application", "consumer", "encryption", "function",    "hook",    "functions",   "host",
    "ingest",      "license",  "master",     "integration", "private", "secret",      "security",
    "service",     "shared",   "signing",    "storage",     "write",   "subscription"};

// The last part where the value only tells something about a secret.
constexpr Word kAbout[] = {"algorithm", "expires", "timestamp", "type", "version"};

// The last letters of all words that make a secret, as bits of a hash: they rule out nearly every
// other part.
class LastLetters {
 public:
  constexpr LastLetters() {
    Add("key");
    Add("id");
    for (const Word& word : kEndings) Add(word);
    for (const Word& word : kParts) Add(word);
    for (const Word& word : kLastParts) Add(word);
  }
  bool MayHave(absl::string_view part) const {
    const size_t bit = BitOf(part);
    return (bits_[bit / 64] >> bit % 64 & 1) != 0;
  }

 private:
  static constexpr size_t BitOf(absl::string_view part) {
    const size_t third = part.size() > 2 ? static_cast<size_t>(part[part.size() - 3]) : 0;
    return (third * 7 ^ static_cast<size_t>(part[part.size() - 2]) * 37 ^
            static_cast<size_t>(part.back()) * 211) %
           kBits;
  }
  constexpr void Add(absl::string_view word) {
    bits_[BitOf(word) / 64] |= uint64_t{1} << BitOf(word) % 64;
  }

  static constexpr size_t kBits = 1024;
  uint64_t bits_[kBits / 64] = {};
};
constexpr LastLetters kLastLetters;

template <typename Words>
bool IsOneOf(absl::string_view part, const Words& words) {
  return std::any_of(std::begin(words), std::end(words),
                     [part](const Word& word) { return part == word; });
}

template <typename Words>
bool EndsWithOneOf(absl::string_view part, const Words& words) {
  return std::any_of(std::begin(words), std::end(words),
                     [part](const Word& word) { return absl::EndsWith(part, word); });
}

// Names that nearly every request has.
bool IsUsual(absl::string_view name) {
  switch (name.size()) {
    case 4:
      return name == "host";
    case 6:
      return name == "accept";
    case 10:
      return name == "user-agent";
    case 12:
      return name == "content-type";
    case 14:
      return name == "content-length";
    default:
      return false;
  }
}

[[gnu::noinline]] bool IsSecretPart(absl::string_view part, absl::string_view before,
                                    bool is_last) {
  if (EndsWithOneOf(part, kEndings) || IsOneOf(part, kParts)) return true;
  if (is_last && IsOneOf(part, kLastParts)) return true;
  if (part == "id") return before == "session";
  if (!absl::EndsWith(part, "key")) return false;
  part.remove_suffix(3);
  return EndsWithOneOf(part.empty() ? before : part, kKeysOf);
}

}  // namespace

bool LooksSecret(absl::string_view name) {
  if (IsUsual(name)) return false;
  bool secret = false;
  absl::string_view part;
  for (size_t begin = 0; begin < name.size();) {
    size_t end = begin;
    while (end < name.size() && kWord.Has(name[end])) ++end;
    const absl::string_view before = part;
    part = name.substr(begin, end - begin);
    while (!part.empty() && IsDigit(part.back())) part.remove_suffix(1);  // signature-256, token2
    begin = end + 1;
    if (part.size() < 2) {
      part = before;
    } else if (kLastLetters.MayHave(part)) {
      secret = secret || IsSecretPart(part, before, end == name.size());
    }
  }
  return secret && !IsOneOf(part, kAbout);
}

}  // namespace base
