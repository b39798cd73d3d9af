// Calls EqualInConstantTime with texts of which more or less is right, and prints one line for each
// call: NAME LENGTH VERDICT. Runs under callgrind, which counts the instructions of each call
// (tests/secrets/credential_instructions_test.py).
#include <cstdio>
#include <string>

#include "plugin/sources/verify.h"

// Callgrind writes its counts when this is called.
extern "C" __attribute__((noinline)) void CallHasEnded(const char* mode, const char* what,
                                                       size_t bytes, bool accepted) {
  std::printf("%s/%s %zu %s\n", mode, what, bytes, accepted ? "accepted" : "refused");
}

namespace {

void Compare(const char* mode, const char* what, const std::string& right,
             const std::string& given) {
  const bool equal = webhook::sources::EqualInConstantTime(given, right);
  CallHasEnded(mode, what, given.size(), equal);
}

void Play(const char* mode, const std::string& right) {
  std::string first = right, middle = right, last = right;
  ++first.front();
  ++middle[right.size() / 2];
  ++last.back();
  Compare(mode, "right", right, right);
  Compare(mode, "wrong-first", right, first);
  Compare(mode, "wrong-middle", right, middle);
  Compare(mode, "wrong-last", right, last);
  Compare(mode, "all-wrong", right, std::string(right.size(), '~'));
  Compare(mode, "embedded-zero", right, std::string(right.size(), '\0'));
  Compare(mode, "one-short", right, right.substr(1));
  Compare(mode, "one-short-at-the-end", right, right.substr(0, right.size() - 1));
}

}  // namespace

int main() {
  using webhook::sources::Hash;
  // The first call resolves OpenSSL's symbols, and is not counted.
  Compare("warm-up", "warm-up", "a", "b");
  const absl::string_view text = "text";
  Play("sha1", Hmac(Hash::kSha1, "key", std::span(&text, 1)));
  Play("sha256", Hmac(Hash::kSha256, "key", std::span(&text, 1)));
  Play("sha512", Hmac(Hash::kSha512, "key", std::span(&text, 1)));
  Play("token", "correct-horse-battery-staple");
  return 0;
}
