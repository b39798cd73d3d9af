#include "host_stub/cli/certificate_text.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

constexpr char kCertificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBnTCCAUKgAwIBAgIBATAKBggqhkjOPQQDAjAtMRMwEQYDVQQKDApNeSBjb21w\n"
    "YW55MRYwFAYDVQQDDA1teS54c29hci5saXZlMB4XDTI2MTEyMjA2MDQ0NVoXDTM2\n"
    "MTExOTA2MDQ0NVowLTETMBEGA1UECgwKTXkgY29tcGFueTEWMBQGA1UEAwwNbXku\n"
    "eHNvYXIubGl2ZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLhDN2qTEDE20KMM\n"
    "77bUpupUBX8o0PugusiuV4Bsg7nVDgjIGJ1Ku56mSrb5qG916sGjFOpTNrNP9+lt\n"
    "ew0EKvSjUzBRMB0GA1UdDgQWBBS6Upi5qt96qPibqO6wIRF2TEwsozAfBgNVHSME\n"
    "GDAWgBS6Upi5qt96qPibqO6wIRF2TEwsozAPBgNVHRMBAf8EBTADAQH/MAoGCCqG\n"
    "SM49BAMCA0kAMEYCIQCXgdZfvNWr9xsQ1KLCt3FgUzM0fzXWwGU+m+prE++COAIh\n"
    "AMKhFp2o/kE8I7zm+4p/S33wvZCHv6CHEpvfWBkHTF4h\n"
    "-----END CERTIFICATE-----\n";

TEST(CertificateTextTest, TextWithoutACertificateHasNone) {
  for (const char* text : {"", "8000", "-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE"}) {
    EXPECT_EQ(DescribeCertificates(text), "") << text;
  }
}

TEST(CertificateTextTest, SubjectAndEndOfEachCertificateAreTold) {
  constexpr char kOne[] = "CN=my.xsoar.live,O=My company, valid until 2036-11-19";
  EXPECT_EQ(DescribeCertificates(kCertificate), kOne);
  EXPECT_EQ(DescribeCertificates(absl::StrCat(kCertificate, kCertificate)),
            absl::StrCat(kOne, "; ", kOne));
}

}  // namespace
}  // namespace host_stub
