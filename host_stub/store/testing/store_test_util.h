// What tests of the stores share: batches that own their texts, a sink to wait for, a folder.
#ifndef HOST_STUB_STORE_TESTING_STORE_TEST_UTIL_H_
#define HOST_STUB_STORE_TESTING_STORE_TEST_UTIL_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "host_stub/store/incident_store.h"

namespace host_stub {

struct TestIncident {
  std::string name = "Disk failing";
  std::string key = {};
  std::vector<std::string> details = {R"({"a":)", "1}"};
  std::vector<std::string> warnings = {};
  std::string type = "Hardware";
  std::string occurred = "2024-05-01T10:00:00Z";
  std::string content = "";
  double severity = 0;
};

inline TestIncident Plain() { return {}; }

// A sink that counts. A test can hold up its Complete, and the writer with it.
class WaitingSink : public CompletionSink {
 public:
  void Complete(Submission* list) override;

  void WaitFor(int64_t completions);
  std::vector<int> lists() const;  // the length of each list that Complete received
  std::vector<Submission*> completed() const;

  // The next Complete waits until Release. WaitUntilHeld returns when it does.
  void Hold();
  void WaitUntilHeld();
  void Release();

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int> lists_;
  std::vector<Submission*> completed_;
  bool hold_ = false;
  bool held_ = false;
};

class TestBatch {
 public:
  explicit TestBatch(std::vector<TestIncident> incidents, std::string key = "",
                     std::string uid = "uid-1", std::string replay_key = "");
  TestBatch(const TestBatch&) = delete;
  TestBatch& operator=(const TestBatch&) = delete;

  Submission& operator*() { return submission_; }
  Submission* operator->() { return &submission_; }
  Submission* get() { return &submission_; }

  // Submits the batch and waits for its completion. Returns what Create returned.
  absl::Status CreateIn(IncidentStore& store);
  std::vector<int64_t> ids() const;
  std::vector<bool> duplicates() const;

 private:
  std::vector<TestIncident> incidents_;
  std::vector<std::vector<absl::string_view>> slices_;
  std::vector<std::vector<absl::string_view>> lines_;
  std::vector<NewIncident> views_;
  std::string key_;
  std::string uid_;
  std::string replay_key_;
  Submission submission_;
};

// A new folder (0700) that the destructor removes.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_TESTING_STORE_TEST_UTIL_H_
