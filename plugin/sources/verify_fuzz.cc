// Any bytes as signatures, tokens and files of keys: nothing is authentic that was not signed here,
// a text has one decoding and one spelling, and a refusal is one line.
//
// The input: a byte that chooses, and texts with NUL between them.
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include <cstdint>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "plugin/sources/verify.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

namespace {

using webhook::fuzz::IsMessage;
using webhook::fuzz::Require;
using webhook::sources::Certificates;
using webhook::sources::Jwks;

const std::string kIssuers[] = {"https://issuer.example"};
constexpr char kAudience[] = "us";
const absl::Time kNow = absl::FromUnixSeconds(1'760'000'000);

// One key pair, and the set with it.
struct Keys {
  Keys() {
    unsigned char point[65];
    size_t size = 0;
    Require(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                            &size) == 1 &&
            size == sizeof point);
    const absl::string_view octets(reinterpret_cast<const char*>(point), size);
    auto made = Jwks::Create(
        absl::StrCat("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"x\":\"",
                     absl::WebSafeBase64Escape(octets.substr(1, 32)), "\",\"y\":\"",
                     absl::WebSafeBase64Escape(octets.substr(33)), "\"}]}"));
    Require(made.ok());
    jwks = *std::move(made);
  }

  std::string Token(absl::string_view header, absl::string_view claims) const {
    const std::string text =
        absl::StrCat(absl::WebSafeBase64Escape(header), ".", absl::WebSafeBase64Escape(claims));
    unsigned char der[80], raw[64];
    size_t size = sizeof der;
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    Require(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key) == 1);
    Require(EVP_DigestSign(context, der, &size, reinterpret_cast<const unsigned char*>(text.data()),
                           text.size()) == 1);
    EVP_MD_CTX_free(context);
    const unsigned char* in = der;
    ECDSA_SIG* const signature = d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(size));
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + 32, 32);
    ECDSA_SIG_free(signature);
    const absl::string_view octets(reinterpret_cast<const char*>(raw), sizeof raw);
    return absl::StrCat(text, ".", absl::WebSafeBase64Escape(octets));
  }

  EVP_PKEY* key = EVP_EC_gen("P-256");
  Jwks jwks;
};

void CheckRefusal(const absl::Status& status) {
  Require(absl::IsInvalidArgument(status) && IsMessage(status.message()));
}

void CheckSpellings(absl::string_view text) {
  if (const auto bytes = webhook::sources::DecodeHex(text)) {
    Require(absl::BytesToHexString(*bytes) == absl::AsciiStrToLower(text));
  }
  if (const auto bytes = webhook::sources::DecodeBase64(text)) {
    Require(absl::Base64Escape(*bytes) == text);
  }
  Require(webhook::sources::DecodeBase64(absl::Base64Escape(text)) == text);
  Require(webhook::sources::DecodeHex(absl::BytesToHexString(text)) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Keys& keys = *new Keys;
  webhook::fuzz::Input input(data, size);
  switch (input.Below(4)) {
    case 0: {
      const absl::string_view key = input.UpTo('\0'), message = input.UpTo('\0'),
                              signature = input.Rest();
      Require(!webhook::sources::VerifyEcdsaP256(key, message, signature));
      Require(!keys.jwks.Verify(signature, kIssuers, kAudience, kNow).ok());
      // Points of a small order are keys for which a signature can be made up.
      if (key.size() != 32) Require(!webhook::sources::VerifyEd25519(key, message, signature));
      CheckSpellings(signature);
      break;
    }
    case 1: {
      const absl::string_view header = input.UpTo('\0'), claims = input.Rest();
      if (!keys.jwks.Verify(keys.Token(header, claims), kIssuers, kAudience, kNow).ok()) break;
      for (const absl::string_view text : {header, claims}) {
        Require(webhook::fuzz::CheckJson(text.substr(text.find('{')), 100) !=
                webhook::fuzz::JsonVerdict::kInvalid);
      }
      break;
    }
    case 2: {
      const absl::string_view text = input.Rest();
      const auto jwks = Jwks::Create(text);
      if (!jwks.ok()) CheckRefusal(jwks.status());
      break;
    }
    default: {
      const auto certificates = Certificates::Create(input.Rest());
      if (!certificates.ok()) CheckRefusal(certificates.status());
      break;
    }
  }
  return 0;
}
