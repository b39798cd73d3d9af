#include "host_stub/store/testing/store_simulation_model.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace host_stub {

std::string DetailsOf(const TestIncident& incident) {
  std::string details;
  for (const std::string& slice : incident.details) details += slice;
  return details;
}

std::string SimulationModel::Finished(const SentBatch& batch, const Submission& result) {
  switch (result.outcome) {
    case CreationOutcome::kCreated:
      return Created(batch, result.created);
    case CreationOutcome::kUnknown:
      ++unknown_;
      uncertain_.push_back(batch);
      [[fallthrough]];
    case CreationOutcome::kNotCreated:
      if (result.status.ok()) return "a batch that was not created has the status OK";
      return result.created.empty() ? "" : "a batch that was not created has ids";
  }
  return "an outcome that does not exist";
}

SimulationModel::Time SimulationModel::Expiry(const SentBatch& batch, Time now) {
  if (batch.lifetime == absl::ZeroDuration()) {
    return {absl::InfiniteFuture(), absl::InfiniteFuture()};
  }
  return {now.earliest + batch.lifetime, now.latest + batch.lifetime};
}

std::string SimulationModel::Created(const SentBatch& batch,
                                     const std::vector<CreatedIncident>& created) {
  if (created.size() != batch.incidents.size()) return "a batch was created with another size";
  Time now = {batch.begun, batch.ended};
  for (const CreatedIncident& incident : created) {
    if (!incident.duplicate()) now = {incident.created, incident.created};
  }
  for (const bool by_replay : {false, true}) {
    const std::string& key = by_replay ? batch.replay_key : batch.key;
    const auto known = batch_keys_.find({batch.uid, key});
    if (key.empty() || known == batch_keys_.end()) continue;
    if (!known->second.MayLive(now)) {
      ++expired_;
      continue;
    }
    const std::vector<int64_t>& ids = known->second.ids;
    std::string wrong;
    for (size_t i = 0; i < created.size(); ++i) {
      const int64_t expected = ids[std::min(i, ids.size() - 1)];
      if (created[i].duplicate() && created[i].id == expected) continue;
      wrong = absl::StrCat("batch key ", key, " gave ", created[i].id, ", not ", expected);
    }
    for (const CreatedIncident& duplicate : created) {
      if (wrong.empty()) wrong = CheckFirst(duplicate);
    }
    if (wrong.empty()) {
      duplicates_ += static_cast<int64_t>(created.size());
      replays_ += by_replay;
      if (!by_replay) RememberReplay(batch, known->second, /*certain=*/true);
      return "";
    }
    if (known->second.MustLive(now)) return wrong;
  }
  std::vector<int64_t> ids;
  for (size_t i = 0; i < created.size(); ++i) {
    std::string wrong = OneCreated(batch, i, now, created[i]);
    if (!wrong.empty()) return wrong;
    ids.push_back(created[i].id);
  }
  RememberBatch(batch, ids, now);
  return "";
}

void SimulationModel::RememberBatch(const SentBatch& batch, const std::vector<int64_t>& ids,
                                    Time now) {
  for (const std::string& key : {batch.key, batch.replay_key}) {
    if (!key.empty()) batch_keys_[{batch.uid, key}] = {ids, Expiry(batch, now)};
  }
}

// A batch was known by its own key: what was signed stands for the same incidents from now on.
// Not `certain`: the store may not know of it.
void SimulationModel::RememberReplay(const SentBatch& batch, const Known& known, bool certain) {
  const Time now = {batch.begun, batch.ended};
  const auto there = batch_keys_.find({batch.uid, batch.replay_key});
  const bool lives = there != batch_keys_.end() && there->second.MayLive(now);
  if (batch.replay_key.empty() || lives) return;
  Known replay{known.ids, Expiry(batch, now)};
  if (!certain) replay.expires.earliest = absl::InfinitePast();
  batch_keys_[{batch.uid, batch.replay_key}] = std::move(replay);
}

std::string SimulationModel::OneCreated(const SentBatch& batch, size_t i, Time now,
                                        const CreatedIncident& created) {
  const TestIncident& incident = batch.incidents[i];
  const auto known = keys_.find({batch.uid, incident.key});
  if (!incident.key.empty() && known != keys_.end()) {
    const int64_t id = known->second.ids[0];
    if (known->second.MayLive(now) && created.duplicate() && created.id == id) {
      ++duplicates_;
      return CheckFirst(created);
    }
    if (known->second.MustLive(now)) {
      return absl::StrCat("key ", incident.key, " gave ", created.id, ", not ", id);
    }
    ++expired_;
  }
  if (created.duplicate())
    return absl::StrCat("incident ", created.id, " is taken for a duplicate");
  if (created.id <= last_id_) return absl::StrCat("id ", created.id, " came after ", last_id_);
  last_id_ = created.id;
  incidents_[created.id] = {batch.uid, DetailsOf(incident), created.created};
  created_[created.id] = created.created;
  if (!incident.key.empty()) keys_[{batch.uid, incident.key}] = {{created.id}, Expiry(batch, now)};
  return "";
}

std::string SimulationModel::Check(const std::vector<StoredIncident>& all) {
  std::map<std::string, const StoredIncident*> extra;  // by details
  std::set<int64_t> seen;
  for (const StoredIncident& incident : all) {
    if (!seen.insert(incident.id).second)
      return absl::StrCat("id ", incident.id, " is there twice");
    const auto known = incidents_.find(incident.id);
    if (known == incidents_.end()) {
      if (!extra.emplace(incident.details, &incident).second) return "an incident is there twice";
    } else if (known->second.details != incident.details ||
               known->second.uid != incident.instance_uid) {
      return absl::StrCat("incident ", incident.id, " has other bytes than were acknowledged");
    }
  }
  const std::string wrong = CheckMissing(seen);
  return wrong.empty() ? SettleUnknown(extra) : wrong;
}

// What is deleted once may not come back.
std::string SimulationModel::CheckMissing(const std::set<int64_t>& seen) {
  while (!incidents_.empty() && !seen.contains(incidents_.begin()->first) &&
         incidents_.begin()->second.may_be_deleted) {
    incidents_.erase(incidents_.begin());
    ++deleted_;
  }
  for (const auto& [id, incident] : incidents_) {
    if (!seen.contains(id)) return absl::StrCat("incident ", id, " was acknowledged and is lost");
  }
  return "";
}

void SimulationModel::MayBeDeleted(absl::Time created_before) {
  for (auto& [id, incident] : incidents_) {
    if (incident.created < created_before) incident.may_be_deleted = true;
  }
}

// A duplicate is told of the first incident, whether that is still there or not.
std::string SimulationModel::CheckFirst(const CreatedIncident& duplicate) {
  if (duplicate.other_content) return "";
  duplicates_of_deleted_ += !incidents_.contains(duplicate.id);
  const TestIncident expected;
  const FirstIncident& first = *duplicate.first;
  const auto created = created_.find(duplicate.id);
  if (first.name == expected.name && first.type == expected.type &&
      first.occurred == expected.occurred && created != created_.end() &&
      duplicate.created == created->second) {
    return "";
  }
  return absl::StrCat("a duplicate was told something else of incident ", duplicate.id);
}

// Each uncertain batch is there as a whole or not at all, and stays so from now on.
std::string SimulationModel::SettleUnknown(
    const std::map<std::string, const StoredIncident*>& extra) {
  size_t explained = 0;
  for (const SentBatch& batch : uncertain_) {
    std::vector<const StoredIncident*> there;
    for (const TestIncident& incident : batch.incidents) {
      const auto found = extra.find(DetailsOf(incident));
      there.push_back(found == extra.end() ? nullptr : found->second);
    }
    const auto first =
        std::ranges::find_if(there, [](auto* incident) { return incident != nullptr; });
    if (first == there.end()) {
      const auto known = batch_keys_.find({batch.uid, batch.key});
      if (known != batch_keys_.end()) RememberReplay(batch, known->second, /*certain=*/false);
      continue;
    }
    const Time now = {(*first)->created, (*first)->created};
    std::vector<int64_t> ids;
    for (size_t i = 0; i < there.size(); ++i) {
      const Key key = {batch.uid, batch.incidents[i].key};
      const auto known = keys_.find(key);
      const bool repeated =
          !key.second.empty() && known != keys_.end() && known->second.MustLive(now);
      if (there[i] == nullptr) {
        if (repeated) ids.push_back(known->second.ids[0]);
        continue;
      }
      if (repeated) return absl::StrCat("a duplicate was stored, of key ", key.second);
      ++explained;
      const int64_t id = there[i]->id;
      ids.push_back(id);
      last_id_ = std::max(last_id_, id);
      incidents_[id] = {batch.uid, there[i]->details, there[i]->created};
      created_[id] = there[i]->created;
      if (!key.second.empty()) keys_[key] = {{id}, Expiry(batch, now)};
    }
    if (ids.size() != batch.incidents.size()) {
      return absl::StrCat("of a batch of ", batch.incidents.size(), " only ", ids.size(),
                          " are there");
    }
    ++unknown_there_;
    RememberBatch(batch, ids, now);
  }
  uncertain_.clear();
  if (explained == extra.size()) return "";
  for (const auto& [details, incident] : extra) {
    if (!incidents_.contains(incident->id)) {
      return absl::StrCat("incident ", incident->id,
                          " is there and was refused: ", details.substr(0, 40));
    }
  }
  return "";
}

std::optional<std::pair<std::string, std::string>> SimulationModel::KnownKey(
    uint32_t chance) const {
  if (keys_.empty()) return std::nullopt;
  return std::next(keys_.begin(), chance % keys_.size())->first;
}

std::optional<std::pair<std::string, std::string>> SimulationModel::KnownBatchKey(
    uint32_t chance) const {
  if (batch_keys_.empty()) return std::nullopt;
  return std::next(batch_keys_.begin(), chance % batch_keys_.size())->first;
}

}  // namespace host_stub
