#include "host_stub/engine/call_table.h"

#include <exception>

#include "absl/strings/str_cat.h"
#include "host_stub/engine/abi_answer.h"
#include "host_stub/engine/abi_arrays.h"

namespace host_stub {
namespace {

constexpr uint64_t kStateBits = 3;
constexpr uint32_t kIndexBits = Slab<int>::kIndexBits;
// 2^44 uses of one slot: at a million a second it takes half a year until a handle comes again.
constexpr uint64_t kMostUses = uint64_t{1} << (64 - kIndexBits);

// The next use of a slot. Not 0, so that no handle is NULL.
uint64_t NextUse(uint64_t use) { return use + 1 == kMostUses ? 1 : use + 1; }

}  // namespace

uint64_t CallTable::Word(CallHandle call, State state) {
  return ((call.value >> kIndexBits) << kStateBits) | state;
}

uint32_t CallTable::Index(CallHandle call) {
  return static_cast<uint32_t>(call.value & ((uint64_t{1} << kIndexBits) - 1));
}

CallHandle CallTable::MakeHandle(uint64_t use, uint32_t index) {
  return CallHandle{(use << kIndexBits) | index};
}

const lri_request* CallTable::Begin(const Request& request, InstanceRecord& record,
                                    AnswerReceiver* receiver) {
  const uint32_t index = slots_.Acquire();
  if (index == Slab<Slot>::kNone) return nullptr;
  Slot& slot = slots_.at(index);
  const uint64_t use = NextUse(slot.word.load(std::memory_order_relaxed) >> kStateBits);
  const CallHandle call = MakeHandle(use, index);
  slot.receiver = receiver;
  slot.record.store(&record, std::memory_order_relaxed);
  host_stub::ToAbi(request.head, &slot.head);
  slot.request.struct_size = sizeof(slot.request);
  slot.request.reserved = 0;
  slot.request.call = ToAbi(call);
  slot.request.head = &slot.head;
  slot.request.body = ToView(request.body);
  slot.request.head_ticket = request.head_ticket;
  record.calls_begun.fetch_add(1, std::memory_order_relaxed);
  slot.word.store(Word(call, kInFlight), std::memory_order_release);
  return &slot.request;
}

CallTable::Slot* CallTable::Move(CallHandle call, State from, State to) {
  if (Index(call) >= slots_.size()) return nullptr;
  Slot& slot = slots_.at(Index(call));
  uint64_t expected = Word(call, from);
  return slot.word.compare_exchange_strong(expected, Word(call, to), std::memory_order_acq_rel)
             ? &slot
             : nullptr;
}

// The record may go as soon as the call is counted as ended, so that is the last use of it.
void CallTable::Release(CallHandle call, Slot& slot) {
  InstanceRecord* record = slot.record.load(std::memory_order_relaxed);
  slot.receiver->OnRequestReleased();
  slot.word.store(Word(call, kFree), std::memory_order_release);
  slots_.Release(Index(call));
  record->calls_ended.fetch_add(1, std::memory_order_release);
}

bool CallTable::Withdraw(CallHandle call) {
  Slot* slot = Move(call, kInFlight, kEnding);
  if (slot == nullptr) {
    // AbandonAll is answering it just now, and releases it; the plugin will not.
    if (Move(call, kExpiring, kReleased) != nullptr) return false;
    slot = Move(call, kAbandoned, kEnding);
  }
  if (slot == nullptr) return false;
  // As if it had never begun.
  slot->record.load(std::memory_order_relaxed)->calls_begun.fetch_sub(1, std::memory_order_relaxed);
  slot->word.store(Word(call, kFree), std::memory_order_release);
  slots_.Release(Index(call));
  return true;
}

bool CallTable::Complete(CallHandle call, const lri_answer* given) {
  Slot* slot = Move(call, kInFlight, kEnding);
  if (slot == nullptr) return CompleteAbandoned(call);
  InstanceRecord& record = *slot->record.load(std::memory_order_relaxed);
  Answer answer;
  if (const char* fault = JudgeAnswer(given, &answer); fault != nullptr) {
    record.CountAnswer(500);
    ReplaceAnswer(*slot, fault);
  } else {
    record.CountAnswer(answer.status);
    Pass(*slot, answer);
  }
  Release(call, *slot);
  return true;
}

void CallTable::ReplaceAnswer(Slot& slot, const char* fault) noexcept {
  try {
    slot.record.load(std::memory_order_relaxed)
        ->Fault(absl::StrCat("the plugin's answer is not usable: ", fault), /*broken=*/false);
    const PlainAnswer replacement(500, "The webhook's answer was not usable.\n");
    Pass(slot, replacement.answer());
  } catch (const std::exception&) {
    // As in Pass.
  }
}

// Whatever becomes of the answer, the call is over.
void CallTable::Pass(Slot& slot, const Answer& answer) noexcept {
  try {
    slot.receiver->OnAnswer(answer);
  } catch (const std::exception&) {
    // Out of memory. A receiver that has a deadline ends by it.
  }
}

// In the order in which AbandonAll changes the state, so that none is missed.
bool CallTable::CompleteAbandoned(CallHandle call) {
  if (Move(call, kExpiring, kReleased) != nullptr) return true;
  Slot* slot = Move(call, kAbandoned, kEnding);
  if (slot == nullptr) return false;
  Release(call, *slot);
  return true;
}

bool CallTable::Abandon(CallHandle call) { return Move(call, kInFlight, kAbandoned) != nullptr; }

void CallTable::AbandonAll(const InstanceRecord& record, const Answer& answer) {
  for (uint32_t index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_.at(index);
    const uint64_t word = slot.word.load(std::memory_order_acquire);
    if ((word & ((1u << kStateBits) - 1)) != kInFlight) continue;
    if (slot.record.load(std::memory_order_relaxed) != &record) continue;
    const CallHandle call = MakeHandle(word >> kStateBits, index);
    if (Move(call, kInFlight, kExpiring) == nullptr) continue;
    Pass(slot, answer);
    // An answer of the plugin that came meanwhile left the release to us.
    if (Move(call, kExpiring, kAbandoned) == nullptr) Release(call, slot);
  }
}

}  // namespace host_stub
