#include "host_stub/engine/pending_calls.h"

#include <string>
#include <utility>

#include "host_stub/engine/border.h"

namespace host_stub {
namespace {

constexpr uint32_t kIndexBits = base::ObjectPool<int>::kIndexBits;
// 2^44 uses of one slot: at a million a second it takes half a year until a handle comes again.
constexpr uint64_t kMostUses = uint64_t{1} << (64 - kIndexBits);

// The next use of a slot. Not 0, so that no handle is NULL.
uint64_t NextUse(uint64_t use) { return use + 1 == kMostUses ? 1 : use + 1; }

CallHandle MakeHandle(uint64_t use, uint32_t index) {
  return CallHandle{(use << kIndexBits) | index};
}
uint64_t UseOf(CallHandle call) { return call.value >> kIndexBits; }
uint32_t IndexOf(CallHandle call) {
  return static_cast<uint32_t>(call.value & ((uint64_t{1} << kIndexBits) - 1));
}

}  // namespace

const lri_request* PendingCalls::Begin(const Request& request, InstanceRecord& record,
                                       AnswerReceiver* receiver) {
  const auto lease = slots_.Take();
  if (lease.object == nullptr) return nullptr;
  Slot& slot = *lease.object;
  const CallHandle call = MakeHandle(NextUse(slot.state.use()), lease.index);
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
  slot.state.Set(UseOf(call), UseState::kInFlight);
  return &slot.request;
}

PendingCalls::Slot* PendingCalls::Move(CallHandle call, UseState::Stage from, UseState::Stage to) {
  Slot* const slot = slots_.Find(IndexOf(call));
  return slot != nullptr && slot->state.Move(UseOf(call), from, to) ? slot : nullptr;
}

void PendingCalls::Free(CallHandle call, Slot& slot) {
  slot.state.Set(UseOf(call), UseState::kFree);
  slots_.GiveBack(IndexOf(call));
}

// The record may go as soon as the call is counted as ended, so that is the last use of it.
void PendingCalls::Release(CallHandle call, Slot& slot) {
  InstanceRecord* record = slot.record.load(std::memory_order_relaxed);
  slot.receiver->OnRequestReleased();
  Free(call, slot);
  record->calls_ended.fetch_add(1, std::memory_order_release);
}

bool PendingCalls::Withdraw(CallHandle call) {
  Slot* slot = Move(call, UseState::kInFlight, UseState::kEnding);
  if (slot == nullptr) {
    // AbandonAll is answering it just now, and releases it; the plugin will not.
    if (Move(call, UseState::kExpiring, UseState::kReleased) != nullptr) return false;
    slot = Move(call, UseState::kAbandoned, UseState::kEnding);
  }
  if (slot == nullptr) return false;
  // As if it had never begun.
  slot->record.load(std::memory_order_relaxed)->calls_begun.fetch_sub(1, std::memory_order_relaxed);
  Free(call, *slot);
  return true;
}

bool PendingCalls::Complete(CallHandle call, const lri_answer* given) {
  Slot* slot = Move(call, UseState::kInFlight, UseState::kEnding);
  if (slot != nullptr) {
    InstanceRecord& record = *slot->record.load(std::memory_order_relaxed);
    record.TakeAnswer(given, [slot](const Answer& answer) { slot->receiver->OnAnswer(answer); });
  } else {
    // The stages in the order in which AbandonAll takes them, so that none is missed.
    if (Move(call, UseState::kExpiring, UseState::kReleased) != nullptr) return true;
    slot = Move(call, UseState::kAbandoned, UseState::kEnding);
    if (slot == nullptr) return false;
  }
  Release(call, *slot);
  return true;
}

bool PendingCalls::Abandon(CallHandle call) {
  return Move(call, UseState::kInFlight, UseState::kAbandoned) != nullptr;
}

void PendingCalls::AbandonAll(const InstanceRecord& record, const Answer& answer) {
  for (uint32_t index = 0; index < slots_.size(); ++index) {
    Slot* const found = slots_.Find(index);
    if (found == nullptr) continue;
    Slot& slot = *found;
    UseState::Stage stage;
    const CallHandle call = MakeHandle(slot.state.Load(&stage), index);
    if (stage != UseState::kInFlight) continue;
    if (slot.record.load(std::memory_order_relaxed) != &record) continue;
    if (Move(call, UseState::kInFlight, UseState::kExpiring) == nullptr) continue;
    slot.receiver->OnAnswer(answer);
    // An answer of the plugin that came meanwhile left the release to us.
    if (Move(call, UseState::kExpiring, UseState::kAbandoned) == nullptr) Release(call, slot);
  }
}

PendingCommands::Entry& PendingCommands::EntryOf(void* done_context) {
  return *reinterpret_cast<Entry*>(reinterpret_cast<uintptr_t>(done_context) &
                                   ~(alignof(Entry) - 1));
}

void* PendingCommands::Begin(CommandDone done) {
  const auto lease = entries_.Take();
  if (lease.object == nullptr) return nullptr;
  Entry& entry = *lease.object;
  entry.owner = this;
  entry.index = lease.index;
  entry.done = std::move(done);
  const uint64_t use = (entry.state.use() + 1) % alignof(Entry);
  entry.state.Set(use, UseState::kInFlight);
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(&entry) | use);
}

CommandDone PendingCommands::Take(void* done_context) {
  Entry& entry = EntryOf(done_context);
  const uint64_t use = reinterpret_cast<uintptr_t>(done_context) % alignof(Entry);
  if (!entry.state.Move(use, UseState::kInFlight, UseState::kEnding)) return nullptr;
  CommandDone done = std::exchange(entry.done, nullptr);
  entry.state.Set(use, UseState::kFree);
  entry.owner->entries_.GiveBack(entry.index);
  return done;
}

void PendingCommands::Done(void* done_context, int32_t code, lri_view result) noexcept {
  Logger& logger = EntryOf(done_context).owner->logger_;
  const CommandDone done = Take(done_context);
  if (done == nullptr) {
    logger.Log(Severity::kError, "", "the plugin gave a second result of a command; ignored");
    return;
  }
  std::string text(ToStringView(result));
  if (code == LRI_OK) return done(std::move(text));
  done(absl::Status(ToStatusCode(code), text));
}

}  // namespace host_stub
