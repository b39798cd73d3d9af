#include "plugin/http/testing/test_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace webhook::http {
namespace {

constexpr int kPatienceMs = 10'000;

}  // namespace

std::string Answer::Header(absl::string_view lower_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_name) return value;
  }
  return std::string();
}

TestClient::TestClient(uint16_t port, const std::string& host) {
  socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(socket_);
    socket_ = -1;
    closed_ = true;
    return;
  }
  const int yes = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

TestClient::~TestClient() {
  if (socket_ >= 0) close(socket_);
}

bool TestClient::Send(absl::string_view bytes) {
  if (socket_ < 0) return false;
  while (!bytes.empty()) {
    pollfd events = {socket_, static_cast<short>(POLLOUT | (closed_ ? 0 : POLLIN)), 0};
    if (poll(&events, 1, kPatienceMs) <= 0) return false;
    if ((events.revents & POLLIN) != 0 && !Receive() && reset_) return false;
    if ((events.revents & POLLOUT) == 0) continue;
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent > 0) bytes.remove_prefix(sent);
  }
  return true;
}

bool TestClient::SendUrgent(char octet) {
  return send(socket_, &octet, 1, MSG_NOSIGNAL | MSG_OOB) == 1;
}

void TestClient::CloseSending() { shutdown(socket_, SHUT_WR); }

void TestClient::Reset() {
  const linger now = {1, 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(socket_);
  socket_ = -1;
}

void TestClient::SetReceiveBuffer(int bytes) {
  setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

bool TestClient::Receive() {
  if (closed_) return false;
  pollfd events = {socket_, POLLIN, 0};
  if (poll(&events, 1, kPatienceMs) <= 0) return false;
  char buffer[16 * 1024];
  const ssize_t count = recv(socket_, buffer, sizeof buffer, 0);
  if (count > 0) {
    in_.append(buffer, count);
    return true;
  }
  closed_ = true;
  reset_ = count < 0;
  return false;
}

bool TestClient::ReadUntilClosed() {
  while (Receive()) {
  }
  return closed_;
}

std::optional<Answer> TestClient::ReadAnswer(bool to_head) {
  for (;;) {
    Answer answer;
    while (TakeAnswer(to_head, answer)) {
      if (answer.status >= 200) return answer;
      ++interim_;
      answer = Answer();
    }
    if (!Receive()) return std::nullopt;
  }
}

bool TestClient::TakeAnswer(bool to_head, Answer& answer) {
  const size_t end = in_.find("\r\n\r\n");
  if (end == std::string::npos || in_.size() < 12) return false;
  if (in_.compare(0, 9, "HTTP/1.1 ") != 0) return false;
  if (!absl::SimpleAtoi(in_.substr(9, 3), &answer.status)) return false;
  const std::vector<std::string> lines = absl::StrSplit(in_.substr(0, end), "\r\n");
  answer.headers.clear();
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::pair<std::string, std::string> field =
        absl::StrSplit(lines[i], absl::MaxSplits(": ", 1));
    answer.headers.emplace_back(absl::AsciiStrToLower(field.first), field.second);
  }
  size_t length = 0;
  if (answer.status >= 200 && !to_head &&
      !absl::SimpleAtoi(answer.Header("content-length"), &length)) {
    length = 0;
  }
  if (in_.size() < end + 4 + length) return false;
  answer.body = in_.substr(end + 4, length);
  answer.bytes = in_.substr(0, end + 4 + length);
  in_.erase(0, end + 4 + length);
  return true;
}

std::string Post(absl::string_view path, absl::string_view body, absl::string_view more_headers) {
  return absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: localhost\r\n", more_headers,
                      "Content-Length: ", body.size(), "\r\n\r\n", body);
}

}  // namespace webhook::http
