// The calls of a plugin that are in flight, and who waits for each.
//
// A handle (the plugin's lri_call*) is a slot's index and the number of its use. Whatever happens
// to a call is one compare-and-exchange of the slot's word, so of two answers, or an answer and an
// abandonment, one wins and the other is recognised as late. Slots are never freed before the
// table, so a stale handle is harmless. No lock and, once warm, no allocation. Private to the
// engine.
#ifndef HOST_STUB_ENGINE_CALL_TABLE_H_
#define HOST_STUB_ENGINE_CALL_TABLE_H_

#include <atomic>
#include <cstdint>

#include "host_stub/engine/instance_record.h"
#include "host_stub/engine/request.h"
#include "host_stub/engine/slab.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

// Any thread.
class CallTable {
 public:
  // Begins a call: copies the request's structs (not what its views show) to where they live until
  // the call's end. Null where there is no slot left. The record must outlive the call.
  const lri_request* Begin(const Request& request, InstanceRecord& record,
                           AnswerReceiver* receiver);

  // The plugin refused the call. False: it was answered all the same, or AbandonAll is answering it
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
  enum State : uint64_t {
    kFree,
    kInFlight,
    kEnding,     // its receiver is being called, for the last time
    kAbandoned,  // nobody waits for the answer; the plugin still reads the request
    kExpiring,   // AbandonAll is calling the receiver
    kReleased,   // the plugin answered or refused meanwhile
  };

  struct Slot {
    std::atomic<uint64_t> word{kFree};  // the number of the use, and in its lowest bits a State
    std::atomic<InstanceRecord*> record{nullptr};
    AnswerReceiver* receiver = nullptr;
    lri_request_head head;
    lri_request request;
  };

  // Takes the call from one state to another; null where it is not in that state.
  bool CompleteAbandoned(CallHandle call);
  static void Pass(Slot& slot, const Answer& answer) noexcept;
  static void ReplaceAnswer(Slot& slot, const char* fault) noexcept;
  Slot* Move(CallHandle call, State from, State to);
  void Release(CallHandle call, Slot& slot);

  static uint64_t Word(CallHandle call, State state);
  static uint32_t Index(CallHandle call);
  static CallHandle MakeHandle(uint64_t use, uint32_t index);

  Slab<Slot> slots_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_CALL_TABLE_H_
