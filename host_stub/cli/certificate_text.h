// What a person wants to know of a certificate.
#ifndef HOST_STUB_CLI_CERTIFICATE_TEXT_H_
#define HOST_STUB_CLI_CERTIFICATE_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace host_stub {

// "CN=my.xsoar.live, valid until 2027-01-31", for each certificate of the PEM text, joined by "; ".
// Subjects as in RFC 2253, not yet escaped for a terminal. Empty: there is none in the text.
std::string DescribeCertificates(absl::string_view pem);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_CERTIFICATE_TEXT_H_
