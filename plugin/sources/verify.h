// The cryptography of senders' signatures, over bytes that somebody else has put together. Nothing
// here fetches a key, reads a file or knows of a request. All of it is thread-safe.
#ifndef PLUGIN_SOURCES_VERIFY_H_
#define PLUGIN_SOURCES_VERIFY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace webhook::sources {

enum class Hash : uint8_t { kSha1, kSha256, kSha512 };

// HMAC (RFC 2104) and hash of pieces that follow one another, as 20, 32 or 64 raw bytes. They
// cannot fail, and allocate the result alone.
std::string Hmac(Hash hash, absl::string_view key, std::span<const absl::string_view> pieces);
std::string Digest(Hash hash, std::span<const absl::string_view> pieces);

// The time it takes depends on the two sizes, in steps of 64 bytes, and on nothing else: fit for
// MACs, and for tokens of whatever length.
bool EqualInConstantTime(absl::string_view a, absl::string_view b);

// Pairs of hexadecimal digits of either case, nothing else; empty text is empty bytes.
std::optional<std::string> DecodeHex(absl::string_view text);

// RFC 4648 section 4 in the one spelling that an encoder writes: the standard alphabet, padding,
// spare bits zero, no blanks or line ends.
std::optional<std::string> DecodeBase64(absl::string_view text);

// RFC 8032, without context or prehash: a key of 32 bytes, a signature of 64.
bool VerifyEd25519(absl::string_view public_key, absl::string_view message,
                   absl::string_view signature);

// ECDSA with P-256 and SHA-256. The key is a SubjectPublicKeyInfo in DER with an uncompressed point
// (RFC 5480); the signature is in DER (RFC 3279 section 2.2.3). Whoever has one valid signature
// (r, s) can make another, (r, n - s): never take a signature's bytes for a message's identity.
bool VerifyEcdsaP256(absl::string_view spki_der, absl::string_view message,
                     absl::string_view signature);

// Senders' RSA certificates, by the URLs that their messages name. Whether a URL is one of that
// sender's is the profile's business; the certificates are the operator's, and never fetched.
// Immutable and cheap to copy.
class Certificates {
 public:
  // `json`: an object from URL to PEM text: the certificate, then the one that signed it, and so
  // on. The last one is trusted as it stands, and need not have signed itself. Judged here: each
  // signature in the chain, that all but the first are authorities, and the strength of keys.
  // INVALID_ARGUMENT, with the place in the text or the URL, for what is wrong. At most 1 MiB, 256
  // URLs of visible ASCII, each of 2,048 bytes, and 8 certificates in a chain.
  static absl::StatusOr<Certificates> Create(absl::string_view json);

  // Whether the certificate of `url` has signed `message`: RSASSA-PKCS1-v1_5 (RFC 8017
  // section 8.2). The URL must be https without user or port, and a name of the certificate must
  // belong to its host: without the first label it must be a parent domain of it. So the
  // certificate of sns.amazonaws.com is good for https://sns.us-east-1.amazonaws.com/.... The
  // status has a sentence for the operator; a sender learns nothing of it.
  //   NOT_FOUND            no certificate for this URL was given
  //   FAILED_PRECONDITION  it is not the host's, or one of its chain is not valid at `now`
  //   UNAUTHENTICATED      the signature is wrong
  absl::Status Verify(absl::string_view url, Hash hash, absl::string_view message,
                      absl::string_view signature, absl::Time now) const;

  // Those of which one in the chain expires by then, or has expired: the URL and when.
  std::vector<std::pair<absl::string_view, absl::Time>> ExpiringBy(absl::Time time) const;

 private:
  struct Entry {
    std::string url;
    std::shared_ptr<evp_pkey_st> key;
    bool of_host = false;   // a name of the certificate belongs to the URL's host
    absl::Time not_before;  // of the whole chain
    absl::Time not_after;
  };

  std::vector<Entry> entries_;
};

// What a token must say beside `iss`, `aud` and `exp`: a claim that is a string of this text, or a
// number, true or false that is written like it.
struct Claim {
  absl::string_view name;
  absl::string_view text;
};

// The public keys of an issuer of JSON Web Tokens (RFC 7519, RFC 8725). Immutable and cheap to
// copy.
class Jwks {
 public:
  // `json`: a JWK set (RFC 7517 section 5). Used are RSA keys of 2048 to 8192 bits, for RS256, and
  // P-256 keys, for ES256, that have a `kid` and are not declared for anything else. Other keys are
  // passed over, as the RFC asks, but one must be left. INVALID_ARGUMENT for what is wrong, for a
  // `kid` of two such keys too. At most 1 MiB and 256 keys.
  static absl::StatusOr<Jwks> Create(absl::string_view json);

  // Whether `token`, of 8 KiB at most, is a JWS in compact form that one of the keys has signed,
  // and is meant for us, now: `iss` is one of `issuers`, `aud` is or contains `audience`, `exp` is
  // past `now`, `nbf`, if there is one, is at most a minute ahead, and each of `claims` holds. The
  // key that `kid` names fixes the algorithm; the token's `alg` can only agree. An empty issuer or
  // audience accepts nothing.
  //   NOT_FOUND        no key has that `kid`: the key file may be stale
  //   UNAUTHENTICATED  anything else; with a sentence for the operator
  absl::Status Verify(absl::string_view token, std::span<const std::string> issuers,
                      absl::string_view audience, absl::Time now,
                      std::span<const Claim> claims = {}) const;

 private:
  struct Key {
    std::string id;
    std::shared_ptr<evp_pkey_st> key;
    bool rsa = false;  // RS256, else ES256
  };

  std::vector<Key> keys_;
};

}  // namespace webhook::sources

#endif  // PLUGIN_SOURCES_VERIFY_H_
