// A bounded pool of objects that are made once and used again.
#ifndef PLUGIN_RUNTIME_FREE_LIST_H_
#define PLUGIN_RUNTIME_FREE_LIST_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace webhook::runtime {

// Thread-safe and without locks. An object keeps its memory (its buffers) while it is not in use,
// so that a warm pool allocates nothing. Objects are destroyed with the list; all must have been
// given back by then.
template <typename T>
class FreeList {
 public:
  // At most `capacity` objects exist, and at most 2^32 - 1.
  explicit FreeList(uint32_t capacity)
      : nodes_(std::make_unique<Node[]>(capacity)), capacity_(capacity) {}
  FreeList(const FreeList&) = delete;
  FreeList& operator=(const FreeList&) = delete;

  struct Lease {
    T* object;       // nullptr: all are in use
    uint32_t index;  // names the object when it is given back
  };

  // Gives an object that nobody uses, or makes one with make() -> std::unique_ptr<T>. What make
  // throws is passed on, and costs no capacity.
  template <typename Make>
  Lease Take(Make&& make) {
    const Lease lease = TakeIndex();
    if (lease.index == kNone || lease.object != nullptr) return lease;
    try {
      nodes_[lease.index].object = std::forward<Make>(make)();
    } catch (...) {
      GiveBack(lease);
      throw;
    }
    return {nodes_[lease.index].object.get(), lease.index};
  }

  void GiveBack(Lease lease) {
    uint64_t head = head_.load(std::memory_order_relaxed);
    do {
      nodes_[lease.index].next.store(IndexOf(head), std::memory_order_relaxed);
    } while (
        !head_.compare_exchange_weak(head, Tagged(lease.index, head), std::memory_order_acq_rel));
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Node {
    std::unique_ptr<T> object;  // null: not made yet
    std::atomic<uint32_t> next{kNone};
  };

  Lease TakeIndex() {
    uint64_t head = head_.load(std::memory_order_acquire);
    while (IndexOf(head) != kNone) {
      const uint32_t index = IndexOf(head);
      const uint64_t next = Tagged(nodes_[index].next.load(std::memory_order_relaxed), head);
      if (head_.compare_exchange_weak(head, next, std::memory_order_acq_rel)) {
        return {nodes_[index].object.get(), index};
      }
    }
    const uint32_t index = made_.fetch_add(1, std::memory_order_relaxed);
    if (index >= capacity_) {
      made_.fetch_sub(1, std::memory_order_relaxed);
      return {nullptr, kNone};
    }
    return {nullptr, index};
  }

  static uint32_t IndexOf(uint64_t head) { return static_cast<uint32_t>(head); }
  // The upper half counts changes, so that a head that left and came back is not mistaken for the
  // one that was read (the ABA problem).
  static uint64_t Tagged(uint32_t index, uint64_t before) {
    return (((before >> 32) + 1) << 32) | index;
  }

  const std::unique_ptr<Node[]> nodes_;
  const uint32_t capacity_;
  std::atomic<uint64_t> head_{kNone};
  std::atomic<uint32_t> made_{0};
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_FREE_LIST_H_
