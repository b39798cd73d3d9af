#include "host_stub/engine/engine_test_util.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "host_stub/store/memory_store.h"

namespace host_stub {

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
