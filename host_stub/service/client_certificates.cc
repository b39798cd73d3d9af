#include "host_stub/service/client_certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "host_stub/files/trusted_files.h"
#include "host_stub/service/free_with.h"

namespace host_stub {
namespace {

constexpr size_t kCrlBytes = 16 << 20;

using Store = std::unique_ptr<X509_STORE, FreeWith<&X509_STORE_free>>;

// Calls `take` with each element that `read` finds in the PEM text. Returns how many there were.
template <typename Read, typename Take>
int EachOf(absl::string_view pem, const Read& read, const Take& take) {
  const std::unique_ptr<BIO, FreeWith<&BIO_free_all>> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  int count = 0;
  while (auto* const element = read(bio.get(), nullptr, nullptr, nullptr)) {
    take(element);
    ++count;
  }
  ERR_clear_error();  // "no start line" is the end
  return count;
}

int AddAuthorities(X509_STORE* store, absl::string_view pem) {
  return EachOf(pem, &PEM_read_bio_X509, [store](X509* certificate) {
    X509_STORE_add_cert(store, certificate);
    X509_free(certificate);
  });
}

int AddCrls(X509_STORE* store, absl::string_view pem) {
  return EachOf(pem, &PEM_read_bio_X509_CRL, [store](X509_CRL* crl) {
    X509_STORE_add_crl(store, crl);
    X509_CRL_free(crl);
  });
}

}  // namespace

ClientCertificates::ClientCertificates(std::string authorities, std::string crl_file)
    : authorities_(std::move(authorities)), crl_file_(std::move(crl_file)) {}

absl::StatusOr<std::shared_ptr<const ClientCertificates>> ClientCertificates::Create(
    const std::string& authorities, std::string crl_file) {
  const std::shared_ptr<const ClientCertificates> created(
      new ClientCertificates(authorities, std::move(crl_file)));
  const Store store(X509_STORE_new());
  if (AddAuthorities(store.get(), authorities) == 0) {
    return absl::InvalidArgumentError("--grpc-client-ca: holds no certificate in PEM");
  }
  if (absl::StatusOr<std::string> crl = created->ReadCrl(); !crl.ok()) return crl.status();
  return created;
}

absl::StatusOr<std::string> ClientCertificates::ReadCrl() const {
  if (crl_file_.empty()) return "";
  absl::StatusOr<SmallFile> file = ReadSmallFile(crl_file_, kCrlBytes);
  if (!file.ok()) return file.status();
  if (!file->write_fault.empty()) return absl::PermissionDeniedError(file->write_fault);
  const Store store(X509_STORE_new());
  if (AddCrls(store.get(), file->contents) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(crl_file_, " holds no list in PEM (X509 CRL)"));
  }
  return std::move(file->contents);
}

absl::Status ClientCertificates::Judge(absl::string_view certificate,
                                       absl::string_view chain) const {
  absl::StatusOr<std::string> crl = ReadCrl();
  if (!crl.ok()) return absl::UnauthenticatedError(crl.status().message());
  const Store store(X509_STORE_new());
  AddAuthorities(store.get(), authorities_);
  AddCrls(store.get(), *crl);
  X509_STORE_set_flags(store.get(),
                       X509_V_FLAG_PARTIAL_CHAIN | (crl_file_.empty() ? 0 : X509_V_FLAG_CRL_CHECK));
  std::unique_ptr<X509, FreeWith<&X509_free>> leaf;
  EachOf(certificate, &PEM_read_bio_X509, [&leaf](X509* one) { leaf.reset(one); });
  if (leaf == nullptr) return absl::UnauthenticatedError("no certificate");
  STACK_OF(X509)* const others = sk_X509_new_null();
  absl::Cleanup free_others = [others] { sk_X509_pop_free(others, &X509_free); };
  EachOf(chain, &PEM_read_bio_X509, [others](X509* one) { sk_X509_push(others, one); });
  const std::unique_ptr<X509_STORE_CTX, FreeWith<&X509_STORE_CTX_free>> context(
      X509_STORE_CTX_new());
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), others) == 1 &&
      X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT) == 1 &&
      X509_verify_cert(context.get()) == 1) {
    return absl::OkStatus();
  }
  ERR_clear_error();
  return absl::UnauthenticatedError(
      X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
}

}  // namespace host_stub
