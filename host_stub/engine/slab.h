// Objects that are used again and again: taken and given back without a lock, never freed before
// the slab, so that a reference into it is always readable.
#ifndef HOST_STUB_ENGINE_SLAB_H_
#define HOST_STUB_ENGINE_SLAB_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace host_stub {

// Any thread. T is default constructed once and keeps what it holds from one use to the next.
template <typename T>
class Slab {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kIndexBits = 20;
  static constexpr uint32_t kMostObjects = 1u << kIndexBits;

  Slab() = default;
  ~Slab() {
    for (auto& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
  }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // The index of an object that is now the caller's, or kNone where kMostObjects are in use.
  // Allocates, under a lock, only while more objects are in use than ever before.
  uint32_t Acquire() {
    const uint32_t index = Pop();
    return index != kNone ? index : Grow();
  }

  void Release(uint32_t index) {
    uint64_t head = free_.load(std::memory_order_relaxed);
    do {
      node(index).next_free.store(IndexOf(head), std::memory_order_relaxed);
    } while (!free_.compare_exchange_weak(head, Successor(head, index), std::memory_order_release,
                                          std::memory_order_relaxed));
  }

  T& at(uint32_t index) { return node(index).value; }

  // Every index below it may be passed to at(); what is beyond was never given out.
  uint32_t size() const { return size_.load(std::memory_order_acquire); }

 private:
  struct alignas(64) Node {
    T value;
    std::atomic<uint32_t> next_free{kNone};
  };
  static constexpr uint32_t kChunkObjects = 256;

  // The head of the free list is an index and a count of changes: without the count, a thread that
  // paused between its load and its exchange could put back a list that is long outdated.
  static uint32_t IndexOf(uint64_t head) { return static_cast<uint32_t>(head); }
  static uint64_t Successor(uint64_t head, uint32_t index) {
    return (((head >> 32) + 1) << 32) | index;
  }

  Node& node(uint32_t index) {
    return chunks_[index / kChunkObjects].load(std::memory_order_acquire)[index % kChunkObjects];
  }

  // kNone where none is free.
  uint32_t Pop() {
    uint64_t head = free_.load(std::memory_order_acquire);
    while (IndexOf(head) != kNone) {
      const uint32_t index = IndexOf(head);
      const uint32_t next = node(index).next_free.load(std::memory_order_relaxed);
      if (free_.compare_exchange_weak(head, Successor(head, next), std::memory_order_acquire)) {
        return index;
      }
    }
    return kNone;
  }

  uint32_t Grow() {
    absl::MutexLock lock(&growing_);
    // Whoever had the lock before may have grown it for all who waited.
    if (const uint32_t index = Pop(); index != kNone) return index;
    const uint32_t first = size_.load(std::memory_order_relaxed);
    if (first == kMostObjects) return kNone;
    chunks_[first / kChunkObjects].store(new Node[kChunkObjects], std::memory_order_release);
    size_.store(first + kChunkObjects, std::memory_order_release);
    for (uint32_t i = kChunkObjects - 1; i > 0; --i) Release(first + i);
    return first;
  }

  alignas(64) std::atomic<uint64_t> free_{kNone};
  alignas(64) std::atomic<uint32_t> size_{0};
  absl::Mutex growing_;
  std::array<std::atomic<Node*>, kMostObjects / kChunkObjects> chunks_{};
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_SLAB_H_
