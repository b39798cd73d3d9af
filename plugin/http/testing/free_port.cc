#include "plugin/http/testing/free_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <random>

#include "absl/strings/str_cat.h"

namespace webhook::http {

const std::string& OwnAddress() {
  static const std::string address = [] {
    std::random_device random;  // process ids repeat from sandbox to sandbox
    std::uniform_int_distribution<int> byte(1, 254);
    return absl::StrCat("127.", byte(random), ".", byte(random), ".", byte(random));
  }();
  return address;
}

std::vector<uint16_t> FreePorts(size_t count) {
  static std::deque<uint16_t> given;  // lately
  std::vector<int> sockets;
  std::vector<uint16_t> ports;
  while (ports.size() < count) {
    sockets.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, OwnAddress().c_str(), &address.sin_addr);
    socklen_t size = sizeof address;
    bind(sockets.back(), reinterpret_cast<const sockaddr*>(&address), size);
    getsockname(sockets.back(), reinterpret_cast<sockaddr*>(&address), &size);
    const uint16_t port = ntohs(address.sin_port);
    if (std::find(given.begin(), given.end(), port) != given.end()) continue;
    ports.push_back(port);
    given.push_back(port);
    if (given.size() > 1'000) given.pop_front();
  }
  for (const int one : sockets) close(one);
  return ports;
}

}  // namespace webhook::http
