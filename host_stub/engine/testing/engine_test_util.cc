#include "host_stub/engine/testing/engine_test_util.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "host_stub/store/memory_store.h"

namespace host_stub {
namespace {

class CompletionThread : public CompletionThreads {
 public:
  CompletionThread() : thread_([this] { Run(); }) {}

  ~CompletionThread() override {
    {
      absl::MutexLock lock(&mutex_);
      ending_ = true;
    }
    thread_.join();
  }

  int count() const override { return 1; }
  int current() const override { return std::this_thread::get_id() == thread_.get_id() ? 0 : -1; }

  void Post(int /*thread*/, absl::AnyInvocable<void()> function) override {
    absl::MutexLock lock(&mutex_);
    posted_.push_back(std::move(function));
  }

 private:
  void Run() {
    for (;;) {
      std::vector<absl::AnyInvocable<void()>> functions;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &CompletionThread::HasWork));
        if (posted_.empty()) return;
        functions.swap(posted_);
      }
      for (auto& function : functions) function();
    }
  }

  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ending_ || !posted_.empty(); }

  absl::Mutex mutex_;
  std::vector<absl::AnyInvocable<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace

std::unique_ptr<CompletionThreads> NewCompletionThread() {
  return std::make_unique<CompletionThread>();
}

void RecordingLogger::Log(Severity severity, absl::string_view instance,
                          absl::string_view message) {
  constexpr const char* kNames[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
  absl::MutexLock lock(&mutex_);
  lines_.push_back(absl::StrCat(kNames[static_cast<int>(severity)], " [", instance, "] ", message));
}

std::vector<std::string> RecordingLogger::lines() const {
  absl::MutexLock lock(&mutex_);
  return lines_;
}

void RecordingLogger::AwaitLine(absl::string_view part) const {
  const auto is_there = [this, part]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::any_of(lines_.begin(), lines_.end(),
                       [part](const std::string& line) { return absl::StrContains(line, part); });
  };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&is_there));
}

TestServices::TestServices() : logger(std::make_shared<RecordingLogger>()) {
  std::shared_ptr<Store> store = NewMemoryStore({});
  services.store = store;
  services.state = store;
  services.logger = logger;
  services.threads = NewCompletionThread();
}

void WaitingReceiver::OnAnswer(const Answer& answer) {
  ++answers_;
  EXPECT_FALSE(released());
  status_ = answer.status;
  request_is_held_ = answer.request_is_held;
  body_ = std::string(answer.body);
  for (size_t i = 0; i < answer.headers.size(); ++i) {
    headers_.emplace_back(answer.headers.name(i), answer.headers.value(i));
  }
}

void WaitingReceiver::OnRequestReleased() {
  ASSERT_FALSE(released());
  released_.Notify();
}

TestRequest::TestRequest(absl::string_view body)
    : padded_body_(absl::StrCat(body, std::string(LRI_BODY_PADDING, '\0'))) {
  request_.head.method = "POST";
  request_.head.path = "/instance/execute/hook";
  request_.head.peer_address = "127.0.0.1";
  request_.head.request_id = "test-1";
  request_.head.content_length = body.size();
  request_.body = absl::string_view(padded_body_).substr(0, body.size());
}

InstanceSpec TestSpec(absl::string_view name) {
  InstanceSpec spec;
  spec.uid = NewInstanceUid();
  spec.name = std::string(name);
  spec.product = "XSOAR_8_ON_PREM";
  spec.parameters = {{"username", "user"}, {"password", "pass"}};
  return spec;
}

}  // namespace host_stub
