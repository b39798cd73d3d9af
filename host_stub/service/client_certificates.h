// Which certificates get a client into the gRPC address.
//
// gRPC 1.51 verifies a certificate in a whole handshake only: a session that is resumed would keep
// an expired one alive. It also wants every authority up to the root. Therefore the host judges, in
// every handshake.
#ifndef HOST_STUB_SERVICE_CLIENT_CERTIFICATES_H_
#define HOST_STUB_SERVICE_CLIENT_CERTIFICATES_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace host_stub {

class ClientCertificates {
 public:
  // `authorities` is PEM; each is trusted as it stands. `crl_file` is a path, read again at every
  // judgement, or empty. INVALID_ARGUMENT and the errors of ReadSmallFile say what is wrong with
  // either.
  static absl::StatusOr<std::shared_ptr<const ClientCertificates>> Create(
      const std::string& authorities, std::string crl_file);

  // OK for a certificate that one of the authorities has issued, for clients, that is valid now and
  // not revoked. `chain`: PEM, with what may lead to an authority. UNAUTHENTICATED, with the
  // reason.
  absl::Status Judge(absl::string_view certificate, absl::string_view chain) const;

 private:
  ClientCertificates(std::string authorities, std::string crl_file);
  absl::StatusOr<std::string> ReadCrl() const;

  const std::string authorities_;
  const std::string crl_file_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_CLIENT_CERTIFICATES_H_
