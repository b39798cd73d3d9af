// Takes any bytes as the value of Authorization, and as a query. Only the one right value may be
// accepted, in any case of the scheme and with any blanks after it.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "plugin/core/credentials.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using webhook::core::CredentialCheck;
  using webhook::core::Credentials;
  static const Credentials basic = *Credentials::Create("user", "pass");
  static const Credentials header = *Credentials::Create("_header:Authorization", "Bearer XXX");
  static const Credentials query = *Credentials::Create("_query:key", "secret+1");
  const absl::string_view value(reinterpret_cast<const char*>(data), size);
  const webhook::core::HeaderView headers[] = {{"authorization", value}};
  const absl::string_view trimmed = absl::StripAsciiWhitespace(value);
  if (basic.Check(headers, "", absl::UnixEpoch()) == CredentialCheck::kAccepted &&
      (!absl::StartsWithIgnoreCase(trimmed, "basic ") ||
       !absl::EndsWith(trimmed, " dXNlcjpwYXNz"))) {
    std::abort();
  }
  if (header.Check(headers, "", absl::UnixEpoch()) == CredentialCheck::kAccepted &&
      trimmed != "Bearer XXX")
    std::abort();
  // One parameter of that name, with nothing but the right value, perhaps escaped.
  if (query.Check({}, value, absl::UnixEpoch()) == CredentialCheck::kAccepted &&
      (query.SecretIn(value).size() < 8 || query.SecretIn(value).size() > 24)) {
    std::abort();
  }
  (void)Credentials::Create(value, "secret");
  (void)Credentials::Create("_header:X", value);
  return 0;
}
