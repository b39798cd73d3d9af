#include "host_stub/store/testing/store_test_util.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

namespace host_stub {

void WaitingSink::Complete(Submission* list) {
  std::unique_lock<std::mutex> lock(mutex_);
  int length = 0;
  for (; list != nullptr; list = list->next) {
    completed_.push_back(list);
    ++length;
  }
  lists_.push_back(length);
  held_ = hold_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !hold_; });
  held_ = false;
}

void WaitingSink::WaitFor(int64_t completions) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return static_cast<int64_t>(completed_.size()) >= completions; });
}

std::vector<int> WaitingSink::lists() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return lists_;
}

std::vector<Submission*> WaitingSink::completed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return completed_;
}

void WaitingSink::Hold() {
  const std::lock_guard<std::mutex> lock(mutex_);
  hold_ = true;
}

void WaitingSink::WaitUntilHeld() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return held_; });
}

void WaitingSink::Release() {
  const std::lock_guard<std::mutex> lock(mutex_);
  hold_ = false;
  changed_.notify_all();
}

TestBatch::TestBatch(std::vector<TestIncident> incidents, std::string key, std::string uid,
                     std::string replay_key)
    : incidents_(std::move(incidents)),
      slices_(incidents_.size()),
      lines_(incidents_.size()),
      key_(std::move(key)),
      uid_(std::move(uid)),
      replay_key_(std::move(replay_key)) {
  for (size_t i = 0; i < incidents_.size(); ++i) {
    const TestIncident& incident = incidents_[i];
    slices_[i].assign(incident.details.begin(), incident.details.end());
    lines_[i].assign(incident.warnings.begin(), incident.warnings.end());
    views_.push_back({incident.name, incident.type, incident.occurred, slices_[i], lines_[i],
                      incident.key, incident.content, incident.severity});
  }
  submission_.instance_uid = uid_;
  submission_.instance_name = "webhook";
  submission_.source_brand = "Generic Webhook";
  submission_.delivery_key = key_;
  submission_.replay_key = replay_key_;
  submission_.incidents = views_;
}

absl::Status TestBatch::CreateIn(IncidentStore& store) {
  WaitingSink sink;
  submission_.sink = &sink;
  const absl::Status status = store.Create(&submission_);
  if (status.ok()) sink.WaitFor(1);
  return status;
}

std::vector<int64_t> TestBatch::ids() const {
  std::vector<int64_t> ids;
  for (const CreatedIncident& incident : submission_.created) ids.push_back(incident.id);
  return ids;
}

std::vector<bool> TestBatch::duplicates() const {
  std::vector<bool> duplicates;
  for (const CreatedIncident& incident : submission_.created) {
    duplicates.push_back(incident.duplicate());
  }
  return duplicates;
}

TemporaryFolder::TemporaryFolder() {
  const char* parent = std::getenv("TEST_TMPDIR");
  path_ = std::string(parent == nullptr ? "/tmp" : parent) + "/store-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) std::abort();
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace host_stub
