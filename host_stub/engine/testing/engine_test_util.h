// For tests of what stands on the engine: services with a memory store, and receivers that wait.
#ifndef HOST_STUB_ENGINE_TESTING_ENGINE_TEST_UTIL_H_
#define HOST_STUB_ENGINE_TESTING_ENGINE_TEST_UTIL_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/hosted_plugin.h"

namespace host_stub {

// Keeps every line.
class RecordingLogger : public Logger {
 public:
  void Log(Severity severity, absl::string_view instance, absl::string_view message) override;
  std::vector<std::string> lines() const;  // as in "ERROR [hook] text"
  // Waits for a line with that text in it.
  void AwaitLine(absl::string_view part) const;

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

// One thread of its own, number 0, for hosts without I/O threads. The destructor runs what was
// posted, then joins.
std::unique_ptr<CompletionThreads> NewCompletionThread();

// A memory store, a recording logger and one completion thread.
struct TestServices {
  TestServices();
  std::shared_ptr<RecordingLogger> logger;
  HostServices services;
};

// Keeps the answer of one call, and counts what must come once.
class WaitingReceiver : public AnswerReceiver {
 public:
  void OnAnswer(const Answer& answer) override;
  void OnRequestReleased() override;

  // The caller has the answer and the request's memory back.
  void AwaitRelease() { released_.WaitForNotification(); }
  bool released() const { return released_.HasBeenNotified(); }

  int answers() const { return answers_; }
  int status() const { return status_; }
  bool request_is_held() const { return request_is_held_; }  // as the answer told
  const std::string& body() const { return body_; }
  const std::vector<std::pair<std::string, std::string>>& headers() const { return headers_; }

 private:
  std::atomic<int> answers_{0};
  int status_ = 0;
  bool request_is_held_ = false;
  std::string body_;
  std::vector<std::pair<std::string, std::string>> headers_;
  absl::Notification released_;
};

class RecordingHeadReceiver : public HeadAnswerReceiver {
 public:
  void OnHeadAnswer(const Answer& answer) override {
    ++answers;
    status = answer.status;
  }
  int answers = 0;
  int status = 0;
};

// A request with room behind its body; views of literals otherwise.
class TestRequest {
 public:
  explicit TestRequest(absl::string_view body);
  Request& request() { return request_; }

 private:
  std::string padded_body_;
  Request request_;
};

// An instance of that name, with a new uid, on a platform that asks for no parameter.
InstanceSpec TestSpec(absl::string_view name);

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_TESTING_ENGINE_TEST_UTIL_H_
