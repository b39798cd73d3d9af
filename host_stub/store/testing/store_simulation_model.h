// What a simulated history knows: what was acknowledged, and what may be stored. Tests only.
#ifndef HOST_STUB_STORE_TESTING_STORE_SIMULATION_MODEL_H_
#define HOST_STUB_STORE_TESTING_STORE_SIMULATION_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "host_stub/store/incident_store.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {

// One submission as it was sent. No two incidents have the same details.
struct SentBatch {
  std::string uid;
  std::string key;
  std::vector<TestIncident> incidents;
};

class SimulationModel {
 public:
  // Takes the result of a batch. This and Check return which promise was broken, or "".
  std::string Finished(const SentBatch& batch, const Submission& result);
  // Takes all incidents that the store has, opened again on a healthy disk.
  std::string Check(const std::vector<StoredIncident>& all);

  // The key of an acknowledged incident or batch, to repeat it; nullopt if there is none.
  std::optional<std::pair<std::string, std::string>> KnownKey(uint32_t chance) const;
  std::optional<std::pair<std::string, std::string>> KnownBatchKey(uint32_t chance) const;

  int64_t acknowledged() const { return static_cast<int64_t>(incidents_.size()); }
  int64_t unknown() const { return unknown_; }
  int64_t unknown_there() const { return unknown_there_; }
  int64_t duplicates() const { return duplicates_; }

 private:
  using Key = std::pair<std::string, std::string>;  // uid and key
  struct Incident {
    std::string uid;
    std::string details;
  };

  std::string Created(const SentBatch& batch, const std::vector<CreatedIncident>& created);
  std::string OneCreated(const SentBatch& batch, size_t i, const CreatedIncident& created);
  std::string SettleUnknown(const std::map<std::string, int64_t>& extra);

  std::map<int64_t, Incident> incidents_;  // acknowledged, or seen after an opening
  std::map<Key, int64_t> keys_;
  std::map<Key, std::vector<int64_t>> batch_keys_;
  std::vector<SentBatch> uncertain_;
  int64_t last_id_ = 0;
  int64_t unknown_ = 0;
  int64_t unknown_there_ = 0;
  int64_t duplicates_ = 0;
};

// The slices of the details in one piece.
std::string DetailsOf(const TestIncident& incident);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_TESTING_STORE_SIMULATION_MODEL_H_
