#include "host_stub/engine/instance_registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace host_stub {

std::shared_ptr<HostedInstance> InstanceRegistry::Find(absl::string_view name) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = instances_.find(name);
  return found == instances_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<HostedInstance>> InstanceRegistry::List() const {
  std::vector<std::shared_ptr<HostedInstance>> list;
  {
    absl::ReaderMutexLock lock(&mutex_);
    list.reserve(instances_.size());
    for (const auto& [name, instance] : instances_) list.push_back(instance);
  }
  std::sort(list.begin(), list.end(),
            [](const auto& left, const auto& right) { return left->name() < right->name(); });
  return list;
}

absl::Status InstanceRegistry::Add(std::shared_ptr<HostedInstance> instance) {
  const std::string name = instance->name();
  absl::MutexLock lock(&mutex_);
  if (!instances_.emplace(name, std::move(instance)).second) {
    return absl::AlreadyExistsError(absl::StrCat("an instance \"", name, "\" exists already"));
  }
  return absl::OkStatus();
}

std::shared_ptr<HostedInstance> InstanceRegistry::Replace(
    std::shared_ptr<HostedInstance> instance) {
  const std::string name = instance->name();
  absl::MutexLock lock(&mutex_);
  return std::exchange(instances_[name], std::move(instance));
}

std::shared_ptr<HostedInstance> InstanceRegistry::Remove(absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  const auto found = instances_.find(name);
  if (found == instances_.end()) return nullptr;
  std::shared_ptr<HostedInstance> instance = std::move(found->second);
  instances_.erase(found);
  return instance;
}

absl::Status InstanceRegistry::StopAll(absl::Time deadline) {
  absl::Status first;
  for (const std::shared_ptr<HostedInstance>& instance : List()) {
    absl::Status status = instance->Stop(deadline);
    if (!status.ok()) {
      first.Update(absl::Status(
          status.code(), absl::StrCat("instance \"", instance->name(), "\": ", status.message())));
    }
    Remove(instance->name());
  }
  return first;
}

}  // namespace host_stub
