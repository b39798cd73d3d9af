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

std::string SimulationModel::Created(const SentBatch& batch,
                                     const std::vector<CreatedIncident>& created) {
  if (!batch.key.empty()) {
    const auto known = batch_keys_.find({batch.uid, batch.key});
    if (known != batch_keys_.end()) {
      for (size_t i = 0; i < created.size(); ++i) {
        const int64_t expected = known->second[std::min(i, known->second.size() - 1)];
        if (!created[i].duplicate() || created[i].id != expected) {
          return absl::StrCat("batch key ", batch.key, " gave ", created[i].id, ", not ", expected);
        }
      }
      duplicates_ += static_cast<int64_t>(created.size());
      return "";
    }
  }
  if (created.size() != batch.incidents.size()) return "a batch was created with another size";
  std::vector<int64_t> ids;
  for (size_t i = 0; i < created.size(); ++i) {
    if (std::string wrong = OneCreated(batch, i, created[i]); !wrong.empty()) return wrong;
    ids.push_back(created[i].id);
  }
  if (!batch.key.empty()) batch_keys_[{batch.uid, batch.key}] = std::move(ids);
  return "";
}

std::string SimulationModel::OneCreated(const SentBatch& batch, size_t i,
                                        const CreatedIncident& created) {
  const TestIncident& incident = batch.incidents[i];
  const auto known = keys_.find({batch.uid, incident.key});
  if (!incident.key.empty() && known != keys_.end()) {
    ++duplicates_;
    if (created.duplicate() && created.id == known->second) return "";
    return absl::StrCat("key ", incident.key, " gave ", created.id, ", not ", known->second);
  }
  if (created.duplicate())
    return absl::StrCat("incident ", created.id, " is taken for a duplicate");
  if (created.id <= last_id_) return absl::StrCat("id ", created.id, " came after ", last_id_);
  last_id_ = created.id;
  incidents_[created.id] = {batch.uid, DetailsOf(incident)};
  if (!incident.key.empty()) keys_[{batch.uid, incident.key}] = created.id;
  return "";
}

std::string SimulationModel::Check(const std::vector<StoredIncident>& all) {
  std::map<std::string, int64_t> extra;  // ids by details
  std::set<int64_t> seen;
  for (const StoredIncident& incident : all) {
    if (!seen.insert(incident.id).second)
      return absl::StrCat("id ", incident.id, " is there twice");
    const auto known = incidents_.find(incident.id);
    if (known == incidents_.end()) {
      if (!extra.emplace(incident.details, incident.id).second) return "an incident is there twice";
    } else if (known->second.details != incident.details ||
               known->second.uid != incident.instance_uid) {
      return absl::StrCat("incident ", incident.id, " has other bytes than were acknowledged");
    }
  }
  for (const auto& [id, incident] : incidents_) {
    if (!seen.contains(id)) return absl::StrCat("incident ", id, " was acknowledged and is lost");
  }
  return SettleUnknown(extra);
}

// Each uncertain batch is there as a whole or not at all, and stays so from now on.
std::string SimulationModel::SettleUnknown(const std::map<std::string, int64_t>& extra) {
  size_t explained = 0;
  for (const SentBatch& batch : uncertain_) {
    std::vector<int64_t> ids;
    for (const TestIncident& incident : batch.incidents) {
      const auto found = extra.find(DetailsOf(incident));
      const auto key = keys_.find({batch.uid, incident.key});
      const bool repeated = !incident.key.empty() && key != keys_.end();
      if (found == extra.end()) {
        if (repeated) ids.push_back(key->second);
        continue;
      }
      if (repeated) return absl::StrCat("a duplicate was stored, of key ", incident.key);
      ++explained;
      ids.push_back(found->second);
      last_id_ = std::max(last_id_, found->second);
      incidents_[found->second] = {batch.uid, found->first};
      if (!incident.key.empty()) keys_[{batch.uid, incident.key}] = found->second;
    }
    const size_t there = static_cast<size_t>(std::count_if(
        batch.incidents.begin(), batch.incidents.end(),
        [&](const TestIncident& incident) { return extra.contains(DetailsOf(incident)); }));
    if (there == 0) continue;
    if (ids.size() != batch.incidents.size()) {
      return absl::StrCat("of a batch of ", batch.incidents.size(), " only ", there, " are there");
    }
    ++unknown_there_;
    if (!batch.key.empty()) batch_keys_[{batch.uid, batch.key}] = ids;
  }
  uncertain_.clear();
  if (explained == extra.size()) return "";
  for (const auto& [details, id] : extra) {
    if (!incidents_.contains(id)) {
      return absl::StrCat("incident ", id, " is there and was refused: ", details.substr(0, 40));
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
