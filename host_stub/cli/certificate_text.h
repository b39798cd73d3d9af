// Describes certificates to a person.
#ifndef HOST_STUB_CLI_CERTIFICATE_TEXT_H_
#define HOST_STUB_CLI_CERTIFICATE_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace host_stub {

// "CN=my.xsoar.live, valid until 2027-01-31" for each certificate in the PEM text, joined by "; ".
// Subjects are written as in RFC 2253 and not escaped for a terminal. Empty if the text holds no
// certificate.
std::string DescribeCertificates(absl::string_view pem);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_CERTIFICATE_TEXT_H_
