#include "plugin/http/peer_network.h"

#include <boost/asio/ip/address_v6.hpp>

namespace webhook::http {

std::string NetworkOf(const std::string& peer) {
  boost::system::error_code no_address;
  const auto address = boost::asio::ip::make_address_v6(peer.c_str(), no_address);
  if (no_address) return peer;
  const auto octets = address.to_bytes();
  std::string key = "[";  // no other text of a peer begins so
  key.append(octets.begin(), octets.begin() + 8);
  return key;
}

}  // namespace webhook::http
