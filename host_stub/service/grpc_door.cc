#include "host_stub/service/grpc_door.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <future>
#include <utility>

#include "host_stub/observe/process.h"

namespace host_stub {
namespace {

namespace http = webhook::http;

// A flood of calls that are reset at once takes some 100 MiB in a second on one connection.
constexpr int64_t kMemoryCheckMs = 20;
// How often the connections themselves are looked at.
constexpr int64_t kLookMs = 1'000;
// A window's worth of HTTP/2. Pings, window updates and short headers stay below.
constexpr uint64_t kUnansweredBytes = 64 * 1024;

constexpr absl::string_view kOverMemoryLimit = "the process has more memory than memory_soft_limit";
constexpr absl::string_view kUnanswered =
    "it sent more than 64 KiB that made no request within body_timeout_ms and answer_timeout_ms";

http::ServerOptions ServerOptionsOf(const GrpcDoorOptions& options) {
  http::ServerOptions server;
  server.address = options.address;
  server.port = options.port;
  server.limits = options.limits;
  server.accept_at_once = false;
  if (options.is_owners) {
    server.first_spare_descriptor = INT_MAX;
  } else {
    // The other half is for senders' doors and for the store: gRPC's connections cannot take them.
    server.first_spare_descriptor /= 2;
  }
  return server;
}

}  // namespace

struct GrpcDoor::NoRequests : http::Handler {
  http::HeadVerdict OnHead(http::Exchange&) override { return http::HeadVerdict::ReadBody(); }
  void OnRequest(http::Exchange&) override {}
  void OnAnswered(const http::Answered& answered) noexcept override {
    if (told) told(answered);
  }

  explicit NoRequests(std::function<void(const http::Answered&)> on_refused)
      : told(std::move(on_refused)) {}

  const std::function<void(const http::Answered&)> told;
};

GrpcDoor::GrpcDoor(GrpcDoorOptions options)
    : options_(std::move(options)), handler_(std::make_unique<NoRequests>(options_.on_refused)) {}

absl::StatusOr<std::unique_ptr<GrpcDoor>> GrpcDoor::Listen(GrpcDoorOptions options,
                                                           http::IoThreads& threads) {
  std::unique_ptr<GrpcDoor> door(new GrpcDoor(std::move(options)));
  http::ServerOptions server = ServerOptionsOf(door->options_);
  server.take = [door = door.get()](http::EventLoop& loop, http::Descriptor socket,
                                    std::string peer, std::shared_ptr<void> place) {
    door->Take(loop, std::move(socket), std::move(peer), std::move(place));
  };
  auto listening = http::Server::Listen(std::move(server), threads, *door->handler_);
  if (!listening.ok()) return listening.status();
  door->server_ = *std::move(listening);
  return door;
}

GrpcDoor::~GrpcDoor() {
  if (server_ == nullptr) return;
  Close();
  if (loop_ == nullptr) return;
  std::promise<void> done;
  loop_->Post([this, &done] {
    loop_->Disarm(*this);
    while (!connections_.empty()) Forget(connections_.front());
    done.set_value();
  });
  done.get_future().wait();
}

void GrpcDoor::Take(http::EventLoop& loop, http::Descriptor socket, std::string peer,
                    std::shared_ptr<void> place) {
  loop_ = &loop;
  if (!options_.is_owners && IsOverMemoryLimit()) {
    return Tell(peer, LRI_REASON_MEMORY, kOverMemoryLimit);
  }
  const int theirs = ::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0);
  if (theirs < 0) {
    return Tell(peer, LRI_REASON_TOO_MANY_CONNECTIONS, "the process has no more file descriptors");
  }
  // What gRPC sets where it accepts by itself. A unix socket has neither.
  const int yes = 1;
  const auto patience_ms = static_cast<unsigned>(options_.limits.grpc_keepalive_timeout_ms);
  ::setsockopt(theirs, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::setsockopt(theirs, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
  Connection& connection = connections_.emplace_front();
  connection.door = this;
  connection.socket = std::move(socket);
  connection.peer = std::move(peer);
  connection.place = std::move(place);
  connection.self = connections_.begin();
  connection.sent_ms = loop.now_ms();
  if (!loop.Watch(connection.socket, connection, 0)) {
    ::close(theirs);
    Tell(connection.peer, LRI_REASON_MEMORY, "");
    return Forget(connection);
  }
  if (!options_.is_owners && !is_armed()) loop.Arm(*this, loop.now_ms() + kMemoryCheckMs);
  options_.hand_over(theirs);
}

void GrpcDoor::Tell(absl::string_view peer, lri_reason reason, absl::string_view detail) {
  handler_->OnAnswered({.peer = peer, .reason = reason, .detail = detail});
}

// EPOLLHUP: both directions are closed.
void GrpcDoor::Connection::OnEvents(uint32_t) { door->Forget(*this); }

void GrpcDoor::Forget(Connection& connection) {
  loop_->Unwatch(connection.socket, connection);
  connections_.erase(connection.self);
}

void GrpcDoor::OnTimer() {
  if (connections_.empty()) return;
  const int64_t now_ms = loop_->now_ms();
  loop_->Arm(*this, now_ms + kMemoryCheckMs);
  if (IsOverMemoryLimit()) {
    for (Connection& connection : connections_) {
      End(connection, LRI_REASON_MEMORY, kOverMemoryLimit);
    }
  } else if (now_ms >= look_at_ms_) {
    look_at_ms_ = now_ms + kLookMs;
    for (Connection& connection : connections_) {
      if (IsUnanswered(connection)) End(connection, LRI_REASON_TIMEOUT_BODY, kUnanswered);
    }
  }
}

// What has arrived is thrown away (MSG_TRUNC): gRPC would still act on it.
void GrpcDoor::End(Connection& connection, lri_reason reason, absl::string_view detail) {
  const int socket = connection.socket.get();
  ::shutdown(socket, SHUT_RDWR);
  while (::recv(socket, nullptr, INT_MAX, MSG_TRUNC | MSG_DONTWAIT) > 0) {
  }
  if (!std::exchange(connection.ended, true)) Tell(connection.peer, reason, detail);
}

bool GrpcDoor::IsOverMemoryLimit() const {
  const int64_t resident_bytes = ResidentBytes();
  if (resident_bytes <= options_.limits.memory_soft_limit) return false;
  options_.on_memory(resident_bytes);
  return true;
}

// gRPC has no limit on how long a header or a message takes, and a header that never ends costs it
// more with each frame. Who sends one gets no octet from it meanwhile: of a message, gRPC asks for
// the next piece after 1 MiB at the latest.
bool GrpcDoor::IsUnanswered(Connection& connection) const {
  tcp_info info = {};
  socklen_t size = sizeof info;
  if (::getsockopt(connection.socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  const int64_t now_ms = loop_->now_ms();
  if (info.tcpi_bytes_sent != connection.sent_bytes) {
    connection.sent_bytes = info.tcpi_bytes_sent;
    connection.received_bytes = info.tcpi_bytes_received;
    connection.sent_ms = now_ms;
  }
  const webhook::Limits& limits = options_.limits;
  return info.tcpi_bytes_received - connection.received_bytes > kUnansweredBytes &&
         now_ms - connection.sent_ms > std::max(limits.body_timeout_ms, limits.answer_timeout_ms);
}

}  // namespace host_stub
