#include "host_stub/engine/command_table.h"

#include <string>
#include <utility>

#include "host_stub/engine/guarded.h"
#include "host_stub/engine/request.h"

namespace host_stub {
namespace {

// Entries are aligned to this, so the lowest bits of their address can hold the number of the use,
// and the result of an earlier one is not taken for that of a later.
constexpr uintptr_t kAlignment = 64;

}  // namespace

struct alignas(kAlignment) CommandTable::Entry {
  CommandTable* table = nullptr;
  uintptr_t use = 0;
  CommandDone done;  // empty: no command is running
};

CommandTable::CommandTable(Logger& logger) : logger_(logger) {}
CommandTable::~CommandTable() = default;

CommandTable::Entry* CommandTable::ToEntry(void* done_context) {
  return reinterpret_cast<Entry*>(reinterpret_cast<uintptr_t>(done_context) & ~(kAlignment - 1));
}

void* CommandTable::Begin(CommandDone done) {
  absl::MutexLock lock(&mutex_);
  if (free_.empty()) {
    entries_.push_back(std::make_unique<Entry>());
    entries_.back()->table = this;
    free_.push_back(entries_.back().get());
  }
  Entry* entry = free_.back();
  free_.pop_back();
  entry->use = (entry->use + 1) % kAlignment;
  entry->done = std::move(done);
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(entry) | entry->use);
}

CommandDone CommandTable::Take(void* done_context) {
  Entry* entry = ToEntry(done_context);
  absl::MutexLock lock(&mutex_);
  const bool current = reinterpret_cast<uintptr_t>(done_context) % kAlignment == entry->use;
  if (!current || entry->done == nullptr) return nullptr;
  free_.push_back(entry);
  return std::exchange(entry->done, nullptr);
}

bool CommandTable::Withdraw(void* done_context) { return Take(done_context) != nullptr; }

void CommandTable::Done(void* done_context, int32_t code, lri_view result) {
  CommandTable& table = *ToEntry(done_context)->table;
  const CommandDone done = table.Take(done_context);
  if (done == nullptr) {
    table.logger_.Log(Severity::kError, "",
                      "the plugin gave a second result of a command; ignored");
    return;
  }
  std::string text(ToStringView(result));
  if (code == LRI_OK) return done(std::move(text));
  done(absl::Status(ToStatusCode(code), text));
}

}  // namespace host_stub
