#include "host_stub/store/state_queue.h"

#include "absl/strings/str_cat.h"
#include "plugin/base/characters.h"

namespace host_stub {

StateQueue::StateQueue(const webhook::Limits& limits)
    : most_calls_(limits.queued_context_calls),
      most_bytes_(limits.queued_context_bytes),
      most_value_bytes_(limits.context_value_bytes) {}

// With the lock held.
absl::Status StateQueue::Admit(absl::string_view key, int64_t bytes) {
  if (!base::IsName(key)) {
    return absl::InvalidArgumentError("a context's key must be 1 to 64 of A-Z a-z 0-9 _ -");
  }
  if (bytes > most_value_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("a context's value has at most ", most_value_bytes_, " bytes"));
  }
  if (closed_) return absl::UnavailableError("the store is closed");
  if (calls_ + 1 > most_calls_ || bytes_ + bytes > most_bytes_) {
    return absl::UnavailableError("the store is busy: too much context waits");
  }
  return absl::OkStatus();
}

absl::Status StateQueue::PushGet(absl::string_view uid, absl::string_view key, ContextDone done) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (absl::Status status = Admit(key, 0); !status.ok()) return status;
  struct Get {
    ContextDone done;
    absl::StatusOr<std::string> value;
  };
  auto get = std::make_shared<Get>();
  get->done = std::move(done);
  StateWork work;
  work.run = [get, uid = std::string(uid), key = std::string(key)](StateTables& tables) {
    get->value = tables.ReadContext(uid, key);
    return absl::IsNotFound(get->value.status()) ? absl::OkStatus() : get->value.status();
  };
  work.finish = [get](const absl::Status& status) {
    get->done(status.ok() ? std::move(get->value) : status);
  };
  entries_.push_back({std::move(work), {}});
  ++calls_;
  return absl::OkStatus();
}

absl::Status StateQueue::PushSet(absl::string_view uid, absl::string_view key, std::string value,
                                 ContextDone done) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const int64_t bytes = static_cast<int64_t>(value.size());
  if (absl::Status status = Admit(key, bytes); !status.ok()) return status;
  const Key map_key{std::string(uid), std::string(key)};
  if (const auto known = sets_.find(map_key); known != sets_.end()) {
    PendingSet& pending = *known->second;
    pending.done.push_back(std::move(done));
    bytes_ += bytes - static_cast<int64_t>(pending.value.size());
    pending.value = std::move(value);
    ++calls_;
    return absl::OkStatus();
  }
  auto pending = std::make_shared<PendingSet>();
  pending->value = std::move(value);
  pending->done.push_back(std::move(done));
  StateWork work;
  work.run = [set = pending, map_key](StateTables& tables) {
    return tables.WriteContext(map_key.first, map_key.second, set->value);
  };
  work.finish = [set = pending](const absl::Status& status) {
    for (ContextDone& done : set->done) {
      done(status.ok() ? absl::StatusOr<std::string>(set->value) : status);
    }
  };
  entries_.push_back({std::move(work), map_key});
  sets_.emplace(map_key, std::move(pending));
  bytes_ += bytes;
  ++calls_;
  return absl::OkStatus();
}

absl::Status StateQueue::Push(StateWork work) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return absl::UnavailableError("the store is closed");
  work.calls = 0;
  entries_.push_back({std::move(work), {}});
  return absl::OkStatus();
}

std::vector<StateWork> StateQueue::Take(size_t most) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<StateWork> taken;
  while (!entries_.empty() && taken.size() < most) {
    Entry& entry = entries_.front();
    if (const auto set = sets_.find(entry.set_key); set != sets_.end()) {
      entry.work.calls = static_cast<int64_t>(set->second->done.size());
      entry.work.bytes = static_cast<int64_t>(set->second->value.size());
      sets_.erase(set);
    }
    // Their room is given back at once: there is one writer, and it holds a bounded number.
    calls_ -= entry.work.calls;
    bytes_ -= entry.work.bytes;
    taken.push_back(std::move(entry.work));
    entries_.pop_front();
  }
  return taken;
}

bool StateQueue::empty() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return entries_.empty();
}

void StateQueue::Close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
}

}  // namespace host_stub
