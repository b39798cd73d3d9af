// Objects that are used again and again, with the memory that they hold by then.
#ifndef PLUGIN_BASE_OBJECT_POOL_H_
#define PLUGIN_BASE_OBJECT_POOL_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace base {

// Any thread. Taking and giving back take no lock, and allocate only while more objects are in use
// than ever before. An object stays where it is until the pool ends, so a stale index is harmless:
// it finds an object, if perhaps another user's. All objects must be given back before the pool
// ends.
template <typename T>
class ObjectPool {
 public:
  static constexpr uint32_t kIndexBits = 20;
  static constexpr uint32_t kMostObjects = 1u << kIndexBits;

  struct Lease {
    T* object = nullptr;  // null: all are in use
    uint32_t index = 0;   // names the object when it is given back
  };

  // At most `capacity` objects exist.
  explicit ObjectPool(uint32_t capacity = kMostObjects)
      : capacity_(capacity < kMostObjects ? capacity : kMostObjects) {}

  ~ObjectPool() {
    for (uint32_t index = 0; index < size(); ++index) {
      if (T* const object = Find(index); object != nullptr) object->~T();
    }
    for (auto& block : blocks_) delete[] block.load(std::memory_order_relaxed);
  }

  ObjectPool(const ObjectPool&) = delete;
  ObjectPool& operator=(const ObjectPool&) = delete;

  // An object that nobody uses, or else a new one that make() returns by value. What make throws
  // is passed on and costs no capacity.
  template <typename Make>
  Lease Take(const Make& make) {
    uint32_t index = Pop();
    if (index == kNone) index = Grow();
    if (index == kNone) return {};
    Node& node = NodeAt(index);
    if (!node.made.load(std::memory_order_relaxed)) {
      try {
        ::new (static_cast<void*>(node.bytes)) T(make());
      } catch (...) {
        GiveBack(index);
        throw;
      }
      node.made.store(true, std::memory_order_release);
    }
    return {node.object(), index};
  }

  Lease Take() {
    return Take([] { return T(); });
  }

  void GiveBack(uint32_t index) {
    uint64_t head = free_.load(std::memory_order_relaxed);
    do {
      NodeAt(index).next_free.store(IndexOf(head), std::memory_order_relaxed);
    } while (!free_.compare_exchange_weak(head, Successor(head, index), std::memory_order_release,
                                          std::memory_order_relaxed));
  }

  // Gives back an object that is not worth keeping: the next one to have its place is a new one.
  // Not where another thread may Find it.
  void Discard(uint32_t index) {
    Node& node = NodeAt(index);
    node.object()->~T();
    node.made.store(false, std::memory_order_relaxed);
    GiveBack(index);
  }

  // The object of that index, in use or not; null where there never was one. Any index.
  T* Find(uint32_t index) {
    if (index >= size()) return nullptr;
    Node& node = NodeAt(index);
    return node.made.load(std::memory_order_acquire) ? node.object() : nullptr;
  }

  // All objects that were ever made have an index below it.
  uint32_t size() const { return size_.load(std::memory_order_acquire); }

 private:
  struct alignas(64) alignas(T) Node {
    T* object() { return std::launder(reinterpret_cast<T*>(bytes)); }

    alignas(T) std::byte bytes[sizeof(T)];
    std::atomic<uint32_t> next_free{kNone};
    std::atomic<bool> made{false};
  };

  static constexpr uint32_t kNone = UINT32_MAX;

  // Each block after the first doubles the pool, so that a few pointers reach every object and a
  // block never moves.
  static constexpr int kFirstBlockBits = 6;
  static constexpr size_t kBlocks = kIndexBits - kFirstBlockBits + 1;
  static int BlockOf(uint32_t index) { return std::bit_width(index >> kFirstBlockBits); }
  static uint32_t FirstOf(int block) {
    return block == 0 ? 0 : uint32_t{1} << (kFirstBlockBits + block - 1);
  }
  static uint32_t EndOf(int block) { return uint32_t{1} << (kFirstBlockBits + block); }

  // The head of the free list is an index and a count of changes. Without the count, a thread that
  // paused between its load and its exchange could put back a list that is long outdated (the ABA
  // problem).
  static uint32_t IndexOf(uint64_t head) { return static_cast<uint32_t>(head); }
  static uint64_t Successor(uint64_t head, uint32_t index) {
    return (((head >> 32) + 1) << 32) | index;
  }

  Node& NodeAt(uint32_t index) {
    const int block = BlockOf(index);
    return blocks_[block].load(std::memory_order_acquire)[index - FirstOf(block)];
  }

  // kNone where none is free.
  uint32_t Pop() {
    uint64_t head = free_.load(std::memory_order_acquire);
    while (IndexOf(head) != kNone) {
      const uint32_t index = IndexOf(head);
      const uint32_t next = NodeAt(index).next_free.load(std::memory_order_relaxed);
      if (free_.compare_exchange_weak(head, Successor(head, next), std::memory_order_acquire)) {
        return index;
      }
    }
    return kNone;
  }

  // The index of a place that was never used; kNone at capacity.
  uint32_t Grow() {
    const std::lock_guard<std::mutex> lock(growing_);
    // One may have been given back while this thread waited for the lock.
    if (const uint32_t index = Pop(); index != kNone) return index;
    const uint32_t index = size_.load(std::memory_order_relaxed);
    if (index == capacity_) return kNone;
    const int block = BlockOf(index);
    if (index == FirstOf(block)) {
      blocks_[block].store(new Node[EndOf(block) - index], std::memory_order_release);
    }
    size_.store(index + 1, std::memory_order_release);
    return index;
  }

  const uint32_t capacity_;
  alignas(64) std::atomic<uint64_t> free_{kNone};
  alignas(64) std::atomic<uint32_t> size_{0};
  std::mutex growing_;
  std::array<std::atomic<Node*>, kBlocks> blocks_{};
};

// An object of the pool that comes back when its last owner lets go; where the pool is used up, one
// that make() makes outside of it. T has `bool Recycle() noexcept`, which makes it as new or
// returns false where it is not worth keeping. Objects keep the pool alive; a T must not own it.
template <typename T, typename Make>
std::shared_ptr<T> Share(const std::shared_ptr<ObjectPool<T>>& pool, const Make& make) {
  const auto lease = pool->Take(make);
  if (lease.object == nullptr) return std::shared_ptr<T>(new T(make()));
  return std::shared_ptr<T>(lease.object,
                            [kept = std::shared_ptr(pool), index = lease.index](T* used) mutable {
                              // Moved out of the deleter, which an object that knows itself by a
                              // weak_ptr keeps alive.
                              const auto owner = std::move(kept);
                              used->Recycle() ? owner->GiveBack(index) : owner->Discard(index);
                            });
}

}  // namespace base

#endif  // PLUGIN_BASE_OBJECT_POOL_H_
