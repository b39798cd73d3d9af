#include "host_stub/store/duplicate_index.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {
namespace {

const DeliveryKey* IfAlive(const DeliveryKey& key, absl::Time now) {
  return now < key.expires ? &key : nullptr;
}

// The same key as version 1 wrote it; empty where it had none.
absl::string_view OfVersion1(absl::string_view key) {
  constexpr size_t kLengthAt = 3;  // of the path
  if (key.empty() || key.front() != static_cast<char>(LRI_DELIVERY_KEY_VERSION)) return {};
  const size_t colon = key.find(':', kLengthAt);
  return colon == absl::string_view::npos ? "" : key.substr(colon + 1);
}

}  // namespace

void IncidentIds::Append(int64_t id) {
  if (!runs_.empty() && runs_.back().first + runs_.back().count == id) {
    ++runs_.back().count;
    return;
  }
  runs_.push_back({id, 1});
}

std::vector<int64_t> IncidentIds::Expand(size_t count) const {
  std::vector<int64_t> ids;
  ids.reserve(count);
  for (const Run& run : runs_) {
    for (int64_t i = 0; i < run.count && ids.size() < count; ++i) ids.push_back(run.first + i);
  }
  if (!runs_.empty()) ids.resize(count, runs_.back().first + runs_.back().count - 1);
  return ids;
}

size_t IncidentIds::size() const {
  size_t size = 0;
  for (const Run& run : runs_) size += static_cast<size_t>(run.count);
  return size;
}

std::string IncidentIds::ToText() const {
  std::string text;
  for (const Run& run : runs_) {
    absl::StrAppend(&text, text.empty() ? "" : " ", run.first, "+", run.count);
  }
  return text;
}

absl::StatusOr<IncidentIds> IncidentIds::FromText(absl::string_view text) {
  IncidentIds ids;
  for (const absl::string_view part : absl::StrSplit(text, ' ')) {
    const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(part, '+');
    Run run{};
    if (!absl::SimpleAtoi(halves.first, &run.first) ||
        !absl::SimpleAtoi(halves.second, &run.count) || run.first <= 0 || run.count <= 0) {
      return absl::DataLossError(absl::StrCat("not a list of ids: \"", text, "\""));
    }
    ids.runs_.push_back(run);
  }
  return ids;
}

const DeliveryKey* DuplicateIndex::Find(int64_t instance, KeyScope scope, absl::string_view key,
                                        absl::Time now) const {
  const DeliveryKey* const found = FindExact(instance, scope, key, now);
  if (found != nullptr) return found;
  const absl::string_view older = OfVersion1(key);
  return older.empty() ? nullptr : FindExact(instance, scope, older, now);
}

const DeliveryKey* DuplicateIndex::FindExact(int64_t instance, KeyScope scope,
                                             absl::string_view key, absl::Time now) const {
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
  Expire(now);
  for (auto& map : staged_by_key_) map.clear();
  for (DeliveryKey& key : staged_) {
    const int64_t instance = key.instance;
    const absl::Time expires = key.expires;
    Memory& memory = memories_[instance];
    Queue& queue = expires == absl::InfiniteFuture() ? memory.lasting : memory.expiring;
    const DeliveryKey& kept = queue.emplace_back(std::move(key));
    auto& by_key = memory.by_key[static_cast<int>(kept.scope)];
    // An expired key of the same text: the map's view must not stay one of its text.
    by_key.erase(kept.key);
    by_key.emplace(kept.key, &kept);
    if (&queue == &memory.expiring && !std::exchange(memory.is_awaited, true)) {
      expiries_.emplace(expires, instance);
    }
    ForgetBeyondTheBound(instance, memory, now);
  }
  staged_.clear();
  Expire(now);
}

void DuplicateIndex::Abandon() {
  for (auto& map : staged_by_key_) map.clear();
  staged_.clear();
}

void DuplicateIndex::Expire(absl::Time now) {
  while (!expiries_.empty() && expiries_.top().first <= now) {
    const int64_t instance = expiries_.top().second;
    expiries_.pop();
    const auto found = memories_.find(instance);
    Memory& memory = found->second;
    Queue& keys = memory.expiring;
    while (!keys.empty() && keys.front().expires <= now) ForgetFirst(memory, keys);
    memory.is_awaited = !keys.empty();
    if (memory.is_awaited) {
      expiries_.emplace(keys.front().expires, instance);
    } else if (memory.size() == 0) {
      memories_.erase(found);
    }
  }
}

int64_t DuplicateIndex::TakeForgottenEarly(int64_t instance) {
  if (forgotten_early_.empty()) return 0;
  const auto found = forgotten_early_.find(instance);
  if (found == forgotten_early_.end()) return 0;
  const int64_t count = found->second;
  forgotten_early_.erase(found);
  return count;
}

void DuplicateIndex::ForgetBeyondTheBound(int64_t instance, Memory& memory, absl::Time now) {
  while (static_cast<int64_t>(memory.size()) > remembered_of_an_instance_) {
    const bool lasting_is_oldest =
        memory.expiring.empty() ||
        (!memory.lasting.empty() && memory.lasting.front().row < memory.expiring.front().row);
    Queue& queue = lasting_is_oldest ? memory.lasting : memory.expiring;
    if (!lasting_is_oldest && queue.front().expires > now) ++forgotten_early_[instance];
    ForgetFirst(memory, queue);
  }
}

void DuplicateIndex::ForgetFirst(Memory& memory, Queue& queue) {
  const DeliveryKey& oldest = queue.front();
  auto& by_key = memory.by_key[static_cast<int>(oldest.scope)];
  const auto found = by_key.find(oldest.key);
  if (found != by_key.end() && found->second == &oldest) by_key.erase(found);
  forgotten_rows_.push_back(oldest.row);
  queue.pop_front();
}

}  // namespace host_stub
