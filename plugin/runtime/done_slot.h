// Recognises a `done` that a host calls twice, or for what it had refused.
#ifndef PLUGIN_RUNTIME_DONE_SLOT_H_
#define PLUGIN_RUNTIME_DONE_SLOT_H_

#include <atomic>
#include <cstdint>

namespace webhook::runtime {

// What the host gets as done_context is the slot's address with the number of its use in the lowest
// bits. Thread-safe but for Arm, which is called while no use is open. The memory of a slot must
// outlive whatever the host may still do with an old context, as that of a pool does.
class alignas(256) DoneSlot {
 public:
  DoneSlot() = default;
  DoneSlot(const DoneSlot&) = delete;
  DoneSlot& operator=(const DoneSlot&) = delete;

  // Opens a use; returns the done_context.
  void* Arm(void* owner) {
    use_ = (use_ + 1) % kUses;
    owner_ = owner;
    open_.store(kOpen + use_, std::memory_order_release);
    return reinterpret_cast<char*>(this) + use_;
  }

  // The owner, and the use is over; null where it was over before. Exactly one caller gets it.
  static void* Take(void* done_context) {
    const auto context = reinterpret_cast<uintptr_t>(done_context);
    auto* const slot = reinterpret_cast<DoneSlot*>(context & ~(kUses - 1));
    uintptr_t expected = kOpen + context % kUses;
    if (!slot->open_.compare_exchange_strong(expected, 0, std::memory_order_acq_rel)) {
      return nullptr;
    }
    return slot->owner_;
  }

 private:
  static constexpr uintptr_t kUses = 256;
  static constexpr uintptr_t kOpen = kUses;

  std::atomic<uintptr_t> open_{0};  // kOpen and the number of the use; 0: none
  uintptr_t use_ = 0;
  void* owner_ = nullptr;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_DONE_SLOT_H_
