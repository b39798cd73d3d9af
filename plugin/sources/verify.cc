// SHA256_Init and its like are deprecated in favour of EVP, which allocates a context and looks its
// algorithm up; these do neither, work on the stack, and cannot fail. A MAC of 7 KB takes 5.8 us
// here and 6.6 us with a fetched EVP_MAC.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "plugin/sources/verify.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"
#include "plugin/base/json_reader.h"

namespace webhook::sources {
namespace {

constexpr size_t kMostKeyFileBytes = 1 << 20;
constexpr size_t kMostKeys = 256;
constexpr size_t kMostUrlBytes = 2'048;
constexpr size_t kMostOfChain = 8;
constexpr size_t kMostTokenBytes = 8 * 1024;
constexpr int kLeastRsaBits = 2048;
constexpr int kMostRsaBits = 8192;
constexpr int kMostJsonDepth = 16;
// How far a sender's clock may be ahead of ours.
constexpr absl::Duration kClockSkew = absl::Minutes(1);

// The three hash functions with one set of names.
struct Sha1 {
  using Context = SHA_CTX;
  static constexpr size_t kBlock = SHA_CBLOCK, kSize = SHA_DIGEST_LENGTH;
  static constexpr auto Init = SHA1_Init;
  static constexpr auto Update = SHA1_Update;
  static constexpr auto Final = SHA1_Final;
};
struct Sha256 {
  using Context = SHA256_CTX;
  static constexpr size_t kBlock = SHA256_CBLOCK, kSize = SHA256_DIGEST_LENGTH;
  static constexpr auto Init = SHA256_Init;
  static constexpr auto Update = SHA256_Update;
  static constexpr auto Final = SHA256_Final;
};
struct Sha512 {
  using Context = SHA512_CTX;
  static constexpr size_t kBlock = SHA512_CBLOCK, kSize = SHA512_DIGEST_LENGTH;
  static constexpr auto Init = SHA512_Init;
  static constexpr auto Update = SHA512_Update;
  static constexpr auto Final = SHA512_Final;
};

using Pieces = std::span<const absl::string_view>;

// Writes H(prefix, pieces).
template <typename H>
void HashInto(absl::string_view prefix, Pieces pieces, unsigned char* out) {
  typename H::Context context;
  H::Init(&context);
  H::Update(&context, prefix.data(), prefix.size());
  for (const absl::string_view piece : pieces) H::Update(&context, piece.data(), piece.size());
  H::Final(out, &context);
  OPENSSL_cleanse(&context, sizeof context);
}

template <typename H>
std::string DigestWith(Pieces pieces) {
  std::string digest(H::kSize, '\0');
  HashInto<H>({}, pieces, reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

// RFC 2104 section 2.
template <typename H>
std::string HmacWith(absl::string_view key, Pieces pieces) {
  unsigned char pad[H::kBlock] = {};
  if (key.size() > H::kBlock) {
    HashInto<H>(key, {}, pad);
  } else if (!key.empty()) {
    std::memcpy(pad, key.data(), key.size());
  }
  const absl::string_view prefix(reinterpret_cast<const char*>(pad), sizeof pad);
  std::string mac(H::kSize, '\0');
  unsigned char* const out = reinterpret_cast<unsigned char*>(mac.data());
  for (unsigned char& octet : pad) octet ^= 0x36;
  HashInto<H>(prefix, pieces, out);
  for (unsigned char& octet : pad) octet ^= 0x36 ^ 0x5C;
  const absl::string_view inner(mac);
  HashInto<H>(prefix, std::span(&inner, 1), out);
  OPENSSL_cleanse(pad, sizeof pad);
  return mac;
}

const unsigned char* Octets(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// OpenSSL's state for this file alone: what the process or an openssl.cnf has set does not hold
// here. Freed at the exit, or when the plugin is unloaded.
OSSL_LIB_CTX* Library() {
  struct Context {
    Context() {
      OPENSSL_init_crypto(0, nullptr);  // so that OpenSSL's own end comes after this one's
      library = OSSL_LIB_CTX_new();
    }
    ~Context() { OSSL_LIB_CTX_free(library); }
    OSSL_LIB_CTX* library;
  };
  static const Context context;
  return context.library;
}

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(OSSL_PARAM* parameters) const { OSSL_PARAM_free(parameters); }
  void operator()(OSSL_PARAM_BLD* builder) const { OSSL_PARAM_BLD_free(builder); }
  void operator()(STACK_OF(X509) * chain) const { sk_X509_pop_free(chain, X509_free); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
};

template <typename T>
using Owned = std::unique_ptr<T, Free>;

// Leaves nothing of OpenSSL's with a thread that may not be ours.
class [[nodiscard]] OpenSslScope {
 public:
  OpenSslScope() { ERR_clear_error(); }
  ~OpenSslScope() {
    ERR_clear_error();
    OPENSSL_thread_stop_ex(Library());
  }
};

// `hash` is null for Ed25519.
bool IsSignedBy(EVP_PKEY* key, const char* hash, absl::string_view message,
                absl::string_view signature) {
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  return key != nullptr && context != nullptr &&
         EVP_DigestVerifyInit_ex(context.get(), nullptr, hash, Library(), nullptr, key, nullptr) ==
             1 &&
         EVP_DigestVerify(context.get(), Octets(signature), signature.size(), Octets(message),
                          message.size()) == 1;
}

Owned<EVP_PKEY> KeyFrom(const char* kind, OSSL_PARAM* parameters) {
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(Library(), kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
    return nullptr;
  }
  return Owned<EVP_PKEY>(key);
}

// `point` is uncompressed: 0x04, x and y. Null unless it lies on the curve.
Owned<EVP_PKEY> P256Key(absl::string_view point) {
  char group[] = "P-256";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, const_cast<char*>(point.data()),
                                        point.size()),
      OSSL_PARAM_construct_end()};
  return KeyFrom("EC", parameters);
}

// Null for a key that is no RSA key, too small to be safe, or so large that it costs too much.
Owned<EVP_PKEY> RsaKey(absl::string_view modulus, absl::string_view exponent) {
  if (modulus.size() > kMostRsaBits / 8 || exponent.size() > 8) return nullptr;
  const Owned<BIGNUM> n(BN_bin2bn(Octets(modulus), static_cast<int>(modulus.size()), nullptr));
  const Owned<BIGNUM> e(BN_bin2bn(Octets(exponent), static_cast<int>(exponent.size()), nullptr));
  // With 1 for an exponent, a signature would be the message itself.
  if (n == nullptr || e == nullptr || BN_num_bits(n.get()) < kLeastRsaBits ||
      BN_is_odd(n.get()) == 0 || BN_is_odd(e.get()) == 0 || BN_is_one(e.get()) != 0) {
    return nullptr;
  }
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  const Owned<OSSL_PARAM> parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  return parameters == nullptr ? nullptr : KeyFrom("RSA", parameters.get());
}

// RFC 7515 section 2: the URL-safe alphabet without padding, in the one spelling of an encoder.
std::optional<std::string> DecodeBase64Url(absl::string_view text) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(text, &bytes) || absl::WebSafeBase64Escape(bytes) != text) {
    return std::nullopt;
  }
  return bytes;
}

absl::Status Refuse(absl::string_view text) { return absl::InvalidArgumentError(text); }

absl::Status NotAuthentic(absl::string_view text) { return absl::UnauthenticatedError(text); }

absl::Status NotJson(absl::string_view text, const base::JsonReader& reader) {
  return Refuse(absl::StrCat("not the expected JSON at ",
                             base::LineAndColumn(text, reader.fault().byte), ": ",
                             reader.fault().what));
}

absl::Status TooLong() { return Refuse(absl::StrCat("longer than ", kMostKeyFileBytes, " bytes")); }

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTimeT(timegm(&parts));
}

// The host of `https://HOST/...`; empty for anything else.
absl::string_view HostOf(absl::string_view url) {
  if (!absl::ConsumePrefix(&url, "https://")) return {};
  const absl::string_view host = url.substr(0, url.find('/'));
  if (host.size() == url.size()) return {};
  const bool name = std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.';
  });
  return name ? host : absl::string_view();
}

// The name's parent must have two labels, so that it is not a whole top-level domain.
bool IsNameFor(absl::string_view name, absl::string_view host) {
  const size_t dot = name.find('.');
  if (dot == absl::string_view::npos) return false;
  const absl::string_view parent = name.substr(dot);  // with its dot
  return parent.find('.', 1) != absl::string_view::npos && absl::EndsWithIgnoreCase(host, parent);
}

// The names of a certificate: of its subjectAltName, or the common name where it has none (RFC 6125
// section 6.4.4).
std::vector<std::string> NamesOf(X509* certificate) {
  std::vector<std::string> names;
  const auto add = [&names](const ASN1_STRING* text) {
    names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                       static_cast<size_t>(ASN1_STRING_length(text)));
  };
  auto* const alternatives = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  const absl::Cleanup free = [alternatives] { GENERAL_NAMES_free(alternatives); };
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(alternatives, i);
    if (name->type == GEN_DNS) add(name->d.dNSName);
  }
  if (!names.empty()) return names;
  const X509_NAME* const subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at >= 0) add(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  return names;
}

absl::StatusOr<Owned<STACK_OF(X509)>> ReadChain(absl::string_view pem) {
  Owned<STACK_OF(X509)> chain(sk_X509_new_null());
  const Owned<BIO> reader(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  for (size_t number = 1;; ++number) {
    X509* certificate = X509_new_ex(Library(), nullptr);
    const bool read = PEM_read_bio_X509(reader.get(), &certificate, nullptr, nullptr) != nullptr;
    Owned<X509> owned(certificate);
    if (!read) {
      const unsigned long error = ERR_peek_last_error();
      ERR_clear_error();
      if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
        return Refuse(absl::StrCat("certificate ", number, " is malformed"));
      }
      if (number == 1) return Refuse("no PEM certificate in the text");
      return chain;
    }
    if (number > kMostOfChain) {
      return Refuse(absl::StrCat("more than ", kMostOfChain, " certificates"));
    }
    if (sk_X509_push(chain.get(), owned.get()) == 0) return Refuse("out of memory");
    owned.release();
  }
}

// Judges all but the dates, which change.
absl::Status CheckChain(STACK_OF(X509) * chain) {
  const int size = sk_X509_num(chain);
  const Owned<X509_STORE> store(X509_STORE_new());
  const Owned<X509_STORE_CTX> context(X509_STORE_CTX_new_ex(Library(), nullptr));
  if (store == nullptr || context == nullptr ||
      X509_STORE_add_cert(store.get(), sk_X509_value(chain, size - 1)) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), sk_X509_value(chain, 0), chain) != 1) {
    return Refuse("not usable");
  }
  X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
  X509_VERIFY_PARAM_set_auth_level(rules, 2);  // 112 bits, and no SHA-1
  if (X509_verify_cert(context.get()) != 1) {
    return Refuse(
        absl::StrCat("the chain does not hold: ",
                     X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))));
  }
  if (sk_X509_num(X509_STORE_CTX_get0_chain(context.get())) != size) {
    return Refuse("a certificate is no part of the chain");
  }
  if ((X509_get_key_usage(sk_X509_value(chain, 0)) & KU_DIGITAL_SIGNATURE) == 0) {
    return Refuse("the first certificate is not for signatures");
  }
  EVP_PKEY* const key = X509_get0_pubkey(sk_X509_value(chain, 0));
  const bool rsa = key != nullptr && EVP_PKEY_is_a(key, "RSA") == 1;
  if (!rsa || EVP_PKEY_get_bits(key) < kLeastRsaBits || EVP_PKEY_get_bits(key) > kMostRsaBits) {
    return Refuse(absl::StrCat("the first certificate's key is not RSA with ", kLeastRsaBits,
                               " to ", kMostRsaBits, " bits"));
  }
  return absl::OkStatus();
}

// The members of a JSON object that are looked for, as their values are written.
class Members {
 public:
  // A repeated name is refused: which one counts, readers do not agree on.
  bool Read(base::JsonReader& reader) {
    return reader.EachMember([&](const base::JsonValue& key) {
      base::JsonValue value;
      if (!reader.ReadValue(value)) return false;
      names_.push_back(base::TextOfString(key));
      values_.push_back(value);
      return std::find(names_.begin(), names_.end() - 1, names_.back()) == names_.end() - 1;
    });
  }

  const base::JsonValue* Find(absl::string_view name) const {
    const auto found = std::find(names_.begin(), names_.end(), name);
    return found == names_.end() ? nullptr : &values_[found - names_.begin()];
  }

  // The text of a string; nullopt if there is no such member or it is something else.
  std::optional<std::string> Text(absl::string_view name) const {
    const base::JsonValue* const value = Find(name);
    if (value == nullptr || value->kind != base::JsonKind::kString) return std::nullopt;
    return base::TextOfString(*value);
  }

  std::optional<std::string> Bytes(absl::string_view name) const {
    const std::optional<std::string> text = Text(name);
    return text.has_value() ? DecodeBase64Url(*text) : std::nullopt;
  }

  // NumericDate (RFC 7519 section 2). False for what is no time.
  bool Time(absl::string_view name, absl::Time& time) const {
    const base::JsonValue* const value = Find(name);
    double seconds = 0;
    if (value == nullptr || value->kind != base::JsonKind::kNumber ||
        !absl::SimpleAtod(value->text, &seconds) || !(std::abs(seconds) < 1e11)) {
      return false;
    }
    time = absl::UnixEpoch() + absl::Seconds(seconds);
    return true;
  }

 private:
  std::vector<std::string> names_;
  std::vector<base::JsonValue> values_;
};

bool Says(const base::JsonValue* value, absl::string_view text) {
  if (value == nullptr) return false;
  if (value->kind == base::JsonKind::kString) return base::TextOfString(*value) == text;
  return value->kind != base::JsonKind::kObject && value->kind != base::JsonKind::kArray &&
         value->kind != base::JsonKind::kNull && value->text == text;
}

// `aud` is a text or an array of texts (RFC 7519 section 4.1.3).
bool IsMeantFor(const base::JsonValue* audiences, absl::string_view audience) {
  if (audiences == nullptr) return false;
  if (audiences->kind == base::JsonKind::kString) return Says(audiences, audience);
  if (audiences->kind != base::JsonKind::kArray) return false;
  base::JsonReader reader(kMostJsonDepth);
  bool found = false;
  const bool good = reader.OpenCopy(audiences->text) && reader.EachItem([&] {
    base::JsonValue one;
    if (!reader.ReadValue(one)) return false;
    found = found || (one.kind == base::JsonKind::kString && Says(&one, audience));
    return true;
  });
  return good && found;
}

// RFC 7518 section 3.4: r and s of 32 bytes each. OpenSSL wants them in DER.
bool IsSignedWithEs256(EVP_PKEY* key, absl::string_view message, absl::string_view raw) {
  if (raw.size() != 64) return false;
  const Owned<ECDSA_SIG> signature(ECDSA_SIG_new());
  Owned<BIGNUM> r(BN_bin2bn(Octets(raw), 32, nullptr));
  Owned<BIGNUM> s(BN_bin2bn(Octets(raw) + 32, 32, nullptr));
  if (signature == nullptr || r == nullptr || s == nullptr ||
      ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) {
    return false;
  }
  r.release();
  s.release();
  unsigned char der[80];
  unsigned char* end = der;
  const int size = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (size <= 0 || size > static_cast<int>(sizeof der)) return false;
  i2d_ECDSA_SIG(signature.get(), &end);
  return IsSignedBy(key, "SHA256", message,
                    {reinterpret_cast<const char*>(der), static_cast<size_t>(size)});
}

// Null for a key that is not for our two algorithms.
Owned<EVP_PKEY> KeyOf(const Members& jwk, bool& rsa) {
  const auto may_be = [&jwk](absl::string_view name, absl::string_view text) {
    return jwk.Find(name) == nullptr || jwk.Text(name) == text;
  };
  const std::optional<std::string> type = jwk.Text("kty");
  rsa = type == "RSA";
  if (!may_be("use", "sig") || !may_be("alg", rsa ? "RS256" : "ES256")) return nullptr;
  if (rsa) {
    const auto modulus = jwk.Bytes("n"), exponent = jwk.Bytes("e");
    return modulus.has_value() && exponent.has_value() ? RsaKey(*modulus, *exponent) : nullptr;
  }
  if (type != "EC" || jwk.Text("crv") != "P-256") return nullptr;
  const auto x = jwk.Bytes("x"), y = jwk.Bytes("y");
  const bool whole = x.has_value() && y.has_value() && x->size() == 32 && y->size() == 32;
  return whole ? P256Key(absl::StrCat("\x04", *x, *y)) : nullptr;
}

}  // namespace

std::string Hmac(Hash hash, absl::string_view key, std::span<const absl::string_view> pieces) {
  switch (hash) {
    case Hash::kSha1:
      return HmacWith<Sha1>(key, pieces);
    case Hash::kSha256:
      return HmacWith<Sha256>(key, pieces);
    case Hash::kSha512:
      break;
  }
  return HmacWith<Sha512>(key, pieces);
}

std::string Digest(Hash hash, std::span<const absl::string_view> pieces) {
  switch (hash) {
    case Hash::kSha1:
      return DigestWith<Sha1>(pieces);
    case Hash::kSha256:
      return DigestWith<Sha256>(pieces);
    case Hash::kSha512:
      break;
  }
  return DigestWith<Sha512>(pieces);
}

// Digests have one size, so that no branch depends on the sizes of what is compared.
bool EqualInConstantTime(absl::string_view a, absl::string_view b) {
  unsigned char digests[2][Sha256::kSize];
  HashInto<Sha256>(a, {}, digests[0]);
  HashInto<Sha256>(b, {}, digests[1]);
  return CRYPTO_memcmp(digests[0], digests[1], Sha256::kSize) == 0;
}

std::optional<std::string> DecodeHex(absl::string_view text) {
  const bool digits = std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isxdigit(static_cast<unsigned char>(c));
  });
  if (!digits || text.size() % 2 != 0) return std::nullopt;
  return absl::HexStringToBytes(text);
}

// Abseil's decoder is lenient; writing the bytes again shows whether the spelling was the right
// one.
std::optional<std::string> DecodeBase64(absl::string_view text) {
  std::string bytes;
  if (!absl::Base64Unescape(text, &bytes) || absl::Base64Escape(bytes) != text) {
    return std::nullopt;
  }
  return bytes;
}

bool VerifyEd25519(absl::string_view public_key, absl::string_view message,
                   absl::string_view signature) {
  if (public_key.size() != 32 || signature.size() != 64) return false;
  const OpenSslScope scope;
  const Owned<EVP_PKEY> key(EVP_PKEY_new_raw_public_key_ex(Library(), "ED25519", nullptr,
                                                           Octets(public_key), public_key.size()));
  return IsSignedBy(key.get(), nullptr, message, signature);
}

bool VerifyEcdsaP256(absl::string_view spki_der, absl::string_view message,
                     absl::string_view signature) {
  // SEQUENCE {SEQUENCE {id-ecPublicKey, prime256v1}, BIT STRING of 65 bytes}. It has no other form,
  // and OpenSSL's own reader takes 160 us where this takes 22.
  constexpr absl::string_view kPrefix(
      "\x30\x59\x30\x13\x06\x07\x2A\x86\x48\xCE\x3D\x02\x01\x06\x08\x2A\x86\x48\xCE\x3D\x03\x01\x07"
      "\x03\x42\x00",
      26);
  if (!absl::ConsumePrefix(&spki_der, kPrefix) || spki_der.size() != 65) return false;
  const OpenSslScope scope;
  return IsSignedBy(P256Key(spki_der).get(), "SHA256", message, signature);
}

absl::StatusOr<Certificates> Certificates::Create(absl::string_view json) {
  if (json.size() > kMostKeyFileBytes) return TooLong();
  const OpenSslScope scope;
  Certificates result;
  absl::Status refusal;
  base::JsonReader reader(kMostJsonDepth);
  const auto read = [&](const base::JsonValue& key) {
    base::JsonValue value;
    if (!reader.ReadValue(value)) return false;
    Entry entry{.url = base::TextOfString(key),
                .key = nullptr,
                .not_before = absl::InfinitePast(),
                .not_after = absl::InfiniteFuture()};
    const auto refuse = [&](absl::string_view what) {
      refusal = Refuse(absl::StrCat(entry.url, ": ", what));
      return false;
    };
    if (entry.url.empty() || entry.url.size() > kMostUrlBytes ||
        !std::all_of(entry.url.begin(), entry.url.end(), absl::ascii_isgraph)) {
      refusal =
          Refuse(absl::StrCat("URL ", result.entries_.size() + 1,
                              " is empty, too long, or has other characters than visible ASCII"));
      return false;
    }
    for (const Entry& one : result.entries_) {
      if (one.url == entry.url) return refuse("is given twice");
    }
    if (result.entries_.size() == kMostKeys) return refuse("there are too many URLs");
    if (value.kind != base::JsonKind::kString) return refuse("must be a PEM text");
    auto chain = ReadChain(base::TextOfString(value));
    absl::Status status = chain.ok() ? CheckChain(chain->get()) : chain.status();
    if (!status.ok()) return refuse(status.message());
    const std::vector<std::string> names = NamesOf(sk_X509_value(chain->get(), 0));
    entry.of_host = std::any_of(
        names.begin(), names.end(),
        [host = HostOf(entry.url)](absl::string_view name) { return IsNameFor(name, host); });
    for (int i = 0; i < sk_X509_num(chain->get()); ++i) {
      const X509* const one = sk_X509_value(chain->get(), i);
      entry.not_before = std::max(entry.not_before, ToTime(X509_get0_notBefore(one)));
      entry.not_after = std::min(entry.not_after, ToTime(X509_get0_notAfter(one)));
    }
    entry.key = std::shared_ptr<EVP_PKEY>(X509_get_pubkey(sk_X509_value(chain->get(), 0)), Free());
    result.entries_.push_back(std::move(entry));
    return true;
  };
  const bool good = reader.OpenCopy(json) && reader.EachMember(read) && reader.Finish();
  if (!refusal.ok()) return refusal;
  if (!good) return NotJson(json, reader);
  if (result.entries_.empty()) return Refuse("no certificate in it");
  return result;
}

absl::Status Certificates::Verify(absl::string_view url, Hash hash, absl::string_view message,
                                  absl::string_view signature, absl::Time now) const {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [url](const Entry& one) { return one.url == url; });
  if (entry == entries_.end()) {
    return absl::NotFoundError("No certificate was given for the URL that the sender names");
  }
  if (!entry->of_host) {
    return absl::FailedPreconditionError(absl::StrCat(
        entry->url, " is not https, has a port, or its certificate is not one of its host"));
  }
  if (now < entry->not_before || now >= entry->not_after) {
    return absl::FailedPreconditionError(absl::StrCat(
        "The certificate of ", entry->url, ", or one above it, is not valid now: from ",
        absl::FormatTime(entry->not_before, absl::UTCTimeZone()), " to ",
        absl::FormatTime(entry->not_after, absl::UTCTimeZone())));
  }
  const OpenSslScope scope;
  const char* const name =
      hash == Hash::kSha1 ? "SHA1" : (hash == Hash::kSha256 ? "SHA256" : "SHA512");
  if (IsSignedBy(entry->key.get(), name, message, signature)) return absl::OkStatus();
  return NotAuthentic("The signature is not one of the certificate's key");
}

std::vector<std::pair<absl::string_view, absl::Time>> Certificates::ExpiringBy(
    absl::Time time) const {
  std::vector<std::pair<absl::string_view, absl::Time>> expiring;
  for (const Entry& entry : entries_) {
    if (entry.not_after <= time) expiring.emplace_back(entry.url, entry.not_after);
  }
  return expiring;
}

absl::StatusOr<Jwks> Jwks::Create(absl::string_view json) {
  if (json.size() > kMostKeyFileBytes) return TooLong();
  const OpenSslScope scope;
  Jwks result;
  absl::Status refusal;
  size_t count = 0;
  base::JsonReader reader(kMostJsonDepth);
  const auto read_key = [&] {
    if (++count > kMostKeys) {
      refusal = Refuse(absl::StrCat("more than ", kMostKeys, " keys"));
      return false;
    }
    Members jwk;
    if (!jwk.Read(reader)) {
      refusal = Refuse(absl::StrCat("key ", count, " is no object, or has a member twice"));
      return false;
    }
    const std::optional<std::string> id = jwk.Text("kid");
    if (!id.has_value() || id->empty()) return true;
    Key key{.id = *id};
    key.key = KeyOf(jwk, key.rsa);
    if (key.key == nullptr) return true;
    for (const Key& one : result.keys_) {
      if (one.id != key.id) continue;
      refusal = Refuse(absl::StrCat("key ", count, ": its kid is that of another key"));
      return false;
    }
    result.keys_.push_back(std::move(key));
    return true;
  };
  bool any = false;
  const auto read = [&](const base::JsonValue& key) {
    base::JsonValue value;
    if (base::TextOfString(key) != "keys") return reader.ReadValue(value);
    if (std::exchange(any, true)) {
      refusal = Refuse("`keys` is given twice");
      return false;
    }
    return reader.EachItem(read_key);
  };
  const bool good = reader.OpenCopy(json) && reader.EachMember(read) && reader.Finish();
  if (!refusal.ok()) return refusal;
  if (!good) return NotJson(json, reader);
  if (result.keys_.empty()) {
    return Refuse("no usable key in it: RSA of 2048 bits or more, or P-256, with a kid");
  }
  return result;
}

absl::Status Jwks::Verify(absl::string_view token, std::span<const std::string> issuers,
                          absl::string_view audience, absl::Time now,
                          std::span<const Claim> claims) const {
  if (audience.empty() || issuers.empty() ||
      std::any_of(issuers.begin(), issuers.end(), [](const auto& one) { return one.empty(); })) {
    return NotAuthentic("No issuer or audience is set");
  }
  if (token.size() > kMostTokenBytes) return NotAuthentic("The token is longer than 8 KiB");
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  if (parts.size() != 3) return NotAuthentic("The token does not have three parts");
  const auto header_text = DecodeBase64Url(parts[0]), claims_text = DecodeBase64Url(parts[1]),
             signature = DecodeBase64Url(parts[2]);
  if (!header_text.has_value() || !claims_text.has_value() || !signature.has_value()) {
    return NotAuthentic("A part of the token is no base64url");
  }
  // Values are views into their readers.
  base::JsonReader header_reader(kMostJsonDepth), claims_reader(kMostJsonDepth);
  Members header, said;
  if (!header_reader.OpenCopy(*header_text) || !header.Read(header_reader) ||
      !header_reader.Finish()) {
    return NotAuthentic("The token's header is no JSON object, or has a member twice");
  }
  // An extension that must be understood (RFC 7515 section 4.1.11): there is none that we know.
  if (header.Find("crit") != nullptr) return NotAuthentic("The token's header has `crit`");
  const std::optional<std::string> id = header.Text("kid");
  if (!id.has_value()) return NotAuthentic("The token's header has no `kid`");
  const auto key =
      std::find_if(keys_.begin(), keys_.end(), [&id](const Key& one) { return one.id == *id; });
  if (key == keys_.end()) {
    return absl::NotFoundError("No key has the token's `kid`: the key file may be stale");
  }
  if (header.Text("alg") != (key->rsa ? "RS256" : "ES256")) {
    return NotAuthentic("The token's `alg` is not that of the key");
  }
  const absl::string_view message = token.substr(0, token.rfind('.'));
  const OpenSslScope scope;
  if (!(key->rsa ? IsSignedBy(key->key.get(), "SHA256", message, *signature)
                 : IsSignedWithEs256(key->key.get(), message, *signature))) {
    return NotAuthentic("The token's signature is wrong");
  }
  if (!claims_reader.OpenCopy(*claims_text) || !said.Read(claims_reader) ||
      !claims_reader.Finish()) {
    return NotAuthentic("The token's claims are no JSON object, or one is there twice");
  }
  const std::optional<std::string> issuer = said.Text("iss");
  if (std::none_of(issuers.begin(), issuers.end(),
                   [&](const std::string& one) { return issuer == one; })) {
    return NotAuthentic("The token's `iss` is another one");
  }
  if (!IsMeantFor(said.Find("aud"), audience)) {
    return NotAuthentic("The token's `aud` is another one");
  }
  absl::Time expires, valid_from;
  if (!said.Time("exp", expires)) return NotAuthentic("The token has no valid `exp`");
  if (now >= expires) return NotAuthentic("The token has expired");
  if (said.Find("nbf") != nullptr &&
      (!said.Time("nbf", valid_from) || now + kClockSkew < valid_from)) {
    return NotAuthentic("The token is not valid yet");
  }
  for (const Claim& claim : claims) {
    if (!Says(said.Find(claim.name), claim.text)) {
      return NotAuthentic(absl::StrCat("The token's `", claim.name, "` is another one"));
    }
  }
  return absl::OkStatus();
}

}  // namespace webhook::sources
