// The admin listener: metrics and health over HTTP, for Prometheus, balancers and operators.
//
//   GET /healthz  200: the process is alive
//   GET /readyz   200: it can create incidents; 503 lists the checks that failed
//   GET /metrics  Prometheus' text format
//
// It has a thread of its own, so it answers one request at a time and takes no time from the front.
#ifndef HOST_STUB_ADMIN_ADMIN_H_
#define HOST_STUB_ADMIN_ADMIN_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/admin/metrics.h"
#include "plugin/http/event_loop.h"
#include "plugin/http/handler.h"
#include "plugin/http/server.h"

namespace host_stub {

// No admin listener.
inline constexpr char kAdminOff[] = "off";

struct AdminOptions {
  // HOST:PORT, port 0: any free one; unix:PATH in a folder of mode 0700, which only this user and
  // root reach; or kAdminOff.
  std::string address = "127.0.0.1:8081";
  // PEM texts. Both or none.
  std::string certificate_chain;
  std::string private_key;
  // Who may see metrics and which checks failed: who shows a certificate of this authority, or one
  // of these bearer tokens (RFC 6750). Where both are empty, everybody who can connect.
  std::string client_ca;
  std::vector<std::string> tokens;
  // Names by which the listener is asked (the header Host), beside IP addresses and localhost.
  std::vector<std::string> names;
};

class Admin : private webhook::http::Handler {
 public:
  // An address that other machines can reach needs TLS, and a token or a client authority:
  // INVALID_ARGUMENT. The other errors are those of Server::Listen and of TlsContext::Create.
  static absl::StatusOr<std::unique_ptr<Admin>> Start(const AdminOptions& options,
                                                      AdminParts parts);
  ~Admin() override;

  // HOST:PORT with the real port, or unix:PATH.
  const std::string& address() const { return address_; }

 private:
  Admin(const AdminOptions& options, AdminParts parts);

  webhook::http::HeadVerdict OnHead(webhook::http::Exchange& exchange) override;
  void OnRequest(webhook::http::Exchange& exchange) override;

  bool IsKnownHost(const webhook::http::RequestHead& head) const;
  bool HasToken(const webhook::http::RequestHead& head) const;
  std::vector<std::string> FailedChecks() const;

  const AdminParts parts_;
  const HostMetrics metrics_;
  const std::vector<std::string> names_;
  std::vector<std::string> token_digests_;  // SHA-256
  std::string address_;
  std::string socket_path_;  // empty: none
  std::unique_ptr<webhook::http::IoThreads> thread_;
  std::shared_ptr<webhook::http::Server> server_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ADMIN_ADMIN_H_
