// How connections get to a gRPC server: the host accepts them, under the same limits as the front,
// and hands them over. gRPC itself bounds neither connections nor descriptors, and a listening
// socket of its own is dead once it has found no descriptor.
#ifndef HOST_STUB_SERVICE_GRPC_DOOR_H_
#define HOST_STUB_SERVICE_GRPC_DOOR_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "plugin/http/event_loop.h"
#include "plugin/http/server.h"
#include "plugin/limits/limits.h"

namespace host_stub {

struct GrpcDoorOptions {
  std::string address;  // an IP address, or unix:PATH
  uint16_t port = 0;
  webhook::Limits limits;
  // The owner's door: it may use the last descriptors, and stays open when memory runs short.
  bool is_owners = false;
  // Takes a connected socket, which is the callee's from then on.
  std::function<void(int socket)> hand_over;
  // Told of each connection that is refused or ended by the limits, once. Null: nobody is. Must not
  // block.
  std::function<void(const webhook::http::Answered&)> on_refused;
  // Connections are closed, or not taken, because of memory_soft_limit. Must not block.
  std::function<void(int64_t resident_bytes)> on_memory;
};

class GrpcDoor : private webhook::http::EventLoop::Timer {
 public:
  // Binds and listens; Open then begins to accept. Errors as of webhook::http::Server::Listen.
  static absl::StatusOr<std::unique_ptr<GrpcDoor>> Listen(GrpcDoorOptions options,
                                                          webhook::http::IoThreads& threads);

  // Calls Close, and lets go of the connections. Not on one of the threads.
  ~GrpcDoor();

  int port() const { return server_->port(); }
  void Open() { server_->StartAccepting(); }

  // Accepts nothing from now on. What was handed over stays as it is. Not on one of the threads.
  void Close() { server_->Drain(absl::ZeroDuration()); }

 private:
  // A connection that was handed over. Its own descriptor of the socket tells when gRPC has closed
  // its one (which it shuts down first), and can shut the socket down without a race.
  struct Connection : webhook::http::EventLoop::Watcher {
    void OnEvents(uint32_t events) override;

    GrpcDoor* door;
    webhook::http::Descriptor socket;
    std::string peer;
    std::shared_ptr<void> place;  // among the connections that the limits count
    uint64_t sent_bytes = 0;      // by us
    uint64_t received_bytes = 0;  // by the time of the last octet that we sent
    int64_t sent_ms = 0;          // that time
    bool ended = false;           // End was called
    std::list<Connection>::iterator self;
  };

  explicit GrpcDoor(GrpcDoorOptions options);

  // All run on the loop's thread.
  void Take(webhook::http::EventLoop& loop, webhook::http::Descriptor socket, std::string peer,
            std::shared_ptr<void> place);
  void Tell(absl::string_view peer, lri_reason reason, absl::string_view detail);
  void OnTimer() override;
  bool IsOverMemoryLimit() const;
  bool IsUnanswered(Connection& connection) const;
  void End(Connection& connection, lri_reason reason, absl::string_view detail);
  void Forget(Connection& connection);

  const GrpcDoorOptions options_;
  struct NoRequests;
  const std::unique_ptr<NoRequests> handler_;  // of a server that has no requests
  std::shared_ptr<webhook::http::Server> server_;
  webhook::http::EventLoop* loop_ = nullptr;  // of the connections; null before the first
  std::list<Connection> connections_;
  int64_t look_at_ms_ = 0;  // when the connections are looked at again
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_GRPC_DOOR_H_
