// IP addresses and networks of them, without names and ports.
#ifndef PLUGIN_HTTP_ADDRESS_H_
#define PLUGIN_HTTP_ADDRESS_H_

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace webhook::http {

// An IPv4 or IPv6 address. An IPv4 address that is written as an IPv6 one (::ffff:192.0.2.1) is the
// IPv4 address.
class Address {
 public:
  Address() = default;  // "::"
  // "192.0.2.1", "2001:db8::1", "fe80::1%eth0" (the interface is dropped). INVALID_ARGUMENT for
  // anything else.
  static absl::StatusOr<Address> Parse(absl::string_view text);
  // Of a socket; any other family is "::".
  static Address Of(const sockaddr_storage& socket);
  // Of 4 or 16 octets in network byte order.
  static Address OfOctets(absl::string_view octets);

  bool is_ipv4() const;
  // "192.0.2.1", "2001:db8::1" (RFC 5952).
  std::string ToString() const;
  // With all bits after the first `bits` (of 128: an IPv4 address has 96 before its own) cleared.
  Address Prefix(int bits) const;
  // What is counted as one peer: an IPv4 address, or an IPv6 network of 64 bits, because one
  // machine can choose the rest of its addresses freely (RFC 4291 section 2.5.1, RFC 6177).
  Address Network() const { return is_ipv4() ? *this : Prefix(64); }

  auto operator<=>(const Address&) const = default;

 private:
  std::array<uint8_t, 16> octets_{};
};

// The addresses that begin alike: "10.0.0.0/8", "2001:db8::/32", or one address.
struct Network {
  Address base;
  int bits = 128;  // as of Address::Prefix

  bool Contains(const Address& address) const { return address.Prefix(bits) == base; }
};

bool IsIn(const Address& address, std::span<const Network> networks);

// INVALID_ARGUMENT quotes the text, shortened, and says what is wrong with it.
absl::StatusOr<Network> ParseNetwork(absl::string_view text);

// Networks that are separated by commas and blanks.
absl::StatusOr<std::vector<Network>> ParseNetworks(absl::string_view list);

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_ADDRESS_H_
