// Counts values by their size.
#ifndef HOST_STUB_OBSERVE_HISTOGRAM_H_
#define HOST_STUB_OBSERVE_HISTOGRAM_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace host_stub {

// What a histogram holds: the number of values in each bucket alone, the last of which has no upper
// bound, and their sum.
template <size_t kBounds>
struct HistogramCounts {
  std::array<int64_t, kBounds + 1> counts = {};
  int64_t sum = 0;

  HistogramCounts& operator+=(const HistogramCounts& other) {
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    sum += other.sum;
    return *this;
  }
};

// Any thread; never blocks.
template <size_t kBounds>
class Histogram {
 public:
  // `bounds`: increasing, the largest value of each bucket but the last. The same in each call.
  void Add(int64_t value, const std::array<int64_t, kBounds>& bounds) {
    size_t bucket = 0;  // most values are small
    while (bucket < kBounds && value > bounds[bucket]) ++bucket;
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }

  HistogramCounts<kBounds> counts() const {
    HistogramCounts<kBounds> result;
    for (size_t i = 0; i <= kBounds; ++i) {
      result.counts[i] = counts_[i].load(std::memory_order_relaxed);
    }
    result.sum = sum_.load(std::memory_order_relaxed);
    return result;
  }

 private:
  std::atomic<int64_t> counts_[kBounds + 1] = {};
  std::atomic<int64_t> sum_{0};
};

}  // namespace host_stub

#endif  // HOST_STUB_OBSERVE_HISTOGRAM_H_
