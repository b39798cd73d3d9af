#include "host_stub/store/testing/cutting_proxy.h"

#include <endian.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

namespace host_stub {
namespace {

constexpr char kSocket[] = "/.s.PGSQL.5432";

sockaddr_un AddressIn(const std::string& folder) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = folder + kSocket;
  if (path.size() >= sizeof(address.sun_path)) std::abort();
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

bool ReadAll(int from, std::string& message, size_t bytes) {
  while (bytes > 0) {
    char buffer[4096];
    const ssize_t got = ::recv(from, buffer, std::min(bytes, sizeof(buffer)), 0);
    if (got <= 0) return false;
    message.append(buffer, static_cast<size_t>(got));
    bytes -= static_cast<size_t>(got);
  }
  return true;
}

bool WriteAll(int to, const std::string& message) {
  for (size_t sent = 0; sent < message.size();) {
    const ssize_t put = ::send(to, message.data() + sent, message.size() - sent, MSG_NOSIGNAL);
    if (put <= 0) return false;
    sent += static_cast<size_t>(put);
  }
  return true;
}

// A letter, which a connection's first message does not have, and a length, which counts itself.
bool ReadMessage(int from, bool is_first, std::string& message) {
  message.clear();
  const size_t letter = is_first ? 0 : 1;
  if (!ReadAll(from, message, letter + 4)) return false;
  uint32_t length = 0;
  std::memcpy(&length, message.data() + letter, sizeof(length));
  return ReadAll(from, message, be32toh(length) - 4);
}

std::string FatalError(const std::string& code) {
  std::string fields;
  for (const std::string& field : {std::string("SFATAL"), std::string("VFATAL"), "C" + code,
                                   std::string("Mplanted"), std::string()}) {
    fields.append(field).push_back('\0');
  }
  const uint32_t length = htobe32(static_cast<uint32_t>(fields.size() + 4));
  return "E" + std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + fields;
}

}  // namespace

CuttingProxy::CuttingProxy(std::string server_folder)
    : server_(std::move(server_folder)), folder_("/tmp/webhook-proxy-XXXXXX") {
  if (::mkdtemp(folder_.data()) == nullptr) std::abort();
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = AddressIn(folder_);
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener_, 16) != 0) {
    std::abort();
  }
  accepter_ = std::thread([this] { Accept(); });
}

CuttingProxy::~CuttingProxy() {
  ::shutdown(listener_, SHUT_RDWR);
  accepter_.join();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const int socket : open_) ::shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  for (const int socket : open_) ::close(socket);
  ::close(listener_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void CuttingProxy::CutAt(std::deque<Cut> cuts) {
  const std::lock_guard<std::mutex> lock(mutex_);
  cuts_ = std::move(cuts);
  messages_[0] = messages_[1] = 0;
}

int CuttingProxy::cuts_left() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int>(cuts_.size());
}

int CuttingProxy::messages(bool to_server) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return messages_[to_server];
}

void CuttingProxy::Accept() {
  const sockaddr_un address = AddressIn(server_);
  while (true) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      ::shutdown(client, SHUT_RDWR);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    open_.insert({client, server});
    threads_.emplace_back([=, this] { Pass(client, server, true); });
    threads_.emplace_back([=, this] { Pass(server, client, false); });
  }
}

// Both sockets stay open until the end, so that no other gets their numbers.
void CuttingProxy::Pass(int from, int to, bool to_server) {
  std::string message;
  for (bool is_first = to_server; ReadMessage(from, is_first, message); is_first = false) {
    const bool passes = Count(to_server, message);
    if (!WriteAll(to, message) || !passes) break;
  }
  ::shutdown(from, SHUT_RDWR);
  ::shutdown(to, SHUT_RDWR);
}

bool CuttingProxy::Count(bool to_server, std::string& message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const int before = messages_[to_server]++;
  if (cuts_.empty() || cuts_[0].to_server != to_server || before != cuts_[0].messages) return true;
  message = cuts_[0].last_words.empty() ? "" : FatalError(cuts_[0].last_words);
  cuts_.pop_front();
  messages_[0] = messages_[1] = 0;
  return false;
}

}  // namespace host_stub
