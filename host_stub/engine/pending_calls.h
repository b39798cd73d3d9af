// The calls and commands that a plugin is working on, and who waits for each. Private to the
// engine.
//
// A plugin may answer twice, late, or a call that never was. So a place here is used again and
// again, and a handle names the place and the number of its use: what comes with an old handle is
// recognised, and never taken for the completion of a later use.
#ifndef HOST_STUB_ENGINE_PENDING_CALLS_H_
#define HOST_STUB_ENGINE_PENDING_CALLS_H_

#include <atomic>
#include <cstdint>

#include "host_stub/engine/instance_record.h"
#include "host_stub/engine/request.h"
#include "host_stub/observe/logger.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/base/object_pool.h"

namespace host_stub {

// The number of a use and how far it has come, in one word. Whatever happens to a use is one
// compare-and-exchange of that word, so of two completions, or of a completion and an abandonment,
// one wins and the other learns that it is late.
class UseState {
 public:
  enum Stage : uint64_t {
    kFree,
    kInFlight,
    kEnding,     // its receiver is being called for the last time
    kAbandoned,  // nobody waits for the answer, but the plugin still reads the request
    kExpiring,   // AbandonAll is calling the receiver
    kReleased,   // the plugin answered or refused meanwhile
  };

  uint64_t use() const { return word_.load(std::memory_order_relaxed) >> kStageBits; }
  // Both of one moment.
  uint64_t Load(Stage* stage) const {
    const uint64_t word = word_.load(std::memory_order_acquire);
    *stage = static_cast<Stage>(word & ((1u << kStageBits) - 1));
    return word >> kStageBits;
  }
  void Set(uint64_t use, Stage stage) { word_.store(Word(use, stage), std::memory_order_release); }
  // False: it is another use by now, or at another stage.
  bool Move(uint64_t use, Stage from, Stage to) {
    uint64_t expected = Word(use, from);
    return word_.compare_exchange_strong(expected, Word(use, to), std::memory_order_acq_rel);
  }

 private:
  static constexpr int kStageBits = 3;
  static constexpr uint64_t Word(uint64_t use, Stage stage) { return (use << kStageBits) | stage; }

  std::atomic<uint64_t> word_{kFree};
};

// Calls of Execute. Any thread; no lock and, once warm, no allocation.
class PendingCalls {
 public:
  // Begins a call: copies the request's structs (not what its views show) to where they live until
  // the call's end. Null where there are too many calls. The record must outlive the call.
  const lri_request* Begin(const Request& request, InstanceRecord& record,
                           AnswerReceiver* receiver);

  // The plugin refused the call. False: it was answered nevertheless, or AbandonAll is answering it
  // just now, so the refusal is void and the receiver is released there.
  bool Withdraw(CallHandle call);

  // The plugin's answer. False: no such call waits for one (answered before, or never begun).
  bool Complete(CallHandle call, const lri_answer* answer);

  // The host gives the call up. False: it is answered already, or never began.
  bool Abandon(CallHandle call);

  // Abandons every call of that instance; each receiver is given `answer`.
  void AbandonAll(const InstanceRecord& record, const Answer& answer);

  static lri_call* ToAbi(CallHandle call) { return reinterpret_cast<lri_call*>(call.value); }
  static CallHandle FromAbi(const lri_call* call) {
    return CallHandle{reinterpret_cast<uint64_t>(call)};
  }

 private:
  struct Slot {
    UseState state;
    std::atomic<InstanceRecord*> record{nullptr};
    AnswerReceiver* receiver = nullptr;
    lri_request_head head;
    lri_request request;
  };

  // Takes the call from one stage to another; null where it is not at that stage.
  Slot* Move(CallHandle call, UseState::Stage from, UseState::Stage to);
  // The plugin has let go of the request.
  void Release(CallHandle call, Slot& slot);
  void Free(CallHandle call, Slot& slot);

  base::ObjectPool<Slot> slots_;
};

// Commands, and who waits for each result. Any thread. Must outlive the plugin's last callback.
class PendingCommands {
 public:
  explicit PendingCommands(Logger& logger) : logger_(logger) {}

  // The done_context of a command that is about to run; its result goes to `done`. Null where there
  // are too many.
  void* Begin(CommandDone done);

  // The plugin refused the command. False: it gave a result nevertheless.
  bool Withdraw(void* done_context) { return Take(done_context) != nullptr; }

  // An lri_command_done. A second result of a command is logged and ignored.
  static void Done(void* done_context, int32_t code, lri_view result) noexcept;

 private:
  // Its address is the context that the plugin holds. Aligned, so that the address has room for the
  // number of the use in its lowest bits.
  struct alignas(64) Entry {
    UseState state;
    PendingCommands* owner = nullptr;
    uint32_t index = 0;
    CommandDone done;
  };

  static Entry& EntryOf(void* done_context);
  // Null where no such command waits for a result.
  static CommandDone Take(void* done_context);

  Logger& logger_;
  base::ObjectPool<Entry> entries_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_PENDING_CALLS_H_
