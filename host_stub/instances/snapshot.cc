#include "host_stub/instances/snapshot.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "host_stub/config/configuration.h"

namespace host_stub {

const InstanceEntry* InstanceSnapshot::Find(absl::string_view name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : found->second.get();
}

InstanceSnapshot::Match InstanceSnapshot::FindPath(absl::string_view path) const {
  for (const std::string& prefix : path_prefixes_) {
    if (!absl::StartsWith(path, prefix)) continue;
    const absl::string_view rest = path.substr(prefix.size());
    const absl::string_view name = rest.substr(0, rest.find('/'));
    const InstanceEntry* const entry = Find(name);
    if (entry == nullptr || entry->instance == nullptr || entry->path_prefix != prefix) continue;
    return {entry->closed.empty() ? Outcome::kFound : Outcome::kClosed, entry, name,
            rest.substr(name.size())};
  }
  return {};
}

absl::Status InstanceSnapshot::Put(InstanceEntry entry) {
  entry.path_prefix.clear();
  absl::Status status;
  if (entry.instance != nullptr) {
    absl::StatusOr<InstanceDescription> description = entry.instance->Describe();
    status = description.status();
    if (status.ok()) {
      entry.path_prefix = std::move(description->path_prefix);
      entry.external_key_needed = description->external_key_needed;
    }
  }
  std::shared_ptr<const InstanceEntry>& place = entries_[entry.settings.name];
  if (place != nullptr) {
    entry.number = place->number;
  } else {
    entry.number = std::find(numbers_.begin(), numbers_.end(), false) - numbers_.begin();
    numbers_.resize(std::max(numbers_.size(), entry.number + 1));
    numbers_[entry.number] = true;
  }
  place = std::make_shared<const InstanceEntry>(std::move(entry));
  return status;
}

void InstanceSnapshot::Remove(absl::string_view name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  numbers_[found->second->number] = false;
  entries_.erase(found);
}

void InstanceSnapshot::Finish() {
  path_prefixes_.clear();
  for (auto& [name, entry] : entries_) {
    std::string closed;
    lri_reason reason = LRI_REASON_ANSWERED;
    if (entry->external_key_needed && !IsExternal(server_configuration, name)) {
      reason = LRI_REASON_EXTERNAL_KEY_MISSING;
      closed = absl::StrCat("The server configuration does not allow this: ", ExternalKey(name),
                            " is not true.");
    } else if (entry->settings.parameters.contains("client_ca")) {
      reason = LRI_REASON_CERTIFICATE;
      closed = "This instance is served on its listen port only, to senders with a certificate.";
    }
    if (entry->closed != closed) {
      auto changed = std::make_shared<InstanceEntry>(*entry);
      changed->closed = std::move(closed);
      changed->closed_reason = reason;
      entry = std::move(changed);
    }
    const std::string& prefix = entry->path_prefix;
    if (prefix.empty()) continue;
    if (std::find(path_prefixes_.begin(), path_prefixes_.end(), prefix) == path_prefixes_.end()) {
      path_prefixes_.push_back(prefix);
    }
  }
}

ListedInstance ToListed(const InstanceSnapshot& snapshot, const InstanceEntry& entry) {
  ListedInstance listed = ToListed(entry.settings);
  listed.instance = entry.instance;
  listed.external_key_set = IsExternal(snapshot.server_configuration, entry.settings.name);
  listed.product = snapshot.platform.product;
  listed.front_url = snapshot.front_url;
  listed.start_error = entry.start_error;
  return listed;
}

void PublishedInstances::Publish(std::shared_ptr<InstanceSnapshot> snapshot) {
  snapshot->Finish();
  std::shared_ptr<const InstanceSnapshot> next = std::move(snapshot);
  {
    absl::MutexLock lock(&mutex_);
    current_.swap(next);
    version_.fetch_add(1, std::memory_order_release);
  }
  // The earlier snapshot, and what only it held, ends here: outside the lock.
}

std::shared_ptr<const InstanceSnapshot> PublishedInstances::current() const {
  absl::ReaderMutexLock lock(&mutex_);
  return current_;
}

std::shared_ptr<const InstanceEntry> PublishedInstances::Find(absl::string_view name) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = current_->entries().find(name);
  return found == current_->entries().end() ? nullptr : found->second;
}

}  // namespace host_stub
