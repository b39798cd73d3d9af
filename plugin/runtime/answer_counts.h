// How many answers of which kind an instance's listen port gave.
#ifndef PLUGIN_RUNTIME_ANSWER_COUNTS_H_
#define PLUGIN_RUNTIME_ANSWER_COUNTS_H_

#include <atomic>
#include <cstdint>

namespace webhook::runtime {

// Thread-safe, without locks. In a cache line of its own, for every I/O thread writes it.
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

#endif  // PLUGIN_RUNTIME_ANSWER_COUNTS_H_
