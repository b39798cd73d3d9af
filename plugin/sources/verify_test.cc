#include "plugin/sources/verify.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace webhook::sources {
namespace {

using Pieces = std::vector<absl::string_view>;

std::string Hex(absl::string_view text) { return *DecodeHex(text); }

std::string HexHmac(Hash hash, absl::string_view key, const Pieces& pieces) {
  return absl::BytesToHexString(Hmac(hash, key, pieces));
}

// RFC 4231 sections 4.2, 4.3, 4.7, 4.8.
TEST(HmacTest, PublishedVectorsOfSha2) {
  EXPECT_EQ(HexHmac(Hash::kSha256, std::string(20, '\x0b'), {"Hi There"}),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(HexHmac(Hash::kSha512, std::string(20, '\x0b'), {"Hi There"}),
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
            "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854");
  EXPECT_EQ(HexHmac(Hash::kSha256, "Jefe", {"what do ya want for nothing?"}),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(HexHmac(Hash::kSha512, "Jefe", {"what do ya want for nothing?"}),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
  // A key longer than a block is hashed.
  EXPECT_EQ(HexHmac(Hash::kSha256, std::string(131, '\xaa'),
                    {"Test Using Larger Than Block-Size Key - Hash Key First"}),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(HexHmac(Hash::kSha512, std::string(131, '\xaa'),
                    {"Test Using Larger Than Block-Size Key - Hash Key First"}),
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
            "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
}

// RFC 2202 section 3.
TEST(HmacTest, PublishedVectorsOfSha1) {
  EXPECT_EQ(HexHmac(Hash::kSha1, "Jefe", {"what do ya want for nothing?"}),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  EXPECT_EQ(HexHmac(Hash::kSha1, std::string(80, '\xaa'),
                    {"Test Using Larger Than Block-Size Key - Hash Key First"}),
            "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

TEST(HmacTest, PiecesAreOneText) {
  EXPECT_EQ(HexHmac(Hash::kSha256, "Jefe", {"what do ", "", "ya want", " for nothing?"}),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(HexHmac(Hash::kSha256, "", {}), HexHmac(Hash::kSha256, std::string(64, '\0'), {""}));
}

// A key of a whole block is the last that is used as it is.
TEST(HmacTest, KeysAroundTheBlockSizeAgreeWithOpenSsl) {
  for (const auto& [hash, name] :
       {std::pair(Hash::kSha1, "SHA1"), {Hash::kSha256, "SHA256"}, {Hash::kSha512, "SHA512"}}) {
    for (const size_t bytes : {1, 63, 64, 65, 127, 128, 129}) {
      const std::string key(bytes, 'k'), text(7000, 't');
      std::array<unsigned char, 64> mac;
      size_t size = 0;
      ASSERT_NE(EVP_Q_mac(nullptr, "HMAC", nullptr, name, nullptr, key.data(), key.size(),
                          reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                          mac.data(), mac.size(), &size),
                nullptr);
      EXPECT_EQ(Hmac(hash, key, Pieces{text}),
                std::string(reinterpret_cast<const char*>(mac.data()), size));
    }
  }
}

// FIPS 180-4's examples for "abc".
TEST(DigestTest, PublishedVectors) {
  const auto digest = [](Hash hash, const Pieces& pieces) {
    return absl::BytesToHexString(Digest(hash, pieces));
  };
  EXPECT_EQ(digest(Hash::kSha1, {"abc"}), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(digest(Hash::kSha256, {"a", "bc"}),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest(Hash::kSha512, {"abc"}),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(EqualInConstantTimeTest, OnlyTheWholeTextIsEqual) {
  const std::string mac = Hmac(Hash::kSha256, "key", Pieces{"text"});
  EXPECT_TRUE(EqualInConstantTime(mac, std::string(mac)));
  EXPECT_TRUE(EqualInConstantTime("", ""));
  for (size_t bytes = 0; bytes < mac.size(); ++bytes) {
    EXPECT_FALSE(EqualInConstantTime(mac, mac.substr(0, bytes)));
    EXPECT_FALSE(EqualInConstantTime(mac.substr(0, bytes), mac));
  }
  EXPECT_FALSE(EqualInConstantTime(mac, mac + '\0'));
  for (size_t bit = 0; bit < 8 * mac.size(); ++bit) {
    std::string other = mac;
    other[bit / 8] ^= static_cast<char>(1 << bit % 8);
    EXPECT_FALSE(EqualInConstantTime(mac, other));
  }
}

TEST(DecodeHexTest, OnlyPairsOfDigitsOfEitherCaseDecode) {
  EXPECT_EQ(DecodeHex("00fFaB"), std::string("\0\xff\xab", 3));
  EXPECT_EQ(DecodeHex(""), "");
  for (const char* text : {"0", "abc", "0x00", "0g", " 00", "00 ", "0 0", "00\n", "-1", "+1"}) {
    EXPECT_EQ(DecodeHex(text), std::nullopt) << text;
  }
  EXPECT_EQ(DecodeHex(absl::string_view("0\0", 2)), std::nullopt);
  EXPECT_EQ(DecodeHex("\xc3\xa9"), std::nullopt);
}

TEST(DecodeBase64Test, OnlyTheOneSpellingDecodes) {
  EXPECT_EQ(DecodeBase64("+/+/"), "\xfb\xff\xbf");
  EXPECT_EQ(DecodeBase64("QQ=="), "A");
  EXPECT_EQ(DecodeBase64("QUI="), "AB");
  EXPECT_EQ(DecodeBase64(""), "");
  for (const char* text :
       {"-_-_",               // URL-safe
        "QQ",       "QQ=",    // padding missing
        "QUI",      "QUI==",  // too little, too much
        "QR==",     "QUJ=",   // spare bits set
        "QQ==QQ==", "QUI=QUI=", "=",     "====",       "Q",    "QQQQQ", "Q===",
        " QQ==",    "QQ==\n",   "Q Q==", "QUIC\nQUIC", "QQ..", "QQ,,",  "Q?=="}) {
    EXPECT_EQ(DecodeBase64(text), std::nullopt) << text;
  }
  EXPECT_EQ(DecodeBase64(absl::string_view("QQ\0\0", 4)), std::nullopt);
}

// RFC 8032 section 7.1, tests 1 and 3.
TEST(VerifyEd25519Test, PublishedVectorsAreAuthentic) {
  EXPECT_TRUE(VerifyEd25519(Hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
                            "",
                            Hex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555f"
                                "b8821590a33bacc61e39701"
                                "cf9b46bd25bf5f0595bbe24655141438e7a100b")));
  EXPECT_TRUE(VerifyEd25519(Hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"),
                            Hex("af82"),
                            Hex("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18"
                                "ff9b538d16f290ae67f7609"
                                "84dc6594a7c15e9716ed28dc027beceea1ec40a")));
}

TEST(VerifyEd25519Test, AnythingElseIsRefused) {
  const std::string key = Hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
  const std::string good = Hex(
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
      "84dc6594a7c15e9716ed28dc027beceea1ec40a");
  EXPECT_FALSE(VerifyEd25519(key, Hex("af83"), good));
  EXPECT_FALSE(VerifyEd25519(key, "", good));
  EXPECT_FALSE(VerifyEd25519(key, Hex("af82"), good.substr(0, 63)));
  EXPECT_FALSE(VerifyEd25519(key, Hex("af82"), good + '\0'));
  EXPECT_FALSE(VerifyEd25519(key, Hex("af82"), ""));
  EXPECT_FALSE(VerifyEd25519(key.substr(1), Hex("af82"), good));
  EXPECT_FALSE(VerifyEd25519("", Hex("af82"), good));
  for (size_t i = 0; i < good.size(); ++i) {
    std::string other = good;
    other[i] ^= 1;
    EXPECT_FALSE(VerifyEd25519(key, Hex("af82"), other)) << i;
  }
  // S plus the order of the group: a second spelling of the same number (RFC 8032 section 5.1.7).
  EXPECT_FALSE(
      VerifyEd25519(key, Hex("af82"),
                    Hex("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                        "05d391b0a77904e98404ef037747a56e4a7c15e9716ed28dc027beceea1ec41a")));
}

// SendGrid's published example: sendgrid-python, test/unit/test_eventwebhook.py.
struct SendGridExample {
  std::string key = *DecodeBase64(
      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+"
      "2fNNRaINXvVpiglSI8eNEc6wEA3F+g==");
  std::string message =
      "1600112502[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced "
      "Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\","
      "\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-"
      "9."
      "0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":"
      "1600112492}]\r\n";
  std::string signature = *DecodeBase64(
      "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtE"
      "ZtM=");
};

TEST(VerifyEcdsaP256Test, PublishedVectorsAreAuthentic) {
  const SendGridExample example;
  EXPECT_TRUE(VerifyEcdsaP256(example.key, example.message, example.signature));
  // RFC 6979 section A.2.5, "sample" with SHA-256.
  EXPECT_TRUE(VerifyEcdsaP256(Hex("3059301306072a8648ce3d020106082a8648ce3d0301070342000460fed4ba25"
                                  "5a9d31c961eb74c6356d68c049"
                                  "b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1"
                                  "b20c2d7e9f5177a3c294d44622"
                                  "99"),
                              "sample",
                              Hex("3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0e"
                                  "a84eaf3716022100f7cb1c942d"
                                  "657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8")));
}

// (r, n - s), made without the key: why no replay key may be made of a signature's bytes.
TEST(VerifyEcdsaP256Test, MalleatedSignatureIsAuthenticToo) {
  const SendGridExample example;
  EXPECT_TRUE(VerifyEcdsaP256(
      example.key, example.message,
      *DecodeBase64("MEQCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiA352jxkzMFHWEakvZHkFpGvMu+Ix"
                    "+PzzgcJOUKQR6+fg==")));
}

TEST(VerifyEcdsaP256Test, AnythingElseIsRefused) {
  const SendGridExample example;
  const auto refused = [&](const std::string& signature) {
    return !VerifyEcdsaP256(example.key, example.message, signature);
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused(example.signature + '\0'));
  EXPECT_TRUE(refused(example.signature.substr(0, example.signature.size() - 1)));
  EXPECT_TRUE(refused(Hex("3006020100020100")));  // r = s = 0
  EXPECT_TRUE(refused(Hex("3006020101020101")));
  EXPECT_TRUE(refused(Hex("30060201ff0201ff")));  // negative
  // The length in the long form, which is BER and not DER.
  EXPECT_TRUE(refused(absl::StrCat("\x30\x81\x45", example.signature.substr(2))));
  // r and s without DER, as JWS has them.
  EXPECT_TRUE(refused(example.signature.substr(4, 32) + example.signature.substr(39)));
  for (size_t i = 0; i < example.signature.size(); ++i) {
    std::string other = example.signature;
    other[i] ^= 1;
    EXPECT_TRUE(refused(other)) << i;
  }
  EXPECT_FALSE(VerifyEcdsaP256(example.key, absl::StrCat(example.message, " "), example.signature));
  EXPECT_FALSE(VerifyEcdsaP256(example.key, "", example.signature));
}

TEST(VerifyEcdsaP256Test, KeyThatIsNoPointOfP256IsRefused) {
  const SendGridExample example;
  const auto refused = [&](const std::string& key) {
    return !VerifyEcdsaP256(key, example.message, example.signature);
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused(example.key + '\0'));
  EXPECT_TRUE(refused(example.key.substr(0, 90)));
  EXPECT_TRUE(refused(example.key.substr(26)));
  std::string off_curve = example.key;
  off_curve.back() ^= 1;
  EXPECT_TRUE(refused(off_curve));
  EXPECT_TRUE(refused(example.key.substr(0, 26) + std::string(65, '\0')));  // infinity
  // secp256k1 has points of the same size.
  EXPECT_TRUE(refused(
      absl::StrReplaceAll(example.key, {{Hex("06082a8648ce3d030107"), Hex("06052b8104000a")}})));
}

// A certificate authority, and what it signs.
class Signer {
 public:
  explicit Signer(const char* kind = "RSA", int bits = 2048)
      : key_(kind == absl::string_view("RSA")
                 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<size_t>(bits))
                 : EVP_EC_gen(kind),
             EVP_PKEY_free) {}

  EVP_PKEY* key() const { return key_.get(); }

  std::string Sign(const EVP_MD* hash, absl::string_view message) const {
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    std::string signature(1024, '\0');
    size_t size = signature.size();
    EXPECT_EQ(EVP_DigestSignInit(context, nullptr, hash, nullptr, key()), 1);
    EXPECT_EQ(
        EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                       reinterpret_cast<const unsigned char*>(message.data()), message.size()),
        1);
    EVP_MD_CTX_free(context);
    signature.resize(size);
    return signature;
  }

  // In PEM, valid for the year 2026, signed by `issuer` or by itself.
  std::string Certificate(const std::string& name, const Signer* issuer = nullptr,
                          const std::string& issuer_name = "", bool authority = false,
                          const char* alternatives = nullptr, const char* usage = nullptr) const {
    const std::shared_ptr<X509> made(X509_new(), X509_free);
    X509_set_version(made.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
    ASN1_TIME_set_string(X509_getm_notBefore(made.get()), "260101000000Z");
    ASN1_TIME_set_string(X509_getm_notAfter(made.get()), "270101000000Z");
    X509_set_pubkey(made.get(), key());
    const auto set = [](X509_NAME* subject, const std::string& text) {
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0);
    };
    set(X509_get_subject_name(made.get()), name);
    const std::shared_ptr<X509_NAME> above(X509_NAME_new(), X509_NAME_free);
    set(above.get(), issuer == nullptr ? name : issuer_name);
    X509_set_issuer_name(made.get(), above.get());
    const auto extend = [&](int kind, const char* value) {
      X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
      X509_add_ext(made.get(), extension, -1);
      X509_EXTENSION_free(extension);
    };
    if (authority) extend(NID_basic_constraints, "critical,CA:TRUE");
    if (alternatives != nullptr) extend(NID_subject_alt_name, alternatives);
    if (usage != nullptr) extend(NID_key_usage, usage);
    X509_sign(made.get(), issuer == nullptr ? key() : issuer->key(), EVP_sha256());
    BIO* const out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, made.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(out, &data);
    std::string pem(data, static_cast<size_t>(size));
    BIO_free(out);
    return pem;
  }

  // A member of the public key, in base64url.
  std::string Member(const char* name) const {
    BIGNUM* number = nullptr;
    EXPECT_EQ(EVP_PKEY_get_bn_param(key(), name, &number), 1);
    std::string bytes(static_cast<size_t>(BN_num_bytes(number)), '\0');
    if (EVP_PKEY_is_a(key(), "EC")) bytes.resize(32);
    BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()),
                 static_cast<int>(bytes.size()));
    BN_free(number);
    return absl::WebSafeBase64Escape(bytes);
  }

 private:
  std::shared_ptr<EVP_PKEY> key_;
};

// Made once: keys take long.
const Signer& Leaf() {
  static const Signer signer;
  return signer;
}
const Signer& Root() {
  static const Signer signer;
  return signer;
}

const absl::Time kNow = absl::FromCivil(absl::CivilDay(2026, 6, 1), absl::UTCTimeZone());
constexpr char kUrl[] = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-01.pem";
constexpr char kName[] = "sns.amazonaws.com";

std::string Json(absl::string_view url, absl::string_view pem) {
  return absl::StrCat("{\"", url, "\": \"", absl::StrReplaceAll(pem, {{"\n", "\\n"}}), "\"}");
}

absl::StatusCode CodeOf(const absl::Status& status) { return status.code(); }

// The verdict over a right signature.
absl::StatusCode Verdict(absl::string_view pem, absl::string_view url = kUrl,
                         absl::Time now = kNow) {
  const auto certificates = Certificates::Create(Json(url, pem));
  if (!certificates.ok()) return CodeOf(certificates.status());
  return CodeOf(certificates->Verify(url, Hash::kSha256, "message",
                                     Leaf().Sign(EVP_sha256(), "message"), now));
}

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kNotNow = absl::StatusCode::kFailedPrecondition;
constexpr auto kRefused = absl::StatusCode::kUnauthenticated;
constexpr auto kUnknown = absl::StatusCode::kNotFound;

TEST(CertificatesTest, FileThatIsNoObjectOfPemTextsIsRefusedWithItsPlace) {
  const std::string pem = Leaf().Certificate(kName);
  for (const char* json : {"", "[]", "{}", "{", "{\"https://a.b.c/x\": 1}",
                           "{\"https://a.b.c/x\": \"\"}", "{\"https://a.b.c/x\": \"no PEM\"}",
                           "{\"https://a.b.c/x\": \"-----BEGIN CERTIFICATE-----\\nAAAA\\n"
                           "-----END CERTIFICATE-----\"}"}) {
    EXPECT_EQ(CodeOf(Certificates::Create(json).status()), kInvalid) << json;
  }
  const std::string one = Json(kUrl, pem);
  const std::string twice = absl::StrCat(one.substr(0, one.size() - 1), ",", one.substr(1));
  EXPECT_EQ(Certificates::Create(twice).status().message(), absl::StrCat(kUrl, ": is given twice"));
  EXPECT_EQ(Certificates::Create("{\n  3}").status().message(),
            "not the expected JSON at line 2, column 3: expected a key in quotes");
  for (const std::string& url :
       {std::string("https://a.b.c/\\n"), std::string("https://a.b.c/ x"), std::string(),
        std::string("https://a.b.c/\xC3\xA9"), "https://a.b.c/" + std::string(2'040, 'x')}) {
    EXPECT_EQ(Certificates::Create(Json(url, pem)).status().message(),
              "URL 1 is empty, too long, or has other characters than visible ASCII");
  }
  EXPECT_EQ(CodeOf(Certificates::Create(std::string((1 << 20) + 1, ' ')).status()), kInvalid);
}

TEST(CertificatesTest, BrokenChainIsRefused) {
  const std::string root = Root().Certificate("root", nullptr, "", true);
  const std::string leaf = Leaf().Certificate(kName, &Root(), "root");
  // Signed by nobody in the text, in the wrong order, and with one that has no part in it.
  const Signer other;
  EXPECT_EQ(Verdict(leaf + other.Certificate("root", nullptr, "", true)), kInvalid);
  EXPECT_EQ(Verdict(root + leaf), kInvalid);
  EXPECT_EQ(Verdict(leaf + other.Certificate("other") + root), kInvalid);
  // Above it stands one that may not sign certificates.
  EXPECT_EQ(Verdict(leaf + Root().Certificate("root")), kInvalid);
  EXPECT_EQ(Verdict(Leaf().Certificate(kName, nullptr, "", false, nullptr, "keyAgreement")),
            kInvalid);
  std::string long_chain;
  for (int i = 0; i < 9; ++i) long_chain += root;
  EXPECT_EQ(Verdict(long_chain), kInvalid);
}

TEST(CertificatesTest, KeyThatIsWeakOrNotRsaIsRefused) {
  EXPECT_EQ(Verdict(Signer("RSA", 1024).Certificate(kName)), kInvalid);
  EXPECT_EQ(Verdict(Signer("P-256").Certificate(kName)), kInvalid);
}

TEST(CertificatesTest, SignatureOfTheCertificatesKeyIsAuthentic) {
  EXPECT_EQ(Verdict(Leaf().Certificate(kName)), absl::StatusCode::kOk);
  EXPECT_EQ(Verdict(Leaf().Certificate(kName, &Root(), "root") +
                    Root().Certificate("root", nullptr, "", true)),
            absl::StatusCode::kOk);
  const auto certificates = Certificates::Create(Json(kUrl, Leaf().Certificate(kName)));
  ASSERT_TRUE(certificates.ok()) << certificates.status();
  EXPECT_TRUE(
      certificates->Verify(kUrl, Hash::kSha1, "m", Leaf().Sign(EVP_sha1(), "m"), kNow).ok());
  EXPECT_TRUE(
      certificates->Verify(kUrl, Hash::kSha512, "m", Leaf().Sign(EVP_sha512(), "m"), kNow).ok());
}

TEST(CertificatesTest, ThoseThatExpireByATimeAreNamedByTheirUrl) {
  const auto certificates = Certificates::Create(Json(kUrl, Leaf().Certificate(kName)));
  ASSERT_TRUE(certificates.ok()) << certificates.status();
  const absl::Time end = absl::FromCivil(absl::CivilDay(2027, 1, 1), absl::UTCTimeZone());
  EXPECT_TRUE(certificates->ExpiringBy(end - absl::Seconds(1)).empty());
  ASSERT_EQ(certificates->ExpiringBy(end).size(), 1u);
  EXPECT_EQ(certificates->ExpiringBy(end)[0].first, kUrl);
  EXPECT_EQ(certificates->ExpiringBy(end)[0].second, end);
}

TEST(CertificatesTest, WrongSignatureIsRefused) {
  const auto certificates = Certificates::Create(Json(kUrl, Leaf().Certificate(kName)));
  ASSERT_TRUE(certificates.ok()) << certificates.status();
  const std::string good = Leaf().Sign(EVP_sha256(), "m");
  const auto code = [&](Hash hash, absl::string_view message, absl::string_view signature) {
    return CodeOf(certificates->Verify(kUrl, hash, message, signature, kNow));
  };
  EXPECT_EQ(code(Hash::kSha256, "n", good), kRefused);
  EXPECT_EQ(code(Hash::kSha1, "m", good), kRefused);
  EXPECT_EQ(code(Hash::kSha256, "m", ""), kRefused);
  EXPECT_EQ(code(Hash::kSha256, "m", good + '\0'), kRefused);
  EXPECT_EQ(code(Hash::kSha256, "m", good.substr(1)), kRefused);
  EXPECT_EQ(code(Hash::kSha256, "m", std::string(256, '\0')), kRefused);
  EXPECT_EQ(code(Hash::kSha256, "m", std::string(256, '\xff')), kRefused);
  EXPECT_EQ(code(Hash::kSha256, "m", Root().Sign(EVP_sha256(), "m")), kRefused);
  for (size_t i = 0; i < good.size(); i += 17) {
    std::string other = good;
    other[i] ^= 1;
    EXPECT_EQ(code(Hash::kSha256, "m", other), kRefused) << i;
  }
}

TEST(CertificatesTest, UrlThatWasNotGivenIsUnknown) {
  const auto certificates = Certificates::Create(Json(kUrl, Leaf().Certificate(kName)));
  ASSERT_TRUE(certificates.ok()) << certificates.status();
  for (const std::string& url : {absl::StrCat(kUrl, "?"), absl::StrCat(kUrl, "#x"), std::string(),
                                 std::string("https://sns.us-east-1.amazonaws.com/other.pem")}) {
    EXPECT_EQ(
        CodeOf(certificates->Verify(url, Hash::kSha256, "m", Leaf().Sign(EVP_sha256(), "m"), kNow)),
        kUnknown)
        << url;
  }
}

TEST(CertificatesTest, ChainOutsideOfItsDatesIsRefused) {
  const std::string pem = Leaf().Certificate(kName);
  const absl::Time start = absl::FromCivil(absl::CivilDay(2026, 1, 1), absl::UTCTimeZone());
  const absl::Time end = absl::FromCivil(absl::CivilDay(2027, 1, 1), absl::UTCTimeZone());
  EXPECT_EQ(Verdict(pem, kUrl, start - absl::Seconds(1)), kNotNow);
  EXPECT_EQ(Verdict(pem, kUrl, start), absl::StatusCode::kOk);
  EXPECT_EQ(Verdict(pem, kUrl, end - absl::Seconds(1)), absl::StatusCode::kOk);
  EXPECT_EQ(Verdict(pem, kUrl, end), kNotNow);
}

TEST(CertificatesTest, CertificateOfAnotherHostIsRefused) {
  const std::string pem = Leaf().Certificate(kName);
  for (const char* url : {"https://sns.us-east-1.amazonaws.com.evil.example/x.pem",
                          "https://evil-amazonaws.com/x.pem", "https://evilamazonaws.com/x.pem",
                          "http://sns.us-east-1.amazonaws.com/x.pem",
                          "https://sns.us-east-1.amazonaws.com:8443/x.pem",
                          "https://sns.us-east-1.amazonaws.com@evil.example/x.pem",
                          "https://sns.us-east-1.amazonaws.com", "https:///x.pem", "/x.pem"}) {
    EXPECT_EQ(Verdict(pem, url), kNotNow) << url;
  }
  for (const char* name : {"evil", "amazonaws.com", "evil.com", "", ".", ".com"}) {
    EXPECT_EQ(Verdict(Leaf().Certificate(name)), kNotNow) << name;
  }
  EXPECT_EQ(Verdict(Leaf().Certificate("messageverificationcerts.paypal.com"),
                    "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1"),
            absl::StatusCode::kOk);
}

TEST(CertificatesTest, AlternativeNamesReplaceTheCommonName) {
  EXPECT_EQ(Verdict(Leaf().Certificate("any", nullptr, "", false,
                                       "DNS:other.example.com,DNS:sns.us-east-1.amazonaws.com")),
            absl::StatusCode::kOk);
  EXPECT_EQ(Verdict(Leaf().Certificate(kName, nullptr, "", false, "DNS:other.example.com")),
            kNotNow);
}

// Tokens, and the keys for them.
class JwksTest : public testing::Test {
 protected:
  static const Signer& Ec() {
    static const Signer signer("P-256");
    return signer;
  }

  static std::string RsaJwk(const Signer& signer, absl::string_view more) {
    return absl::StrCat("{\"kty\":\"RSA\",\"n\":\"", signer.Member(OSSL_PKEY_PARAM_RSA_N),
                        "\",\"e\":\"", signer.Member(OSSL_PKEY_PARAM_RSA_E), "\"", more, "}");
  }

  static std::string EcJwk(absl::string_view more) {
    return absl::StrCat("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"",
                        Ec().Member(OSSL_PKEY_PARAM_EC_PUB_X), "\",\"y\":\"",
                        Ec().Member(OSSL_PKEY_PARAM_EC_PUB_Y), "\"", more, "}");
  }

  static std::string Set(absl::string_view keys) { return absl::StrCat("{\"keys\":[", keys, "]}"); }

  static Jwks Both() {
    auto jwks = Jwks::Create(Set(absl::StrCat(RsaJwk(Leaf(), ",\"kid\":\"r\""), ",",
                                              EcJwk(",\"kid\":\"e\",\"use\":\"sig\""))));
    EXPECT_TRUE(jwks.ok()) << jwks.status();
    return *std::move(jwks);
  }

  static inline const std::string kIssuers[] = {"https://issuer.example", "issuer.example"};

  static std::string Token(absl::string_view header, absl::string_view claims,
                           const Signer& signer = Leaf()) {
    const std::string text =
        absl::StrCat(absl::WebSafeBase64Escape(header), ".", absl::WebSafeBase64Escape(claims));
    std::string signature = signer.Sign(EVP_sha256(), text);
    if (&signer == &Ec()) signature = Raw(signature);
    return absl::StrCat(text, ".", absl::WebSafeBase64Escape(signature));
  }

  // r and s, each padded to 32 bytes.
  static std::string Raw(const std::string& der) {
    const auto* in = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* const signature = d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(der.size()));
    std::string raw(64, '\0');
    auto* const out = reinterpret_cast<unsigned char*>(raw.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + 32, 32);
    ECDSA_SIG_free(signature);
    return raw;
  }

  static absl::StatusCode Code(absl::string_view token, std::span<const Claim> claims = {}) {
    static const Jwks jwks = Both();
    return CodeOf(jwks.Verify(token, kIssuers, "us", Now(), claims));
  }

  static absl::Time Now() { return absl::FromUnixSeconds(1'760'000'000); }

  static constexpr absl::string_view kRs = R"({"alg":"RS256","kid":"r"})";
  static constexpr absl::string_view kEs = R"({"alg":"ES256","kid":"e"})";
  static constexpr absl::string_view kClaims =
      R"({"iss":"https://issuer.example","aud":"us","exp":1760000001})";
};

TEST_F(JwksTest, FileWithoutUsableKeyIsRefused) {
  const std::string rsa = RsaJwk(Leaf(), "");
  for (const std::string& json :
       {std::string(), std::string("[]"), std::string("{}"), std::string("{\"keys\":{}}"), Set(""),
        Set("1"), Set(rsa), Set(RsaJwk(Leaf(), ",\"kid\":\"\"")), Set(RsaJwk(Leaf(), ",\"kid\":1")),
        Set(RsaJwk(Leaf(), ",\"kid\":\"r\",\"use\":\"enc\"")),
        Set(RsaJwk(Leaf(), ",\"kid\":\"r\",\"alg\":\"PS256\"")),
        Set(RsaJwk(Leaf(), ",\"kid\":\"r\",\"kid\":\"s\"")),
        Set(RsaJwk(Signer("RSA", 1024), ",\"kid\":\"r\"")),
        Set(EcJwk(",\"kid\":\"e\",\"alg\":\"ES384\"")),
        Set(R"({"kty":"oct","kid":"o","k":"AAAA"})"),
        Set(R"({"kty":"RSA","kid":"r","n":"AAAA","e":"AQAB"})"),
        Set(absl::StrReplaceAll(RsaJwk(Leaf(), ",\"kid\":\"r\""), {{"AQAB", "AQ"}})),
        Set(R"({"kty":"EC","crv":"P-256","kid":"e","x":"AAAA","y":"AAAA"})"),
        absl::StrCat("{\"keys\":[],\"keys\":[", RsaJwk(Leaf(), ",\"kid\":\"r\""), "]}")}) {
    EXPECT_EQ(CodeOf(Jwks::Create(json).status()), kInvalid) << json;
  }
  const std::string one = RsaJwk(Leaf(), ",\"kid\":\"r\"");
  EXPECT_EQ(CodeOf(Jwks::Create(Set(one + "," + one)).status()), kInvalid);
  // Others are passed over.
  EXPECT_TRUE(Jwks::Create(Set(R"({"kty":"oct","kid":"r","k":"AAAA"},)" + one)).ok());
}

TEST_F(JwksTest, TokenOfOneOfTheKeysIsAuthentic) {
  EXPECT_EQ(Code(Token(kRs, kClaims)), absl::StatusCode::kOk);
  EXPECT_EQ(Code(Token(kEs, kClaims, Ec())), absl::StatusCode::kOk);
  EXPECT_EQ(Code(Token(kRs, R"({"iss":"https://issuer.example","aud":["them","us"],)"
                            R"("exp":1.760000001e9,"nbf":1760000060})")),
            absl::StatusCode::kOk);
}

TEST_F(JwksTest, KeyFixesTheAlgorithm) {
  EXPECT_EQ(Code(Token(R"({"alg":"ES256","kid":"r"})", kClaims)), kRefused);
  EXPECT_EQ(Code(Token(R"({"alg":"RS256","kid":"e"})", kClaims, Ec())), kRefused);
  EXPECT_EQ(Code(Token(R"({"alg":"RS512","kid":"r"})", kClaims)), kRefused);
  EXPECT_EQ(Code(Token(R"({"alg":"rs256","kid":"r"})", kClaims)), kRefused);
  EXPECT_EQ(Code(Token(R"({"kid":"r"})", kClaims)), kRefused);
  EXPECT_EQ(Code(Token(R"({"alg":["RS256"],"kid":"r"})", kClaims)), kRefused);
  // Without a signature, and with a MAC whose key is the public key.
  for (const char* algorithm : {"none", "None", "HS256"}) {
    const std::string text = absl::StrCat(
        absl::WebSafeBase64Escape(absl::StrCat("{\"alg\":\"", algorithm, "\",\"kid\":\"r\"}")), ".",
        absl::WebSafeBase64Escape(kClaims));
    EXPECT_EQ(Code(text + "."), kRefused);
    EXPECT_EQ(Code(absl::StrCat(text, ".",
                                absl::WebSafeBase64Escape(
                                    Hmac(Hash::kSha256, Leaf().Certificate(kName), Pieces{text})))),
              kRefused);
  }
}

TEST_F(JwksTest, UnknownKeyIsTold) {
  EXPECT_EQ(Code(Token(R"({"alg":"RS256","kid":"x"})", kClaims)), kUnknown);
  EXPECT_EQ(Code(Token(R"({"alg":"RS256","kid":""})", kClaims)), kUnknown);
  EXPECT_EQ(Code(Token(R"({"alg":"RS256"})", kClaims)), kRefused);
  EXPECT_EQ(Code(Token(R"({"alg":"RS256","kid":1})", kClaims)), kRefused);
}

TEST_F(JwksTest, WrongSignatureIsRefused) {
  EXPECT_EQ(Code(Token(kRs, kClaims, Root())), kRefused);
  const std::string good = Token(kRs, kClaims);
  const size_t last = good.rfind('.');
  EXPECT_EQ(Code(good.substr(0, last + 1)), kRefused);
  EXPECT_EQ(Code(good.substr(0, last)), kRefused);
  EXPECT_EQ(Code(good + "."), kRefused);
  EXPECT_EQ(Code(good + "="), kRefused);
  EXPECT_EQ(Code(" " + good), kRefused);
  EXPECT_EQ(Code(good.substr(0, last) + good.substr(last + 1)), kRefused);
  // Of ES256, in DER, cut short, and of zeros.
  const std::string es = Token(kEs, kClaims, Ec());
  const std::string text = es.substr(0, es.rfind('.'));
  for (const std::string& signature :
       {Ec().Sign(EVP_sha256(), text), std::string(64, '\0'), std::string(63, 'x')}) {
    EXPECT_EQ(Code(absl::StrCat(text, ".", absl::WebSafeBase64Escape(signature))), kRefused);
  }
}

TEST_F(JwksTest, HeaderThatIsAmbiguousIsRefused) {
  EXPECT_EQ(Code(Token(R"({"alg":"RS256","kid":"r","alg":"none"})", kClaims)), kRefused);
  EXPECT_EQ(Code(Token(R"({"alg":"RS256","kid":"x","kid":"r"})", kClaims)), kRefused);
  EXPECT_EQ(Code(Token(R"({"alg":"RS256","kid":"r","b64":false,"crit":["b64"]})", kClaims)),
            kRefused);
  EXPECT_EQ(Code(Token(R"([{"alg":"RS256","kid":"r"}])", kClaims)), kRefused);
  EXPECT_EQ(Code(Token(R"({"alg":"RS256","kid":"r"}{})", kClaims)), kRefused);
  EXPECT_EQ(Code(Token("", kClaims)), kRefused);
}

TEST_F(JwksTest, TokenForOthersOrAnotherTimeIsRefused) {
  for (const char* claims :
       {R"({"aud":"us","exp":1760000001})", R"({"iss":"https://issuer.example","exp":1760000001})",
        R"({"iss":"https://issuer.example","aud":"us"})",
        R"({"iss":"https://issuer.example/","aud":"us","exp":1760000001})",
        R"({"iss":["https://issuer.example"],"aud":"us","exp":1760000001})",
        R"({"iss":"https://issuer.example","aud":"them","exp":1760000001})",
        R"({"iss":"https://issuer.example","aud":[],"exp":1760000001})",
        R"({"iss":"https://issuer.example","aud":[["us"]],"exp":1760000001})",
        R"({"iss":"https://issuer.example","aud":{"us":"us"},"exp":1760000001})",
        R"({"iss":"https://issuer.example","aud":null,"exp":1760000001})",
        R"({"iss":"https://issuer.example","aud":"us","exp":1760000000})",
        R"({"iss":"https://issuer.example","aud":"us","exp":"1760000001"})",
        R"({"iss":"https://issuer.example","aud":"us","exp":1e400})",
        R"({"iss":"https://issuer.example","aud":"us","exp":1e12})",
        R"({"iss":"https://issuer.example","aud":"us","exp":1760000001,"exp":1760000001})",
        R"({"iss":"https://issuer.example","aud":"us","exp":1760000001,"nbf":1760000061})",
        R"({"iss":"https://issuer.example","aud":"us","exp":1760000001,"nbf":"0"})", "[]", ""}) {
    EXPECT_EQ(Code(Token(kRs, claims)), kRefused) << claims;
  }
}

TEST_F(JwksTest, NothingIsAcceptedWithoutAnIssuerOrAnAudience) {
  const std::string token = Token(kRs, R"({"iss":"","aud":"","exp":1760000001})");
  const std::string none[] = {""};
  EXPECT_EQ(CodeOf(Both().Verify(token, none, "", Now())), kRefused);
  EXPECT_EQ(CodeOf(Both().Verify(token, none, "us", Now())), kRefused);
  EXPECT_EQ(CodeOf(Both().Verify(token, {}, "us", Now())), kRefused);
}

TEST_F(JwksTest, OfSeveralIssuersTheNearestFailureIsTold) {
  const auto reason = [](absl::string_view header, absl::string_view claims) {
    return std::string(Both().Verify(Token(header, claims), kIssuers, "us", Now()).message());
  };
  for (const absl::string_view issuer : kIssuers) {
    const auto claims = [&](absl::string_view rest) {
      return absl::StrCat("{\"iss\":\"", issuer, "\",", rest, "}");
    };
    EXPECT_EQ(reason(kRs, claims(R"("aud":"us","exp":1760000001)")), "");
    EXPECT_EQ(reason(kRs, claims(R"("aud":"them","exp":1760000001)")),
              "The token's `aud` is another one");
    EXPECT_EQ(reason(kRs, claims(R"("aud":"us","exp":1)")), "The token has expired");
    EXPECT_EQ(reason(R"({"alg":"RS256","kid":"x"})", claims(R"("aud":"us","exp":1760000001)")),
              "No key has the token's `kid`: the key file may be stale");
  }
  EXPECT_EQ(reason(kRs, R"({"iss":"other","aud":"us","exp":1760000001})"),
            "The token's `iss` is another one");
}

TEST_F(JwksTest, MoreClaimsAreAskedFor) {
  const std::string token =
      Token(kRs, R"({"iss":"https://issuer.example","aud":"us","exp":1760000001,)"
                 R"("email":"push@example.iam","email_verified":true,"none":null})");
  const auto code = [&](absl::string_view name, absl::string_view text) {
    const Claim claim{name, text};
    return Code(token, std::span(&claim, 1));
  };
  EXPECT_EQ(code("email", "push@example.iam"), absl::StatusCode::kOk);
  EXPECT_EQ(code("email_verified", "true"), absl::StatusCode::kOk);
  EXPECT_EQ(code("email", "other@example.iam"), kRefused);
  EXPECT_EQ(code("email_verified", "false"), kRefused);
  EXPECT_EQ(code("none", "null"), kRefused);
  EXPECT_EQ(code("sub", ""), kRefused);
}

TEST_F(JwksTest, LongTokenIsRefused) {
  const auto padded = [](size_t bytes) {
    return Token(kRs, absl::StrCat(R"({"iss":"https://issuer.example","aud":"us",)"
                                   R"("exp":1760000001,"pad":")",
                                   std::string(bytes, 'x'), "\"}"));
  };
  EXPECT_EQ(Code(padded(5000)), absl::StatusCode::kOk);
  EXPECT_EQ(Code(padded(6000)), kRefused);
}

}  // namespace
}  // namespace webhook::sources
