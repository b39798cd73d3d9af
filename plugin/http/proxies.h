// The proxies before a listener, and what they state about whom they pass on: in a header of each
// request, or at the beginning of each connection (PROXY protocol). Believed from listed peers
// only.
#ifndef PLUGIN_HTTP_PROXIES_H_
#define PLUGIN_HTTP_PROXIES_H_

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/http/address.h"

namespace webhook::http {

// The header field in which proxies state a request's sender. The other one is ignored, because a
// proxy that sets one of them passes on what a sender wrote into the other.
enum class ForwardingHeader {
  kNone,
  kXForwardedFor,
  kForwarded,  // RFC 7239
};

// "X-Forwarded-For" (also for an empty text), "Forwarded" or "none", in any case. INVALID_ARGUMENT
// names the three.
absl::StatusOr<ForwardingHeader> ParseForwardingHeader(absl::string_view text);

struct Proxies {
  std::vector<Network> networks;
  ForwardingHeader header = ForwardingHeader::kXForwardedFor;
  // Each connection from them begins with a PROXY header, and there are no others.
  bool proxy_protocol = false;

  // The name of `header` in lower case; empty for kNone.
  absl::string_view header_name() const;
  // Who sent a request with these values of `header`, in their order: read from right to left past
  // listed addresses. Where all are listed, the leftmost. Nothing where an address that is reached
  // cannot be read, or where there are more than `most`.
  std::optional<Address> SenderOf(std::span<const absl::string_view> values, size_t most) const;
};

// The beginning of a connection by the PROXY protocol, version 1 or 2
// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2).
struct ProxyHeader {
  // The specification's bound for what a receiver must take at once.
  static constexpr size_t kMostBytes = 536;

  enum class Result {
    kMore,       // at least `needed` octets more belong to it
    kMalformed,  // or for another protocol than TCP, or too long
    kAddress,    // `address` made the connection
    kLocal,      // the proxy itself made it, to see whether the port is served
    kUnknown,    // the proxy does not say who made it
  };

  // Reads what has come of it. The outcome does not depend on how it was split, as long as no more
  // octets are given than were needed; those of what follows the header are never needed.
  static ProxyHeader Read(absl::string_view octets);

  Result result = Result::kMalformed;
  size_t needed = 0;
  Address address;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_PROXIES_H_
