// Whom the limits of a peer count as one.
#ifndef PLUGIN_HTTP_PEER_NETWORK_H_
#define PLUGIN_HTTP_PEER_NETWORK_H_

#include <string>

namespace webhook::http {

// A key, equal for all addresses of one IPv6 network of 64 bits: the rest of an address is its
// owner's to choose (RFC 4291, section 2.5.1; RFC 6177), so one machine can connect from as many as
// it likes. Any other text, an IPv4 address among them, is its own key. Of an address it is so
// short that it takes no memory.
std::string NetworkOf(const std::string& peer);

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_PEER_NETWORK_H_
