// The least a gRPC server can do with the messages of Execute, on the callback API that the host
// uses: it answers with the request's own body. Prints `ready grpc=HOST:PORT`; ends with SIGTERM.
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>

#include "long_running_integration/v1/long_running_integration.grpc.pb.h"

namespace {

namespace v1 = ::long_running_integration::v1;

void Echo(const v1::ExecuteRequest& request, v1::ExecuteResponse& response) {
  response.set_status(200);
  response.set_body(request.body());
  response.set_request_id(request.request_id());
}

// Reads on while an answer is written, as the host does.
class EchoStream
    : public grpc::ServerBidiReactor<v1::ExecuteStreamRequest, v1::ExecuteStreamResponse> {
 public:
  EchoStream() { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (!ok) {
      ended_ = true;
      FinishWhenAllIsWritten();
      return;
    }
    answers_.emplace_back();
    answers_.back().set_correlation_id(request_.correlation_id());
    Echo(request_.request(), *answers_.back().mutable_response());
    if (answers_.size() == 1) StartWrite(&answers_.front());
    StartRead(&request_);
  }

  void OnWriteDone(bool) override {
    const std::lock_guard lock(mutex_);
    answers_.pop_front();
    if (!answers_.empty()) StartWrite(&answers_.front());
    FinishWhenAllIsWritten();
  }

  void OnDone() override { delete this; }

 private:
  void FinishWhenAllIsWritten() {
    if (ended_ && answers_.empty()) Finish(grpc::Status::OK);
  }

  std::mutex mutex_;
  v1::ExecuteStreamRequest request_;
  std::deque<v1::ExecuteStreamResponse> answers_;  // the first is being written
  bool ended_ = false;
};

class EchoService : public v1::LongRunningIntegration::CallbackService {
  grpc::ServerUnaryReactor* Execute(grpc::CallbackServerContext* context,
                                    const v1::ExecuteRequest* request,
                                    v1::ExecuteResponse* response) override {
    Echo(*request, *response);
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerBidiReactor<v1::ExecuteStreamRequest, v1::ExecuteStreamResponse>* ExecuteStream(
      grpc::CallbackServerContext*) override {
    return new EchoStream;
  }
};

}  // namespace

int main() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, nullptr);  // inherited by gRPC's threads
  EchoService service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::printf("ready grpc=127.0.0.1:%d\n", port);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&stop, &signal);
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}
