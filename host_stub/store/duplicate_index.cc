#include "host_stub/store/duplicate_index.h"

namespace host_stub {
namespace {

const IncidentIds* IfAlive(const DeliveryKey& key, absl::Time now) {
  return now < key.expires ? &key.ids : nullptr;
}

}  // namespace

const IncidentIds* DuplicateIndex::Find(int64_t instance, KeyScope scope, absl::string_view key,
                                        absl::Time now) const {
  const int map = static_cast<int>(scope);
  const auto staged = staged_by_key_[map].find(std::make_pair(instance, key));
  if (staged != staged_by_key_[map].end()) return IfAlive(*staged->second, now);
  const auto memory = memories_.find(instance);
  if (memory == memories_.end()) return nullptr;
  const auto found = memory->second.by_key[map].find(key);
  return found == memory->second.by_key[map].end() ? nullptr : IfAlive(*found->second, now);
}

void DuplicateIndex::Stage(DeliveryKey key) {
  const DeliveryKey& staged = staged_.emplace_back(std::move(key));
  staged_by_key_[static_cast<int>(staged.scope)].insert_or_assign(
      std::make_pair(staged.instance, absl::string_view(staged.key)), &staged);
}

void DuplicateIndex::Commit(absl::Time now) {
  for (auto& map : staged_by_key_) map.clear();
  for (DeliveryKey& key : staged_) {
    Memory& memory = memories_[key.instance];
    Remember(std::move(key));
    while (!memory.keys.empty() &&
           (static_cast<int64_t>(memory.keys.size()) > remembered_of_an_instance_ ||
            memory.keys.front().expires <= now)) {
      ForgetOldest(memory);
    }
  }
  staged_.clear();
}

void DuplicateIndex::Abandon() {
  for (auto& map : staged_by_key_) map.clear();
  staged_.clear();
}

void DuplicateIndex::Remember(DeliveryKey key) {
  Memory& memory = memories_[key.instance];
  const DeliveryKey& kept = memory.keys.emplace_back(std::move(key));
  auto& by_key = memory.by_key[static_cast<int>(kept.scope)];
  // An expired key of the same text: the map's view must not stay one of its text.
  by_key.erase(kept.key);
  by_key.emplace(kept.key, &kept);
}

void DuplicateIndex::ForgetOldest(Memory& memory) {
  const DeliveryKey& oldest = memory.keys.front();
  auto& by_key = memory.by_key[static_cast<int>(oldest.scope)];
  const auto found = by_key.find(oldest.key);
  if (found != by_key.end() && found->second == &oldest) by_key.erase(found);
  forgotten_rows_.push_back(oldest.row);
  memory.keys.pop_front();
}

}  // namespace host_stub
