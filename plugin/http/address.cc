#include "plugin/http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace webhook::http {
namespace {

constexpr uint8_t kIpv4Prefix[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr int kIpv4PrefixBits = 96;

std::string Shown(absl::string_view text) { return absl::CHexEscape(text.substr(0, 80)); }

}  // namespace

absl::StatusOr<Address> Address::Parse(absl::string_view text) {
  sockaddr_storage socket = {};
  auto& ipv4 = reinterpret_cast<sockaddr_in&>(socket);
  auto& ipv6 = reinterpret_cast<sockaddr_in6&>(socket);
  if (inet_pton(AF_INET, std::string(text).c_str(), &ipv4.sin_addr) == 1) {
    socket.ss_family = AF_INET;
  } else if (inet_pton(AF_INET6, std::string(text.substr(0, text.find('%'))).c_str(),
                       &ipv6.sin6_addr) == 1) {
    socket.ss_family = AF_INET6;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", Shown(text), "\" is no IPv4 or IPv6 address"));
  }
  return Of(socket);
}

Address Address::Of(const sockaddr_storage& socket) {
  Address address;
  if (socket.ss_family == AF_INET) {
    const in_addr& ipv4 = reinterpret_cast<const sockaddr_in&>(socket).sin_addr;
    std::memcpy(address.octets_.data(), kIpv4Prefix, sizeof kIpv4Prefix);
    std::memcpy(address.octets_.data() + sizeof kIpv4Prefix, &ipv4, sizeof ipv4);
  } else if (socket.ss_family == AF_INET6) {
    const in6_addr& ipv6 = reinterpret_cast<const sockaddr_in6&>(socket).sin6_addr;
    std::memcpy(address.octets_.data(), &ipv6, sizeof ipv6);
  }
  return address;
}

Address Address::OfOctets(absl::string_view octets) {
  Address address;
  const size_t before = address.octets_.size() - octets.size();
  if (before > 0) std::memcpy(address.octets_.data(), kIpv4Prefix, sizeof kIpv4Prefix);
  std::memcpy(address.octets_.data() + before, octets.data(), octets.size());
  return address;
}

std::string Address::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (is_ipv4()) {
    inet_ntop(AF_INET, octets_.data() + sizeof kIpv4Prefix, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, octets_.data(), text, sizeof text);
  }
  return text;
}

bool Address::is_ipv4() const {
  return std::memcmp(octets_.data(), kIpv4Prefix, sizeof kIpv4Prefix) == 0;
}

Address Address::Prefix(int bits) const {
  Address prefix = *this;
  for (int i = 0; i < 16; ++i) {
    const int kept = std::clamp(bits - 8 * i, 0, 8);
    prefix.octets_[i] &= static_cast<uint8_t>(0xff00 >> kept);
  }
  return prefix;
}

bool IsIn(const Address& address, std::span<const Network> networks) {
  return std::any_of(networks.begin(), networks.end(),
                     [&address](const Network& network) { return network.Contains(address); });
}

absl::StatusOr<Network> ParseNetwork(absl::string_view text) {
  const size_t slash = text.find('/');
  auto base = Address::Parse(text.substr(0, slash));
  if (!base.ok()) return base.status();
  Network network{.base = *base};
  if (slash == absl::string_view::npos) return network;
  const absl::string_view length = text.substr(slash + 1);
  const int before = base->is_ipv4() ? kIpv4PrefixBits : 0;
  const bool digits = !length.empty() && length.find_first_not_of("0123456789") == length.npos;
  if (!digits || !absl::SimpleAtoi(length, &network.bits) || network.bits > 128 - before) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", Shown(text), "\": what follows the slash must be a number from 0 to ", 128 - before));
  }
  network.bits += before;
  if (network.base.Prefix(network.bits) != network.base) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", Shown(text),
                     "\" is an address within a network: give its first address, or no slash"));
  }
  return network;
}

absl::StatusOr<std::vector<Network>> ParseNetworks(absl::string_view list) {
  std::vector<Network> networks;
  for (const absl::string_view one :
       absl::StrSplit(list, absl::ByAnyChar(", "), absl::SkipEmpty())) {
    auto network = ParseNetwork(one);
    if (!network.ok()) return network.status();
    networks.push_back(*network);
  }
  return networks;
}

}  // namespace webhook::http
