// Any bytes as certificate, key and authorities: refused with a message that quotes nothing of
// them, or a context that can be used.
//
// The input: PEM texts with NUL between them. Where the first byte is 'D' the texts are DER, and
// put into PEM here, so that what is changed is not the armour alone.
#include <openssl/err.h>
#include <openssl/evp.h>

#include <cstdint>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "plugin/http/tls.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

namespace {

using webhook::fuzz::IsMessage;
using webhook::fuzz::Require;
using webhook::http::TlsContext;

constexpr size_t kQuoted = 14;  // bytes in a row, without blanks

std::string Armoured(absl::string_view kind, absl::string_view der) {
  const std::string text = absl::Base64Escape(der);
  std::string pem = absl::StrCat("-----BEGIN ", kind, "-----\n");
  for (size_t at = 0; at < text.size(); at += 64) absl::StrAppend(&pem, text.substr(at, 64), "\n");
  return absl::StrCat(pem, "-----END ", kind, "-----\n");
}

// Our own words may stand in the input, for the fuzzer learns them; but they are shorter.
void CheckQuotesNothing(absl::string_view message, absl::string_view input) {
  for (const absl::string_view word : absl::StrSplit(message, ' ')) {
    Require(word.size() < kQuoted || !absl::StrContains(input, word));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  webhook::fuzz::Input input(data, size);
  const absl::string_view whole(reinterpret_cast<const char*>(data), size);
  const bool der = !whole.empty() && whole[0] == 'D';
  if (der) input.Byte();
  // In DER any byte may occur: lengths stand in front.
  std::string chain, key, authority;
  if (der) {
    const size_t chain_size = input.Byte() * 256u + input.Byte();
    const absl::string_view rest = input.Rest();
    chain = Armoured("CERTIFICATE", rest.substr(0, chain_size));
    key = Armoured("PRIVATE KEY", rest.substr(std::min(chain_size, rest.size())));
  } else {
    chain = std::string(input.UpTo('\0'));
    key = std::string(input.UpTo('\0'));
    authority = std::string(input.Rest());
  }
  const auto context = TlsContext::Create(
      {.certificate_chain_pem = chain, .private_key_pem = key, .client_ca_pem = authority});
  // What one connection leaves behind must not be taken for the next one's error.
  Require(ERR_peek_error() == 0);
  if (context.ok()) {
    Require((*context)->native() != nullptr);
    return 0;
  }
  Require(absl::IsInvalidArgument(context.status()) && IsMessage(context.status().message()));
  CheckQuotesNothing(context.status().message(), whole);
  return 0;
}
