#include "host_stub/store/submission_queue.h"

#include "absl/strings/str_cat.h"

namespace host_stub {

SubmissionQueue::SubmissionQueue(const webhook::Limits& limits)
    : most_batches_(limits.queued_batches), most_bytes_(limits.queued_bytes) {}

absl::Status SubmissionQueue::Push(Submission* submission, int64_t bytes) {
  bool wake = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return absl::UnavailableError("the incident store is closed");
    if (batches_ + 1 > most_batches_) {
      return absl::UnavailableError(
          absl::StrCat("the incident store is busy: ", batches_, " batches wait"));
    }
    if (bytes_ + bytes > most_bytes_) {
      return absl::UnavailableError(absl::StrCat("the incident store is busy: ", bytes_,
                                                 " bytes wait, and ", bytes, " more are too many"));
    }
    ++batches_;
    bytes_ += bytes;
    submission->queued_bytes = bytes;
    submission->next = nullptr;
    (last_ == nullptr ? first_ : last_->next) = submission;
    last_ = submission;
    wake = writer_waits_;
    writer_waits_ = false;
  }
  if (wake) wake_.notify_one();
  return absl::OkStatus();
}

SubmissionQueue::Taken SubmissionQueue::TakeAll(
    std::optional<std::chrono::steady_clock::time_point> latest) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (first_ == nullptr && !closed_ && !nudged_) {
    writer_waits_ = true;
    if (!latest.has_value()) {
      wake_.wait(lock);
    } else if (wake_.wait_until(lock, *latest) == std::cv_status::timeout) {
      break;
    }
  }
  writer_waits_ = false;
  nudged_ = false;
  const Taken taken{first_, closed_ && first_ == nullptr};
  first_ = last_ = nullptr;
  return taken;
}

bool SubmissionQueue::empty() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return first_ == nullptr;
}

void SubmissionQueue::Nudge() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    nudged_ = true;
  }
  wake_.notify_one();
}

void SubmissionQueue::Release(int64_t batches, int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  batches_ -= batches;
  bytes_ -= bytes;
}

void SubmissionQueue::Close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  wake_.notify_one();
}

}  // namespace host_stub
