// Keeps a number of Execute calls in flight on one channel, closed loop, unary or in streams, and
// prints one line of JSON.
// Usage: grpc_load HOST:PORT BODY_FILE AUTHORIZATION SECONDS IN_FLIGHT STREAMS
//   AUTHORIZATION  the value of that header
//   IN_FLIGHT      calls of each stream, or of all unary calls
//   STREAMS        0: unary calls
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "long_running_integration/v1/long_running_integration.grpc.pb.h"

namespace {

namespace v1 = ::long_running_integration::v1;
using Clock = std::chrono::steady_clock;
using Stub = v1::LongRunningIntegration::Stub;

struct Options {
  std::string server;
  std::string body_file;
  std::string authorization;
  double seconds;
  int in_flight;
  int streams;
};

struct Counts {
  int64_t answers = 0;
  int64_t errors = 0;

  Clock::time_point last;  // when the last answer came

  void Add(const v1::ExecuteResponse& response) {
    ++(response.status() == 200 ? answers : errors);
    last = Clock::now();
  }
};

// What the completion queue hands back: the operation that has ended, `ok` as gRPC means it.
class Operation {
 public:
  virtual ~Operation() = default;
  virtual void Proceed(bool ok) = 0;
};

struct Shared {
  Stub& stub;
  grpc::CompletionQueue& queue;
  const v1::ExecuteRequest& request;
  Counts& counts;
  Clock::time_point end;
};

class UnaryCall : public Operation {
 public:
  explicit UnaryCall(Shared& shared) : shared_(shared) { Start(); }

  void Proceed(bool) override {
    status_.ok() ? shared_.counts.Add(response_) : void(++shared_.counts.errors);
    if (Clock::now() < shared_.end) Start();
  }

 private:
  void Start() {
    context_ = std::make_unique<grpc::ClientContext>();
    reader_ = shared_.stub.AsyncExecute(context_.get(), shared_.request, &shared_.queue);
    reader_->Finish(&response_, &status_, static_cast<Operation*>(this));
  }

  Shared& shared_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::ExecuteResponse>> reader_;
  v1::ExecuteResponse response_;
  grpc::Status status_;
};

// One stream that keeps so many requests in flight. Reads and writes have an operation each.
class Stream {
 public:
  Stream(Shared& shared, int in_flight) : shared_(shared), to_send_(in_flight) {
    *request_.mutable_request() = shared.request;
    stream_ = shared.stub.AsyncExecuteStream(&context_, &shared.queue,
                                             static_cast<Operation*>(&started_));
  }

 private:
  struct Started : Operation {
    explicit Started(Stream& stream) : stream(stream) {}
    void Proceed(bool ok) override {
      if (!ok) return;
      stream.Read();
      stream.Write();
    }
    Stream& stream;
  };
  struct WasRead : Operation {
    explicit WasRead(Stream& stream) : stream(stream) {}
    void Proceed(bool ok) override {
      if (ok) stream.Take();
    }
    Stream& stream;
  };
  struct Written : Operation {
    explicit Written(Stream& stream) : stream(stream) {}
    void Proceed(bool ok) override {
      stream.writing_ = false;
      if (ok) stream.Write();
    }
    Stream& stream;
  };

  void Read() { stream_->Read(&response_, static_cast<Operation*>(&was_read_)); }

  void Write() {
    if (writing_ || to_send_ == 0 || done_) return;
    writing_ = true;
    --to_send_;
    request_.set_correlation_id(++sent_);
    stream_->Write(request_, static_cast<Operation*>(&written_));
  }

  void Take() {
    response_.has_response() ? shared_.counts.Add(response_.response())
                             : void(++shared_.counts.errors);
    if (Clock::now() >= shared_.end) {
      done_ = true;
      context_.TryCancel();
      return;
    }
    ++to_send_;
    Read();
    Write();
  }

  Shared& shared_;
  int to_send_;
  bool writing_ = false;
  bool done_ = false;
  uint64_t sent_ = 0;
  Started started_{*this};
  WasRead was_read_{*this};
  Written written_{*this};
  grpc::ClientContext context_;
  v1::ExecuteStreamRequest request_;
  v1::ExecuteStreamResponse response_;
  std::unique_ptr<
      grpc::ClientAsyncReaderWriter<v1::ExecuteStreamRequest, v1::ExecuteStreamResponse>>
      stream_;
};

v1::ExecuteRequest MakeRequest(const Options& options) {
  std::ifstream file(options.body_file, std::ios::binary);
  v1::ExecuteRequest request;
  request.set_instance("webhook");
  request.set_body(std::string{std::istreambuf_iterator<char>(file), {}});
  v1::Header& type = *request.add_headers();
  type.set_name("Content-Type");
  type.set_value("application/json");
  v1::Header& authorization = *request.add_headers();
  authorization.set_name("Authorization");
  authorization.set_value(options.authorization);
  return request;
}

Counts Run(const Options& options, double& seconds) {
  const auto channel = grpc::CreateChannel(options.server, grpc::InsecureChannelCredentials());
  channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10));
  const auto stub = v1::LongRunningIntegration::NewStub(channel);
  grpc::CompletionQueue queue;
  Counts counts;
  const v1::ExecuteRequest request = MakeRequest(options);
  const Clock::time_point begin = Clock::now();
  Shared shared{*stub, queue, request, counts,
                begin + std::chrono::duration_cast<Clock::duration>(
                            std::chrono::duration<double>(options.seconds))};
  std::vector<std::unique_ptr<UnaryCall>> calls;
  std::vector<std::unique_ptr<Stream>> streams;
  if (options.streams == 0) {
    for (int i = 0; i < options.in_flight; ++i)
      calls.push_back(std::make_unique<UnaryCall>(shared));
  }
  for (int i = 0; i < options.streams; ++i) {
    streams.push_back(std::make_unique<Stream>(shared, options.in_flight));
  }
  const auto limit = std::chrono::system_clock::now() +
                     std::chrono::milliseconds(static_cast<int64_t>(options.seconds * 1'000) + 200);
  void* tag = nullptr;
  bool ok = false;
  while (queue.AsyncNext(&tag, &ok, limit) == grpc::CompletionQueue::GOT_EVENT) {
    static_cast<Operation*>(tag)->Proceed(ok);
  }
  seconds = std::chrono::duration<double>(counts.last - begin).count();
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) continue;
  return counts;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  const Options options{argv[1],           argv[2], argv[3], std::stod(argv[4]), std::stoi(argv[5]),
                        std::stoi(argv[6])};
  double seconds = 0;
  const Counts counts = Run(options, seconds);
  std::printf("{\"requests\":%lld,\"errors\":%lld,\"seconds\":%.3f}\n",
              static_cast<long long>(counts.answers), static_cast<long long>(counts.errors),
              seconds);
  return counts.answers > 0 ? 0 : 1;
}
