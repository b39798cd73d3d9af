#include "host_stub/store/memory_state.h"

#include "absl/strings/str_cat.h"

namespace host_stub {

MemoryState::MemoryState(const webhook::Limits& limits) : queue_(limits) {}

absl::Status MemoryState::GetContext(absl::string_view uid, absl::string_view key,
                                     ContextDone done) {
  absl::Status status = queue_.PushGet(uid, key, std::move(done));
  if (status.ok()) RunAll();
  return status;
}

absl::Status MemoryState::SetContext(absl::string_view uid, absl::string_view key,
                                     std::string value, ContextDone done) {
  absl::Status status = queue_.PushSet(uid, key, std::move(value), std::move(done));
  if (status.ok()) RunAll();
  return status;
}

void MemoryState::RunAll() {
  for (StateWork& work : queue_.Take(SIZE_MAX)) {
    absl::Status status;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      status = work.run(tables_);
    }
    work.finish(status);
  }
}

absl::StatusOr<std::vector<StoredInstance>> MemoryState::ListInstances() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return tables_.ReadInstances();
}

absl::Status MemoryState::SaveInstance(const StoredInstance& instance) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return tables_.WriteInstance(instance);
}

absl::Status MemoryState::DeleteInstance(absl::string_view uid) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return tables_.DeleteInstance(std::string(uid));
}

absl::StatusOr<std::string> MemoryState::Tables::ReadContext(const std::string& uid,
                                                             const std::string& key) {
  const auto found = context_.find({uid, key});
  if (found == context_.end()) return absl::NotFoundError("nothing is set under this key");
  return found->second;
}

absl::Status MemoryState::Tables::WriteContext(const std::string& uid, const std::string& key,
                                               const std::string& value) {
  context_[{uid, key}] = value;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<StoredInstance>> MemoryState::Tables::ReadInstances() {
  std::vector<StoredInstance> list;
  for (const auto& [name, instance] : instances_) list.push_back(instance);
  return list;
}

absl::Status MemoryState::Tables::WriteInstance(const StoredInstance& instance) {
  const auto found = instances_.find(instance.name);
  if (found != instances_.end() && found->second.uid != instance.uid) {
    return absl::AlreadyExistsError(
        absl::StrCat("an instance \"", instance.name, "\" exists already"));
  }
  instances_[instance.name] = instance;
  return absl::OkStatus();
}

absl::Status MemoryState::Tables::DeleteInstance(const std::string& uid) {
  std::erase_if(instances_, [&uid](const auto& entry) { return entry.second.uid == uid; });
  std::erase_if(context_, [&uid](const auto& entry) { return entry.first.first == uid; });
  return absl::OkStatus();
}

}  // namespace host_stub
