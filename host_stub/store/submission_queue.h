// Batches that wait for the writer: bounded, in order, without an allocation.
#ifndef HOST_STUB_STORE_SUBMISSION_QUEUE_H_
#define HOST_STUB_STORE_SUBMISSION_QUEUE_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

#include "absl/status/status.h"
#include "host_stub/store/incident_store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

class SubmissionQueue {
 public:
  explicit SubmissionQueue(const webhook::Limits& limits);

  // Any thread. UNAVAILABLE: full or closed. `bytes` are counted until Release.
  absl::Status Push(Submission* submission, int64_t bytes);

  struct Taken {
    Submission* list = nullptr;  // all that waited, oldest first
    bool closed = false;         // and empty: nothing more will come
  };
  // The writer's thread. Waits for a submission, the closing, or until `latest`.
  Taken TakeAll(std::optional<std::chrono::steady_clock::time_point> latest);
  bool empty() const;

  // Any thread. The waiting TakeAll, or else the next one, returns at once: there is other work.
  void Nudge();

  // Gives back the room of finished submissions.
  void Release(int64_t batches, int64_t bytes);

  void Close();

 private:
  const int64_t most_batches_;
  const int64_t most_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool writer_waits_ = false;
  bool closed_ = false;
  bool nudged_ = false;
  Submission* first_ = nullptr;
  Submission* last_ = nullptr;
  int64_t batches_ = 0;  // waiting or with the writer
  int64_t bytes_ = 0;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SUBMISSION_QUEUE_H_
