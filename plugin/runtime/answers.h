// The answers that carry no incidents, how an answer crosses the border, and counts of answers.
#ifndef PLUGIN_RUNTIME_ANSWERS_H_
#define PLUGIN_RUNTIME_ANSWERS_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "plugin/abi/long_running_integration.h"

namespace webhook::runtime {

// An lri_answer with room for its headers. It views the caller's texts, and is not copyable because
// it points into itself.
class Answer {
 public:
  // `body` and the header values must live until the answer has been passed on.
  Answer(int32_t status, absl::string_view content_type, absl::string_view body);
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  // Two at most.
  Answer& Add(absl::string_view name, absl::string_view value);

  const lri_answer& abi() const { return answer_; }

 private:
  std::array<lri_pair, 3> headers_;
  lri_answer answer_;
};

inline constexpr char kTextPlain[] = "text/plain; charset=utf-8";
inline constexpr char kApplicationJson[] = "application/json";

// The HTTP status for an error that core returns for a body: 400, 413, 415 or 503; else 500.
int32_t StatusOfBodyError(const absl::Status& error);

// How many answers of each kind an instance's listen port gave. Thread-safe, without locks. It has
// a cache line of its own because every I/O thread writes it.
class alignas(64) AnswerCounts {
 public:
  void Add(int32_t status) {
    std::atomic<uint64_t>& count = status >= 500 ? failed_ : status >= 400 ? refused_ : succeeded_;
    count.fetch_add(1, std::memory_order_relaxed);
  }

  uint64_t succeeded() const { return succeeded_.load(std::memory_order_relaxed); }  // 2xx
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }      // 4xx
  uint64_t failed() const { return failed_.load(std::memory_order_relaxed); }        // 5xx

 private:
  std::atomic<uint64_t> succeeded_{0};
  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> failed_{0};
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_ANSWERS_H_
