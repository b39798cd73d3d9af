// Calls Credentials::Check with credentials of which more or less is right, and prints one line for
// each call: NAME LENGTH VERDICT. Runs under callgrind, which counts the instructions of each call
// (tests/secrets/credential_instructions_test.py).
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "plugin/core/credentials.h"

// Callgrind writes its counts when this is called.
extern "C" __attribute__((noinline)) void CallHasEnded(const char* mode, const char* what,
                                                       size_t bytes, bool accepted) {
  std::printf("%s/%s %zu %s\n", mode, what, bytes, accepted ? "accepted" : "refused");
}

namespace webhook::core {
namespace {

constexpr char kRight[] = "correct-horse-battery-staple";

void Check(const char* mode, const char* what, const Credentials& credentials,
           const std::string& header, const std::string& value) {
  const HeaderView headers[] = {{"Host", "h"}, {header, value}, {"Content-Type", "text/plain"}};
  const CredentialCheck verdict =
      credentials.Check(headers, "", absl::UnixEpoch() + absl::Hours(24));
  CallHasEnded(mode, what, value.size(), verdict == CredentialCheck::kAccepted);
}

// The right text, and wrong ones of its length.
std::vector<std::pair<const char*, std::string>> Candidates(const std::string& right) {
  std::string first = right, middle = right, last = right;
  ++first.front();
  ++middle[right.size() / 2];
  ++last.back();
  return {{"right", right},
          {"wrong-first", first},
          {"wrong-middle", middle},
          {"wrong-last", last},
          {"all-wrong", std::string(right.size(), '~')},
          {"embedded-zero", std::string(right.size(), '\0')},
          {"one-short", right.substr(1)},
          {"one-short-at-the-end", right.substr(0, right.size() - 1)}};
}

void PlayHeader(const char* mode, const Credentials& credentials, const std::string& right) {
  for (const auto& [what, text] : Candidates(right)) {
    Check(mode, what, credentials, "X-Token", text);
  }
}

void PlayBasic(const char* mode, const Credentials& credentials, const std::string& password) {
  for (const auto& [what, text] : Candidates(password)) {
    Check(mode, what, credentials, "Authorization",
          absl::StrCat("Basic ", absl::Base64Escape(absl::StrCat("user:", text))));
  }
  // The same for the name.
  const std::string pair = absl::StrCat("User:", password);
  Check(mode, "wrong-user", credentials, "Authorization",
        absl::StrCat("Basic ", absl::Base64Escape(pair)));
  const std::string token = absl::Base64Escape(absl::StrCat("user:", password));
  for (const auto& [what, text] : Candidates(token)) {
    Check(mode, absl::StrCat("token-", what).c_str(), credentials, "Authorization",
          absl::StrCat("Basic ", text));
  }
}

// The same credentials, checked against secrets of other lengths.
bool PlayLengths() {
  for (const size_t bytes : {1, 27, 28, 29, 63, 64, 65, 500}) {
    const auto credentials = Credentials::Create("_header:X-Token", std::string(bytes, 's'));
    if (!credentials.ok()) return false;
    Check("lengths", absl::StrCat("secret-of-", bytes).c_str(), *credentials, "X-Token", kRight);
    Check("lengths", absl::StrCat("part-of-", bytes).c_str(), *credentials, "X-Token",
          std::string(sizeof(kRight) - 1, 's'));
  }
  return true;
}

int Play() {
  const auto header = Credentials::Create("_header:X-Token", kRight);
  const auto basic = Credentials::Create("user", kRight);
  const Password listed[] = {
      {.text = "another-horse-battery-staple"},
      {.text = kRight, .expires = absl::UnixEpoch() + absl::Hours(48)},
      {.text = "expired-horse-battery-staple", .expires = absl::UnixEpoch() + absl::Hours(1)},
      {.text = "short"}};
  const auto list = Credentials::Create("user", listed);
  const auto header_list = Credentials::Create("_header:X-Token", listed);
  if (!header.ok() || !basic.ok() || !list.ok() || !header_list.ok()) return 1;
  // The first call resolves OpenSSL's symbols, and is not counted.
  Check("warm-up", "header", *header, "X-Token", kRight);
  PlayHeader("header", *header, kRight);
  PlayBasic("basic", *basic, kRight);
  for (const Password& one : listed) {
    PlayBasic("list", *list, std::string(one.text));
    PlayHeader("header-list", *header_list, std::string(one.text));
  }
  return PlayLengths() ? 0 : 1;
}

}  // namespace
}  // namespace webhook::core

int main() { return webhook::core::Play(); }
