#include "plugin/runtime/testing/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <functional>
#include <memory>

namespace webhook::runtime {
namespace {

std::string Written(const std::function<void(BIO*)>& write) {
  BIO* const out = BIO_new(BIO_s_mem());
  write(out);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(out);
  return text;
}

BIO* Reader(const std::string& text) {
  return BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
}

std::shared_ptr<X509> ReadCertificate(const std::string& pem) {
  BIO* const in = Reader(pem);
  std::shared_ptr<X509> read(PEM_read_bio_X509(in, nullptr, nullptr, nullptr), X509_free);
  BIO_free(in);
  return read;
}

std::shared_ptr<EVP_PKEY> ReadKey(const std::string& pem) {
  BIO* const in = Reader(pem);
  std::shared_ptr<EVP_PKEY> read(PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr),
                                 EVP_PKEY_free);
  BIO_free(in);
  return read;
}

void AddExtension(X509* certificate, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

TestCertificate MakeTestCertificate(const std::string& common_name, absl::Time not_before,
                                    absl::Time not_after, const TestCertificate* issuer,
                                    bool is_rsa) {
  const std::shared_ptr<EVP_PKEY> key(is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"),
                                      EVP_PKEY_free);
  const std::shared_ptr<X509> certificate(X509_new(), X509_free);
  static long serial = 0;
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), absl::ToTimeT(not_before));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), absl::ToTimeT(not_after));
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  const std::shared_ptr<X509> signer =
      issuer == nullptr ? certificate : ReadCertificate(issuer->certificate);
  const std::shared_ptr<EVP_PKEY> signing_key = issuer == nullptr ? key : ReadKey(issuer->key);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer.get()));
  AddExtension(certificate.get(), signer.get(), NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
  if (issuer == nullptr) {
    AddExtension(certificate.get(), signer.get(), NID_basic_constraints, "critical,CA:TRUE");
  }
  X509_sign(certificate.get(), signing_key.get(), EVP_sha256());

  unsigned char passphrase[] = "secret";
  return {.certificate = Written([&](BIO* out) { PEM_write_bio_X509(out, certificate.get()); }),
          .key = Written([&](BIO* out) {
            PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          }),
          .encrypted_key = Written([&](BIO* out) {
            PEM_write_bio_PrivateKey(out, key.get(), EVP_aes_128_cbc(), passphrase,
                                     static_cast<int>(std::strlen("secret")), nullptr, nullptr);
          })};
}

}  // namespace webhook::runtime
