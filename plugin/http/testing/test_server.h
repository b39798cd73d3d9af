// A server with a handler made of functions, for tests.
#ifndef PLUGIN_HTTP_TESTING_TEST_SERVER_H_
#define PLUGIN_HTTP_TESTING_TEST_SERVER_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/status/statusor.h"
#include "plugin/http/server.h"

namespace webhook::http {

// Like absl::Notification, but one that the thread sanitizer can see.
class Signal {
 public:
  void Notify() {
    const std::lock_guard<std::mutex> lock(mutex_);
    given_ = true;
    changed_.notify_all();
  }
  void WaitForNotification() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return given_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool given_ = false;
};

inline void Reply(Exchange& exchange, int status, absl::string_view body) {
  Response response;
  response.status = status;
  response.content_type = "text/plain";
  response.body = body;
  exchange.Respond(response);
}

// By default every body is read and sent back.
struct TestHandler : public Handler {
  std::function<HeadVerdict(Exchange&)> on_head = [](Exchange&) { return HeadVerdict::ReadBody(); };
  std::function<void(Exchange&)> on_request = [](Exchange& exchange) {
    Reply(exchange, 200, exchange.body());
  };
  std::function<void(Exchange&)> on_abandoned = [](Exchange&) {};
  std::function<void(Exchange&)> on_dropped = [](Exchange&) {};
  std::function<void(const Answered&)> on_answered = [](const Answered&) {};

  HeadVerdict OnHead(Exchange& exchange) override { return on_head(exchange); }
  void OnRequest(Exchange& exchange) override { on_request(exchange); }
  void OnAbandoned(Exchange& exchange) override { on_abandoned(exchange); }
  void OnDropped(Exchange& exchange) override { on_dropped(exchange); }
  void OnAnswered(const Answered& answered) noexcept override { on_answered(answered); }
};

struct TestServer {
  explicit TestServer(int thread_count = 2) : threads(*IoThreads::Start(thread_count)) {}

  // Call once, after options and handler are set.
  uint16_t Listen() {
    absl::StatusOr<std::shared_ptr<Server>> made = Server::Listen(options, *threads, handler);
    server = *std::move(made);
    return server->port();
  }

  ServerOptions options;
  TestHandler handler;
  std::unique_ptr<IoThreads> threads;
  std::shared_ptr<Server> server;  // goes first
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_TESTING_TEST_SERVER_H_
