#include "host_stub/cli/certificate_text.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace host_stub {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using BioPointer = std::unique_ptr<BIO, Free>;
using CertificatePointer = std::unique_ptr<X509, Free>;

std::string SubjectOf(const X509* certificate) {
  const BioPointer out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return size > 0 ? std::string(data, size) : "(no subject)";
}

std::string EndOf(const X509* certificate) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) return "(unknown)";
  return absl::FormatTime("%Y-%m-%d", absl::FromTimeT(timegm(&parts)), absl::UTCTimeZone());
}

}  // namespace

std::string DescribeCertificates(absl::string_view pem) {
  const BioPointer in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::string text;
  while (true) {
    const CertificatePointer one(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
    if (one == nullptr) break;
    absl::StrAppend(&text, text.empty() ? "" : "; ", SubjectOf(one.get()), ", valid until ",
                    EndOf(one.get()));
  }
  ERR_clear_error();
  return text;
}

}  // namespace host_stub
