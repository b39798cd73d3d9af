// Certificates and keys that tests make for themselves.
#ifndef PLUGIN_RUNTIME_TESTING_TEST_CERTIFICATES_H_
#define PLUGIN_RUNTIME_TESTING_TEST_CERTIFICATES_H_

#include <string>

#include "absl/time/time.h"

namespace webhook::runtime {

// PEM texts.
struct TestCertificate {
  std::string certificate;
  std::string key;            // of the certificate, not encrypted
  std::string encrypted_key;  // the same with a passphrase
};

// A certificate for localhost, valid between the two times: signed by `issuer`, or by itself where
// that is null, and then an authority as well. Its key is of P-256, or else RSA.
TestCertificate MakeTestCertificate(const std::string& common_name, absl::Time not_before,
                                    absl::Time not_after, const TestCertificate* issuer = nullptr,
                                    bool is_rsa = false);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_TESTING_TEST_CERTIFICATES_H_
